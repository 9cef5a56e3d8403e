"""Shapes of masks: are the sampled ones distributed like the real ones? Each structure becomes five numbers."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.imaging.moments import area_moments
from pipeline.quality.distributions import PERIOD, compare

DESCRIPTORS = ("area", "aspect", "angle", "row", "column")
AXIAL = "angle"
ROUND = 0.95
"""Above this aspect ratio an outline's grain decides which axis is the longer one: the angle is undefined."""


def shape_descriptors(mask: np.ndarray, n_structures: int) -> np.ndarray:
    """float (K, 5), one row per structure of a uint8 (H, W) class map, nan throughout for an absent one.

    area: share of the image. aspect: minor over major axis of the ellipse with the same moments. angle: of its major
    axis from the horizontal, counter-clockwise, degrees in [0, 180); nan where the aspect is above ``ROUND``.
    row, column: of the centroid, shares of the image's height and width.
    """
    return np.array([_of_structure(mask == k + 1) for k in range(n_structures)])


def _of_structure(inside: np.ndarray) -> list[float]:
    if not inside.any():
        return [np.nan] * len(DESCRIPTORS)
    (row, column), covariance = area_moments(inside)
    minor, major = np.sqrt(np.linalg.eigvalsh(covariance))
    # Rows grow downwards, angles upwards.
    angle = np.degrees(np.arctan2(-2 * covariance[0, 1], covariance[1, 1] - covariance[0, 0])) / 2 % PERIOD
    height, width = inside.shape
    aspect = minor / major
    return [inside.mean(), aspect, angle if aspect <= ROUND else np.nan, (row + 0.5) / height, (column + 0.5) / width]


def compare_shapes(
    samples: Mapping[str, np.ndarray], reference: np.ndarray, sources: Sequence[str], structures: Sequence[str]
) -> dict:
    """Every sample's distance from the reference, by structure and descriptor.

    Args:
        samples: name → float (N, K, 5) of :func:`shape_descriptors`; ``synthetic`` must be among them.
        reference: float (M, K, 5).
        sources: the ``mask_source`` of each synthetic mask; these groups are compared with the reference too.
        structures: K names.

    Returns:
        structure → descriptor → what :func:`pipeline.quality.distributions.compare` gives, and ``sources`` → mask
        source → the same of its masks.
    """
    return {
        structure: {
            descriptor: compare_by_source(
                {name: values[:, k, d] for name, values in samples.items()},
                reference[:, k, d],
                sources,
                descriptor == AXIAL,
            )
            for d, descriptor in enumerate(DESCRIPTORS)
        }
        for k, structure in enumerate(structures)
    }


def compare_by_source(
    samples: Mapping[str, np.ndarray], reference: np.ndarray, sources: Sequence[str], axial: bool = False
) -> dict:
    """One number of the masks, float (N,) by sample and (M,): as :func:`compare_shapes` has it of a descriptor."""
    names = np.array(sources)
    groups = {source: samples["synthetic"][names == source] for source in sorted(set(sources))}
    found = compare({**samples, **groups}, reference, axial)
    by_source = {source: found.pop(source) for source in groups}
    return {**found, "sources": by_source}
