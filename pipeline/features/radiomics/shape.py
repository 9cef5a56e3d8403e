"""Shape of a region in the plane, in pixels.

IBSI defines morphology in space only. These are its definitions (section 3.1) one dimension lower: area for volume and
perimeter for surface. The mesh is that of marching squares at half height: its vertices lie halfway between a pixel of
the region and one outside, so corners are cut, and pixels that touch at a corner alone are apart. Of a large disc the
perimeter of such a mesh is about 5 % too long; it is for comparison between regions.
"""

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from pipeline.imaging.moments import semi_axes

NAMES = (
    "mesh_area",
    "pixel_area",
    "perimeter",
    "perimeter_to_area_ratio",
    "sphericity",
    "roundness",
    "maximum_diameter",
    "minimum_diameter",
    "major_axis_length",
    "minor_axis_length",
    "elongation",
    "area_density_convex_hull",
    "area_density_ellipse",
)
# By which of four pixels in a square are in the region, as bits: top left, top right, bottom left, bottom right.
_CUT = np.sqrt(0.5)
_LENGTH = np.array([0, _CUT, _CUT, 1, _CUT, 1, 2 * _CUT, _CUT, _CUT, 2 * _CUT, 1, _CUT, 1, _CUT, _CUT, 0])
_AREA = np.array([0, 1, 1, 4, 1, 4, 2, 7, 1, 2, 4, 7, 4, 7, 7, 8]) / 8


def features(region: np.ndarray) -> np.ndarray:
    """float64 (13,) of bool (H, W) with at least one True, named by ``NAMES``; every one has a value.

    sphericity: 2 √(π area) / perimeter of the mesh. roundness: 4 area / (π maximum diameter²). maximum and minimum
    diameter: the largest and the least width of the mesh in any direction (Feret). Axis lengths: 4 √λ of the ellipse
    with the second moments of the region, pixels being squares; elongation: minor / major, 1 for a disc.
    area_density_convex_hull: area of the mesh over that of its convex hull. area_density_ellipse: area in pixels over
    that of the ellipse of moments, 1 for a filled ellipse.
    """
    framed = np.pad(region, 1).view(np.uint8)
    corners = framed[:-1, :-1] + 2 * framed[:-1, 1:] + 4 * framed[1:, :-1] + 8 * framed[1:, 1:]
    squares = np.bincount(corners.ravel(), minlength=16)
    area, perimeter, pixels = squares @ _AREA, squares @ _LENGTH, np.count_nonzero(region)
    hull = ConvexHull(_extremes(region))
    corner_points = hull.points[hull.vertices]
    longest = pdist(corner_points).max()
    major, minor = (2 * half for half in semi_axes(region))
    return np.array(
        [
            area,
            pixels,
            perimeter,
            perimeter / area,
            2 * np.sqrt(np.pi * area) / perimeter,
            4 * area / (np.pi * longest**2),
            longest,
            np.ptp(corner_points @ hull.equations[:, :2].T, axis=0).min(),
            major,
            minor,
            minor / major,
            area / hull.volume,
            4 * pixels / (np.pi * major * minor),
        ]
    )


def _extremes(region: np.ndarray) -> np.ndarray:
    """float (N, 2): the outermost vertices of the mesh in every row and column; its convex hull is theirs."""
    points = []
    for axis in (0, 1):
        lines = region if axis == 0 else region.T
        places = np.flatnonzero(lines.any(axis=1))
        first = lines[places].argmax(axis=1) - 0.5
        last = lines.shape[1] - lines[places, ::-1].argmax(axis=1) - 0.5
        ends = np.concatenate([np.stack([places, first]), np.stack([places, last])], axis=1)
        points.append(ends.T if axis == 0 else ends[::-1].T)
    return np.concatenate(points)
