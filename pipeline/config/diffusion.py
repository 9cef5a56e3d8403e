"""The section ``diffusion`` of ``params.yaml``: the generator, of one of two backends with options of their own."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.config.section import NonNegative, Positive, PositiveFloat, Precision, Section, Share

MAX_CONTOURS = 2
"""Structures that an RGB image has channels to draw in, beside the grey value."""


class Generator(Section):
    """What every backend is told."""

    unlabelled_share: Share
    mask_dropout: Share
    steps: Positive
    batch: Positive
    accumulate: Positive
    learning_rate: PositiveFloat
    warmup_steps: Annotated[int, Field(ge=0)]
    mixed_precision: Precision
    checkpoint_every: Positive

    @model_validator(mode="after")
    def _parts_are_equal(self):
        if self.batch % self.accumulate:
            raise ValueError("batch must be a multiple of accumulate, the number of equal parts it is computed in")
        return self


class Denoiser(Generator):
    """A denoiser of image codes (section ``views``), trained from scratch."""

    backend: Literal["denoiser"]
    channels: Annotated[tuple[Annotated[int, Field(ge=8, multiple_of=8)], ...], Field(min_length=2)]
    layers: Positive
    prediction: Literal["velocity", "noise", "image"]
    appearance: bool
    emphasis: NonNegative
    p_mean: float
    p_std: PositiveFloat
    ema_decay: Annotated[float, Field(gt=0, lt=1)]
    compile: bool
    preview_every: Positive
    needs_masks: ClassVar[bool] = False


class StableDiffusion(Generator):
    """A pretrained Stable Diffusion, adapted. ``weights``: its folder in diffusers form."""

    backend: Literal["stable_diffusion"]
    weights: str
    variant: Literal["controlnet", "reference"]
    lora_rank: Positive
    prompt: Annotated[str, Field(min_length=1)]
    flip: bool
    rotate_deg: NonNegative
    scale: Share
    shift: Share

    @property
    def needs_masks(self) -> bool:
        """Whether an image without a mask is of no use: the mask is part of the image."""
        return self.variant == "reference"


Diffusion = Annotated[Denoiser | StableDiffusion, Field(discriminator="backend")]
