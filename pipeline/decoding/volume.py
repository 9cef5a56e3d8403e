"""MetaImage (.mha), NRRD and NIfTI: one image, upright as its direction says, with its spacing."""

import math
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.decoding.metaimage import read_metaimage
from pipeline.decoding.stored import Stored, Volume, check_frames, check_size, decoder
from pipeline.decoding.volume_header import check_header, inflated_nifti, nrrd_unit
from pipeline.run.errors import InputError

_IO = {".nrrd": "NrrdImageIO", ".nii": "NiftiImageIO"}
_FORMATS = {".nrrd": "NRRD image", ".nii": "NIfTI image"}
_MILLIMETRES = {"": 1, "?": 1, "mm": 1, "cm": 10, "m": 1000, "um": 1e-3, "\u00b5m": 1e-3}
_ALIGNED = 1e-3
"""How far a direction may be from an axis."""


def read(data: bytes, name: str, kind: str) -> Stored:
    """The one image of a volume: flipped and permuted to its axes, channels and single slices taken out.

    Three equal channels, as components or along the first or last axis, count as grey.

    Raises:
        InputError: a damaged or hostile file, one whose pixels lie in another file, several slices, colours, an oblique
            direction, or unknown units.
    """
    with decoder(name):
        if kind == ".nii.gz":
            data, kind = inflated_nifti(data, name), ".nii"
        volume = read_metaimage(data, name) if kind == ".mha" else _through_simpleitk(data, name, kind)
        if volume.array.dtype.kind not in "iuf":
            raise InputError(f"file '{name}' holds pixels of type {volume.array.dtype}; export it as grey")
        if (volume.unit or "") not in _MILLIMETRES:
            raise InputError(f"file '{name}' gives its spacing in {volume.unit}; export it in mm")
        factor = _MILLIMETRES[volume.unit or ""]
        values, spacing = upright(volume.array, volume.direction, volume.spacing, name)
        values, (rows, columns) = grey_plane(values, spacing, volume.vector, name)
        check_size(*values.shape, name)
    return Stored(values, 8 * values.dtype.itemsize, spacing=(rows * factor, columns * factor))


def _through_simpleitk(data: bytes, name: str, kind: str) -> Volume:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    check_header(data, name, kind)
    # SimpleITK reads from paths only, and the file may lie in an archive.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"image{kind}"
        path.write_bytes(data)
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(str(path))
        reader.SetImageIO(_IO[kind])
        try:
            reader.ReadImageInformation()
            size = [length for length in reader.GetSize() if length > 1]
            if 3 not in size:
                check_frames(math.prod(size[2:]), name)
            check_size(math.prod(reader.GetSize()), reader.GetNumberOfComponents(), name)
            image = reader.Execute()
        except RuntimeError as error:
            line = str(error).strip().splitlines()[-1].replace(str(path), name)
            reason = re.sub(r"^.*ERROR: (\w+\(0x\w+\): )?", "", line)
            raise InputError(
                f"file '{name}' is not a readable {_FORMATS[kind]} ({reason}); fetch or export it again"
            ) from error
    return Volume(
        SimpleITK.GetArrayFromImage(image),
        np.reshape(image.GetDirection(), (image.GetDimension(),) * 2),
        image.GetSpacing(),
        image.GetNumberOfComponentsPerPixel() > 1,
        # Of NIfTI it knows the unit, and gives millimetres.
        nrrd_unit(data) if kind == ".nrrd" else None,
    )


def upright(
    array: np.ndarray, direction: np.ndarray, spacing: Sequence[float], name: str
) -> tuple[np.ndarray, list[float]]:
    """An array of n spatial axes, slowest first, with its axes along x, y, z: x to the right, y downwards.

    Args:
        array, direction, spacing: as in :class:`Volume`.

    Returns:
        The array, and the spacing of its spatial axes, slowest first.

    Raises:
        InputError: an axis of the image is none of space.
    """
    n = len(spacing)
    # The axis of the image that runs along each axis of space.
    along = np.abs(direction).argmax(axis=1)
    turned = direction[np.arange(n), along]
    if sorted(along) != list(range(n)) or (np.abs(np.abs(turned) - 1) > _ALIGNED).any():
        raise InputError(f"file '{name}' lies oblique in space; resample it to upright axes")
    for axis in range(n):
        if turned[axis] < 0:
            array = np.flip(array, n - 1 - along[axis])
    order = [n - 1 - along[axis] for axis in reversed(range(n))]
    return array.transpose(*order, *range(n, array.ndim)), [float(spacing[along[axis]]) for axis in reversed(range(n))]


def grey_plane(array: np.ndarray, spacing: list[float], vector: bool, name: str) -> tuple[np.ndarray, list[float]]:
    """HxW and its spacing from n axes, slowest first: axes of one slice go, three equal channels are one.

    Args:
        vector: the last axis holds components and has no spacing.

    Raises:
        InputError: several slices, or channels that differ.
    """
    spacing, shape = list(spacing), array.shape
    while len(spacing) > 2 and 1 in array.shape[: len(spacing)]:
        axis = array.shape.index(1)
        array = array.squeeze(axis)
        del spacing[axis]
    if not vector and array.ndim == 3 and 3 in (array.shape[0], array.shape[-1]):
        axis = 0 if array.shape[0] == 3 else 2
        array = np.moveaxis(array, axis, -1)
        del spacing[axis]
        vector = True
    if len(spacing) > 2:
        check_frames(int(np.prod(array.shape[: len(spacing) - 2])), name)
    if len(spacing) != 2 or (vector and array.shape[-1] != 3):
        raise InputError(f"file '{name}' has the shape {shape}; a single image is expected, export it again")
    if vector:
        if (array != array[..., :1]).any():
            raise InputError(f"file '{name}' is in colour, or holds 3 slices; export it as one grey image")
        array = array[..., 0]
    return np.ascontiguousarray(array), spacing
