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
    labels: tuple[int, ...]
    rows: tuple[tuple[str, Arm, tuple[Result | None, ...]], ...]


def heat_maps(results: Sequence[Result]) -> list[HeatMap]:
    """One map per cohort and segmenter, rows by what the arm is and then by ratio, from results with a difference."""
    maps: dict[tuple[str, str], dict[tuple[str, int], Result]] = {}
    for one in results:
        maps.setdefault((one.cohort, one.segmenter), {})[one.arm, one.labels] = one
    return [HeatMap(*where, *_cells(found)) for where, found in maps.items()]


def _cells(found: dict[tuple[str, int], Result]) -> tuple[tuple, tuple]:
    labels = tuple(sorted({n for _, n in found}))
    specs = {one.arm: one.spec for one in found.values()}
    order = sorted(specs, key=lambda arm: (_kind(specs[arm]), specs[arm].ratio))
    return labels, tuple((arm, specs[arm], tuple(found.get((arm, n)) for n in labels)) for arm in order)


def _kind(spec: Arm) -> tuple:
    return spec.generous, spec.real < 1, spec.augment, spec.pretrain, spec.curated


def shade(gain: float, largest: float) -> str:
    """A CSS colour: blue for gains, red for losses, the stronger the larger; white for nothing."""
    share = _STRONGEST * min(abs(gain) / largest, 1.0) if largest else 0.0
    full = _GAIN if gain > 0 else _LOSS
    return "#" + "".join(f"{round(255 + share * (channel - 255)):02x}" for channel in full)
