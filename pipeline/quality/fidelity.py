"""FID, KID, precision, recall, density and coverage between two sets of features.

The values are torch-fidelity's (density and coverage: Naeem et al. 2020). FID on a few hundred images is biased
upwards, by an amount that depends on the sizes: compare sets of one size, and read every number between its floor (real
against real) and its worst reference (a foreign cohort).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from pipeline.config.quality import least_images
from pipeline.quality.density import ball_radii, density_coverage, inside_balls
from pipeline.quality.frechet import check_features, frechet_distance
from pipeline.quality.intervals import half_sample_interval

MAX_KID_SUBSET = 1000
NAMES = ("fid", "kid", "precision", "recall", "density", "coverage")
LEAST = np.array([0, -np.inf, 0, 0, 0, 0])
MOST = np.array([np.inf, np.inf, 1, 1, np.inf, 1])
"""What each metric can be."""


class Metric(NamedTuple):
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
    """Metrics of ``candidates`` against ``reference``, by ``NAMES``.

    Args:
        candidates, reference: float (N, D) and (M, D), features of one extractor; N and M at least 8 and at least
            2 ``neighbours`` + 2, so that half of them have as many neighbours.
        kid_subsets: subsets KID averages over; their size is half of the smaller set, at most 1000.
        neighbours: k of the k-nearest-neighbour balls of precision, recall, density and coverage.
        resamples: of the intervals, which take a few N × N or N × M matrices of memory; 0 for none.

    Returns:
        Low is good for fid (at least 0) and kid (around 0 for equal distributions, also below); high is good for
        precision, recall, coverage (in [0, 1]) and density (at least 0, about 1 for equal distributions).

    Raises:
        InputError: too few images, or features that are nan or infinite.
    """
    x, y = (features.double().numpy() for features in (candidates, reference))
    check_features(x, y, least_images(neighbours))
    fid = fid_statistics_to_metric(*map(fid_features_to_statistics, (candidates, reference)), verbose=False)
    prc = prc_features_to_metric(candidates, reference, prc_neighborhood=neighbours, verbose=False)
    subset = min(len(candidates) // 2, len(reference) // 2, MAX_KID_SUBSET)
    options = {"kid_subsets": kid_subsets, "kid_subset_size": subset, "rng_seed": seed % 2**31, "verbose": False}
    kid = kid_features_to_metric(candidates, reference, **options)
    density = density_coverage(inside_balls(x, y, neighbours), neighbours)
    distances = fid[KEY_METRIC_FID], kid[KEY_METRIC_KID_MEAN]
    values = [*distances, prc[KEY_METRIC_PRECISION], prc[KEY_METRIC_RECALL], *density]
    limits = [(None, None)] * len(NAMES)
    if resamples > 1:
        low, high = half_sample_interval(_of_rows(x, y, neighbours), len(x), np.array(values), resamples, seed)
        # Moving the halves to the value can push a limit past what the metric can be.
        low, high = np.maximum(LEAST, np.minimum(low, values)), np.minimum(MOST, np.maximum(high, values))
        limits = zip(low, high, strict=True)
    return {
        name: Metric(value, *ends, kid[KEY_METRIC_KID_STD] if name == "kid" else None)
        for name, value, ends in zip(NAMES, values, limits, strict=True)
    }


def _of_rows(candidates: np.ndarray, reference: np.ndarray, neighbours: int) -> Callable[[np.ndarray], np.ndarray]:
    """The metrics, float (6,), as a function of the candidates' row numbers; what all have in common is computed once.

    KID is of the whole sets, not over subsets, less what the reference adds to it: the unbiased squared maximum mean
    discrepancy (Bińkowski et al. 2018, equation 4).
    """
    across, among, radii = (
        cdist(candidates, reference),
        cdist(candidates, candidates),
        ball_radii(reference, neighbours),
    )
    kernel_across, kernel_among = ((candidates @ b.T / b.shape[1] + 1) ** 3 for b in (reference, candidates))
    np.fill_diagonal(kernel_among, 0)

    def metrics(rows: np.ndarray) -> np.ndarray:
        square, count = np.ix_(rows, rows), len(rows)
        kid = kernel_among[square].sum() / (count * (count - 1)) - 2 * kernel_across[rows].mean()
        inside = across[rows] < radii
        reach = np.partition(among[square], neighbours, axis=1)[:, neighbours]
        recall = (across[rows] <= reach[:, None]).any(axis=0).mean()
        fid = frechet_distance(candidates[rows], reference)
        return np.array([fid, kid, inside.any(axis=1).mean(), recall, *density_coverage(inside, neighbours)])

    return metrics
