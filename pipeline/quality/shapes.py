"""Shapes of masks: are the sampled ones distributed like the real ones?

Each structure of a mask becomes five numbers; two samples of one number are compared by the Wasserstein-1 distance, the
mean way a value has to move for one sample to become the other, in units of the reference's standard deviation. It is
never 0 between finite samples of one distribution, and larger for fewer of them: read it beside its floor.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import wasserstein_distance

from pipeline.data.case import Case
from pipeline.imaging.letterbox import letterbox
from pipeline.imaging.moments import area_moments
from pipeline.run.errors import InputError

DESCRIPTORS = ("area", "aspect", "angle", "row", "column")
PERIOD = 180.0
"""Degrees after which a major axis points the same way again."""
ROUND = 0.95
"""Above this aspect ratio an outline's grain decides which axis is the longer one: the angle is undefined."""


def shapes_of(cases: Sequence[Case], size: int, n_structures: int) -> np.ndarray:
    """float (N, K, 5) of the cases that have a mask.

    Every mask is first brought to one resolution, ``size`` pixels along its image's longer side: on a coarser grid the
    same head has another aspect ratio.
    """
    boxed = [letterbox(case.mask, size, mask=True) for case in cases if case.mask is not None]
    described = [describe(box.crop(canvas), n_structures) for canvas, box in boxed]
    return np.array(described).reshape(-1, n_structures, len(DESCRIPTORS))


def describe(mask: np.ndarray, n_structures: int) -> np.ndarray:
    """float (K, 5), one row per structure of a uint8 (H, W) class map, nan throughout for an absent one.

    area: share of the image. aspect: minor over major axis of the ellipse with the same moments. angle: of its major
    axis from the horizontal, counter-clockwise, degrees in [0, 180); nan where the aspect is above ``ROUND``.
    row, column: of the centroid, shares of the image's height and width.
    """
    return np.array([_describe_one(mask == k + 1) for k in range(n_structures)])


def _describe_one(inside: np.ndarray) -> list[float]:
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
    samples: Mapping[str, np.ndarray],
    reference: np.ndarray,
    sources: Sequence[str],
    structures: Sequence[str],
) -> dict:
    """Every sample's distance from the reference, by structure and descriptor.

    Args:
        samples: name → float (N, K, 5) of :func:`describe`; ``synthetic`` must be among them.
        reference: float (M, K, 5).
        sources: the ``mask_source`` of each synthetic mask; these groups are compared with the reference too.
        structures: K names.

    Returns:
        structure → descriptor → ``reference`` and each sample's name → summary (:func:`summary`), and ``sources`` →
        mask source → summary.

    Raises:
        InputError: a sample holds no mask.
    """
    if empty := [name for name, values in {"reference": reference, **samples}.items() if not len(values)]:
        raise InputError(f"the shapes of the masks in '{empty[0]}' cannot be compared: there is none; add cases")
    names = np.array(sources)
    groups = {source: samples["synthetic"][names == source] for source in sorted(set(sources))}
    return {
        structure: {
            descriptor: {
                "reference": spread(reference[:, k, d], descriptor),
                **{name: summary(values[:, k, d], reference[:, k, d], descriptor) for name, values in samples.items()},
                "sources": {
                    source: summary(values[:, k, d], reference[:, k, d], descriptor)
                    for source, values in groups.items()
                },
            }
            for d, descriptor in enumerate(DESCRIPTORS)
        }
        for k, structure in enumerate(structures)
    }


def summary(values: np.ndarray, reference: np.ndarray, descriptor: str) -> dict:
    """``distance`` from the reference in its standard deviations, None where undefined, and :func:`spread`."""
    return {"distance": shape_distance(values, reference, descriptor), **spread(values, descriptor)}


def spread(values: np.ndarray, descriptor: str) -> dict:
    """mean and std (None without a value), n values, and how many masks are undefined (nan)."""
    known = values[np.isfinite(values)]
    mean, std = mean_and_std(known, descriptor) if known.size else (None, None)
    return {"mean": mean, "std": std, "n": known.size, "undefined": values.size - known.size}


def shape_distance(values: np.ndarray, reference: np.ndarray, descriptor: str) -> float | None:
    """Wasserstein-1 distance in standard deviations of the reference; nan in either sample is left out.

    Args:
        values, reference: float (N,) and (M,).

    Returns:
        None where a sample has no value or the reference does not vary.
    """
    a, b = values[np.isfinite(values)], reference[np.isfinite(reference)]
    if not a.size or not b.size:
        return None
    scale = mean_and_std(b, descriptor)[1]
    if scale == 0:
        return None
    return float((axial_distance(a, b) if descriptor == "angle" else wasserstein_distance(a, b)) / scale)


def mean_and_std(values: np.ndarray, descriptor: str) -> tuple[float, float]:
    """Mean and standard deviation of (N,) values, N ≥ 1.

    For angles the mean axis, in [0, 180), and the root mean square of the turns from it, each at most 90 degrees:
    at most 52 degrees for axes that point everywhere alike.
    """
    if descriptor != "angle":
        return float(values.mean()), float(values.std())
    mean = np.degrees(np.angle(np.exp(2j * np.radians(values)).mean())) / 2
    turns = (values - mean + PERIOD / 2) % PERIOD - PERIOD / 2
    return float(mean % PERIOD), float(np.sqrt(np.mean(turns**2)))


def axial_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Wasserstein-1 distance, in degrees, between two samples of axes, (N,) and (M,), on the circle of 180 degrees.

    Exact: on a circle it is the smallest integral of |F - G - c| over a constant c, which the median of F - G attains
    (Rabin, Delon and Gousseau, 2011).
    """
    a, b = np.sort(a % PERIOD), np.sort(b % PERIOD)
    points = np.sort(np.concatenate([a, b]))
    widths = np.diff(points, append=points[0] + PERIOD)
    gaps = np.searchsorted(a, points, side="right") / len(a) - np.searchsorted(b, points, side="right") / len(b)
    order = np.argsort(gaps)
    half = np.searchsorted(np.cumsum(widths[order]), PERIOD / 2)
    return float(np.abs(gaps - gaps[order][half]) @ widths)
