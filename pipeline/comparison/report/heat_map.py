"""The ratio heat map: paired differences of the arms with synthetic data, over ratio and number of labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.comparison.statistics.summary import Result
from pipeline.config.arms import Arm

_GAIN, _LOSS = (11, 111, 164), (181, 64, 58)
_STRONGEST = 0.35
"""Share of the full colour at the largest difference: dark text stays readable on it."""


@dataclass(frozen=True)
class HeatMap:
    """Of one cohort and segmenter: an arm a row, a number of labels a column, the result in each cell."""

    cohort: str
    segmenter: str
    cells: dict[tuple[str, int], Result]

    @property
    def labels(self) -> list[int]:
        return sorted({labels for _, labels in self.cells})

    @property
    def arms(self) -> dict[str, Arm]:
        """By what the arm is and then by ratio."""
        specs = {arm: one.spec for (arm, _), one in self.cells.items()}
        return dict(sorted(specs.items(), key=lambda item: _rank(item[1])))


def _rank(spec: Arm) -> tuple:
    return spec.generous, spec.real < 1, spec.augment, spec.pretrain, spec.curated, spec.ratio


def heat_maps(results: Sequence[Result]) -> list[HeatMap]:
    """One map per cohort and segmenter, from results with a difference."""
    maps: dict[tuple[str, str], HeatMap] = {}
    for one in results:
        where = one.cohort, one.segmenter
        maps.setdefault(where, HeatMap(*where, {})).cells[one.arm, one.labels] = one
    return list(maps.values())


def shade(gain: float, largest: float) -> str:
    """A CSS colour: blue for gains, red for losses, the stronger the larger; white for nothing."""
    share = _STRONGEST * min(abs(gain) / largest, 1.0) if largest else 0.0
    full = _GAIN if gain > 0 else _LOSS
    return "#" + "".join(f"{round(255 + share * (channel - 255)):02x}" for channel in full)
