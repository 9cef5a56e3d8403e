"""The ratio heat map: paired differences of the arms with synthetic data, over ratio and number of labels."""

from collections.abc import Sequence

from pipeline.comparison.statistics.summary import Result
from pipeline.config.arms import Arm

_GAIN, _LOSS = (11, 111, 164), (181, 64, 58)
_STRONGEST = 0.35
"""Share of the full colour at the largest difference: dark text stays readable on it."""


def heat_maps(results: Sequence[Result]) -> dict[tuple[str, str], dict[str, dict[int, Result]]]:
    """(cohort, segmenter) → arm → number of labels → its result, of results with a difference.

    Arms are ordered by what they are and then by ratio.
    """
    maps: dict[tuple[str, str], dict[str, dict[int, Result]]] = {}
    for one in sorted(results, key=lambda one: (_kind(one.spec), one.spec.ratio)):
        maps.setdefault((one.cohort, one.segmenter), {}).setdefault(one.arm, {})[one.labels] = one
    return maps


def _kind(spec: Arm) -> tuple:
    return spec.unlabelled is not None, spec.generous, spec.real < 1, spec.augment, spec.pretrain, spec.curated


def shade(gain: float, largest: float) -> str:
    """A CSS colour: blue for gains, red for losses, the stronger the larger; white for nothing."""
    share = _STRONGEST * min(abs(gain) / largest, 1.0) if largest else 0.0
    full = _GAIN if gain > 0 else _LOSS
    return "#" + "".join(f"{round(255 + share * (channel - 255)):02x}" for channel in full)
