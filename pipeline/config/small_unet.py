"""The small U-Nets of ``params.yaml``: evaluation network, label-budget filter, usefulness."""

from typing import Annotated

from pydantic import Field

from pipeline.config.section import Positive, PositiveFloat, Section


class SmallUNet(Section):
    """The small U-Net: evaluation network, label-budget filter and networks of usefulness each have their own copy."""

    image_size: Annotated[int, Field(ge=32, multiple_of=16)]
    channels: Annotated[tuple[Annotated[int, Field(ge=4, multiple_of=4)], ...], Field(min_length=5, max_length=5)]
    steps: Positive
    batch: Positive
    learning_rate: PositiveFloat


class Filter(SmallUNet):
    folds: Annotated[int, Field(ge=2)]
