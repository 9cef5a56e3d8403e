"""The Fréchet distance between two samples of features, without a matrix square root."""

import numpy as np

from pipeline.run.errors import InputError


def frechet_distance(candidates: np.ndarray, reference: np.ndarray) -> float:
    """Squared Fréchet (2-Wasserstein) distance between the Gaussians fitted to two samples, the convention of FID.

    |m1 - m2|² + tr S1 + tr S2 - 2 tr (S1 S2)^½ (Dowson and Landau, 1982). With the centred samples A1 and A2 the last
    trace is the sum of the singular values of A1 A2ᵀ, over √((N-1)(M-1)): exact, and stable where a covariance is
    singular, as it is for fewer rows than features.

    Args:
        candidates, reference: float (N, D) and (M, D), one row per image, N and M at least 2, all finite.

    Returns:
        At least 0, in squared units of the features.

    Raises:
        InputError: see :func:`check_features`.
    """
    first, second = (np.asarray(sample, dtype=np.float64) for sample in (candidates, reference))
    check_features(first, second, 2)
    shift = first.mean(axis=0) - second.mean(axis=0)
    a, b = _scatter_root(first), _scatter_root(second)
    overlap = np.linalg.norm(a @ b.T, ord="nuc")
    return max(0.0, float(shift @ shift + (a**2).sum() + (b**2).sum() - 2 * overlap))


def check_features(candidates: np.ndarray, reference: np.ndarray, least: int) -> None:
    """Hold two samples against what a distance between them needs.

    Raises:
        InputError: fewer than ``least`` rows, or a value that is not finite.
    """
    for name, sample in (("candidates", candidates), ("reference", reference)):
        if sample.ndim != 2 or len(sample) < least:
            few = f"the features of the {name} have shape {sample.shape}"
            remedy = "add images (sample.count, cohorts), or lower score.neighbours"
            raise InputError(f"a distance between sets needs at least {least} images a side, {few}; {remedy}")
        if not np.isfinite(sample).all():
            raise InputError(f"features of the {name} hold nan or inf; give other weights under score.extractors")


def _scatter_root(sample: np.ndarray) -> np.ndarray:
    """A float (min(N, D), D) with AᵀA the unbiased covariance of (N, D)."""
    centred = (sample - sample.mean(axis=0)) / np.sqrt(len(sample) - 1)
    return np.linalg.qr(centred, mode="r") if centred.shape[0] > centred.shape[1] else centred
