"""Which kind of segmenter a folder holds, for commands that take any."""

from pathlib import Path

from pipeline.networks.segmenter import Kind, read_settings
from pipeline.networks.weights import read_config


def kind_of(folder: Path) -> Kind:
    """The kind of the segmenter in a folder."""
    return kind_named(read_settings(folder, read_config(folder, "segmenter")).kind)


def kind_named(name: str) -> Kind:
    """``sam`` or ``unet``, as a segmenter's section says."""
    if name == "unet":
        from pipeline.networks.unet import checkpoint
    else:
        from pipeline.networks.sam import checkpoint
    return checkpoint
