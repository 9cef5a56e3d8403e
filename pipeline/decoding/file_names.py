"""Which files are images and masks, by their names, and which of a folder are read."""

import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pipeline.run.errors import InputError
from pipeline.run.listing import walk

MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".mha", ".nrrd", ".nii", ".nii.gz", ".dcm")
"""JPEG is absent on purpose: it smears class indices along every edge."""
LOSSY_SUFFIXES = (".jpg", ".jpeg")
IMAGE_SUFFIXES = (*MASK_SUFFIXES, *LOSSY_SUFFIXES)
"""What every reader and every command takes for an image."""

_PAGES = ("readme.md", "license")
_NAMED = 3
log = logging.getLogger("pipeline.decoding")


def split_suffix(name: str) -> tuple[str, str]:
    """Name without folders and suffix, and the suffix in small letters; ``.nii.gz`` is one suffix."""
    name = PurePosixPath(name).name
    suffix = name[-7:] if name.lower().endswith(".nii.gz") else PurePosixPath(name).suffix
    return name[: len(name) - len(suffix)], suffix.lower()


def list_files(folder: Path, suffixes: Sequence[str], becomes: str = "name") -> list[Path]:
    """The files directly in a folder that end in one of the suffixes, by name.

    Hidden and system files do not count. What else is passed over is counted and named in a warning: files in
    subfolders, and files that end otherwise.

    Args:
        becomes: what two files of one name but for the suffix would share, in the message.

    Raises:
        InputError: two files of one name but for the suffix.
    """
    found: dict[str, Path] = {}
    deeper, others = [], []
    for path in walk(folder):
        name = path.relative_to(folder).as_posix()
        if "/" in name:
            deeper.append(name)
        elif split_suffix(name)[1] not in suffixes:
            others += [name] if name.lower() not in _PAGES else []
        elif (other := found.setdefault(split_suffix(name)[0], path)) != path:
            raise InputError(f"{folder}: '{other.name}' and '{name}' would share one {becomes}; rename or remove one")
    if deeper:
        log.warning("%s: %d files in subfolders are passed over: %s", folder, len(deeper), named(deeper))
    if others:
        kinds = ", ".join(suffixes)
        log.warning("%s: %d files end in none of %s and are passed over: %s", folder, len(others), kinds, named(others))
    return sorted(found.values())


def named(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more
