"""The sections ``score``, ``gate`` and ``curate`` of ``params.yaml``: what a set is worth, what is kept of it."""

from typing import Annotated

from pydantic import Field

from pipeline.config.section import Fraction, NonNegative, Positive, Section
from pipeline.config.timm_model import TimmModel

MIN_IMAGES = 8
MIN_REAL = 10
"""Images with masks, at the least, that a contour imprint is judged by: fewer have no 90th percentile."""


def least_images(neighbours: int) -> int:
    """How many images a set needs for distances between sets, so that half of it has so many neighbours."""
    return max(MIN_IMAGES, 2 * neighbours + 2)


class Extractors(Section):
    """Feature extractors beside the domain one: EfficientNet-Lite0 or not; weights that the user has, or null."""

    lite0: bool
    timm: TimmModel | None
    inception: str | None
    dinov2: str | None
    clip: str | None


class Score(Section):
    extractors: Extractors
    kid_subsets: Positive
    neighbours: Positive
    resamples: Annotated[int, Field(ge=0)]


class Gate(Section):
    """The worst a synthetic set may be for anything to be trained on it; null is no limit (see quality/gate.py)."""

    mask_agreement: NonNegative | None
    plausibility: Fraction | None
    imprint: Fraction | None
    copies: Fraction | None


class Curate(Section):
    """Which samples are kept (see quality/curation.py); every threshold is this quantile of the labels' own scores."""

    quantile: Fraction
    mask_agreement: bool
    plausibility: bool
    training_distance: bool
    hardness: Annotated[int, Field(ge=0)]
