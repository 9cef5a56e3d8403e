"""What every section of ``params.yaml`` is made of."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
"""A part of something that is not the whole."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Precision = Literal["no", "fp16", "bf16"]
Outputs = Literal["independent", "exclusive"]
"""What a segmenter's logits stand for, see networks/outputs.py."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
