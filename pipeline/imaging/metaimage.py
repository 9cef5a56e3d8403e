"""MetaImage (.mha) files, as PSFHS publishes them."""

import tempfile
from pathlib import Path

import numpy as np

from pipeline.run.errors import InputError


def decode_mha(data: bytes, name: str) -> np.ndarray:
    """uint8 HxW of a MetaImage file.

    Raises:
        InputError: naming a damaged file, or as :func:`grey_plane`.
    """
    import SimpleITK

    # SimpleITK reads from paths only, and the file may lie in an archive.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.mha"
        path.write_bytes(data)
        try:
            array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].replace(str(path), name)
            raise InputError(f"file '{name}' is not a readable MetaImage ({reason}); fetch it again") from error
    return grey_plane(array, name)


def grey_plane(array: np.ndarray, name: str) -> np.ndarray:
    """uint8 HxW from uint8 HxW or from three equal channels, 3xHxW or HxWx3.

    Raises:
        InputError: another type or shape, or channels that differ.
    """
    if array.dtype != np.uint8:
        raise InputError(f"file '{name}' holds {array.dtype} pixels, not 8-bit ones; export it again")
    if array.ndim == 3 and array.shape[-1] == 3 and array.shape[0] != 3:
        array = np.moveaxis(array, -1, 0)
    if array.ndim == 3 and array.shape[0] in (1, 3):
        if (array != array[:1]).any():
            raise InputError(f"file '{name}' is in colour; export it as grey")
        array = array[0]
    if array.ndim != 2:
        raise InputError(f"file '{name}' has the shape {array.shape}; a single image is expected, export it again")
    return np.ascontiguousarray(array)
