"""Damaged and hostile files: a decoder refuses them by name or gives an image, and does nothing else."""

import io
import resource
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.decoding.decode import decode_colours, decode_image, decode_mask
from pipeline.run.errors import InputError
from tests.decoding.test_decoding import encode, itk
from tests.decoding.test_dicom import SAMPLES, dicom

NOISE = np.random.default_rng(0).integers(0, 256, (24, 30), dtype=np.uint8)
COLOUR = np.stack([NOISE, NOISE[::-1], NOISE[:, ::-1]], axis=-1)
EXIF = Image.Exif()
EXIF[274] = 6


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> dict[str, bytes]:
    """A whole file of every kind that is read."""
    folder = tmp_path_factory.mktemp("corpus")
    alpha = Image.fromarray(COLOUR)
    alpha.putalpha(Image.fromarray(NOISE))
    files = {f"grey.{kind.lower()}": encode(NOISE, kind) for kind in ("PNG", "BMP", "TIFF", "JPEG", "GIF", "WEBP")}
    files |= {f"colour.{kind.lower()}": encode(COLOUR, kind, exif=EXIF) for kind in ("PNG", "TIFF", "JPEG", "WEBP")}
    files |= {
        "alpha.png": encode(alpha),
        "palette.png": encode(Image.fromarray(COLOUR).quantize(9), transparency=3),
        "palette.bmp": encode(Image.fromarray(COLOUR).quantize(9), "BMP"),
        "bits.png": encode(NOISE > 99),
        "bits.tiff": encode(Image.fromarray(NOISE > 99), "TIFF", compression="group4"),
        "lzw.tiff": encode(COLOUR, "TIFF", compression="tiff_lzw"),
        "jpeg.tiff": encode(COLOUR, "TIFF", compression="jpeg"),
        "imagej.tiff": encode(NOISE, "TIFF", description="ImageJ=1.5\nunit=mm\n", x_resolution=5.0, y_resolution=5.0),
        "deep.png": encode(NOISE.astype(np.uint16) * 200),
        "deep.tiff": encode(NOISE.astype(np.float32), "TIFF"),
        "deep_colour.png": itk(COLOUR.astype(np.uint16) * 200, folder, "d.png", isVector=True),
        "deep_colour.tif": itk(COLOUR.astype(np.uint16) * 200, folder, "d.tif", isVector=True),
        "animated.gif": encode(NOISE, "GIF", save_all=True, append_images=[Image.fromarray(NOISE.T)]),
        "pages.tiff": encode(NOISE, "TIFF", save_all=True, append_images=[Image.fromarray(NOISE.T)]),
        "grey.dcm": dicom(NOISE, PixelSpacing=[0.2, 0.2]),
        "deep.dcm": dicom(NOISE.astype(np.uint16) * 9, BitsStored=12),
        "colour.dcm": dicom(COLOUR),
        "rle.dcm": (SAMPLES / "SC_rgb_rle.dcm").read_bytes(),
        "jpeg.dcm": (SAMPLES / "SC_rgb_jpeg_dcmtk.dcm").read_bytes(),
        "lossless.dcm": (SAMPLES / "SC_rgb_jpeg_gdcm.dcm").read_bytes(),
        "jpeg_ls.dcm": (SAMPLES / "MR_small_jpeg_ls_lossless.dcm").read_bytes(),
        "jpeg_2000.dcm": (SAMPLES / "MR_small_jp2klossless.dcm").read_bytes(),
        "palette.dcm": dicom(NOISE),
    }
    for name in ("x.mha", "x.nrrd", "x.nii", "x.nii.gz"):
        files |= {
            f"grey.{name[2:]}": itk(NOISE, folder, name),
            f"deep_{name}": itk(NOISE.astype(np.int16), folder, name),
        }
    return files


def whole_or_refused(data: bytes, name: str, window=None) -> None:
    """Every decoder's answer to these bytes is an array as promised, or InputError."""
    for decode in (lambda: decode_image(data, name, window).pixels, lambda: decode_mask(data, name)):
        try:
            pixels = decode()
        except InputError as error:
            assert name in str(error) and "\n" not in str(error)
        else:
            assert pixels.dtype == np.uint8 and pixels.ndim == 2 and pixels.size
    try:
        colours = decode_colours(data, name)
    except InputError:
        return
    assert colours.dtype == np.uint8 and colours.ndim == 3 and colours.shape[2] == 3


def damaged(data: bytes, rng: np.random.Generator, count: int):
    """Truncations, flipped bytes (most of them in the header), cut-out and repeated stretches."""
    for _ in range(count):
        copy = bytearray(data)
        kind = rng.integers(5)
        place = int(rng.integers(len(data))) if rng.random() < 0.3 else int(rng.integers(min(len(data), 600)))
        if kind == 0:
            yield bytes(copy[:place])
        elif kind == 1:
            del copy[place : place + int(rng.integers(1, 64))]
            yield bytes(copy)
        elif kind == 2:
            copy[place:place] = copy[max(place - 40, 0) : place + 40]
            yield bytes(copy)
        else:
            for spot in (place + rng.integers(0, 16, int(rng.integers(1, 5)))) % len(copy):
                copy[spot] = rng.choice([0, 1, 0x7F, 0xFF, int(rng.integers(256))])
            yield bytes(copy)


def fuzz(corpus: dict[str, bytes], seed: int, count: int) -> None:
    for name, data in corpus.items():
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        for k, copy in enumerate(damaged(data, rng, count)):
            whole_or_refused(copy, name, (0, 4000) if k % 2 else None)


def test_whole_files(corpus):
    for name, data in corpus.items():
        whole_or_refused(data, name)
        whole_or_refused(data, name, (0, 4000))
        whole_or_refused(data + b"garbage" * 9, name)


def test_damaged_files(corpus):
    fuzz(corpus, 0, 12)


@pytest.mark.slow
def test_many_damaged_files(corpus):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(1, 11):
        fuzz(corpus, seed, 100)
    # Kilobytes: a hostile header has not made anything large.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1e6


def test_names_do_not_decide(corpus):
    for data in (
        b"",
        b"\0",
        b"\x1f\x8b",
        b"GIF89a",
        b"DICM",
        b"\0" * 128 + b"DICM",
        b"NRRD0004\n\n",
        b"ObjectType = Image\n",
    ):
        for name in corpus:
            with pytest.raises(InputError, match=name):
                decode_image(data, name)
    for suffix in (".png", ".mha", ".dcm", ".nii.gz", ".txt", ""):
        for data in corpus.values():
            whole_or_refused(data, f"x{suffix}")


def png(width: int, height: int, depth: int = 8, colour: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    packed = [struct.pack(">I", len(b)) + t + b + struct.pack(">I", zlib.crc32(t + b)) for t, b in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def many_pages(count: int) -> bytes:
    """A TIFF of many directories, each of a few bytes."""
    page = struct.pack("<HHHII", 1, 254, 4, 1, 0)
    offsets = range(8, 8 + 18 * count, 18)
    return b"II*\0" + struct.pack("<I", 8) + b"".join(page + struct.pack("<I", offset + 18) for offset in offsets)


def nested(depth: int) -> bytes:
    """A DICOM file of sequences in sequences."""
    head = dicom(NOISE)
    item = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    return head[: head.index(b"\x08\0\x16\0UI")] + item * depth


HOSTILE = {
    "wide.png": png(2**31 - 1, 1), "large.png": png(9000, 9000), "huge.png": png(2**31 - 1, 2**31 - 1),
    "deep.png": png(9000, 9000, 16, 6), "empty.png": png(0, 0), "short.png": png(7000, 7000),
    "depth.png": png(8, 8, 77),
    "large.bmp": encode(NOISE, "BMP")[:18] + struct.pack("<ii", 40000, 40000) + encode(NOISE, "BMP")[26:],
    "negative.bmp": encode(NOISE, "BMP")[:18] + struct.pack("<ii", -4, -4) + encode(NOISE, "BMP")[26:],
    "large.gif": encode(NOISE, "GIF")[:6] + b"\xff\xff\xff\xff" + encode(NOISE, "GIF")[10:],
    "pages.tif": many_pages(50_000),
    "nested.dcm": nested(5000),
    "large.dcm": dicom(NOISE, Rows=65535, Columns=65535),
    "frames.dcm": dicom(NOISE, NumberOfFrames="2147483647"),
    "slices.mha": b"ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 9 9 99999999\n"
                  b"ElementType = MET_UCHAR\nElementDataFile = LOCAL\n",
    "channels.mha": b"ObjectType = Image\nNDims = 2\nBinaryData = True\nDimSize = 9 9\n"
                    b"ElementNumberOfChannels = 99999999\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n",
    "axes.mha": b"ObjectType = Image\nNDims = 99\nBinaryData = True\nDimSize = 9 9\n"
                b"ElementType = MET_UCHAR\nElementDataFile = LOCAL\n",
    "axes.nrrd": b"NRRD0004\ntype: uchar\ndimension: 16\nsizes:" + b" 1" * 16 + b"\nencoding: raw\n\n\1",
    "zeros.nii": bytes(344) + b"n+1\0" + bytes(100),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_at_once(name):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=name):
        decode_image(HOSTILE[name], name)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1e6


def test_the_corpus_is_read(corpus):
    refused = []
    for name, data in corpus.items():
        try:
            decode_image(data, name, (0, 4000) if "deep" in name else None)
        except InputError:
            refused.append(name)
    assert refused == ["animated.gif", "pages.tiff"]
    assert io.BytesIO(corpus["grey.png"]).read(4) == b"\x89PNG"
