"""The sections ``augment``, ``strong_augment`` and ``warp`` of ``params.yaml``."""

from typing import Annotated

from pydantic import Field

from pipeline.config.section import Fraction, NonNegative, Section


class Augment(Section):
    """Standard augmentation, geometry applied to image and mask together (see imaging/augment.py)."""

    flip: bool
    rotate_deg: NonNegative
    scale: Annotated[float, Field(ge=0, lt=1)]
    shift: Annotated[float, Field(ge=0, lt=1)]
    brightness: NonNegative
    contrast: Annotated[float, Field(ge=0, lt=1)]
    gamma: Annotated[float, Field(ge=0, lt=1)]


class StrongAugment(Augment):
    """Standard augmentation, and noise, blur and lower resolution (see imaging/augment.py)."""

    probability: Fraction
    noise: NonNegative
    blur: NonNegative
    low_resolution: Annotated[float, Field(gt=0, le=1)]


class Warp(Section):
    """Plausible shape change (see imaging/warp.py): sampled masks and the warped control share it."""

    rotate_deg: NonNegative
    scale: Annotated[float, Field(ge=0, lt=1)]
    aspect: Annotated[float, Field(ge=0, lt=1)]
    shift: Annotated[float, Field(ge=0, lt=1)]
    elastic: Annotated[float, Field(ge=0, lt=0.2)]
