"""Headers of NRRD and NIfTI, as far as SimpleITK leaves them unchecked.

It follows a header to any file of this machine that is named there as the place of the pixels, and fills up a NIfTI
image that is cut short without a word.
"""

import math
import re
import struct
import zlib

from pipeline.decoding.metaimage import is_metaimage
from pipeline.decoding.stored import MAX_PIXELS
from pipeline.run.errors import InputError

_NIFTI_1, _NIFTI_2 = (b"n+1\0", b"ni1\0"), (b"n+2\0", b"ni2\0")
_NIFTI_HEADER, _NIFTI_SLACK = 544, 1 << 20


def kind_of(data: bytes) -> str | None:
    """The suffix that a file's content calls for, whatever its name; None where it is none of these formats."""
    if data.startswith(b"NRRD000"):
        return ".nrrd"
    if is_metaimage(data):
        return ".mha"
    if data.startswith(b"\x1f\x8b"):
        return ".nii.gz"
    return ".nii" if _nifti_mark(data) else None


def check_header(data: bytes, name: str, kind: str) -> None:
    """Refuse a file that keeps its pixels in another one, and one that holds fewer than its header says.

    Raises:
        InputError: so.
    """
    if kind == ".nrrd":
        header = _nrrd_header(data)
        # SimpleITK crashes on more.
        if header is not None and not re.search(rb"(?im)^dimension:\s*[1-5]\s*$", header):
            raise InputError(f"file '{name}' has no dimension from 1 to 5; export it as one image")
        attached = header is not None and not re.search(rb"data\s*file\s*:", header, flags=re.IGNORECASE)
    else:
        attached = _nifti_mark(data).startswith(b"n+")
        if attached and len(data) < _nifti_size(data, name):
            raise InputError(f"file '{name}' is cut short; fetch or export it again")
    if not attached:
        raise InputError(f"file '{name}' keeps its pixels in another file; export both as one {kind}")


def nrrd_unit(data: bytes) -> str:
    """The unit of the spacing, "" where there is none; several, each with its own, as they are written."""
    lines = re.findall(rb"^\s*(?:space )?units:(.*)$", _nrrd_header(data), flags=re.MULTILINE | re.IGNORECASE)
    units = {unit for line in lines for unit in re.findall(rb'"([^"]*)"', line)} - {b""}
    return b", ".join(sorted(units)).decode(errors="replace")


def inflated_nifti(data: bytes, name: str) -> bytes:
    """The NIfTI file in a .gz file, as long as its header says and checked against its checksum.

    Raises:
        InputError: no NIfTI file, or a damaged or hostile one.
    """
    head = zlib.decompressobj(31).decompress(data, _NIFTI_HEADER)
    if _nifti_mark(head) is None:
        raise InputError(f"file '{name}' is compressed and holds no NIfTI image; unpack or export it again")
    inflater = zlib.decompressobj(31)
    inflated = inflater.decompress(data, _nifti_size(head, name) + _NIFTI_SLACK)
    if not inflater.eof:
        raise InputError(f"file '{name}' is cut short, or longer than its header says; fetch or export it again")
    return inflated


def _nrrd_header(data: bytes) -> bytes | None:
    """The text above the pixels; None where nothing follows it."""
    end = re.search(rb"\r?\n\r?\n", data)
    return data[: end.start()] if end else None


def _nifti_mark(head: bytes) -> bytes | None:
    if head[344:348] in _NIFTI_1:
        return head[344:348]
    return head[4:8] if head[4:8] in _NIFTI_2 else None


def _nifti_size(head: bytes, name: str) -> int:
    """Bytes that a NIfTI file must have, from its header."""
    if _nifti_mark(head) in _NIFTI_1:
        order = "<" if head[:4] == struct.pack("<i", 348) else ">"
        dimensions = struct.unpack_from(f"{order}8h", head, 40)
        (bits,) = struct.unpack_from(f"{order}h", head, 72)
        (start,) = struct.unpack_from(f"{order}f", head, 108)
    else:
        order = "<" if head[:4] == struct.pack("<i", 540) else ">"
        dimensions = struct.unpack_from(f"{order}8q", head, 16)
        (bits,) = struct.unpack_from(f"{order}h", head, 14)
        (start,) = struct.unpack_from(f"{order}q", head, 168)
    lengths = dimensions[1 : 1 + dimensions[0]]
    if not (1 <= dimensions[0] <= 7 and min(lengths) >= 1 and 1 <= bits <= 256 and 0 <= start <= 1 << 26):
        raise InputError(f"file '{name}' has a damaged NIfTI header; fetch or export it again")
    if math.prod(lengths) > MAX_PIXELS:
        raise InputError(f"file '{name}' claims more than {MAX_PIXELS:,} pixels; crop it or export one slice")
    return int(start) + math.prod(lengths) * bits // 8
