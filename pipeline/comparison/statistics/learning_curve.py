"""Learning curves: the primary metric over the number of labels, and how many labels extra cases are worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.comparison.scores import ScoreTable
from pipeline.comparison.statistics.resampling import Patients, percentile_limits
from pipeline.comparison.statistics.summary import Result


@dataclass(frozen=True)
class Worth:
    """The arm of ``result`` is as good as the baseline with ``value`` labelled cases.

    value, low, high: labelled cases, with 95 % limits; 0 and inf where they lie beyond the curve's ends ``ends``.
    """

    result: Result
    value: float
    low: float
    high: float
    ends: tuple[int, int]


def monotone(curve: np.ndarray) -> np.ndarray:
    """A curve that does not fall, nearest to float (K,) in squares: more labels are not believed to hurt."""
    from scipy.optimize import isotonic_regression

    return isotonic_regression(curve).x


def equivalent(labels: Sequence[int], rising: np.ndarray, value: float) -> float:
    """The number of labels at which a monotone curve reaches ``value``.

    The curve is straight over the logarithm of the number of labels between its points.

    Args:
        labels: K numbers, ascending.
        rising: float (K,), mean score of the baseline, higher is better.

    Returns:
        0 below the curve's first point, inf above its last.
    """
    if value < rising[0]:
        return 0.0
    if value > rising[-1]:
        return float("inf")
    after = int(np.argmax(rising >= value))
    if after == 0:
        return float(labels[0])
    share = (value - rising[after - 1]) / (rising[after] - rising[after - 1])
    low, high = np.log(labels[after - 1]), np.log(labels[after])
    return float(np.exp(low + share * (high - low)))


def worth(scores: ScoreTable, asked: Sequence[Result], baseline: str, patients: Mapping[str, Patients]) -> list[Worth]:
    """What each of the results ``asked`` is worth in labels; nothing where the grid has one number of labels, and
    nothing of a cohort of one patient.

    Limits are percentiles under resampling of patients and of replicates together, the same draws for the arm and for
    the curve it is held against; replicates stay paired, since their label subsets are nested.
    """
    counts = sorted({n for _, _, n, _ in scores})
    curves, found = {}, []
    for one in asked:
        drawn_from, where = patients[one.cohort], (one.cohort, one.segmenter)
        if len(counts) < 2 or drawn_from.n < 2:
            continue
        if where not in curves:
            values = [one.better * scores[*where, n, baseline].primary for n in counts]
            resampled = np.stack([drawn_from.means_with_replicates(row) for row in values], axis=1)
            curves[where] = monotone(np.array([row.mean() for row in values])), [monotone(row) for row in resampled]
        curve, resampled = curves[where]
        arm = one.better * scores[*where, one.labels, one.arm].primary
        levels = zip(resampled, drawn_from.means_with_replicates(arm), strict=True)
        reached = [equivalent(counts, rising, level) for rising, level in levels]
        limits = percentile_limits(reached, "inverted_cdf")
        found.append(Worth(one, equivalent(counts, curve, arm.mean()), *limits, (counts[0], counts[-1])))
    return found
