"""The section ``sample`` of ``params.yaml``: the masks to draw, and the sampler."""

from typing import Annotated

from pydantic import Field, model_serializer, model_validator

from pipeline.config.section import Fraction, NonNegative, Positive, PositiveFloat, Section

DENOISER_ONLY = ("guidance_interval", "sigma_min", "sigma_max")
"""Options of the sampler that the backend 'stable_diffusion', which brings its own noise levels, has no use for."""


class Sampler(Section):
    """How an image is drawn from a generator; all that a folder of masks needs. ``DENOISER_ONLY`` is null for
    'stable_diffusion'."""

    steps: Annotated[int, Field(ge=2)]
    guidance: Annotated[float, Field(ge=0)]
    guidance_interval: tuple[NonNegative, PositiveFloat] | None
    sigma_min: PositiveFloat | None
    sigma_max: PositiveFloat | None
    chunk_size: Annotated[int, Field(ge=1, le=256)]

    @model_validator(mode="after")
    def _ordered(self):
        if self.sigma_min and self.sigma_max and self.sigma_min >= self.sigma_max:
            raise ValueError("sigma_min must be below sigma_max")
        if self.guidance_interval and self.guidance_interval[0] >= self.guidance_interval[1]:
            raise ValueError("guidance_interval must be [low, high] with low below high")
        return self


class Angles(Section):
    """Shares of the masks with a rare angle of progression, below 90 and from 140 degrees; the others lie between."""

    below_90: Fraction
    from_140: Fraction

    @model_validator(mode="after")
    def _within_one(self):
        if self.below_90 + self.from_140 > 1 + 1e-6:
            raise ValueError("below_90 and from_140 must add up to 1 at the most")
        return self


class MaskShares(Section):
    """Where masks to sample from come from, as shares: warped train masks, the shape model, ``data/masks``.

    angles: with a symphysis and a head, how many of them have a rare angle; None: as many as the labels have.
    """

    parent: Fraction
    shape_model: Fraction
    user: Fraction
    angles: Angles | None = None

    @model_serializer(mode="wrap")
    def _as_given(self, handler):
        """Without an option that is not in use: what is written of a set is then what it was before there was one."""
        return {key: value for key, value in handler(self).items() if key != "angles" or value is not None}

    @model_validator(mode="after")
    def _whole(self):
        if abs(self.parent + self.shape_model + self.user - 1) > 1e-6:
            raise ValueError("parent, shape_model and user must add up to 1")
        if self.angles and self.user == 1:
            raise ValueError("angles chooses among warped train masks and the shape model, and user is 1; remove it")
        return self


class Variety(Section):
    """A second, small set: this many masks, and this many images of each, to see whether they differ."""

    masks: Annotated[int, Field(ge=2)]
    images: Annotated[int, Field(ge=2)]


class Sample(Sampler):
    """A synthetic set: how many images, of which masks, and how they are drawn."""

    count: Positive
    masks: MaskShares
    variety: Variety
