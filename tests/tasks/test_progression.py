"""Angle of progression and head-symphysis distance: closed forms, invariances, and a named failure for bad masks."""

import math

import numpy as np
import pytest
from scipy import ndimage

from pipeline.decoding.decode import decode_mask
from pipeline.tasks.segmentation.biometry.angle import angle_of_progression, hull_of, middle_of
from pipeline.tasks.segmentation.biometry.progression import Failure, measure_progression
from pipeline.tasks.segmentation.biometry.symphysis import Axis
from tests.tasks.bad_masks import FAILURES, NOTES
from tests.tasks.scenes import Oval, Scene, random_scene, resampled

SHAPE = (256, 256)


def measure(class_map, head_side="right"):
    return measure_progression(class_map == 1, class_map == 2, head_side)


def scene(**changes):
    """An upright head below a level symphysis whose inferior end is at (120, 60)."""
    parts = {"symphysis": Oval((90, 60), 30, 14, 0.0), "head": Oval((130, 150), 60, 60, 0.0)} | changes
    return Scene(**parts)


def test_a_round_head_below_a_level_symphysis():
    """The head's centre is (10, 90) from the inferior end: the tangents lie asin(60 / d) beside it."""
    found, distance = measure(scene().class_map()), math.hypot(10, 90)
    towards = 180 - math.degrees(math.acos(10 / distance))
    assert scene().aop() == pytest.approx(towards + math.degrees(math.asin(60 / distance)))
    assert found.aop_deg == pytest.approx(scene().aop(), abs=0.3)
    assert found.hsd_px == pytest.approx(distance - 60, abs=0.3)
    # The infrapubic line runs 10 pixels beside the centre.
    assert found.hsd_infrapubic_px == pytest.approx(90 - math.sqrt(60**2 - 10**2), abs=0.3)
    np.testing.assert_allclose(found.axis.inferior, (120, 60), atol=0.2)
    np.testing.assert_allclose(found.axis.superior, (60, 60), atol=0.2)
    assert found.axis.length_px == pytest.approx(60, abs=0.3)
    np.testing.assert_allclose(np.linalg.norm(found.tangent - (130, 150)), 60, atol=0.4)
    assert (found.failure, found.notes, found.head_direction_deg) == (None, (), None)


@pytest.mark.parametrize(("turn", "degrees"), [(90, 0), (120, -30), (60, 30), (30, 60)])
def test_head_direction(turn, degrees):
    """0 along the infrapubic line, which points down here; positive where the head points to the right, and so up."""
    head = Oval((130, 150), 60, 40, math.radians(turn))
    assert measure(scene(head=head).class_map()).head_direction_deg == pytest.approx(degrees, abs=0.5)


def test_error_on_exact_masks_at_256_pixels():
    rng, angles, distances = np.random.default_rng(21), [], []
    for _ in range(80):
        one = random_scene(rng)
        found = measure(one.class_map())
        angles.append(abs(found.aop_deg - one.aop()))
        distances.append(abs(found.hsd_px - one.hsd()))
    assert np.mean(angles) <= 0.3 and np.percentile(angles, 95) <= 0.6
    assert np.mean(distances) <= 0.3 and np.percentile(distances, 95) <= 0.6


@pytest.mark.parametrize("degrees", range(0, 360, 30))
def test_turning_changes_nothing(degrees):
    one = scene(head=Oval((140, 150), 64, 50, 0.6))
    found, turned = measure(one.class_map()), measure(resampled(one.class_map(), degrees))
    assert turned.aop_deg == pytest.approx(found.aop_deg, abs=0.6)
    assert turned.hsd_px == pytest.approx(found.hsd_px, abs=0.7)
    assert turned.head_direction_deg == pytest.approx(found.head_direction_deg, abs=0.6)


def test_scaling_scales_distances_alone():
    mask = scene().class_map()
    found, doubled = measure(mask), measure(mask.repeat(2, axis=0).repeat(2, axis=1))
    assert doubled.aop_deg == pytest.approx(found.aop_deg, abs=0.2)
    assert doubled.hsd_px == pytest.approx(2 * found.hsd_px, abs=0.4)
    assert doubled.hsd_infrapubic_px == pytest.approx(2 * found.hsd_infrapubic_px, abs=0.4)


def test_padding_changes_nothing():
    mask = scene().class_map()
    found, padded = measure(mask), measure(np.pad(mask, ((9, 40), (70, 3))))
    assert padded.aop_deg == pytest.approx(found.aop_deg, abs=1e-9)
    np.testing.assert_allclose(padded.tangent, found.tangent + np.array([70, 9]))


def test_a_declared_mirror_changes_nothing_and_an_undeclared_one_does():
    mask = scene(head=Oval((150, 150), 64, 50, 0.6)).class_map()
    found, mirrored = measure(mask), measure(mask[:, ::-1], "left")
    assert mirrored.aop_deg == pytest.approx(found.aop_deg, abs=1e-9)
    assert mirrored.hsd_px == pytest.approx(found.hsd_px, abs=1e-9)
    assert mirrored.head_direction_deg == pytest.approx(found.head_direction_deg, abs=1e-9)
    assert abs(measure(mask[:, ::-1]).aop_deg - found.aop_deg) > 10


def test_an_angle_beyond_the_extension_of_the_axis():
    one = scene(head=Oval((185, 110), 58, 58, 0.0))
    assert 185 < one.aop() < 190
    assert measure(one.class_map()).aop_deg == pytest.approx(one.aop(), abs=0.5)


PAST_THE_EXTENSION = Scene(Oval((70, 90), 28, 12, -0.08), Oval((149.19, 84.35), 41.17, 28.29, 2.01))
"""The centre of the head lies .8 degrees before the extension of the axis, the mean of its contour's corners beyond."""


def angle_of(one):
    """Of the exact outline of the head, from the exact axis."""
    axis = Axis(one.inferior, one.symphysis.at(math.pi))
    rim = np.array([one.head.at(turn) for turn in np.linspace(0, 2 * math.pi, 2000, endpoint=False)])
    return angle_of_progression(axis, hull_of(rim), "right")[0]


def far_scene(rng):
    """A head anywhere on its side of the axis, near or far, turned in any way; the end of the symphysis outside it."""
    while True:
        bone, long = Oval((0, 0), 28, 12, rng.uniform(-3, 3)), rng.uniform(8, 90)
        skull = Oval(tuple(rng.uniform(-150, 150, 2)), long, long * rng.uniform(0.5, 1), rng.uniform(0, 3.14))
        one = Scene(bone, skull)
        if math.hypot(*skull.local(one.inferior)) > 1.02 and one.angle_to(skull.centre - one.inferior) > 0.2:
            return one


def test_any_angle_is_that_of_the_closed_form():
    rng = np.random.default_rng(4)
    scenes = [PAST_THE_EXTENSION, *(far_scene(rng) for _ in range(600))]
    expected = [one.aop() for one in scenes]
    assert expected[0] == pytest.approx(216.1, abs=0.1) and min(expected) < 20 and max(expected) > 240
    assert [angle_of(one) for one in scenes] == pytest.approx(expected, abs=0.05)


def test_an_angle_does_not_depend_on_where_the_contour_has_its_corners():
    """Corners crowded on the far side of the head pulled the mean of them over the extension of the axis."""
    axis = Axis(np.array([0.0, 0]), np.array([-1.0, 0]))
    square = np.array([[2.0, -1], [4, -1], [4, 1.2], [2, 1.2]])
    arc = [[2 + i / 50, -1 - i * (100 - i) / 1e5] for i in range(1, 100)]
    for corners in (square, np.concatenate([square, arc])):
        middle, side = middle_of(hull_of(corners)), axis.towards_head("right")
        assert middle @ side > 0
        assert angle_of_progression(axis, hull_of(corners), "right")[0] == pytest.approx(206.57, abs=0.01)


def test_whatever_is_measured_is_between_0_and_360_degrees():
    rng, found = np.random.default_rng(11), []
    for _ in range(60):
        blobs = ndimage.gaussian_filter(rng.normal(size=(2, 96, 96)), (0, *rng.uniform(3, 9, 2)))
        low, high = (np.quantile(blob, rng.uniform(0.7, 0.97)) for blob in blobs)
        found.append(measure(np.where(blobs[0] > low, 1, 2 * (blobs[1] > high))).aop_deg)
    measured = [angle for angle in found if angle is not None]
    assert len(measured) > 20 and all(0 < angle < 360 for angle in measured)


def test_dents_and_holes_of_the_head_do_not_move_the_tangent():
    mask = scene().class_map()
    found, spoilt = measure(mask), mask.copy()
    spoilt[140:150, 120:130] = 0
    spoilt[195:215, 125:128] = 0
    assert measure(spoilt).aop_deg == pytest.approx(found.aop_deg, abs=0.3)


def test_a_head_near_the_axis_has_no_angle_rather_than_that_of_the_other_end():
    """Seen from the middle of the symphysis; at 20 degrees the ends are told, below they are not."""
    for degrees in range(0, 360, 5):
        x, y = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        mask = scene(symphysis=Oval((128, 128), 30, 14, 0.0), head=Oval((128 + 80 * x, 128 + 80 * y), 30, 30, 0.0))
        found, beside = measure(mask.class_map()), abs((degrees + 90) % 180 - 90)
        if beside == 20:
            continue
        assert found.failure == (Failure.HEAD_ON_AXIS if beside < 20 else None)
        if beside > 20:
            assert (found.axis.inferior[0] > 128) == (degrees < 180)
    assert measure(PAST_THE_EXTENSION.class_map()).failure == Failure.HEAD_ON_AXIS


@pytest.mark.parametrize("name", FAILURES)
def test_a_bad_mask_has_a_named_failure(name):
    mask, failure = FAILURES[name]
    found = measure(mask)
    assert found.failure == failure
    assert found.aop_deg is found.hsd_px is found.hsd_infrapubic_px is found.head_direction_deg is found.tangent is None


def test_anything_is_measured_or_has_a_failure():
    rng = np.random.default_rng(3)
    for share in (0.001, 0.02, 0.3, 0.5):
        for size in ((1, 1), (1, 40), (7, 5), (40, 30)):
            mask = (
                rng.choice(3, size, p=(1 - 2 * share, share, share)).astype(np.uint8)
                if share < 0.5
                else (rng.integers(0, 3, size, np.uint8))
            )
            found = measure(mask)
            assert (found.aop_deg is None) == (found.failure is not None)


def test_of_two_components_the_largest_is_measured_and_it_is_said():
    mask = scene().class_map()
    found, doubled = measure(mask), mask.copy()
    doubled[5:12, 200:206], doubled[240:250, 10:20] = 1, 2
    again = measure(doubled)
    assert again.aop_deg == found.aop_deg
    assert again.notes == (
        "symphysis in 2 parts, the largest is measured", "head in 2 parts, the largest is measured",
    )  # fmt: skip


def test_a_structure_at_the_border_is_measured_and_it_is_said():
    mask = scene().class_map()
    found, cut = measure(mask), measure(mask[:200])
    assert cut.notes == ("head touches the border of the image",)
    # The tangent touches above the cut.
    assert cut.aop_deg == pytest.approx(found.aop_deg, abs=0.1)
    assert measure(mask[:, 65:]).notes == ("symphysis touches the border of the image",)


@pytest.mark.parametrize("name", NOTES)
def test_what_is_measured_all_the_same_and_what_is_said_of_it(name):
    mask, note = NOTES[name]
    found = measure(mask)
    assert found.failure is None and "; ".join(found.notes) == note
    assert (found.hsd_infrapubic_px is None) == (name == "beside")
    # A head as good as round has a circumference and no direction.
    assert (found.head_direction_deg is None) == (name in ("round_head", "beside"))


def test_structures_that_overlap_are_measured_and_it_is_said():
    """In one class map they cannot; masks of two networks, or independent outputs, can."""
    mask = scene().class_map()
    symphysis, head = mask == 1, mask == 2
    assert measure_progression(symphysis, head).notes == ()
    reach = head.copy()
    reach[70:125, 80:84] = True
    assert "symphysis and head overlap" in measure_progression(symphysis, reach).notes


@pytest.fixture(scope="module")
def psfhs(shared_data):
    """The true masks of the shared cases, uint8 (256, 256)."""
    paths = sorted((shared_data / "psfhs" / "label_mha").glob("*.mha"))
    if not paths:
        pytest.skip("the shared data has no PSFHS")
    return [decode_mask(path.read_bytes(), path.name) for path in paths]


def test_turning_and_resampling_true_masks(psfhs):
    rng, changes = np.random.default_rng(5), {"turned": [], "turned and resampled": []}
    for mask in psfhs[::3]:
        angle = measure(mask).aop_deg
        for what, scale in (("turned", 1.0), ("turned and resampled", rng.uniform(0.75, 1.8))):
            changes[what].append(measure(resampled(mask, rng.uniform(0, 360), scale)).aop_deg - angle)
    for values in changes.values():
        assert np.abs(values).mean() <= 0.5 and np.percentile(np.abs(values), 95) <= 1.5


def test_true_masks_are_all_measured_and_the_inferior_end_is_right(psfhs):
    """The publisher shows the inferior end on the right; turned, it is still the same end."""
    rng = np.random.default_rng(6)
    for mask in psfhs:
        found = measure(mask)
        assert found.failure is None
        assert not any(note.startswith(("head is", "head has", "symphysis and")) for note in found.notes)
        assert found.axis.inferior[0] > found.axis.superior[0]
    for mask in psfhs[::10]:
        for degrees in rng.uniform(0, 360, 3):
            found, turned = measure(mask).axis, measure(resampled(mask, degrees)).axis
            cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            expected = np.array([[cos, sin], [-sin, cos]]) @ (found.superior - found.inferior)
            assert turned.direction @ expected > 0.99 * np.linalg.norm(expected)


def test_declared_mirroring_of_true_masks(psfhs):
    for mask in psfhs[::4]:
        assert measure(mask[:, ::-1], "left").aop_deg == pytest.approx(measure(mask).aop_deg, abs=1e-6)
