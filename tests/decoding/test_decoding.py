"""Images: what a file says about its pixels is heard, what would be cut or dropped is refused."""

import io
import re
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.decoding import stored
from pipeline.decoding.decode import decode_colours, decode_image
from pipeline.decoding.raster import _TURNS
from pipeline.run.errors import InputError

LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)
WIDE = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
DEEP = WIDE.astype(np.uint16) * 100


def encode(image, kind: str = "PNG", **options) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def tiff_of(array: np.ndarray, **options) -> bytes:
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def itk(array: np.ndarray, folder, name: str, **options) -> bytes:
    import SimpleITK

    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, **options), str(folder / name))
    return (folder / name).read_bytes()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_values_survive_every_mode(mode, kind):
    np.testing.assert_array_equal(decode_image(encode(Image.fromarray(LEVELS).convert(mode), kind), "x").pixels, LEVELS)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_colour_is_the_luma_of_pillow(kind, mode):
    colours = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    image = Image.fromarray(colours).convert(mode)
    data = encode(image.convert("RGB") if (kind, mode) in (("JPEG", "P"),) else image, kind)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    np.testing.assert_array_equal(decode_image(data, "x").pixels, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_orientation_of_exif_is_heard(orientation, kind):
    exif = Image.Exif()
    exif[274] = orientation
    options = {"PNG": {}, "TIFF": {}, "JPEG": {"quality": 100}, "WEBP": {"lossless": True}}[kind]
    pixels = decode_image(encode(WIDE, kind, exif=exif, **options), "x").pixels
    np.testing.assert_allclose(pixels, _TURNS.get(orientation, np.asarray)(WIDE), atol=3)


def test_turns_are_those_of_the_standard():
    """EXIF 2.3: where row 0 and column 0 of the stored array are seen, of each orientation."""
    array = np.array([[1, 2], [3, 4], [5, 6]])
    corner = {1: (0, 0), 2: (0, 1), 3: (2, 1), 4: (2, 0), 5: (0, 0), 6: (0, 2), 7: (1, 2), 8: (1, 0)}
    for orientation, place in corner.items():
        turned = _TURNS.get(orientation, np.asarray)(array)
        assert turned[place] == 1
        assert turned.shape == ((3, 2) if orientation < 5 else (2, 3))


def test_transparent_is_black():
    alpha = np.full((4, 6), 255, np.uint8)
    alpha[0], alpha[1] = 0, 51
    shaded = WIDE.copy()
    shaded[0], shaded[1] = 0, np.rint(WIDE[1] / 5)
    for mode in ("LA", "RGBA"):
        image = Image.fromarray(WIDE).convert(mode)
        image.putalpha(Image.fromarray(alpha))
        for kind in ("PNG", "TIFF"):
            np.testing.assert_array_equal(decode_image(encode(image, kind), "x").pixels, shaded)
    with pytest.raises(InputError, match="'x.png' is transparent everywhere"):
        decode_image(encode(Image.new("RGBA", (3, 3), (9, 9, 9, 0))), "x.png")


@pytest.mark.parametrize(("mode", "key"), [("L", 10), ("RGB", (10, 10, 10)), ("P", 1)])
def test_transparent_key_is_black(mode, key):
    image = Image.fromarray(WIDE).convert(mode)
    if mode == "P":
        image = Image.fromarray(WIDE // 10)
        image.putpalette([10 * k for k in range(24) for _ in range(3)])
    expected = np.where(WIDE == 10, 0, WIDE)
    np.testing.assert_array_equal(decode_image(encode(image, transparency=key), "x").pixels, expected)


def white_is_zero(array: np.ndarray) -> bytes:
    data = encode(array, "TIFF", tiffinfo={262: 1})
    place = data.index(b"\x06\x01\x03\x00\x01\x00\x00\x00\x01\x00")
    return data[: place + 8] + b"\x00\x00" + data[place + 10 :]


def test_white_is_zero():
    np.testing.assert_array_equal(decode_image(white_is_zero(WIDE), "x.tif").pixels, 255 - WIDE)
    bits = WIDE > 99
    np.testing.assert_array_equal(decode_image(white_is_zero(bits), "x.tif").pixels, np.where(bits, 0, 255))
    deep = decode_image(white_is_zero(DEEP), "x.tif", window=(0, 25500)).pixels
    np.testing.assert_array_equal(deep, 255 - WIDE)


@pytest.mark.parametrize(("name", "array"), [
    ("x.png", DEEP),
    ("x.tif", DEEP),
    ("x.tif", DEEP.astype(np.int16)),
    ("x.tif", DEEP.astype(np.float32)),
    ("x.png", np.stack([DEEP] * 3, axis=-1)),
    ("x.tif", np.stack([DEEP] * 3, axis=-1)),
    ("x.png", np.stack([*[DEEP] * 3, DEEP * 0 + 65535], axis=-1)),
    ("x.mha", DEEP),
    ("x.nrrd", DEEP.astype(np.int32)),
    ("x.nii", DEEP.astype(np.float32)),
    ("x.nii.gz", DEEP.astype(np.float64)),
], ids=lambda value: value if isinstance(value, str) else f"{value.dtype}-{value.ndim}")  # fmt: skip
def test_more_than_eight_bits_need_a_window(tmp_path, name, array):
    data = itk(array, tmp_path, name, **({"isVector": True} if array.ndim == 3 else {}))
    with pytest.raises(InputError, match=rf"file '{name}' has (16|32|64)-bit values from 0 to 23000; say .*--window"):
        decode_image(data, name)
    picture = decode_image(data, name, window=(0, 25500))
    assert picture.pixels.dtype == np.uint8
    np.testing.assert_array_equal(picture.pixels, WIDE)
    clipped = decode_image(data, name, window=(5000, 15000)).pixels
    np.testing.assert_array_equal(clipped, np.clip(np.rint((WIDE * 100.0 - 5000) * 255 / 10000), 0, 255))


@pytest.mark.parametrize(("kind", "value"), [(np.int8, -100), (np.uint32, 2**32 - 1), (np.int32, -7)])
def test_the_sign_of_samples_is_heard(kind, value):
    data = tiff_of(np.full((4, 6), value, kind))
    with pytest.raises(InputError, match=re.escape(f"values from {value:g} to {value:g};")):
        decode_image(data, "x.tif")
    assert decode_image(data, "x.tif", window=(float(value) - 1, float(value) + 1)).pixels[0, 0] == 128


def test_deep_colours_are_turned_or_refused(tmp_path):
    rgb = np.stack([DEEP] * 3, axis=-1)
    exif = Image.Exif()
    exif[274] = 6
    png = itk(rgb, tmp_path, "x.png", isVector=True)
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = len(body).to_bytes(4, "big") + b"eXIf" + body + zlib.crc32(b"eXIf" + body).to_bytes(4, "big")
    turned = decode_image(png[:33] + chunk + png[33:], "x.png", window=(0, 25500)).pixels
    np.testing.assert_array_equal(turned, np.rot90(WIDE, -1))
    tiff = tiff_of(rgb, photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    with pytest.raises(InputError, match="'x.tif' has 16-bit colours in a form that is not read"):
        decode_image(tiff, "x.tif", window=(0, 25500))
    with pytest.raises(InputError, match="has 4 channels, one of unknown meaning"):
        decode_image(tiff_of(np.dstack([rgb, DEEP]), photometric="rgb", extrasamples=[0]), "x.tif", window=(0, 1))


@pytest.mark.parametrize("orientation", [1, 6])
def test_calibration_is_turned_too(orientation):
    tags = [(274, "H", 1, orientation, True)]
    text = IMAGEJ.format(unit="mm")
    data = tiff_of(WIDE, description=text, resolution=(5, 4), extratags=tags, metadata=None)
    with pytest.raises(InputError, match="pixels of 0.2 x 0.25 mm" if orientation == 1 else "pixels of 0.25 x 0.2 mm"):
        decode_image(data, "x.tif")


def test_deep_grey_with_alpha_is_refused():
    data = bytearray(encode(Image.new("LA", (6, 4))))
    data[24] = 16
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(InputError, match="16-bit grey values and an alpha channel"):
        decode_image(bytes(data), "x.png")


def test_a_window_of_0_to_255_is_the_identity(tmp_path):
    data = itk(LEVELS.astype(np.int16), tmp_path, "x.mha")
    np.testing.assert_array_equal(decode_image(data, "x.mha", window=(0, 255)).pixels, LEVELS)


def test_a_window_for_eight_bits_is_refused():
    with pytest.raises(InputError, match="'x.png' has 8 bits per channel, to which no window applies"):
        decode_image(encode(WIDE), "x.png", window=(0, 100))


def test_values_that_are_no_numbers_are_refused(tmp_path):
    array = DEEP.astype(np.float32)
    array[0, 0] = np.nan
    with pytest.raises(InputError, match=r"'x\.tif' holds values that are no finite numbers"):
        decode_image(itk(array, tmp_path, "x.tif"), "x.tif", window=(0, 100))


def frames(kind: str, count: int) -> bytes:
    images = [Image.fromarray(np.roll(WIDE, k)) for k in range(count)]
    return encode(images[0], kind, save_all=True, append_images=images[1:])


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "GIF", "WEBP", "MPO"])
def test_several_frames_are_refused(kind):
    with pytest.raises(InputError, match="'x.png' holds 3 images .*export it as 3 files"):
        decode_image(frames(kind, 3), "x.png")
    assert decode_image(frames(kind, 1), "x.png").pixels.shape == WIDE.shape


IMAGEJ = "ImageJ=1.54f\nunit={unit}\n"


@pytest.mark.parametrize(("unit", "resolution", "pixel_mm"), [
    ("mm", 5.0, 0.2), ("cm", 50.0, 0.2), ("micron", 0.005, 0.2), ("\\u00B5m", 0.005, 0.2), ("inch", 5.0, None),
    ("pixel", 1.0, None),
])  # fmt: skip
def test_calibration_of_imagej(unit, resolution, pixel_mm):
    text = IMAGEJ.format(unit=unit)
    data = encode(WIDE, "TIFF", description=text, x_resolution=resolution, y_resolution=resolution)
    assert decode_image(data, "x.tif").pixel_mm == pytest.approx(pixel_mm)


def test_a_stack_of_imagej_behind_one_page_is_refused():
    with pytest.raises(InputError, match="holds 7 images"):
        decode_image(encode(WIDE, "TIFF", description="ImageJ=1.54f\nimages=7\n"), "x.tif")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_resolution_for_printing_says_nothing(kind):
    assert decode_image(encode(WIDE, kind, dpi=(96, 96)), "x").pixel_mm is None


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_other_colours_are_refused_by_name(mode):
    with pytest.raises(InputError, match=f"file 'x.tif' has pixels of type '{mode}'; export it as grey or RGB"):
        decode_image(encode(Image.new(mode, (4, 4)), "TIFF"), "x.tif")


def test_a_channel_of_unknown_meaning_is_refused():
    data = encode(Image.new("RGBA", (4, 4), (9, 9, 9, 0)), "TIFF")
    place = data.index(b"\x52\x01\x03\x00\x01\x00\x00\x00\x02\x00")
    with pytest.raises(InputError, match="has 4 channels, one of unknown meaning"):
        decode_image(data[: place + 8] + b"\x00\x00" + data[place + 10 :], "x.tif")


def test_content_decides_and_not_the_name():
    data = encode(WIDE, "JPEG", quality=95)
    np.testing.assert_array_equal(decode_image(data, "x.png").pixels, decode_image(data, "x.jpg").pixels)


@pytest.mark.parametrize("keep", [0, 20, 60, 150])
def test_truncated_png_is_named(keep):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    with pytest.raises(InputError, match=r"file 'a/x\.png' is not a readable image"):
        decode_image(encode(noise)[:keep], "a/x.png")


def test_a_hostile_size_is_refused_before_it_is_read(monkeypatch):
    for edge, message in (
        (8000, "claims 8000 x 8000 pixels, more than 50,000,000"),
        (60000, "claims more than 50,000,000"),
    ):
        header = encode(WIDE)[:16] + edge.to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
        data = header + zlib.crc32(header[12:]).to_bytes(4, "big") + encode(WIDE)[33:]
        with pytest.raises(InputError, match=message):
            decode_image(data, "x.png")
    monkeypatch.setattr(stored, "MAX_PIXELS", 23)
    with pytest.raises(InputError, match="claims 6 x 4 pixels, more than 23"):
        decode_image(encode(WIDE), "x.png")


def test_painted_colours_are_kept_and_transparent_is_black():
    image = Image.new("RGBA", (4, 3), (1, 2, 3, 255))
    assert decode_colours(encode(image), "x").tolist() == [[[1, 2, 3]] * 4] * 3
    image.putpixel((0, 0), (9, 9, 9, 0))
    assert decode_colours(encode(image), "x")[0, 0].tolist() == [0, 0, 0]
    image.putpixel((0, 0), (9, 9, 9, 100))
    with pytest.raises(InputError, match="half-transparent"):
        decode_colours(encode(image), "x")
