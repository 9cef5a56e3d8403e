"""MetaImage (.mha), as PSFHS publishes it and ITK writes it: a header of text and the pixels behind it.

Read here and not by SimpleITK, which crashes on damaged headers of this format, hands out damaged compressed pixels,
and follows a header to any file of this machine that it names.
"""

import math
import re
import zlib

import numpy as np

from pipeline.decoding.stored import MAX_PIXELS, Volume
from pipeline.run.errors import InputError

_KEYS = re.compile(rb"\s*(ObjectType|ObjectSubType|Comment|NDims|Name|ID)\s*[=:]")
_LINE = re.compile(rb"\s*(\w+)\s*[=:][ \t]*([^\r\n]*)(\r\n|\n|\r|$)")
_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_DIRECTION, _SPACING = ("TransformMatrix", "Rotation", "Orientation"), ("ElementSpacing", "ElementSize")
_BIG_ENDIAN = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")


def is_metaimage(data: bytes) -> bool:
    return _KEYS.match(data) is not None


def read_metaimage(data: bytes, name: str) -> Volume:
    """The volume of a MetaImage file.

    Raises:
        InputError: a damaged or hostile file, pixels in another file, or pixels as text.
    """
    said, start = _header(data, name)
    if said["ElementDataFile"].upper() != "LOCAL":
        raise InputError(f"file '{name}' keeps its pixels in another file; export both as one .mha")
    if not _is_true(said, "BinaryData") or int(said.get("HeaderSize", 0)):
        raise InputError(f"file '{name}' holds its pixels as text or behind a foreign header; export it again")
    if said.get("ElementType") not in _TYPES:
        raise InputError(f"file '{name}' holds pixels of a type that is not read; export it with 8 or 16 bits")
    n, channels = int(said.get("NDims", 0)), int(said.get("ElementNumberOfChannels", 1))
    size = _numbers(said, ("DimSize",), n, name, int)
    if not 2 <= n <= 5 or min(size) < 1 or channels < 1:
        raise InputError(f"file '{name}' has a damaged header; fetch or export it again")
    if math.prod(size) * channels > MAX_PIXELS:
        raise InputError(f"file '{name}' claims more than {MAX_PIXELS:,} pixels; crop it or export one slice")
    dtype = np.dtype(_TYPES[said["ElementType"]])
    stored = dtype.newbyteorder(">" if any(_is_true(said, key) for key in _BIG_ENDIAN) else "<")
    pixels = _pixels(data[start:], math.prod(size) * channels * dtype.itemsize, _is_true(said, "CompressedData"), name)
    shape = [*reversed(size), *([channels] if channels > 1 else [])]
    array = np.frombuffer(pixels, stored).astype(dtype).reshape(shape)
    # A line of the file is an axis of the image in space, which is a column of the direction.
    axes = np.reshape(_numbers(said, _DIRECTION, n * n, name) or np.eye(n), (n, n)).T
    return Volume(array, axes, _numbers(said, _SPACING, n, name) or [1.0] * n, channels > 1, said.get("DistanceUnits"))


def _header(data: bytes, name: str) -> tuple[dict[str, str], int]:
    """Values by key, and where the pixels begin: behind the line ``ElementDataFile``, which is the last."""
    said: dict[str, str] = {}
    place = 0
    while line := _LINE.match(data, place, place + 4096):
        key, value = (part.decode("ascii", "replace").strip() for part in line.groups()[:2])
        said[key], place = value, line.end()
        if key == "ElementDataFile":
            return said, place
    raise InputError(f"file '{name}' is not a readable MetaImage (no ElementDataFile); fetch or export it again")


def _is_true(said: dict[str, str], key: str) -> bool:
    return said.get(key, "").lower() in ("true", "1")


def _numbers(said: dict[str, str], keys: tuple[str, ...], count: int, name: str, kind: type = float) -> list:
    """The numbers of the first of these keys that is there; none where none is."""
    key = next((key for key in keys if key in said), None)
    if key is None:
        return []
    try:
        numbers = [kind(text) for text in said[key].split()]
    except ValueError:
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise InputError(f"file '{name}': its header says {key} = {said[key][:80]}; fetch or export it again")
    return numbers


def _pixels(behind: bytes, count: int, compressed: bool, name: str) -> bytes:
    if compressed:
        inflater = zlib.decompressobj()
        behind = inflater.decompress(behind, count)
        # The checksum comes after the last byte.
        inflater.decompress(inflater.unconsumed_tail, 1)
        if not inflater.eof:
            raise InputError(f"file '{name}' is cut short, or longer than its header says; fetch or export it again")
    if len(behind) < count:
        raise InputError(f"file '{name}' is cut short; fetch or export it again")
    return behind[:count]
