"""Distances between sets of images in radiomic features."""

import numpy as np

from pipeline.config.binning import FixedBinWidth
from pipeline.features import radiomics
from pipeline.quality import distributions
from pipeline.quality.frechet import check_features, frechet_distance
from pipeline.run.errors import InputError

BINNING = FixedBinWidth(width=8)
"""32 bins of [0, 255], fixed so that a shift of the grey levels is seen."""
MIN_PIXELS = 64
"""A region with fewer pixels has no features."""
DESCRIPTIVE = (
    *(f"first_order.{name}" for name in ("mean", "mean_absolute_deviation", "skewness", "kurtosis")),
    *(f"first_order.{name}" for name in ("percentile_10", "median", "percentile_90")),
    "histogram.entropy",
    *(f"glcm.{name}" for name in ("contrast", "correlation", "inverse_difference_moment", "joint_entropy")),
    *(f"glcm.{name}" for name in ("difference_entropy", "information_correlation_1")),
    *(f"glrlm.{name}" for name in ("short_runs_emphasis", "run_percentage", "run_entropy")),
    *(f"glszm.{name}" for name in ("small_zone_emphasis", "zone_percentage", "zone_size_entropy")),
    "glszm.small_zone_low_grey_level_emphasis",
    "ngldm.low_dependence_emphasis",
    "ngldm.low_dependence_low_grey_level_emphasis",
    "ngtdm.complexity",
)
"""Of ``radiomics.FEATURES`` the 24 that sets are compared by. None grows with the size of the region, none is unbounded
where an image is flat, and they are few because sets of some 50 images are compared: more dimensions would be bias."""
FEATURES: tuple[str, ...] = tuple(f"{region}.{name}" for region in ("head", "image") for name in DESCRIPTIVE)
"""Names of the 48 features, in the order of :func:`radiomics_features`."""
_PLACES = [radiomics.FEATURES.index(name) for name in DESCRIPTIVE]


def radiomics_features(image: np.ndarray, region: np.ndarray) -> np.ndarray:
    """float64 (48,) of one image, named by ``FEATURES``: first those of the head, then those of the whole image.

    Args:
        image: uint8 (H, W), without the padding of a letter-box.
        region: bool (H, W), the head; empty where it is not known.

    Returns:
        nan for what has fewer than ``MIN_PIXELS`` pixels. Nothing outside the region changes the features of the head.
    """
    return np.concatenate([_of(image, region), _of(image, np.ones(image.shape, dtype=bool))])


def _of(image: np.ndarray, region: np.ndarray) -> np.ndarray:
    if np.count_nonzero(region) < MIN_PIXELS:
        return np.full(len(_PLACES), np.nan)
    return radiomics.radiomics(image, region, BINNING)[_PLACES]


def frechet_radiomics_distance(candidates: np.ndarray, reference: np.ndarray) -> float:
    """Squared Fréchet distance of radiomics features, each in standard deviations of the reference.

    After the Fréchet radiomics distance of Osuala et al. (MICCAI 2024, "Towards learning contrast kinetics with
    multi-condition latent diffusion models") and its later form, Konz et al. (2024, arXiv 2412.01496). Those take some
    94 and 464 PyRadiomics features; the later form adds wavelet and Laplacian images and reports a logarithm. Here
    there are the 48 of ``FEATURES``, of the image itself, no wavelets and no logarithm. The numbers are not comparable.

    Args:
        candidates, reference: float (N, F) and (M, F). Rows with a nan are left out, as are features that do not vary
            in the reference. Like FID it is biased upwards for few images: compare sets of one size.

    Raises:
        InputError: fewer than two complete rows a side, or no feature that varies.
    """
    return frechet_distance(*standardised(candidates, reference))


def standardised(candidates: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The complete rows of both in standard deviations of the reference, without features that do not vary there.

    Raises:
        InputError: fewer than two complete rows a side, or no feature that varies.
    """
    first, second = (sample[np.isfinite(sample).all(axis=1)] for sample in (candidates, reference))
    check_features(first, second, 2)
    varying = np.ptp(second, axis=0) > 1e-9
    if not varying.any():
        raise InputError("no radiomics feature varies in the reference: its images are alike; add others")
    mean, std = second[:, varying].mean(axis=0), second[:, varying].std(axis=0)
    return (first[:, varying] - mean) / std, (second[:, varying] - mean) / std


def most_different(candidates: np.ndarray, reference: np.ndarray, count: int) -> list[tuple[str, float]]:
    """The ``count`` features whose distributions differ most, as (name, distance), largest first.

    Distances are those of :mod:`pipeline.quality.distributions`; a feature without values or variation has none.

    Args:
        candidates, reference: float (N, F) and (M, F), columns named by ``FEATURES``.
    """
    found = [
        (name, distance)
        for name, values, known in zip(FEATURES, candidates.T, reference.T, strict=True)
        if (distance := distributions.distance(values, known)) is not None
    ]
    return sorted(found, key=lambda pair: -pair[1])[:count]
