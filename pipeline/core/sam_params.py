"""The sections ``sam`` and ``segmenter`` of ``params.yaml``: what is fine-tuned, and how."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.core.section import NonNegative, Positive, PositiveFloat, Section


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


class Pretraining(Section):
    """Promptable pre-training of the compact SAM on procedural shapes; 0 steps for none."""

    steps: Annotated[int, Field(ge=0)]
    batch: Positive
    learning_rate: PositiveFloat


class SamBase(Section):
    """What is fine-tuned. ``weights`` null: the compact SAM; a path: an official checkpoint or Hugging Face folder."""

    weights: str | None
    image_size: Annotated[int, Field(ge=32, multiple_of=16)]
    window: Positive | None
    detail: tuple[Annotated[int, Field(ge=4, multiple_of=4)], ...]
    compact: CompactSam
    pretraining: Pretraining


class Segmenter(Section):
    """How SAM is fine-tuned: what is trained, what it is prompted with, for how long."""

    train: Literal["decoder", "lora", "full"]
    lora_rank: Positive
    prompt: Literal["none", "whole_box", "predicted_box"]
    views: Positive
    checkpointing: bool
    mixed_precision: Literal["no", "fp16", "bf16"]
    steps: Positive
    batch: Positive
    learning_rate: PositiveFloat
    weight_decay: NonNegative
    warmup_steps: Annotated[int, Field(ge=0)]
