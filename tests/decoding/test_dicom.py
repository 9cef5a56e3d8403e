"""DICOM: grey levels and colours, pixel sizes, compressions; never several frames, never a name."""

import io
import logging
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from pipeline.decoding.decode import decode_colours, decode_image, decode_mask
from pipeline.run.errors import InputError
from tests.decoding.test_decoding import DEEP, WIDE

SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
PERSON = "Mustermann^Erika"


def dicom(array: np.ndarray, syntax=ExplicitVRLittleEndian, **fields) -> bytes:
    """A DICOM file of uint8 or (u)int16 HxW or HxWx3 that names a person."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3"
    data.file_meta.TransferSyntaxUID = syntax
    data.PatientName, data.PatientID, data.InstitutionName = PERSON, PERSON, PERSON
    data.Rows, data.Columns = array.shape[:2]
    data.SamplesPerPixel = 3 if array.ndim == 3 else 1
    if array.ndim == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = "RGB" if array.ndim == 3 else "MONOCHROME2"
    data.BitsAllocated = 8 * array.dtype.itemsize
    data.BitsStored = fields.get("BitsStored", data.BitsAllocated)
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(array.dtype.kind == "i")
    data.PixelData = array.tobytes() + b"\0" * (array.nbytes % 2)
    for key, value in fields.items():
        setattr(data, key, value)
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def region(dx: float, dy: float, units: int = 3) -> Dataset:
    item = Dataset()
    item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection = 3 if units == 3 else 4, units
    item.PhysicalDeltaX, item.PhysicalDeltaY = dx, dy
    return item


def changed(name: str, **fields) -> bytes:
    data = pydicom.dcmread(SAMPLES / name)
    for key, value in fields.items():
        setattr(data, key, value)
    stream = io.BytesIO()
    data.save_as(stream)
    return stream.getvalue()


RGB = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize(("data", "expected"), [
    (dicom(WIDE), WIDE),
    (dicom(WIDE, PhotometricInterpretation="MONOCHROME1"), 255 - WIDE),
    (dicom(np.stack([WIDE] * 3, axis=-1)), WIDE),
    (dicom(WIDE.astype(np.uint16) + 0xF00, BitsStored=8), WIDE),
    (dicom(WIDE, WindowCenter=20, WindowWidth=10), WIDE),
    (dicom(DEEP, WindowCenter=12750.5, WindowWidth=25501), WIDE),
    (dicom(DEEP, WindowCenter=[12750, 1], WindowWidth=[25500, 1], VOILUTFunction="LINEAR_EXACT"), WIDE),
    (dicom(DEEP, PhotometricInterpretation="MONOCHROME1", WindowCenter=12750.5, WindowWidth=25501), 255 - WIDE),
    (dicom(DEEP, RescaleSlope=0.01, RescaleIntercept=5, WindowCenter=133, WindowWidth=256), WIDE),
    (dicom(WIDE.astype(np.int16), WindowCenter=128, WindowWidth=256), WIDE),
    (dicom(DEEP // 10, BitsStored=12, WindowCenter=1275.5, WindowWidth=2551), WIDE),
])  # fmt: skip
def test_grey_levels(data, expected):
    pixels, pixel_mm = decode_image(data, "x.dcm")
    assert pixels.dtype == np.uint8 and pixel_mm is None
    np.testing.assert_array_equal(pixels, expected)


def test_a_window_of_ones_own_comes_first():
    data = dicom(DEEP, WindowCenter=5, WindowWidth=10)
    np.testing.assert_array_equal(decode_image(data, "x.dcm", window=(0, 25500)).pixels, WIDE)


def test_more_than_eight_bits_need_a_window():
    with pytest.raises(InputError, match=r"'x\.dcm' has 12-bit values from 0 to 2300; say .*--window"):
        decode_image(dicom(DEEP // 10, BitsStored=12), "x.dcm")
    with pytest.raises(InputError, match="8 bits per channel, to which no window applies"):
        decode_image(dicom(WIDE), "x.dcm", window=(0, 9))


def test_colours():
    np.testing.assert_array_equal(decode_colours(dicom(RGB), "x.dcm"), RGB)
    planar = dicom(RGB, PlanarConfiguration=1, PixelData=RGB.transpose(2, 0, 1).tobytes())
    np.testing.assert_array_equal(decode_colours(planar, "x.dcm"), RGB)


@pytest.mark.parametrize(("fields", "pixel_mm"), [
    ({"PixelSpacing": [0.2, 0.2]}, 0.2),
    ({"ImagerPixelSpacing": [0.2, 0.2]}, None),
    ({"PixelSpacing": [1, 1]}, None),
    ({"PixelSpacing": [0, 0]}, None),
    ({"SequenceOfUltrasoundRegions": [region(0.02, 0.02)]}, 0.2),
    ({"SequenceOfUltrasoundRegions": [region(0.02, -0.02), region(0.02, 0.02), region(0.5, 9, units=7)]}, 0.2),
    ({"SequenceOfUltrasoundRegions": [region(0.5, 9, units=7)]}, None),
    ({"SequenceOfUltrasoundRegions": [region(0.02, 0.02)], "PixelSpacing": [0.2, 0.2]}, 0.2),
    ({"SequenceOfUltrasoundRegions": [region(0.02, 0.02)], "PixelSpacing": [1, 1]}, 0.2),
])  # fmt: skip
def test_pixel_size(fields, pixel_mm):
    assert decode_image(dicom(WIDE, **fields), "x.dcm").pixel_mm == pytest.approx(pixel_mm)


@pytest.mark.parametrize("fields", [
    {"SequenceOfUltrasoundRegions": [region(0.02, 0.02), region(0.03, 0.03)]},
    {"SequenceOfUltrasoundRegions": [region(0.02, 0.02)], "PixelSpacing": [0.3, 0.3]},
])  # fmt: skip
def test_pixel_sizes_that_differ_count_as_unknown(fields, caplog):
    with caplog.at_level(logging.WARNING):
        assert decode_image(dicom(WIDE, **fields), "x.dcm").pixel_mm is None
    assert "x.dcm: the header gives several pixel sizes that differ; the pixel size counts as unknown" in caplog.text


def test_pixels_that_are_no_squares():
    with pytest.raises(InputError, match="pixels of 0.2 x 0.3 mm"):
        decode_image(dicom(WIDE, PixelSpacing=[0.3, 0.2]), "x.dcm")
    with pytest.raises(InputError, match="pixels of 1 to 2; resample"):
        decode_image(dicom(WIDE, PixelAspectRatio=[2, 1]), "x.dcm")
    assert decode_image(dicom(WIDE, PixelAspectRatio=[1, 1]), "x.dcm").pixel_mm is None


SHAPE = (WIDE > 99).astype(np.uint8)


@pytest.mark.parametrize("data", [
    dicom(SHAPE), dicom(SHAPE.astype(np.uint16)), dicom(SHAPE.astype(np.int16)), dicom(np.stack([SHAPE] * 3, axis=-1)),
])  # fmt: skip
def test_masks(data):
    np.testing.assert_array_equal(decode_mask(data, "m.dcm"), SHAPE)


def test_masks_with_0_as_white():
    white = dicom(255 * (1 - SHAPE), PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(decode_mask(white, "m.dcm"), 255 * SHAPE)
    with pytest.raises(InputError, match="0 as white and is not black and white"):
        decode_mask(dicom(SHAPE, PhotometricInterpretation="MONOCHROME1"), "m.dcm")


@pytest.mark.parametrize(("plain", "compressed"), [
    ("MR_small.dcm", "MR_small_RLE.dcm"),
    ("MR_small.dcm", "MR_small_bigendian.dcm"),
    ("MR_small.dcm", "MR_small_implicit.dcm"),
    ("MR_small.dcm", "MR_small_jp2klossless.dcm"),
    ("MR_small.dcm", "MR_small_jpeg_ls_lossless.dcm"),
    ("SC_rgb_rle.dcm", "SC_rgb_jpeg_gdcm.dcm"),
])  # fmt: skip
@pytest.mark.parametrize("photometric", [None, "MONOCHROME1"])
def test_lossless_compressions_agree(plain, compressed, photometric):
    fields = {"PhotometricInterpretation": photometric} if photometric and plain == "MR_small.dcm" else {}
    expected = decode_image(changed(plain, **fields), plain)
    found = decode_image(changed(compressed, **fields), compressed)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.pixel_mm == expected.pixel_mm


@pytest.mark.parametrize(("compressed", "plain"), [
    ("SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle.dcm"), ("SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_rle.dcm"),
    ("SC_ybr_full_422_uncompressed.dcm", "SC_rgb_rle.dcm"), ("examples_palette.dcm", None),
])  # fmt: skip
def test_lossy_colours_are_near(compressed, plain):
    colours = decode_colours((SAMPLES / compressed).read_bytes(), compressed).astype(int)
    if plain:
        expected = decode_colours((SAMPLES / plain).read_bytes(), plain)
        assert np.abs(colours - expected).mean() < 12
    assert len(np.unique(colours)) > 3


def test_lossy_masks_are_refused():
    with pytest.raises(InputError, match="is a JPEG, which smears"):
        decode_mask((SAMPLES / "SC_rgb_jpeg_dcmtk.dcm").read_bytes(), "m.dcm")


@pytest.mark.parametrize(("data", "reason"), [
    (dicom(np.concatenate([WIDE, WIDE]), NumberOfFrames=2, Rows=4), "holds 2 images"),
    (dicom(WIDE, Rows=60000, Columns=60000), "claims 60000 x 60000 pixels"),
    (dicom(WIDE, Rows=5), "its pixels are damaged"),
    (dicom(WIDE, PhotometricInterpretation="HSV"), "a photometric interpretation that is not read"),
    (dicom(WIDE, BitsAllocated=32, BitsStored=32), "has 32 bits per channel"),
    (dicom(WIDE, BitsStored=9), "contradicts itself"),
    ((SAMPLES / "test-SR.dcm").read_bytes(), "is a DICOM file without an image"),
    ((SAMPLES / "image_dfl.dcm").read_bytes(), "is deflated as a whole"),
    (dicom(WIDE)[:-9], "its pixels are damaged"),
    (dicom(WIDE)[:200], "is a DICOM file without an image; leave it out, or fetch it again"),
    (dicom(WIDE)[128:], "its content is none of"),
])  # fmt: skip
def test_refusals(data, reason):
    with pytest.raises(InputError, match=rf"file 'x\.dcm'.*{reason}"):
        decode_image(data, "x.dcm")


def test_an_unknown_compression_is_named():
    data = pydicom.dcmread(SAMPLES / "SC_rgb_jpeg_gdcm.dcm")
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"
    stream = io.BytesIO()
    data.save_as(stream)
    with pytest.raises(
        InputError, match=r"'x\.dcm' is compressed in a way that is not read \(.*MPEG2.*export it uncom"
    ):
        decode_image(stream.getvalue(), "x.dcm")


def test_no_message_names_a_person(caplog, capfd):
    """Damage of the header at every place: what a library says of it must not be passed on."""
    whole = dicom(DEEP, PixelSpacing=[0.2, 0.2])
    with caplog.at_level(0):
        for place in range(130, len(whole), 3):
            for value in (0, 0x41, 0xFF):
                damaged = bytearray(whole)
                damaged[place] = value
                try:
                    decode_image(bytes(damaged), "x.dcm", window=(0, 25500))
                except InputError as error:
                    assert "Muster" not in str(error) and "Erika" not in str(error)
    said = caplog.text + "".join(capfd.readouterr())
    assert "Muster" not in said and "Erika" not in said
