"""The section ``diffusion`` of ``params.yaml``: the generator."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import Fraction, NonNegative, Positive, PositiveFloat, Precision, Section


class DiffusionAugment(Section):
    """Augmentation of the generator's images (see diffusion/augmentation.py); each kind with ``probability``."""

    probability: Fraction
    conditioned: bool
    flip: bool
    rotate_deg: NonNegative
    scale: Annotated[float, Field(ge=0, lt=1)]
    aspect: Annotated[float, Field(ge=0, lt=1)]
    shift: Annotated[float, Field(ge=0, lt=1)]
    brightness: Annotated[float, Field(ge=0, lt=1)]
    contrast: Annotated[float, Field(ge=0, lt=1)]
    gamma: Annotated[float, Field(ge=0, lt=2)]

    @model_validator(mode="after")
    def _nothing_done_is_seen(self):
        if self.conditioned and self.probability == 1:
            raise ValueError("with conditioned, probability must be below 1: sampling asks for images as they are")
        return self


class Ema(Section):
    """Weight averaging (see diffusion/ema.py): ``decay`` belongs to profile warmup, ``width`` to power."""

    profile: Literal["warmup", "power"]
    decay: Annotated[float, Field(gt=0, lt=1)]
    width: Annotated[float, Field(gt=0, lt=0.28)]


class Latent(Section):
    """A pretrained Stable Diffusion, adapted. ``weights``: its folder in diffusers form."""

    weights: str | None
    variant: Literal["controlnet", "reference"]
    lora_rank: Positive
    prompt: Annotated[str, Field(min_length=1)]
    image_size: Annotated[int, Field(ge=64, multiple_of=64)]
    steps: Positive
    batch: Positive
    learning_rate: PositiveFloat
    warmup_steps: Annotated[int, Field(ge=0)]
    mask_dropout: Annotated[float, Field(ge=0, lt=1)]
    rotate_deg: NonNegative
    scale: Annotated[float, Field(ge=0, lt=1)]
    shift: Annotated[float, Field(ge=0, lt=1)]
    mixed_precision: Precision
    checkpoint_every: Positive


class Diffusion(Section):
    """The generator. ``latent`` is read with backend 'latent' only; beside it that backend reads ``unlabelled`` and
    ``unlabelled_share``."""

    backend: Literal["pixel", "latent"]
    image_size: Annotated[int, Field(ge=16, multiple_of=16)]
    channels: Annotated[tuple[Annotated[int, Field(ge=8, multiple_of=8)], ...], Field(min_length=2)]
    layers: Positive
    patch: Literal[1, 2, 4]
    formulation: Literal["edm", "flow"]
    sigma_data: PositiveFloat
    p_mean: float
    p_std: PositiveFloat
    weighting: Literal["uniform", "soft_min_snr"]
    mask_dropout: Annotated[float, Field(ge=0, lt=1)]
    pixel_size: bool
    device: bool
    unlabelled: Literal["none", "null_mask", "pseudo_mask"]
    unlabelled_share: Annotated[float, Field(ge=0, lt=1)]
    augment: DiffusionAugment
    steps: Positive
    batch: Positive
    accumulate: Positive
    learning_rate: PositiveFloat
    warmup_steps: Annotated[int, Field(ge=0)]
    ema: Ema
    select: Literal["last", "validation"]
    mixed_precision: Precision
    compile: bool
    checkpoint_every: Positive
    preview_every: Positive
    latent: Latent

    @model_validator(mode="after")
    def _weights_given(self):
        if self.backend == "latent" and self.latent.weights is None:
            raise ValueError(
                "backend 'latent' needs latent.weights, the folder of a Stable Diffusion model in diffusers form"
            )
        return self

    @model_validator(mode="after")
    def _levels_fit(self):
        divisor = self.patch * 2 ** (len(self.channels) - 1)
        if self.image_size % divisor:
            raise ValueError(f"image_size must be a multiple of {divisor}, for this patch and number of levels")
        return self
