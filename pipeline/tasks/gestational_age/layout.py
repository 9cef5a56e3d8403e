"""Where features lie and what they are called: known to who takes them and to who reads them."""

from collections.abc import Iterable, Sequence

from pipeline.config.age import GROUPS
from pipeline.run.errors import InputError

AS_IT_IS = 1.0
SPLITS = ("train", "val", "test")
MASKS, IMAGES = "masks.parquet", "images.parquet"
SIZES = ("pixel_mm", "hc_px")
"""Columns of a table of masks beside its radiomics: millimetres per pixel of the frame, and the circumference of the
head in these pixels."""


def scale_name(scale: float = AS_IT_IS) -> str:
    """What the folder is called that holds what is taken of images at a scale: ``x1``, ``x0.9``."""
    return f"x{scale:g}"


def scales(zooms: Iterable[float]) -> list[tuple[str, float, tuple[str, ...]]]:
    """(name, scale, splits) of the images that features are taken of: all as they are, test images at other scales."""
    return [(scale_name(), AS_IT_IS, SPLITS), *((scale_name(one), one, ("test",)) for one in zooms)]


def read_by(groups: Sequence[str], names: Iterable[str]) -> tuple[str, ...]:
    """Of the names of features those of some groups of ``config.age.Reads``, in their order.

    Raises:
        InputError: no such group.
    """
    if unknown := set(groups) - set(GROUPS):
        raise InputError(f"no group of features '{min(unknown)}'; choose among {', '.join(GROUPS)}")
    return tuple(name for name in names if any(_belongs(name, GROUPS[group]) for group in groups))


def _belongs(name: str, group: tuple[str, bool | None]) -> bool:
    region, of_shape = group
    own, _, feature = name.partition(".")
    return own == region and (of_shape is None or feature.startswith("shape.") == of_shape)
