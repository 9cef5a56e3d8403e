"""MetaImage (.mha), NRRD and NIfTI through SimpleITK: one image, upright as its direction says, with its spacing."""

import math
import re
import tempfile
from pathlib import Path

import numpy as np

from pipeline.imaging.stored import Stored, check_frames, check_size, decoder
from pipeline.imaging.volume_header import FORMATS, check_header, inflated_nifti, nrrd_header
from pipeline.run.errors import InputError

_IO = {".mha": "MetaImageIO", ".nrrd": "NrrdImageIO", ".nii": "NiftiImageIO"}
_MILLIMETRES = {b"mm": 1, b"cm": 10, b"m": 1000, b"um": 1e-3, b"\xc2\xb5m": 1e-3}
_ALIGNED = 1e-3
"""How far a direction may be from an axis."""


def read(data: bytes, name: str, kind: str) -> Stored:
    """The one image of a volume: flipped and permuted to its axes, channels and single slices taken out.

    Three equal channels, as components or along the first or last axis, count as grey.

    Raises:
        InputError: a damaged or hostile file, one whose pixels lie in another file, several slices, colours, an oblique
            direction, or unknown units.
    """
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    with decoder(name), tempfile.TemporaryDirectory() as folder:
        if kind == ".nii.gz":
            data, kind = inflated_nifti(data, name), ".nii"
        check_header(data, name, kind)
        factor = _unit(data, name, kind)
        # SimpleITK reads from paths only, and the file may lie in an archive.
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
            reason = _reason(error, path, name)
            raise InputError(
                f"file '{name}' is not a readable {FORMATS[kind]} ({reason}); fetch or export it again"
            ) from error
        array = SimpleITK.GetArrayFromImage(image)
        if array.dtype.kind not in "iuf":
            raise InputError(f"file '{name}' holds pixels of type {array.dtype}; export it as grey")
        values, spacing = upright(array, image.GetDirection(), image.GetSpacing(), name)
        values, (rows, columns) = grey_plane(values, spacing, image.GetNumberOfComponentsPerPixel() > 1, name)
    return Stored(values, 8 * array.dtype.itemsize, spacing=(rows * factor, columns * factor))


def upright(array: np.ndarray, direction, spacing, name: str) -> tuple[np.ndarray, list[float]]:
    """An array of n spatial axes, slowest first, with its axes along x, y, z: x to the right, y downwards.

    Args:
        array: may have one more axis, of components, at the end.
        direction: n x n cosines, flat.
        spacing: fastest axis first.

    Returns:
        The array, and the spacing of its spatial axes, slowest first.

    Raises:
        InputError: an axis of the image is none of space.
    """
    n = len(spacing)
    cosines = np.asarray(direction, float).reshape(n, n)
    # The axis of the image that runs along each axis of space.
    along = np.abs(cosines).argmax(axis=1)
    turned = cosines[np.arange(n), along]
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
    array, spacing, shape = array, list(spacing), array.shape
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


def _reason(error: RuntimeError, path: Path, name: str) -> str:
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("Reason:")]
    return re.sub(r"^.*ERROR: (\w+\(0x\w+\): )?", "", lines[-1].replace(str(path), name))


def _unit(data: bytes, name: str, kind: str) -> float:
    """Millimetres in the unit of the spacing as SimpleITK gives it: of NIfTI it knows the unit, of the others not."""
    if kind == ".nrrd":
        lines = re.findall(rb"^\s*(?:space )?units:(.*)$", nrrd_header(data), flags=re.MULTILINE | re.IGNORECASE)
        units = {unit for line in lines for unit in re.findall(rb'"([^"]*)"', line)} - {b""}
    elif kind == ".mha":
        units = set(re.findall(rb"^DistanceUnits\s*[=:]\s*(\S+)", data[: 1 << 16], flags=re.MULTILINE)) - {b"?"}
    else:
        units = set()
    if len(units) > 1 or not units <= set(_MILLIMETRES):
        said = b", ".join(sorted(units)).decode(errors="replace")
        raise InputError(f"file '{name}' gives its spacing in {said}; export it in mm")
    return _MILLIMETRES[units.pop()] if units else 1
