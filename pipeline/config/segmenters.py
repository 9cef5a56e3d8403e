"""The section ``segmenters`` of ``params.yaml``: what is fine-tuned, and how; a SAM or a U-Net under every name."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import NonNegative, Positive, PositiveFloat, Precision, Section


class CompactSam(Section):
    """The small SAM of machines without Meta's weights (see segmentation/compact_sam.py)."""

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


class SamBase(Section):
    """What is fine-tuned. ``weights`` null: the compact SAM; a path: an official checkpoint or Hugging Face folder.

    ``views``: of each image, encoded once where the encoder is frozen.
    """

    weights: str | None
    image_size: Annotated[int, Field(ge=32, multiple_of=16)]
    window: Positive | None
    detail: tuple[Annotated[int, Field(ge=4, multiple_of=4)], ...]
    compact: CompactSam
    views: Positive


class Tuning(Section):
    """How long and how fast a segmenter is fine-tuned."""

    mixed_precision: Precision
    steps: Positive
    batch: Positive
    learning_rate: PositiveFloat
    weight_decay: NonNegative
    warmup_steps: Annotated[int, Field(ge=0)]


class SamSegmenter(Tuning):
    """SAM: what of it is trained, and what it is prompted with."""

    kind: Literal["sam"]
    base: SamBase
    train: Literal["decoder", "lora", "full"]
    lora_rank: Positive
    prompt: Literal["none", "whole_box", "predicted_box"]
    checkpointing: bool

    @property
    def frozen_encoder(self) -> bool:
        """Whether images are encoded once, by the stages that keep embeddings."""
        return self.train == "decoder"


class UNetBase(Section):
    """The encoder of a U-Net of segmentation-models-pytorch, see segmentation/backbone_unet.py.

    ``weights``: null, ``imagenet`` (the library's own, from the local Hugging Face cache), or a file.
    """

    weights: str | None
    image_size: Annotated[int, Field(ge=32, multiple_of=32)]
    backbone: Annotated[str, Field(min_length=1)]
    input_channels: Annotated[int, Field(ge=1, le=3)]


class UNetSegmenter(Tuning):
    """A U-Net on the encoder of a classifier; ``train`` names a strategy of segmentation/strategies.py."""

    kind: Literal["unet"]
    base: UNetBase
    train: Literal[
        "scratch", "all", "frozen_encoder", "decoder", "encoder", "bottleneck_decoder", "last_blocks", "batch_norm"
    ]
    decoder_channels: Annotated[tuple[Positive, ...], Field(min_length=5, max_length=5)]
    deep_supervision: bool
    # Batch norm needs two images.
    batch: Annotated[int, Field(ge=2)]

    @property
    def frozen_encoder(self) -> bool:
        """Never in the sense of SAM's: embeddings of a U-Net, with its skips, are not kept."""
        return False


Segmenter = Annotated[SamSegmenter | UNetSegmenter, Field(discriminator="kind")]
