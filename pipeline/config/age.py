"""The sections ``age`` and ``age_models``: gestational age from images (docs/gestational-age.md)."""

from itertools import product
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.binning import Binning
from pipeline.config.section import Name, NonNegative, Positive, PositiveFloat, Section, Share
from pipeline.config.timm_model import TimmModel
from pipeline.run.errors import InputError

Formula = Literal["intergrowth21", "hadlock84"]
Task = Literal["baseline", "measured", "no_pixel_size", "image_only"]
Reads = Literal["shape", "texture", "ring", "sector", "geometry", "overflow"]
GROUPS: dict[str, tuple[str, bool | None]] = {
    "shape": ("mask", True),
    "texture": ("mask", False),
    "ring": ("ring", False),
    "sector": ("sector", False),
    "geometry": ("sector", True),
    "overflow": ("overflow", None),
}
"""Groups of radiomics: their region, and whether they are of its shape. Of the predicted mask: its shape in pixels, the
grey levels and texture in it, those of a band along its outline, and its texture as the published run computed it, with
an overflow of 8 bits. Of the image alone: grey levels and texture of the sector, and the sector's shape."""
OF_IMAGE = {"sector", "geometry"}


class Encoder(Section):
    """What deep tokens are taken from. timm: a model of it with weights, or null for EfficientNet-Lite0, which is
    installed. grid: rows and columns of tokens."""

    timm: TimmModel | None
    grid: tuple[Annotated[int, Field(ge=1, le=64)], Annotated[int, Field(ge=1, le=64)]]


class Plain(Section):
    """What has no options.

    constant: the median age of the labels. pixel_size, hc_px: kernel ridge on the millimetres of a pixel, or on the
    circumference of the predicted mask in pixels, alone. measured: that circumference in millimetres through
    ``age.formula``; nothing is fitted. deep_ridge: ridge on the mean of the deep tokens.
    """

    kind: Literal["constant", "pixel_size", "hc_px", "measured", "deep_ridge"]

    @property
    def task(self) -> Task:
        of_kind: dict[str, Task] = {"measured": "measured", "hc_px": "no_pixel_size", "deep_ridge": "image_only"}
        return of_kind.get(self.kind, "baseline")


class OnRadiomics(Section):
    """What reads radiomics: the groups ``reads``."""

    reads: tuple[Reads, ...]

    @model_validator(mode="after")
    def _reads_once(self):
        if len(set(self.reads)) < len(self.reads):
            raise ValueError(f"reads names {max(self.reads, key=self.reads.count)} twice; remove one")
        return self

    @property
    def task(self) -> Task:
        return "no_pixel_size" if set(self.reads) - OF_IMAGE else "image_only"


class Regression(OnRadiomics):
    """A regression of scikit-learn."""

    kind: Literal["ridge", "kernel_ridge", "boosting"]
    reads: Annotated[tuple[Reads, ...], Field(min_length=1)]


class AgeNetwork(OnRadiomics):
    """A network on radiomics and deep tokens; variants as in tasks/gestational_age/fusion.py.

    heteroscedastic: it predicts a standard deviation too, which the intervals then follow.
    """

    kind: Literal["network"]
    variant: Literal["fusion", "single_key", "concatenation", "deep", "radiomics"]
    reads: tuple[Reads, ...] = ()
    width: Positive
    heads: Positive
    hidden: Positive
    dropout: Share
    heteroscedastic: bool
    steps: Positive
    batch: Positive
    learning_rate: PositiveFloat
    weight_decay: NonNegative
    warmup_steps: Annotated[int, Field(ge=0)]
    ema_decay: Share = 0.0

    @model_validator(mode="after")
    def _fits(self):
        if (self.variant == "deep") == bool(self.reads):
            told = "reads no radiomics; leave reads out" if self.reads else "reads radiomics; say which by reads"
            raise ValueError(f"variant '{self.variant}' {told}")
        if self.width % self.heads:
            raise ValueError("width must be a multiple of heads")
        return self


AgeModel = Annotated[Plain | Regression | AgeNetwork, Field(discriminator="kind")]


class Age(Section):
    """Which models are asked, on what.

    models: names of ``age_models``; none: nothing of this is run. arms: of ``grid.arms``, whose extra cases are trained
    on beside the labels. segmenter: whose masks features are taken of: ``folds`` networks, so that no case is measured
    in a mask of a network that has seen it. image_size: pixels along the longer side of the images that features are
    taken of. binning: of grey levels, before texture is counted. formula: age of the model kind ``measured``, and of
    extra cases, from their circumference. zooms: scales of the test images in the zoom test. coverage: of intervals.
    """

    models: tuple[Name, ...]
    arms: tuple[Name, ...]
    segmenter: Name
    folds: Annotated[int, Field(ge=2)]
    image_size: Annotated[int, Field(ge=32)]
    binning: Binning
    encoder: Encoder
    formula: Formula
    zooms: tuple[Annotated[float, Field(gt=0.5, lt=2)], ...]
    coverage: Annotated[float, Field(gt=0, lt=1)]

    def cells(self, grid) -> list[tuple[str, int, int, str]]:
        """(model, labels, replicate, arm) of every cell; ``grid``: that section."""
        return list(product(self.models, grid.labels, grid.replicates, self.arms))

    @model_validator(mode="after")
    def _zooms_differ(self):
        if 1.0 in self.zooms or len(set(self.zooms)) < len(self.zooms):
            raise ValueError("zooms holds 1, which changes nothing, or a scale twice; remove it")
        if len(self.zooms) == 1:
            raise ValueError("zooms holds one scale, and a slope takes two; give another, or none")
        return self


def chosen_age_model(models: dict[str, AgeModel], name: str) -> AgeModel:
    """The section of one model.

    Raises:
        InputError: there is none of that name.
    """
    if name not in models:
        raise InputError(f"no model '{name}' under age_models; there are {', '.join(models) or 'none'}")
    return models[name]
