"""How grey levels are put into bins before texture is counted."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.config.section import PositiveFloat, Section

MAX_LEVELS = 256
"""Bins that there may be: co-occurrence matrices have its square of entries."""


class FixedBinWidth(Section):
    """Bins of ``width`` grey levels from ``minimum`` upwards, the same for every region: a brighter one is seen."""

    kind: Literal["fixed_bin_width"] = "fixed_bin_width"
    width: PositiveFloat
    minimum: float = 0.0


class FixedBinNumber(Section):
    """``count`` equal bins between the least and the largest grey level of the region: gain and offset do not count."""

    kind: Literal["fixed_bin_number"] = "fixed_bin_number"
    count: Annotated[int, Field(ge=2, le=MAX_LEVELS)]


Binning = Annotated[FixedBinWidth | FixedBinNumber, Field(discriminator="kind")]
