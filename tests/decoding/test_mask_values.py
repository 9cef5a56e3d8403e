"""Masks: class indices as stored, black and white by colour, and everything ambiguous refused by name."""

import numpy as np
import pytest
from PIL import Image

from pipeline.decoding.decode import class_indices, decode_mask, read_masks
from pipeline.run.errors import InputError
from tests.decoding.test_decoding import encode, frames, itk, white_is_zero

SHAPE = np.zeros((6, 8), np.uint8)
SHAPE[2:4, 3:7] = 1
CLASSES = SHAPE.copy()
CLASSES[0, 0] = 2


def indexed(indices: np.ndarray, *colours, kind: str = "PNG", **options) -> bytes:
    image = Image.fromarray(indices.astype(np.uint8))
    image.putpalette(
        [value for colour in colours for value in (colour if isinstance(colour, tuple) else (colour,) * 3)]
    )
    return encode(image, kind, **options)


def with_alpha(colour: np.ndarray, alpha: np.ndarray, mode: str = "RGBA") -> bytes:
    image = Image.fromarray(colour.astype(np.uint8)).convert(mode)
    image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return encode(image)


BLACK_AND_WHITE = {
    "grey": encode(SHAPE * 255),
    "one bit": encode(SHAPE > 0),
    "one bit, 0 is white": white_is_zero(SHAPE == 0),
    "eight bits, 0 is white": white_is_zero(255 - SHAPE * 255),
    "colours": encode(Image.fromarray(SHAPE * 255).convert("RGB")),
    "bmp": encode(SHAPE > 0, "BMP"),
    "quantize(2)": encode(Image.fromarray(SHAPE * 255).convert("RGB").quantize(2)),
    "quantize(2) as GIF": encode(Image.fromarray(SHAPE * 255).convert("RGB").quantize(2), "GIF"),
    "quantize(2) as BMP": encode(Image.fromarray(SHAPE * 255).convert("RGB").quantize(2), "BMP"),
    "quantize(2) as TIFF": encode(Image.fromarray(SHAPE * 255).convert("RGB").quantize(2), "TIFF"),
    "palette black, white": indexed(SHAPE, 0, 255),
    "palette white, black": indexed(1 - SHAPE, 255, 0),
    "palette with white first and black last": indexed(np.where(SHAPE, 0, 5), 255, 40, 50, 60, 70, 0),
    "white, the shape in alpha": with_alpha(np.full((6, 8), 255), SHAPE * 255),
    "white and grey, the shape in alpha": with_alpha(np.full((6, 8), 255), SHAPE * 255, "LA"),
    "ones, the shape in alpha": with_alpha(np.full((6, 8), 1), SHAPE * 255),
    "palette, the background transparent": indexed(SHAPE, (200, 200, 200), 255, transparency=0),
    "sixteen bits": encode(SHAPE.astype(np.uint16) * 65535),
    "sixteen bits of 0 and 1": encode(SHAPE.astype(np.uint16)),
    "sixteen bits TIFF of 0 and 255": encode(SHAPE.astype(np.uint16) * 255, "TIFF"),
    "floating point": encode(SHAPE.astype(np.float32), "TIFF"),
}


@pytest.mark.parametrize("data", BLACK_AND_WHITE.values(), ids=BLACK_AND_WHITE)
def test_black_and_white_masks(data):
    np.testing.assert_array_equal(class_indices(decode_mask(data, "m"), 2), SHAPE)


VOLUMES = [
    (np.uint8, "m.mha"),
    (np.int16, "m.mha"),
    (np.uint16, "m.nrrd"),
    (np.int32, "m.nii"),
    (np.float32, "m.nii.gz"),
]


@pytest.mark.parametrize(("dtype", "name"), VOLUMES)
def test_volumes_hold_class_indices_of_any_type(tmp_path, dtype, name):
    np.testing.assert_array_equal(decode_mask(itk(CLASSES.astype(dtype), tmp_path, name), name), CLASSES)


RED, GREEN, BLUE = (128, 0, 0), (0, 128, 0), (0, 0, 128)
INDICES = {
    "grey": encode(CLASSES),
    "sixteen bits": encode(CLASSES.astype(np.uint16)),
    "colours of three equal channels": encode(Image.fromarray(CLASSES).convert("RGB")),
    "palette of VOC": indexed(CLASSES, 0, RED, GREEN),
    "palette of VOC, transparent background": indexed(CLASSES, BLUE, RED, GREEN, transparency=0),
    "palette without black and white": indexed(CLASSES, BLUE, RED, GREEN),
    "grey palette that rises": indexed(CLASSES, 0, 128, 255),
    "grey palette, two bits": indexed(CLASSES, 0, 1, 2, bits=2),
}


@pytest.mark.parametrize("data", INDICES.values(), ids=INDICES)
def test_class_indices_are_kept(data):
    np.testing.assert_array_equal(class_indices(decode_mask(data, "m"), 3), CLASSES)


def grey_png(samples: np.ndarray, bits: int) -> bytes:
    """A grey PNG of fewer than 8 bits, which Pillow reads and does not write."""
    import struct
    import zlib

    height, width = samples.shape
    rows = [
        sum(int(v) << (8 * ((width * bits + 7) // 8) - bits * (k + 1)) for k, v in enumerate(row)) for row in samples
    ]
    lines = b"".join(b"\0" + row.to_bytes((width * bits + 7) // 8, "big") for row in rows)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ]
    packed = [
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body)) for tag, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_of_few_bits_holds_samples(bits):
    np.testing.assert_array_equal(decode_mask(grey_png(CLASSES, bits), "m.png"), CLASSES)
    white = class_indices(decode_mask(grey_png(SHAPE * (2**bits - 1), bits), "m.png"), 2)
    np.testing.assert_array_equal(white, SHAPE)


REFUSED = {
    "painted": (encode(Image.fromarray(np.stack([CLASSES, SHAPE, SHAPE], axis=-1))), "painted in colours"),
    "quantize of a painting": (indexed(CLASSES, RED, 0, GREEN), "painted in colours"),
    "painting on white": (indexed(CLASSES, RED, 255, GREEN), "painted in colours"),
    "grey palette that falls": (indexed(CLASSES, 255, 128, 0), "grey palette that does not rise"),
    "grey palette in disorder": (indexed(CLASSES, 0, 255, 128), "grey palette that does not rise"),
    "half-transparent": (with_alpha(SHAPE * 255, SHAPE * 100 + 100), "half-transparent"),
    "half-transparent palette": (indexed(SHAPE, 0, 255, transparency=b"\xff\x80"), "half-transparent"),
    "transparent everywhere": (with_alpha(SHAPE * 255, SHAPE * 0), "transparent everywhere"),
    "JPEG": (encode(SHAPE * 255, "JPEG"), "is a JPEG, which smears"),
    "WebP": (encode(SHAPE * 255, "WEBP"), "is a WebP, which smears"),
    "JPEG in TIFF": (encode(SHAPE * 255, "TIFF", compression="jpeg"), "is a JPEG in TIFF, which smears"),
    "sixteen bits": (encode(CLASSES.astype(np.uint16) * 257), "16-bit values from 0 to 514 that are no class indices"),
    "halves": (encode(CLASSES.astype(np.float32) / 2, "TIFF"), "32-bit values from 0 to 1 that are no class indices"),
    "negative": (encode(CLASSES.astype(np.int32) - 1, "TIFF"), "values from -1 to 1 that are no class indices"),
    "no numbers": (encode(np.where(CLASSES, np.nan, 0).astype(np.float32), "TIFF"), "that are no class indices"),
    "0 is white": (white_is_zero(CLASSES), "0 as white and is not black and white"),
    "pages": (frames("TIFF", 2), "holds 2 images"),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_ambiguous_is_refused(data, reason):
    with pytest.raises(InputError, match=f"'m.png' .*{reason}"):
        decode_mask(data, "m.png")


def test_image_and_mask_are_turned_alike():
    from pipeline.decoding.decode import decode_image

    exif = Image.Exif()
    exif[274] = 6
    mask = decode_mask(encode(CLASSES, exif=exif), "m.png")
    np.testing.assert_array_equal(mask, np.rot90(CLASSES, -1))
    np.testing.assert_array_equal(decode_image(encode(CLASSES, exif=exif), "m.png").pixels, mask)


def test_masks_of_a_folder(tmp_path, caplog):
    (tmp_path / "b.png").write_bytes(encode(SHAPE))
    (tmp_path / "a.nii.gz").write_bytes(itk(CLASSES.astype(np.int16), tmp_path.parent, "m.nii.gz"))
    (tmp_path / "._b.png").write_bytes(b"resource fork")
    (tmp_path / ".DS_Store").write_bytes(b"finder")
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "notes.txt").write_text("about")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "c.png").write_bytes(encode(SHAPE))
    with caplog.at_level("WARNING"):
        masks = read_masks(tmp_path, ["head", "symphysis"])
    assert [name for name, _ in masks] == ["a", "b"]
    np.testing.assert_array_equal(masks[0][1], CLASSES)
    assert "1 files in subfolders are passed over: 'more/c.png'" in caplog.text
    assert "are passed over: 'notes.txt'" in caplog.text
    assert "._b" not in caplog.text and "README" not in caplog.text and "DS_Store" not in caplog.text


@pytest.mark.parametrize(("name", "data", "reason"), [
    ("m.jpg", encode(SHAPE * 255, "JPEG"), "'.*/m.jpg' is a JPEG, which smears"),
    ("m.png", encode(SHAPE * 0), "m.png: the mask is empty"),
    ("m.png", encode(CLASSES + 1), "m.png: holds value 3, allowed are 0 to 2"),
    ("m.png", b"", "m.png' is not a readable image"),
])  # fmt: skip
def test_a_bad_mask_of_a_folder_is_named(tmp_path, name, data, reason):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=reason):
        read_masks(tmp_path, ["head", "symphysis"])


def test_masks_in_a_folder_that_is_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").write_bytes(encode(SHAPE))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert [name for name, _ in read_masks(tmp_path / "link", ["head"])] == ["a"]
