"""The section ``segmenters`` of ``params.yaml``: what is fine-tuned, and how; a SAM or a U-Net under every name.

What does not apply to the kind, to its way of training or to its weights has no key, and is refused.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from pipeline.config.canvas import canvas
from pipeline.config.section import NonNegative, Outputs, Positive, PositiveFloat, Precision, Section, Share
from pipeline.run.errors import InputError

MASK_TOKENS = 4
"""Of every SAM: structures that one can tell apart."""
LITE0 = "lite0"
"""``weights`` of EfficientNet-Lite0, from the installed package (see networks/lite0.py)."""
LITE0_BACKBONE = "tu-tf_efficientnet_lite0"


class CompactSam(Section):
    """The small SAM of machines without Meta's weights (see networks/sam/compact.py)."""

    patch_size: Literal[4, 8, 16]
    hidden_size: Annotated[int, Field(ge=32, multiple_of=16)]
    layers: Positive
    heads: Positive
    decoder_size: Annotated[int, Field(ge=32, multiple_of=32)]
    widths: tuple[Annotated[int, Field(ge=4, multiple_of=4)], ...]

    @model_validator(mode="after")
    def _fits(self):
        if self.hidden_size % self.heads:
            raise ValueError("hidden_size must be a multiple of heads")
        levels = self.patch_size.bit_length() - 1
        if len(self.widths) != levels:
            raise ValueError(f"patches of {self.patch_size} px need {levels} widths, {len(self.widths)} are given")
        return self


class CompactBase(Section):
    """``weights`` null: the compact SAM, from random weights."""

    weights: None
    image_size: canvas(32, 16)
    compact: CompactSam


class Lite0Base(Section):
    """``weights`` lite0: SAM's decoder on EfficientNet-Lite0 with ImageNet weights (see networks/sam/lite0.py)."""

    weights: Literal["lite0"]
    image_size: canvas(32, 32)
    decoder_size: Annotated[int, Field(ge=32, multiple_of=32)]


class PretrainedBase(Section):
    """``weights``: an official checkpoint or a Hugging Face folder. ``window``: patches along an attention window."""

    weights: str
    image_size: Annotated[int, Field(ge=32, multiple_of=16)]
    window: Positive | None
    detail: tuple[Annotated[int, Field(ge=4, multiple_of=4)], ...]

    @field_validator("image_size", mode="before")
    @classmethod
    def _is_square(cls, value):
        if isinstance(value, list | tuple):
            raise ValueError(
                "given weights of a SAM have positions for a square; give one number, and images are letter-boxed; or "
                "set weights to lite0 or null"
            )
        return value


def _weights_of(base) -> str:
    weights = base.get("weights") if isinstance(base, dict) else getattr(base, "weights", None)
    if weights is None:
        return "weights null"
    # A file is saved by its name alone, which may not be that of Lite0's weights.
    return f"weights {LITE0}" if Path(str(weights)).name == LITE0 else "weights given"


SamBase = Annotated[
    Annotated[CompactBase, Tag("weights null")]
    | Annotated[Lite0Base, Tag(f"weights {LITE0}")]
    | Annotated[PretrainedBase, Tag("weights given")],
    Discriminator(_weights_of),
]


class Tuning(Section):
    """How long and how fast a segmenter is fine-tuned, and on what.

    outputs: independent, a sigmoid a structure; or exclusive, one softmax over background and structures.
    ema_decay: largest decay of the weights' moving average, which is then what is kept; 0 keeps the last weights. Of
    methods with a teacher, an average with a decay of its own, it does not apply.
    """

    outputs: Outputs = "independent"
    mixed_precision: Precision
    steps: Positive
    batch: Positive
    learning_rate: PositiveFloat
    weight_decay: NonNegative
    warmup_steps: Annotated[int, Field(ge=0)]
    ema_decay: Share = 0.0


class Sam(Tuning):
    """What every SAM has: what it starts from, and what it is prompted with."""

    kind: Literal["sam"]
    base: SamBase
    prompt: Literal["none", "whole_box", "predicted_box"]

    @model_validator(mode="after")
    def _masks_share_a_prompt(self):
        if self.outputs == "exclusive" and self.prompt != "none":
            raise ValueError(
                f"outputs 'exclusive' weighs the structures of one pass against each other, and with prompt "
                f"'{self.prompt}' each has a pass of its own; say outputs: independent, or prompt: none"
            )
        return self


class SamDecoder(Sam):
    """A frozen encoder, which sees each of ``views`` of an image once; the mask decoder is trained."""

    train: Literal["decoder"]
    views: Positive


class SamLora(Sam):
    """Adapters of ``lora_rank``. ``checkpointing``: activations of the encoder are computed twice, not kept."""

    train: Literal["lora"]
    lora_rank: Positive
    checkpointing: bool

    @model_validator(mode="after")
    def _has_attention(self):
        if self.base.weights == LITE0:
            raise ValueError(
                "train 'lora' adapts a transformer's attention, and Lite0 has none; train 'full', or 'decoder'"
            )
        return self


class SamFull(Sam):
    """Everything is trained."""

    train: Literal["full"]
    checkpointing: bool

    @model_validator(mode="after")
    def _is_transformer(self):
        if self.base.weights == LITE0 and self.checkpointing:
            raise ValueError("checkpointing is for transformers, and Lite0 is none; set it to false")
        return self


SamSegmenter = Annotated[SamDecoder | SamLora | SamFull, Field(discriminator="train")]


class UNetBase(Section):
    """The encoder of a U-Net of segmentation-models-pytorch, see networks/unet/model.py.

    ``weights``: null, ``lite0`` (ImageNet's of EfficientNet-Lite0, from the installed package), ``imagenet`` (the
    library's own, from the local Hugging Face cache), or a file.
    """

    weights: str | None
    image_size: canvas(32, 32)
    backbone: Annotated[str, Field(min_length=1)]
    input_channels: Annotated[int, Field(ge=1, le=3)]

    @model_validator(mode="after")
    def _weights_fit(self):
        if self.weights == LITE0 and self.backbone != LITE0_BACKBONE:
            raise ValueError(
                f"weights '{LITE0}' are of the backbone {LITE0_BACKBONE}, not {self.backbone}; "
                "set backbone to it, or give weights of your backbone"
            )
        return self


class UNetSegmenter(Tuning):
    """A U-Net on the encoder of a classifier; ``train`` names a strategy of networks/unet/strategies.py."""

    kind: Literal["unet"]
    base: UNetBase
    train: Literal[
        "scratch", "all", "frozen_encoder", "decoder", "encoder", "bottleneck_decoder", "last_blocks", "batch_norm"
    ]
    decoder_channels: Annotated[tuple[Positive, ...], Field(min_length=5, max_length=5)]
    deep_supervision: bool
    # Batch norm needs two images.
    batch: Annotated[int, Field(ge=2)]


Segmenter = Annotated[SamSegmenter | UNetSegmenter, Field(discriminator="kind")]


def chosen_segmenter(segmenters: dict[str, Segmenter], name: str, kind: str | None = None) -> Segmenter:
    """The section of one segmenter; of any kind where none is named.

    Raises:
        InputError: there is none of that name, or it is of another kind.
    """
    if name not in segmenters:
        raise InputError(f"no segmenter '{name}' under segmenters; there are {', '.join(segmenters)}")
    if kind is not None and (found := segmenters[name].kind) != kind:
        raise InputError(f"key 'segmenters.{name}.kind' is '{found}'; this stage is for segmenters of kind '{kind}'")
    return segmenters[name]
