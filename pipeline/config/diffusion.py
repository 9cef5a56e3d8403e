"""The section ``diffusion`` of ``params.yaml``: the generator, of one of two backends with options of their own."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.config.section import Fraction, NonNegative, Positive, PositiveFloat, Precision, Section

MAX_CONTOURS = 2
"""Structures that an RGB image has channels to draw in, beside the grey value."""

Share = Annotated[float, Field(ge=0, lt=1)]


class DiffusionAugment(Section):
    """Augmentation of the generator's images (see diffusion/pixel/augmentation.py); each kind with ``probability``."""

    probability: Fraction
    conditioned: bool
    flip: bool
    rotate_deg: NonNegative
    scale: Share
    aspect: Share
    shift: Share
    brightness: Share
    contrast: Share
    gamma: Annotated[float, Field(ge=0, lt=2)]

    @model_validator(mode="after")
    def _nothing_done_is_seen(self):
        if self.conditioned and self.probability == 1:
            raise ValueError("with conditioned, probability must be below 1: sampling asks for images as they are")
        return self


class Generator(Section):
    """What every backend is told."""

    unlabelled: Literal["none", "null_mask", "pseudo_mask"]
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


class Pixel(Generator):
    """A denoiser of pixels, trained from scratch."""

    backend: Literal["pixel"]
    image_size: Annotated[int, Field(ge=16, multiple_of=16)]
    channels: Annotated[tuple[Annotated[int, Field(ge=8, multiple_of=8)], ...], Field(min_length=2)]
    layers: Positive
    patch: Literal[1, 2, 4]
    sigma_data: PositiveFloat
    p_mean: float
    p_std: PositiveFloat
    augment: DiffusionAugment
    ema_decay: Annotated[float, Field(gt=0, lt=1)]
    compile: bool
    preview_every: Positive
    needs_masks: ClassVar[bool] = False

    @model_validator(mode="after")
    def _levels_fit(self):
        divisor = self.patch * 2 ** (len(self.channels) - 1)
        if self.image_size % divisor:
            raise ValueError(f"image_size must be a multiple of {divisor}, for this patch and number of levels")
        return self


class Latent(Generator):
    """A pretrained Stable Diffusion, adapted. ``weights``: its folder in diffusers form."""

    backend: Literal["latent"]
    weights: str
    variant: Literal["controlnet", "reference"]
    lora_rank: Positive
    prompt: Annotated[str, Field(min_length=1)]
    image_size: Annotated[int, Field(ge=64, multiple_of=64)]
    rotate_deg: NonNegative
    scale: Share
    shift: Share

    @property
    def needs_masks(self) -> bool:
        """Whether an image without a mask is of no use: the mask is part of the image."""
        return self.variant == "reference"

    @model_validator(mode="after")
    def _masks_are_there(self):
        if self.needs_masks and self.unlabelled == "null_mask":
            raise ValueError("variant 'reference' needs masks: unlabelled must be none or pseudo_mask")
        return self


Diffusion = Annotated[Pixel | Latent, Field(discriminator="backend")]
