"""Decoding: values survive, damage is named."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.imaging.decoding import decode_colours, decode_image, decode_mask
from pipeline.run.errors import InputError

LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_grey_values_survive_every_mode(mode):
    data = encode(Image.fromarray(LEVELS).convert(mode))
    np.testing.assert_array_equal(decode_image(data, "x.png").pixels, LEVELS)
    np.testing.assert_array_equal(decode_mask(data, "x.png"), LEVELS)


def test_palette_mask_keeps_its_indices():
    indices = LEVELS % 3
    image = Image.fromarray(indices)
    image.putpalette([200, 10, 10, 0, 255, 0, 9, 9, 250])
    np.testing.assert_array_equal(decode_mask(encode(image), "x.png"), indices)


def test_one_bit_mask_is_zero_and_one():
    image = Image.fromarray(LEVELS > 99)
    np.testing.assert_array_equal(decode_mask(encode(image), "x.png"), (LEVELS > 99).astype(np.uint8))


def test_coloured_mask_of_indices_is_refused():
    with pytest.raises(InputError, match=r"mask 'm\.png' is painted in colours"):
        decode_mask(encode(Image.new("RGB", (4, 4), (1, 0, 0))), "m.png")


def test_colour_drops_alpha():
    assert decode_colours(encode(Image.new("RGBA", (4, 3), (1, 2, 3, 4))), "x.png").tolist() == [[[1, 2, 3]] * 4] * 3


@pytest.mark.parametrize("keep", [0, 20, 60, 150])
def test_truncated_png_is_named(keep):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    with pytest.raises(InputError, match=r"file 'a/x\.png' is not a readable image"):
        decode_image(encode(Image.fromarray(noise))[:keep], "a/x.png")


def test_sixteen_bits_are_refused():
    image = Image.fromarray(LEVELS.astype(np.uint16) * 256)
    with pytest.raises(InputError, match=r"file 'x\.tif' has pixels of type 'I;16.*8 bits per channel"):
        decode_image(encode(image, "TIFF"), "x.tif")
