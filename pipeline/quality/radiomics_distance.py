"""Distances between sets of images in radiomic features."""

import numpy as np

from pipeline.features.radiomics import FEATURES
from pipeline.quality import distributions
from pipeline.quality.frechet import check_features, frechet_distance
from pipeline.run.errors import InputError


def frechet_radiomics_distance(candidates: np.ndarray, reference: np.ndarray) -> float:
    """Squared Fréchet distance of radiomics features, each in standard deviations of the reference.

    After the Fréchet radiomics distance of Osuala et al. (MICCAI 2024, "Towards learning contrast kinetics with
    multi-condition latent diffusion models") and its later form, Konz et al. (2024, arXiv 2412.01496). Those take some
    94 and 464 PyRadiomics features; the later form adds wavelet and Laplacian images and reports a logarithm. Here
    there are 48, made with scikit-image from the image itself, no wavelets and no logarithm. The numbers are not
    comparable.

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
