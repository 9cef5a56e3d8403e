"""DICOM through pydicom: one frame, 8 to 16 bits. Of the header only what describes pixels is read.

Nothing here shows, logs or copies a value that could name a person; text that is burnt into the pixels stays there.
"""

import io
import logging
import tempfile
from pathlib import Path

import numpy as np

from pipeline.decoding.stored import Stored, check_frames, check_size, decoder
from pipeline.run.errors import InputError

log = logging.getLogger("pipeline.decoding")

_PHOTOMETRIC = (
    "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT",
)  # fmt: skip
_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5")
_PILLOW = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (50, 90, 91))
_GDCM = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (51, 57, 70, 80, 81))
_LOSSY = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 81, 91))
_PIXEL_KEYWORDS = (
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation",
    *(f"{colour}PaletteColorLookupTable{part}" for colour in ("Red", "Green", "Blue")
      for part in ("Descriptor", "Data")),
)  # fmt: skip
# Inflated at once and without limit when the file is opened.
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_CENTIMETRES = 3
_AGREE = 0.01


def is_dicom(data: bytes) -> bool:
    return data[128:132] == b"DICM"


def read(data: bytes, name: str) -> Stored:
    """The one frame of a DICOM file.

    Raises:
        InputError: a damaged file, several frames, a hostile size, a compression or photometric interpretation that is
            not read, or more than 16 bits.
    """
    import pydicom

    # Its warnings quote values of the header.
    logging.getLogger("pydicom").disabled = True
    with decoder(name, say=False):
        if _DEFLATED in data:
            raise InputError(f"file '{name}' is deflated as a whole; export it uncompressed")
        header = pydicom.dcmread(io.BytesIO(data))
        if "PixelData" not in header:
            raise InputError(f"file '{name}' is a DICOM file without an image; leave it out, or fetch it again")
        check_frames(int(header.get("NumberOfFrames") or 1), name)
        check_size(int(header.Rows), int(header.Columns), name)
        photometric, stored = _layout(header, name)
        values = _pixels(header, name)
        if values.shape[:2] != (header.Rows, header.Columns):
            raise InputError(f"file '{name}': its pixels are not as many as its header says; export it again")
        palette = None
        if photometric == "PALETTE COLOR" and values.ndim == 2:
            palette = _palette(header, name)
        else:
            values = _rescale(values, header)
        if stored <= 8 and values.dtype == np.uint16:
            values = values.astype(np.uint8)
        return Stored(
            values,
            max(stored, 1) if values.dtype == np.uint8 else max(stored, 9),
            palette,
            zero_is_white=photometric == "MONOCHROME1",
            lossy="JPEG" if _syntax(header) in _LOSSY else None,
            window=_window(header),
            spacing=_spacing(header, name),
        )


def _syntax(header) -> str:
    return str(header.file_meta.get("TransferSyntaxUID", ""))


def _layout(header, name: str) -> tuple[str, int]:
    """Photometric interpretation, and bits stored per channel."""
    photometric = str(header.get("PhotometricInterpretation", ""))
    if photometric not in _PHOTOMETRIC:
        raise InputError(f"file '{name}' has a photometric interpretation that is not read; export it as grey or RGB")
    allocated = int(header.BitsAllocated)
    if allocated not in (1, 8, 16):
        raise InputError(f"file '{name}' has {allocated} bits per channel; export it with 8 to 16")
    stored = int(header.get("BitsStored") or allocated)
    if not 1 <= stored <= allocated or int(header.get("SamplesPerPixel", 1)) not in (1, 3):
        raise InputError(f"file '{name}' contradicts itself about its pixels; export it again")
    return photometric, stored


def _pixels(header, name: str) -> np.ndarray:
    """HxW or HxWx3 as stored, colours as RGB."""
    from pydicom.pixels import pixel_array
    from pydicom.uid import UID

    syntax = _syntax(header)
    compression = UID(syntax).name if syntax.startswith("1.2.840.10008.") else "unknown"
    if syntax not in _PLAIN + _PILLOW + _GDCM:
        raise InputError(
            f"file '{name}' is compressed in a way that is not read ({compression}); export it uncompressed"
        )
    try:
        values = _through_gdcm(header) if syntax in _GDCM else pixel_array(header)
    except Exception as error:
        raise InputError(
            f"file '{name}': its pixels are damaged, or stored in a way that is not read ({compression}); export it "
            "uncompressed"
        ) from error
    if values.dtype.kind == "u" and header.BitsStored < 16:
        # Older devices keep overlays in the bits above.
        values = values & values.dtype.type((1 << header.BitsStored) - 1)
    return values


def _through_gdcm(header) -> np.ndarray:
    """JPEG Lossless, JPEG-LS and JPEG of 12 bits, which Pillow does not know.

    It is given what describes pixels and nothing else, for it would rescale and invert them too; and the frame packed
    anew, for it takes gigabytes where a length in it is damaged.
    """
    import pydicom
    import SimpleITK
    from pydicom.encaps import encapsulate, generate_frames

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    bare = pydicom.Dataset()
    for keyword in _PIXEL_KEYWORDS:
        if keyword in header:
            bare[keyword] = header[keyword]
    bare.PixelData = encapsulate(list(generate_frames(header.PixelData, number_of_frames=1)))
    bare["PixelData"].VR = "OB"
    if bare.PhotometricInterpretation == "MONOCHROME1":
        bare.PhotometricInterpretation = "MONOCHROME2"
    bare.file_meta = pydicom.dataset.FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = header.file_meta.TransferSyntaxUID
    bare.file_meta.MediaStorageSOPClassUID = bare.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    bare.file_meta.MediaStorageSOPInstanceUID = bare.SOPInstanceUID = "1.2.3"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.dcm"
        bare.save_as(path, enforce_file_format=True)
        return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO="GDCMImageIO"))[0]


def _rescale(values: np.ndarray, header) -> np.ndarray:
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    return values if (slope, intercept) == (1, 0) else values * np.float32(slope) + np.float32(intercept)


def _palette(header, name: str) -> np.ndarray:
    from pydicom.pixels import apply_color_lut

    if int(header.BitsStored) > 8:
        raise InputError(f"file '{name}' has a palette of more than 256 colours; export it as grey or RGB")
    colours = apply_color_lut(np.arange(256, dtype=np.uint8).reshape(16, 16), header).reshape(256, -1)[:, :3]
    if colours.dtype != np.uint8:
        colours = (colours >> 8).astype(np.uint8)
    return np.concatenate([colours, np.full((256, 1), 255, np.uint8)], axis=1)


def _window(header) -> tuple[float, float] | None:
    """The first window that the header declares: the values shown black and white (PS3.3 C.11.2.1.2)."""
    centre, width = (_first(header.get(key)) for key in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width < 1:
        return None
    if header.get("VOILUTFunction", "LINEAR") == "LINEAR":
        centre, width = centre - 0.5, width - 1
    return (centre - width / 2, centre + width / 2) if width > 0 else None


def _first(value) -> float | None:
    if value is None or value == "":
        return None
    return float(value[0]) if hasattr(value, "__len__") else float(value)


def _spacing(header, name: str) -> tuple[float, float] | None:
    """Millimetres between rows and columns: PixelSpacing and the regions of an ultrasound image, where all agree.

    ImagerPixelSpacing is that of a detector, not of the patient, and is not used.
    """
    said = []
    if header.get("PixelSpacing"):
        said.append(tuple(float(value) for value in header.PixelSpacing))
    for region in header.get("SequenceOfUltrasoundRegions") or ():
        units = [region.get(f"PhysicalUnits{axis}Direction") for axis in "YX"]
        if units == [_CENTIMETRES, _CENTIMETRES]:
            said.append((abs(float(region.PhysicalDeltaY)) * 10, abs(float(region.PhysicalDeltaX)) * 10))
    said = [spacing for spacing in said if spacing not in ((1, 1), (0, 0))]
    if any(not np.allclose(spacing, said[0], rtol=_AGREE, atol=0) for spacing in said):
        log.warning("%s: the header gives several pixel sizes that differ; the pixel size counts as unknown", name)
        return None
    if not said and header.get("PixelAspectRatio"):
        rows, columns = (float(value) for value in header.PixelAspectRatio)
        if not np.isclose(rows, columns, rtol=_AGREE, atol=0):
            raise InputError(f"file '{name}' has pixels of {columns:g} to {rows:g}; resample it to square pixels")
    return said[0] if said else None
