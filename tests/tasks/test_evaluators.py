"""The evaluators of PSFHS 2023 and IUGC 2024: against OpenCV's numbers, SimpleITK, and computations step by step."""

import math

import numpy as np
import pytest
import SimpleITK
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.measure import find_contours

from pipeline.decoding.decode import decode_mask
from pipeline.tasks.segmentation.biometry import opencv
from pipeline.tasks.segmentation.biometry.iugc2024 import iugc2024_biometry
from pipeline.tasks.segmentation.biometry.official import (
    OfficialCase,
    at_official_size,
    official_angle,
    official_aop,
    official_distances,
)
from tests.tasks.scenes import Oval, Scene, random_scene

WITH_OPENCV = {
    "03744": (147.7373, 136.6402, 30.3645),
    "03800": (110.2774, 117.9795, 40.7922),
    "03851": (97.0859, 96.9520, 51.0098),
    "03900": (142.0866, 144.7334, 25.0000),
    "03971": (164.2273, 149.1206, 25.9615),
    "03995": (173.5624, None, None),
    "04042": (147.2321, 131.5936, 25.3180),
    "04127": (126.7104, 142.3947, 11.0000),
    "04349": (74.9069, 76.3584, 51.6236),
    "04618": (98.1623, 98.9114, 70.0000),
    "04883": (156.3916, 167.3288, 12.3693),
    "05060": (79.6112, 80.3883, 43.8292),
}
"""PSFHS case → AoP of 2023, AoP and HSD of 2024, computed once with OpenCV 4.10 and 5.0 (which agree)."""
SCENES_WITH_OPENCV = [
    (113.5092, 110.1767, 60.6383), (81.7462, 83.7908, 56.0803), (110.8184, 109.444, 69.4262),
    (111.9714, 108.2928, 37.6431), (121.155, 123.4143, 32.6956), (92.5944, 89.4494, 68.542),
]  # fmt: skip
"""The same of the first scenes of seed 8."""


def measured(mask):
    later = iugc2024_biometry(mask == 1, mask == 2)
    return official_aop(mask == 1, mask == 2), *(later or (None, None))


def test_scenes_measured_with_opencv():
    rng = np.random.default_rng(8)
    for expected in SCENES_WITH_OPENCV:
        assert measured(random_scene(rng).class_map()) == pytest.approx(expected, abs=2e-4)


@pytest.fixture(scope="module")
def psfhs(shared_data):
    folder = shared_data / "psfhs" / "label_mha"
    if not folder.is_dir():
        pytest.skip("the shared data has no PSFHS")
    return {path.stem: decode_mask(path.read_bytes(), path.name) for path in sorted(folder.glob("*.mha"))}


def test_true_masks_measured_with_opencv(psfhs):
    for case, expected in WITH_OPENCV.items():
        found = measured(psfhs[case])
        assert [one is None for one in found] == [one is None for one in expected]
        assert [one for one in found if one] == pytest.approx([one for one in expected if one], abs=2e-4)


def test_official_angle_step_by_step(psfhs):
    for mask in [
        *list(psfhs.values())[::25],
        *(random_scene(np.random.default_rng(seed)).class_map() for seed in (1, 2)),
    ]:
        assert official_aop(mask == 1, mask == 2) == pytest.approx(angle_in_steps(mask == 1, mask == 2), abs=0.1)


def angle_in_steps(symphysis, head):
    """Contour by marching squares, simplification by recursion, axes from eigenvalues, tangent by dense sampling."""
    bone, skull = (conic_ellipse(polygon(border(mask))) for mask in (symphysis, head))
    (centre, semi_axes, frame) = bone
    ends = [centre + sign * semi_axes[0] * frame[0] for sign in (-1, 1)]
    superior, inferior = sorted(ends, key=lambda end: end[0])
    centre, (a, b), frame = skull
    turns = np.linspace(0, 2 * math.pi, 200_001)
    rim = np.stack([a * np.cos(turns), b * np.sin(turns)], axis=1)
    away = rim - frame @ (inferior - centre)
    # Where a ray from the end only touches, it runs along the rim.
    along = np.stack([-a * np.sin(turns), b * np.cos(turns)], axis=1)
    side = np.sign(away[:, 0] * along[:, 1] - away[:, 1] * along[:, 0])
    touching = [np.flatnonzero(side[:-1] != side[1:])[k] for k in (0, -1)]
    slopes = away[touching, 1] / away[touching, 0]
    x = (frame @ (inferior - centre))[0]
    # The smaller root of the quadratic equation of slopes where the end lies beyond the long axis, the larger within.
    touch = touching[int(np.argmin(slopes) if abs(x) > a else np.argmax(slopes))]
    one, other = superior - inferior, rim[touch] @ frame + centre - inferior
    return math.degrees(math.acos(one @ other / np.linalg.norm(one) / np.linalg.norm(other)))


def border(mask):
    """Pixels (x, y) on the outer border, anticlockwise as displayed from the first in reading order."""
    lines = find_contours(np.pad(mask, 1).astype(float), 0.99, fully_connected="high")
    pixels = np.rint(max(lines, key=len)[:-1]).astype(int)[:, ::-1] - 1
    pixels = pixels[(pixels != np.roll(pixels, 1, axis=0)).any(axis=1)]
    first = np.lexsort((pixels[:, 0], pixels[:, 1]))[0]
    pixels = np.roll(pixels, -first, axis=0)
    x, y = pixels.T
    clockwise = (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() > 0
    return np.roll(pixels[::-1], 1, axis=0) if clockwise else pixels


def polygon(points):
    """Douglas and Peucker to 1 pixel, from two points that are about farthest apart."""
    start = 0
    for _ in range(3):
        start, other = int(np.linalg.norm(points - points[start], axis=1).argmax()), start
    low, high = sorted((start, other))
    halves = points[low : high + 1], np.concatenate([points[high:], points[: low + 1]])
    return without_straight(np.concatenate([simplify(half)[:-1] for half in halves]))


def simplify(points):
    chord = points[-1] - points[0]
    away = np.abs((points[:, 0] - points[0, 0]) * chord[1] - (points[:, 1] - points[0, 1]) * chord[0])
    middle = int(away.argmax())
    if away[middle] <= np.linalg.norm(chord):
        return points[[0, -1]]
    return np.concatenate([simplify(points[: middle + 1])[:-1], simplify(points[middle:])])


def without_straight(corners):
    """A corner within half a square pixel of the line between its neighbours goes, and the next one stays unasked."""
    kept, before, k = [], corners[-1], 0
    while k < len(corners):
        here, after = corners[k], corners[(k + 1) % len(corners)]
        line = after - before
        away = abs((here - before)[0] * line[1] - (here - before)[1] * line[0]) / np.linalg.norm(line)
        goes = away**2 <= 0.5 and line.all() and (here - before) @ (after - here) >= 0
        before = after if goes else here
        kept.append(before)
        k += 2 if goes else 1
    # A last corner that goes leaves the first, which is there already.
    return np.array(kept[:-1] if goes and k > len(corners) else kept)


def conic_ellipse(points):
    """Least squares for the centre of a conic, and then for its axes; centre, semi-axes, and their directions."""
    p = points - points.mean(axis=0)
    design = np.column_stack([p[:, 0] ** 2, p[:, 1] ** 2, p[:, 0] * p[:, 1], p])
    a, b, c, d, e = np.linalg.solve(design.T @ design, design.sum(axis=0))
    middle = np.linalg.solve([[2 * a, c], [c, 2 * b]], [-d, -e])
    p = p - middle
    design = np.column_stack([p[:, 0] ** 2, p[:, 1] ** 2, p[:, 0] * p[:, 1]])
    a, b, c = np.linalg.solve(design.T @ design, design.sum(axis=0))
    values, vectors = np.linalg.eigh([[a, c / 2], [c / 2, b]])
    long = vectors[:, 0] * (1 if vectors[0, 0] >= 0 else -1)
    return middle + points.mean(axis=0), 1 / np.sqrt(values), np.array([long, [-long[1], long[0]]])


def test_iugc_step_by_step():
    """Farthest pixels by brute force; the tangent is the extreme direction in which the head's border is seen."""
    rng = np.random.default_rng(9)
    for _ in range(6):
        one = random_scene(rng)
        mask = one.class_map()
        bone, skull = (np.argwhere(mask == k)[:, ::-1].astype(float) for k in (1, 2))
        pairs = cdist(bone, bone)
        superior, inferior = sorted(
            (bone[k] for k in np.unravel_index(pairs.argmax(), pairs.shape)), key=lambda p: p[0]
        )
        found = iugc2024_biometry(mask == 1, mask == 2)
        assert found.hsd_px == pytest.approx(cdist([inferior], skull).min())
        axis, seen = superior - inferior, skull - inferior
        angles = np.degrees(np.arctan2(seen @ (axis[1], -axis[0]), seen @ axis)) % 360
        assert found.aop_deg == pytest.approx(min(angles.max(), 360 - angles.max()), abs=1e-6) or (
            # Several pairs of pixels may lie equally far apart.
            np.isclose(pairs, pairs.max()).sum() > 2
        )


def itk(mask):
    return SimpleITK.GetImageFromArray(mask.astype(np.uint8))


def itk_distances(prediction, reference):
    """Hausdorff and average symmetric surface distance, as the challenge has SimpleITK compute them."""
    hausdorff = SimpleITK.HausdorffDistanceImageFilter()
    hausdorff.Execute(itk(prediction), itk(reference))
    maps = [
        np.abs(SimpleITK.GetArrayFromImage(SimpleITK.SignedMaurerDistanceMap(itk(one), False, False)))
        for one in (prediction, reference)
    ]
    surfaces = [one == 0 for one in maps]
    total = maps[0][surfaces[1]].sum() + maps[1][surfaces[0]].sum()
    return hausdorff.GetHausdorffDistance(), total / (surfaces[0].sum() + surfaces[1].sum())


@pytest.mark.parametrize("seed", range(6))
def test_distances_are_those_of_simpleitk(seed):
    rng = np.random.default_rng(seed)
    one, other = (
        (noise := ndimage.gaussian_filter(rng.normal(size=(70, 90)), 5)) > np.quantile(noise, 0.6) for _ in range(2)
    )
    assert one[0].any() or one[:, 0].any() or one[-1].any() or one[:, -1].any()
    dsc, *distances = official_distances(one, other)
    assert distances == pytest.approx(itk_distances(one, other), rel=1e-5)
    assert dsc == (2 * (one & other).sum() + 1) / (one.sum() + other.sum() + 1)


def test_failure_values():
    scene = Scene(Oval((90, 60), 30, 14, 0.0), Oval((130, 150), 60, 60, 0.0)).class_map()
    nothing, empty = np.zeros_like(scene), np.zeros(scene.shape, bool)
    assert official_distances(empty, scene == 2) == official_distances(scene == 2, empty) == (0, 100, 100)
    assert official_distances(empty, empty) == (1, 0, 0)
    assert official_aop(empty, scene == 2) == official_aop(scene == 1, empty) == 0
    true = official_aop(scene == 1, scene == 2)
    assert OfficialCase(nothing, scene).scores(1, 2) == pytest.approx((true, 0.5 * (1 - true / 180)))
    assert OfficialCase(scene, scene).scores(1, 2) == (0, 1)
    assert iugc2024_biometry(empty, scene == 2) is iugc2024_biometry(scene == 1, empty) is None
    # A square has four corners: no ellipse is fitted to five points or fewer.
    square = empty.copy()
    square[40:60, 60:80] = True
    assert official_aop(square, scene == 2) == 0 and official_angle(square, scene == 2) is None


@pytest.mark.parametrize("times", [1, 2, 4])
def test_numbers_of_the_challenge_belong_to_256_pixels(times):
    """An image that was enlarged has the scores of what it was; so has a prediction that misses everything."""
    true = Scene(Oval((90, 60), 30, 14, 0.0), Oval((130, 150), 60, 52, 0.4)).class_map()
    other = Scene(Oval((92, 62), 30, 13, 0.1), Oval((138, 150), 58, 52, 0.4)).class_map()
    for found in (other, np.zeros_like(true), np.where(true == 1, 0, true).astype(np.uint8)):
        large = [one.repeat(times, axis=0).repeat(times, axis=1) for one in (found, true)]
        assert OfficialCase(*large).scores(1, 2) == OfficialCase(found, true).scores(1, 2)
        assert OfficialCase(*large).distances((1, 2)) == OfficialCase(found, true).distances((2, 1))


def test_images_that_are_no_squares_keep_their_aspect():
    assert at_official_size(np.zeros((300, 600), np.uint8)).shape == (128, 256)
    assert at_official_size(np.zeros((64, 48), np.uint8)).shape == (256, 192)


def test_anything_has_a_value():
    rng = np.random.default_rng(4)
    for size in ((1, 1), (1, 40), (7, 5), (40, 30)):
        for _ in range(10):
            mask = rng.integers(0, 3, size)
            found = measured(mask)
            assert 0 <= found[0] <= 180 and (found[1] is None or 0 <= found[1] <= 180)


def test_the_contour_of_opencv():
    """From the first pixel in reading order downwards; holes and what lies in them are passed over."""
    mask = np.ones((5, 4), bool)
    mask[1:4, 1:3] = False
    mask[2, 1] = True
    expected = [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 4), (2, 4), (3, 4), (3, 3), (3, 2), (3, 1), (3, 0), (2, 0)]
    np.testing.assert_array_equal(opencv.external_contour(mask), [*expected, (1, 0)])
    # A line is walked there and back.
    np.testing.assert_array_equal(opencv.external_contour(np.ones((1, 3), bool)), [(0, 0), (1, 0), (2, 0), (1, 0)])
    np.testing.assert_array_equal(opencv.external_contour(np.eye(1, 1, dtype=bool)), [(0, 0)])


def test_an_exact_ellipse_is_found():
    turns = np.linspace(0, 2 * math.pi, 12, endpoint=False)
    for angle in (-1.2, 0.0, 0.4, 1.5):
        oval = Oval((40.5, 33.0), 20, 9, angle)
        found = opencv.fitted_ellipse(np.array([oval.at(turn) for turn in turns]))
        assert (*found.centre, *found[1:]) == pytest.approx((40.5, 33.0, 20, 9, angle))
