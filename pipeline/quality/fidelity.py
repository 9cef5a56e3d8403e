"""FID, KID, precision, recall, density and coverage between two sets of features.

The values are torch-fidelity's (density and coverage: Naeem et al. 2020). FID on a few hundred images is biased
upwards, by an amount that depends on the sizes: compare sets of one size, and read every number between its floor (real
against real) and its worst reference (a foreign cohort).
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from pipeline.quality.density import density_coverage, inside_balls
from pipeline.quality.frechet import check_features, frechet_distance
from pipeline.quality.intervals import Statistic, statistic_interval

MIN_IMAGES = 8
MAX_KID_SUBSET = 1000
RANGE = {
    "fid": (0, np.inf),
    "kid": (-np.inf, np.inf),
    "precision": (0, 1),
    "recall": (0, 1),
    "density": (0, np.inf),
    "coverage": (0, 1),
}


@dataclass(frozen=True)
class Metric:
    """low, high: 95 % interval over the candidates, the reference held; None without resamples.

    spread: standard deviation over KID's subsets; None for other metrics.
    """

    value: float
    low: float | None
    high: float | None
    spread: float | None


def fidelity(
    candidates: Tensor, reference: Tensor, *, kid_subsets: int, neighbours: int, seed: int, resamples: int
) -> dict[str, Metric]:
    """Metrics of ``candidates`` against ``reference``, by the names in ``RANGE``.

    Args:
        candidates, reference: float (N, D) and (M, D), features of one extractor; N and M at least 8 and at least
            ``neighbours`` + 2.
        kid_subsets: subsets KID averages over; their size is half of the smaller set, at most 1000.
        neighbours: k of the k-nearest-neighbour balls of precision, recall, density and coverage.
        resamples: of the intervals, which take four N × N or N × M matrices of memory; 0 for none.

    Returns:
        Low is good for fid (at least 0) and kid (around 0 for equal distributions, also below); high is good for
        precision, recall, coverage (in [0, 1]) and density (at least 0, about 1 for equal distributions).

    Raises:
        InputError: too few images, different numbers of features, or features that are nan or infinite.
    """
    x, y = (features.double().numpy() for features in (candidates, reference))
    check_features(x, y, max(MIN_IMAGES, neighbours + 2))
    values, spread = _torch_fidelity(candidates, reference, kid_subsets, neighbours, seed)
    inside = inside_balls(x, y, neighbours)
    values["density"], values["coverage"] = density_coverage(inside, neighbours)
    statistics = _resampled(x, y, inside, neighbours) if resamples > 1 else {}
    return {
        name: Metric(
            values[name],
            *_interval(name, statistics.get(name), len(x), values[name], resamples, seed),
            spread if name == "kid" else None,
        )
        for name in RANGE
    }


def _resampled(
    candidates: np.ndarray, reference: np.ndarray, inside: np.ndarray, neighbours: int
) -> dict[str, Statistic]:
    """Each metric as a function of the candidates' row numbers.

    What all resamples share is computed here, once. KID is over the whole sets, not over subsets.
    """
    balls = inside.sum(axis=1)
    return {
        "fid": lambda rows: frechet_distance(candidates[rows], reference),
        "kid": _kid(candidates, reference),
        "precision": lambda rows: float((balls[rows] > 0).mean()),
        "recall": _recall(candidates, reference, neighbours),
        "density": lambda rows: float(balls[rows].mean() / neighbours),
        "coverage": lambda rows: float(inside[np.unique(rows)].any(axis=0).mean()),
    }


def _torch_fidelity(
    candidates: Tensor, reference: Tensor, kid_subsets: int, neighbours: int, seed: int
) -> tuple[dict[str, float], float]:
    """FID, KID, precision and recall, and KID's standard deviation over subsets."""
    fid = fid_statistics_to_metric(*map(fid_features_to_statistics, (candidates, reference)), verbose=False)
    kid = kid_features_to_metric(
        candidates,
        reference,
        kid_subsets=kid_subsets,
        kid_subset_size=min(len(candidates) // 2, len(reference) // 2, MAX_KID_SUBSET),
        rng_seed=seed % 2**31,
        verbose=False,
    )
    prc = prc_features_to_metric(candidates, reference, prc_neighborhood=neighbours, verbose=False)
    values = {
        "fid": fid[KEY_METRIC_FID],
        "kid": kid[KEY_METRIC_KID_MEAN],
        "precision": prc[KEY_METRIC_PRECISION],
        "recall": prc[KEY_METRIC_RECALL],
    }
    return values, kid[KEY_METRIC_KID_STD]


def _interval(
    name: str, statistic: Statistic | None, count: int, value: float, resamples: int, seed: int
) -> tuple[float, float] | tuple[None, None]:
    if statistic is None:
        return None, None
    low, high = statistic_interval(statistic, count, value, resamples, seed)
    # Moving the resamples to the value can push a limit past what the metric can be.
    floor, ceiling = RANGE[name]
    return max(floor, min(low, value)), min(ceiling, max(high, value))


def _kid(candidates: np.ndarray, reference: np.ndarray) -> Statistic:
    """Unbiased squared maximum mean discrepancy with KID's kernel (Bińkowski et al. 2018, equation 4).

    Pairs of an image with itself are left out, those of its repetitions too: they would raise the estimate.
    """

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    count, own = len(candidates), kernel(candidates, candidates)
    np.fill_diagonal(own, 0)
    others = kernel(reference, reference)
    within_reference = (others.sum() - others.trace()) / (len(others) * (len(others) - 1))
    across = kernel(candidates, reference).mean(axis=1)

    def statistic(rows: np.ndarray) -> float:
        drawn = np.bincount(rows, minlength=count).astype(np.float64)
        pairs = drawn.sum() ** 2 - drawn @ drawn
        return float(drawn @ own @ drawn / pairs + within_reference - 2 * drawn @ across / drawn.sum())

    return statistic


def _recall(candidates: np.ndarray, reference: np.ndarray, neighbours: int) -> Statistic:
    """Share of the reference in a ball around a candidate (Kynkäänniemi et al. 2019), repetitions being neighbours."""
    # The k-th neighbour in a resample lies, all but surely, among the nearest few of the whole set.
    count = len(candidates)
    nearest = torch.from_numpy(cdist(candidates, candidates)).topk(min(count, 8 * neighbours + 40), largest=False)
    distances, order = nearest.values.numpy(), nearest.indices.numpy()
    across = cdist(candidates, reference)

    def statistic(rows: np.ndarray) -> float:
        times = np.bincount(rows, minlength=count)
        drawn = np.flatnonzero(times)
        last = (times[order[drawn]].cumsum(axis=1) > neighbours).argmax(axis=1)
        return float((across[drawn] <= distances[drawn, last][:, None]).any(axis=0).mean())

    return statistic
