"""PNG, JPEG, BMP, TIFF, GIF and WebP through Pillow; colours of 16 bits, which it cuts to 8, through SimpleITK."""

import io
import re
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.decoding.stored import Stored, check_frames, check_size, decoder
from pipeline.run.errors import InputError

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP")
_LOSSY = {"JPEG": "JPEG", "MPO": "JPEG", "WEBP": "WebP"}
_LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16", "I;16B", "I", "F")
_ORIENTATION, _BITS, _PHOTOMETRIC, _DESCRIPTION, _X, _Y, _SAMPLE_FORMAT = 274, 258, 262, 270, 282, 283, 339
_GREY_ALPHA = 4
_TURNS = {
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.rot90(np.fliplr(a)),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.flipud(a)),
    8: np.rot90,
}
"""Orientation of EXIF → an array the right way up."""
_IMAGEJ_UNITS = {"mm": 1, "cm": 10, "micron": 1e-3, "um": 1e-3, "\u00b5m": 1e-3, "\\u00b5m": 1e-3}


def read(data: bytes, name: str) -> Stored:
    """The one image in a file, turned as its EXIF orientation says; its DPI say nothing of millimetres.

    Raises:
        InputError: a damaged file, several frames, a hostile size, or pixels of a kind that is not read.
    """
    with decoder(name):
        try:
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
        except UnidentifiedImageError:
            known = "PNG, JPEG, BMP, TIFF, GIF, WebP, MetaImage, NRRD, NIfTI and DICOM"
            raise InputError(
                f"file '{name}' is not a readable image (its content is none of {known}); fetch or export it again"
            ) from None
        check_size(image.height, image.width, name)
        check_frames(getattr(image, "n_frames", 1), name)
        tags = dict(image.tag_v2) if image.format == "TIFF" else {}
        bits = _bits(image, tags, data, name)
        _check_mode(image, tags, name)
        lossy = _LOSSY.get(image.format)
        if tags and image.info.get("compression") in _LOSSY_TIFF:
            lossy = "JPEG in TIFF"
        zero_is_white = tags.get(_PHOTOMETRIC) == 0
        if bits > 8 and len(image.getbands()) > 1:
            values, alpha = _deep_channels(image, data, name)
            return Stored(values, bits, alpha=alpha, lossy=lossy)
        spacing = _imagej_spacing(tags, name)
        turned = ImageOps.exif_transpose(image)
        # These exchange rows and columns.
        if spacing and tags.get(_ORIENTATION, 1) >= 5:
            spacing = spacing[::-1]
        values, alpha = _values(turned, bits, tags)
        palette = _palette(turned) if turned.mode in ("P", "PA") else None
    return Stored(values, bits, palette, alpha, zero_is_white, lossy, spacing=spacing)


def _bits(image: Image.Image, tags: dict, data: bytes, name: str) -> int:
    """Of a channel, from the file itself: Pillow's mode hides that 16 bits were cut to 8."""
    if image.format == "PNG":
        if data[12:16] != b"IHDR":
            raise InputError(f"file '{name}' is not a readable image (no PNG header); fetch or export it again")
        return data[24]
    if tags:
        return max(tags.get(_BITS, (1,)))
    return 1 if image.mode == "1" else 8


def _check_mode(image: Image.Image, tags: dict, name: str) -> None:
    if image.mode not in _MODES:
        raise InputError(f"file '{name}' has pixels of type '{image.mode}'; export it as grey or RGB")
    # Pillow drops a channel whose meaning the file does not say, such as an alpha channel stored as just another one.
    channels = len(tags.get(_BITS, ()))
    if channels > len(image.getbands()):
        raise InputError(f"file '{name}' has {channels} channels, one of unknown meaning; export it as grey or RGB")


def _values(image: Image.Image, bits: int, tags: dict) -> tuple[np.ndarray, np.ndarray | None]:
    """Stored samples, HxW or HxWx3, and alpha."""
    values, alpha = np.asarray(image), None
    if image.mode in ("LA", "RGBA", "PA"):
        values, alpha = values[..., :-1], values[..., -1]
        values = values[..., 0] if values.shape[-1] == 1 else values
    if image.mode == "1":
        values = values.astype(np.uint8)
    elif bits < 8 and image.mode == "L":
        values = values // (255 // (2**bits - 1))
    if tags.get(_PHOTOMETRIC) == 0 and bits <= 8:
        # Pillow has inverted these, and no others.
        values = (2**bits - 1) - values
    # Pillow takes these for the other kind.
    if tags and (bits, values.dtype.kind, sample := tags.get(_SAMPLE_FORMAT, (1,))[0]) in ((8, "u", 2), (32, "i", 1)):
        values = values.view(np.int8 if sample == 2 else np.uint32)
    key = image.info.get("transparency")
    if key is not None and image.mode not in ("P", "PA") and alpha is None:
        same = values == np.asarray(key)
        alpha = np.where(same if same.ndim == 2 else same.all(axis=-1), 0, 255).astype(np.uint8)
    return values, alpha


def _palette(image: Image.Image) -> np.ndarray:
    palette = np.zeros((256, 4), np.uint8)
    palette[:, 3] = 255
    colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)[:256]
    palette[: len(colours), :3] = colours
    match image.info.get("transparency"):
        case bytes() as alpha:
            palette[: len(alpha), 3] = np.frombuffer(alpha, np.uint8)[:256]
        case int() as index:
            palette[index, 3] = 0
    return palette


def _deep_channels(image: Image.Image, data: bytes, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The 16-bit samples of several channels, HxW or HxWx3, and alpha as uint8."""
    import SimpleITK

    if image.format == "PNG" and data[25] == _GREY_ALPHA:
        raise InputError(f"file '{name}' has 16-bit grey values and an alpha channel; export it without alpha")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(data)
        channels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO=f"{image.format}ImageIO"))
    # A TIFF that is turned, among others, comes cut to 8 bits from here too.
    if channels.dtype != np.uint16 or channels.ndim != 3:
        raise InputError(f"file '{name}' has 16-bit colours in a form that is not read; export it as 16-bit grey")
    channels = _TURNS.get(image.getexif().get(_ORIENTATION, 1), np.asarray)(channels)
    colours, alpha = channels, None
    if channels.shape[-1] in (2, 4):
        colours, alpha = channels[..., :-1], (channels[..., -1] >> 8).astype(np.uint8)
    return (colours[..., 0] if colours.shape[-1] == 1 else colours), alpha


def _imagej_spacing(tags: dict, name: str) -> tuple[float, float] | None:
    """Millimetres from the calibration that ImageJ writes; any other resolution of a TIFF is one of printing."""
    text = str(tags.get(_DESCRIPTION, ""))
    if not text.startswith("ImageJ"):
        return None
    said = dict(re.findall(r"^(\w+)=(.*?)\s*$", text, flags=re.MULTILINE))
    # ImageJ may store a whole stack behind a single page.
    check_frames(int(said.get("images", "1")), name)
    factor = _IMAGEJ_UNITS.get(said.get("unit", "").lower())
    if factor is None or not (tags.get(_X) and tags.get(_Y)):
        return None
    return factor / float(tags[_Y]), factor / float(tags[_X])
