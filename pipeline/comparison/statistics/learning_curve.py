"""Learning curves: Dice over the number of labels, and how many real labels an arm with synthetic data is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.comparison.scores import ScoreTable
from pipeline.comparison.statistics.estimates import Patients, percentile_limits
from pipeline.comparison.statistics.summary import Result
from pipeline.run import seeds


@dataclass(frozen=True)
class Worth:
    """An arm at ``labels`` labelled cases is as good as real data alone with ``value`` of them.

    value, low, high: labelled cases, with 95 % limits; 0 and inf where they lie beyond the curve's ends ``ends``.
    """

    cohort: str
    segmenter: str
    labels: int
    arm: str
    dice: float
    value: float
    low: float
    high: float
    ends: tuple[int, int]

    @property
    def replaced(self) -> float:
        """Real labels that the arm's synthetic data stand for."""
        return self.value - self.labels


def equivalent(labels: Sequence[int], curve: np.ndarray, value: float) -> float:
    """The number of labels at which the curve reaches ``value``.

    The curve is made monotone first (isotonic regression: more labels are not believed to hurt) and is straight over
    the logarithm of the number of labels between its points.

    Args:
        labels: K numbers, ascending.
        curve: float (K,), mean Dice of real data alone.

    Returns:
        0 below the curve's first point, inf above its last.
    """
    return _reached(labels, _rising(curve), value)


def _rising(curve: np.ndarray) -> np.ndarray:
    from scipy.optimize import isotonic_regression

    return isotonic_regression(curve).x


def _reached(labels: Sequence[int], rising: np.ndarray, value: float) -> float:
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


def worth(
    scores: ScoreTable, asked: Sequence[Result], baseline: str, patients: Mapping[str, Patients], seed: int
) -> list[Worth]:
    """What each of the results ``asked`` is worth in real labels; nothing where the grid has one number of labels, and
    nothing of a cohort of one patient.

    Limits are percentiles under resampling of patients and of replicates together, the same draws for the arm and for
    the curve it is held against; replicates stay paired, since their label subsets are nested.
    """
    counts = sorted({n for _, _, n, _ in scores})
    if len(counts) < 2:
        return []
    curves, found = {}, []
    for one in asked:
        if patients[one.cohort].n < 2:
            continue
        where = (one.cohort, one.segmenter)
        if where not in curves:
            real = np.stack([scores[*where, n, baseline].per_case("dice") for n in counts])
            drawn = _draws(real, patients[one.cohort], seed)
            curves[where] = real.mean(axis=(1, 2)), [_rising(curve) for curve in drawn]
        curve, resampled = curves[where]
        arm = scores[*where, one.labels, one.arm].per_case("dice")
        values = _draws(arm[None], patients[one.cohort], seed)[:, 0]
        reached = [_reached(counts, rising, value) for rising, value in zip(resampled, values, strict=True)]
        low, high = percentile_limits(reached, "inverted_cdf")
        value, ends = equivalent(counts, curve, arm.mean()), (counts[0], counts[-1])
        found.append(Worth(*where, one.labels, one.arm, one.dice.mean, value, low, high, ends))
    return found


def _draws(values: np.ndarray, patients: Patients, seed: int) -> np.ndarray:
    """Means of float (K, R, N) scores under joint resampling: float (resamples, K)."""
    n_replicates = values.shape[1]
    means = np.stack([[patients.means(row) for row in one] for one in values])
    generator = seeds.numpy_generator(seed, "compare", "replicates")
    resamples = means.shape[-1]
    drawn = generator.multinomial(n_replicates, np.full(n_replicates, 1 / n_replicates), size=resamples)
    return np.einsum("krb,br->bk", means, drawn / n_replicates)
