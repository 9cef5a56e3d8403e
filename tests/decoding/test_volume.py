"""MetaImage, NRRD and NIfTI: spacing, units, direction, channels; nothing from another file, nothing cut short."""

import math

import numpy as np
import pytest

from pipeline.decoding.decode import decode_colours, decode_image, decode_mask
from pipeline.run.errors import InputError
from tests.decoding.test_decoding import WIDE

NAMES = ["x.mha", "x.nrrd", "x.nii", "x.nii.gz"]


def stored(folder, name, array, spacing=None, direction=None, compressed=False, **options) -> bytes:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(array, **options)
    if spacing:
        image.SetSpacing(spacing)
    if direction:
        image.SetDirection(direction)
    SimpleITK.WriteImage(image, str(folder / name), compressed)
    return (folder / name).read_bytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("spacing", "pixel_mm"), [((0.2, 0.2), 0.2), ((0.2, 0.201), 0.2005), ((1, 1), None)])
def test_spacing_is_the_pixel_size(tmp_path, name, spacing, pixel_mm):
    pixels, mm = decode_image(stored(tmp_path, name, WIDE, spacing), name)
    np.testing.assert_array_equal(pixels, WIDE)
    assert mm == (None if pixel_mm is None else pytest.approx(pixel_mm, rel=1e-6))


@pytest.mark.parametrize("name", NAMES)
def test_pixels_that_are_no_squares_are_refused_for_images_alone(tmp_path, name):
    data = stored(tmp_path, name, WIDE, (0.2, 0.3))
    with pytest.raises(InputError, match=f"'{name}' has pixels of 0.2 x 0.3 mm; resample it to square"):
        decode_image(data, name)
    np.testing.assert_array_equal(decode_mask(data, name), WIDE)


UNITS = [
    ("x.nrrd", b"kinds:", b'space units: "cm" "cm"\nkinds:', 2),
    ("x.nrrd", b"kinds:", b'space units: "mm" "mm"\nkinds:', 0.2),
    ("x.mha", b"NDims", b"DistanceUnits = um\nNDims", 0.0002),
]


@pytest.mark.parametrize(("name", "before", "after", "pixel_mm"), UNITS)
def test_units_are_heard(tmp_path, name, before, after, pixel_mm):
    data = stored(tmp_path, name, WIDE, (0.2, 0.2)).replace(before, after, 1)
    assert decode_image(data, name).pixel_mm == pytest.approx(pixel_mm)


@pytest.mark.parametrize(("code", "pixel_mm"), [(0, 0.2), (1, 200), (2, 0.2), (3, 0.0002)])
def test_units_of_nifti(tmp_path, code, pixel_mm):
    data = bytearray(stored(tmp_path, "x.nii", WIDE, (0.2, 0.2)))
    data[123] = code
    assert decode_image(bytes(data), "x.nii").pixel_mm == pytest.approx(pixel_mm, rel=1e-6)


def test_unknown_units_are_refused(tmp_path):
    data = stored(tmp_path, "x.nrrd", WIDE).replace(b"kinds:", b'space units: "inch" "inch"\nkinds:')
    with pytest.raises(InputError, match="'x.nrrd' gives its spacing in inch; export it in mm"):
        decode_image(data, "x.nrrd")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("direction", "upright"), [
    ((1, 0, 0, 1), WIDE), ((-1, 0, 0, 1), WIDE[:, ::-1]), ((1, 0, 0, -1), WIDE[::-1]),
    ((-1, 0, 0, -1), WIDE[::-1, ::-1]), ((0, 1, 1, 0), WIDE.T), ((0, -1, 1, 0), WIDE.T[:, ::-1]),
    ((0, 1, -1, 0), WIDE.T[::-1]),
])  # fmt: skip
def test_direction_turns_image_and_mask_alike(tmp_path, name, direction, upright):
    data = stored(tmp_path, name, WIDE, (0.2, 0.2), direction)
    np.testing.assert_array_equal(decode_image(data, name).pixels, upright)
    np.testing.assert_array_equal(decode_mask(data, name), upright)


def test_direction_permutes_the_spacing(tmp_path):
    data = stored(tmp_path, "x.mha", WIDE, (0.2, 0.3), (0, 1, 1, 0))
    with pytest.raises(InputError, match="pixels of 0.3 x 0.2 mm"):
        decode_image(data, "x.mha")


def test_oblique_is_refused(tmp_path):
    cos, sin = math.cos(0.2), math.sin(0.2)
    with pytest.raises(InputError, match="'x.nii' lies oblique in space"):
        decode_mask(stored(tmp_path, "x.nii", WIDE, None, (cos, -sin, sin, cos)), "x.nii")


LAYOUTS = {
    "one slice first": (WIDE[None], False), "one slice between": (WIDE[:, None], False),
    "one slice last": (WIDE[:, :, None], False), "three equal first": (np.stack([WIDE] * 3), False),
    "three equal last": (np.stack([WIDE] * 3, axis=-1), False), "components": (np.stack([WIDE] * 3, axis=-1), True),
    "components of one slice": (np.stack([WIDE] * 3, axis=-1)[None], True), "a line": (WIDE[:1], False),
}  # fmt: skip


@pytest.mark.parametrize(("array", "vector"), LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("name", ["x.mha", "x.nrrd"])
def test_layouts_of_one_image(tmp_path, array, vector, name):
    data = stored(tmp_path, name, array, isVector=vector)
    expected = WIDE[:1] if array.ndim == 2 else WIDE
    np.testing.assert_array_equal(decode_image(data, name).pixels, expected)
    np.testing.assert_array_equal(decode_colours(data, name)[..., 1], expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("array", "vector", "reason"), [
    (np.stack([WIDE] * 7), False, "holds 7 images .*export it as 7 files"),
    (np.stack([WIDE, WIDE, WIDE + 1]), False, "is in colour, or holds 3 slices; export it"),
    (np.stack([WIDE, WIDE, WIDE + 1], axis=-1), True, "is in colour"),
    (np.stack([WIDE] * 2, axis=-1), True, "has the shape"),
    (np.stack([WIDE + 1j]).astype(np.complex64), False, "holds pixels of type complex64|has the shape"),
])  # fmt: skip
def test_several_images_and_colours_are_refused(tmp_path, name, array, vector, reason):
    with pytest.raises(InputError, match=f"'{name}' .*{reason}"):
        decode_image(stored(tmp_path, name, array, isVector=vector), name)


NOISE = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_cut_short_or_damaged_is_refused(tmp_path, name, compressed):
    """SimpleITK fills up a NIfTI that is cut short, and hands out a compressed MetaImage that is damaged."""
    data = stored(tmp_path, name, NOISE, compressed=compressed)
    np.testing.assert_array_equal(decode_image(data, name).pixels, NOISE)
    for keep in (len(data) - 9, len(data) - 900, 400, 40):
        with pytest.raises(InputError, match=f"'{name}'"):
            decode_image(data[:keep], name)
    if name != "x.nii" and (compressed or name == "x.nii.gz"):
        damaged = bytearray(data)
        damaged[-700] ^= 0xFF
        with pytest.raises(InputError, match=f"'{name}'"):
            decode_image(bytes(damaged), name)


@pytest.mark.parametrize(("name", "before", "after"), [
    ("x.mha", b"= LOCAL", b"= /etc/hostname"),
    ("x.mha", b"= LOCAL", b": /etc/hostname"),
    ("x.mha", b"= LOCAL", b"= LIST"),
    ("x.mha", b"NDims", b"ElementDataFile = /etc/hostname\rNDims"),
    ("x.mha", b"NDims", b"Comment = ElementDataFile = LOCAL\nElementDataFile = /etc/hostname\nNDims"),
    ("x.nrrd", b"encoding:", b"data file: /etc/hostname\nencoding:"),
    ("x.nrrd", b"encoding:", b"DataFile: /etc/hostname\nencoding:"),
    ("x.nii", b"n+1\0", b"ni1\0"),
])  # fmt: skip
def test_no_other_file_is_opened(tmp_path, name, before, after):
    with pytest.raises(InputError, match=f"'{name}' keeps its pixels in another file; export both as one"):
        decode_image(stored(tmp_path, name, WIDE).replace(before, after, 1), name)


@pytest.mark.parametrize("name", NAMES)
def test_hostile_sizes(tmp_path, name):
    from pipeline.decoding import volume_header

    data = stored(tmp_path, "x.nii" if name == "x.nii.gz" else name, WIDE)
    if name == "x.mha":
        data = data.replace(b"DimSize = 6 4", b"DimSize = 100000 100000")
    elif name == "x.nrrd":
        data = data.replace(b"sizes: 6 4", b"sizes: 100000 100000")
    else:
        data = data[:42] + b"\xff\x7f" * 2 + data[46:]
        if name == "x.nii.gz":
            import gzip

            data = gzip.compress(data)
    with pytest.raises(InputError, match="more than 50,000,000"):
        decode_image(data, name)
    assert volume_header.kind_of(data) == name[1:]


def test_a_gzip_bomb_is_not_inflated(tmp_path):
    import gzip

    bomb = gzip.compress(stored(tmp_path, "x.nii", WIDE) + bytes(50_000_000), compresslevel=1)
    with pytest.raises(InputError, match="longer than its header says"):
        decode_image(bomb, "x.nii.gz")
    with pytest.raises(InputError, match="holds no NIfTI image"):
        decode_image(gzip.compress(b"text"), "x.nii.gz")


def test_text_pixels_are_refused(tmp_path):
    data = stored(tmp_path, "x.mha", WIDE).replace(b"BinaryData = True", b"BinaryData = False")
    with pytest.raises(InputError, match="holds its pixels as text"):
        decode_image(data, "x.mha")
