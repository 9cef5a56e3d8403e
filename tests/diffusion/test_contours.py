import numpy as np
import pytest

from pipeline.diffusion.stable_diffusion.contours import check_structures, decode_contours, draw_contours, line_width
from pipeline.run.errors import InputError


def ellipse(size, centre, axes, angle=0.0):
    rows, columns = np.mgrid[:size, :size]
    y, x = rows - centre[0] * size, columns - centre[1] * size
    u, v = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    return (u / (axes[0] * size)) ** 2 + (v / (axes[1] * size)) ** 2 <= 1


def speckle(size):
    return np.random.default_rng(0).integers(0, 256, (size, size)).astype(np.uint8)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("size", [64, 256, 512])
@pytest.mark.parametrize(("axes", "angle"), [((0.35, 0.25), 0.0), ((0.3, 0.2), 0.7), ((0.12, 0.08), 2.0)])
def test_a_mask_survives_its_contour(size, axes, angle):
    mask = ellipse(size, (0.52, 0.47), axes, angle).astype(np.uint8)
    grey, back = decode_contours(draw_contours(speckle(size), mask, 1), 1)
    assert dice(back == 1, mask == 1) >= 0.97
    np.testing.assert_array_equal(grey, speckle(size))


def test_the_joint_image_is_image_image_outline():
    mask = ellipse(64, (0.5, 0.5), (0.3, 0.3)).astype(np.uint8)
    joint = draw_contours(speckle(64), mask, 1)
    for channel in (0, 1):
        np.testing.assert_array_equal(joint[..., channel], speckle(64))
    assert set(np.unique(joint[..., 2])) == {0, 255}
    assert not joint[32, 32, 2] and not joint[0, 0, 2]


def two_structures(size, inner):
    mask = ellipse(size, (0.55, 0.5), (0.35, 0.3)).astype(np.uint8) * 2
    mask[ellipse(size, (0.55, 0.5) if inner else (0.12, 0.3), (0.12, 0.08), 0.5)] = 1
    return mask


@pytest.mark.parametrize("inner", [False, True])
def test_two_structures_survive_beside_and_inside_each_other(inner):
    mask = two_structures(128, inner)
    grey, back = decode_contours(draw_contours(speckle(128), mask, 2), 2)
    for k in (1, 2):
        assert dice(back == k, mask == k) >= 0.97
    np.testing.assert_array_equal(grey, speckle(128))


def test_a_contour_through_noise_and_blur_is_still_read():
    from scipy import ndimage

    mask = ellipse(256, (0.5, 0.5), (0.33, 0.24), 0.3).astype(np.uint8)
    joint = draw_contours(speckle(256) // 2, mask, 1).astype(float)
    joint[..., 2] = 1.4 * ndimage.gaussian_filter(joint[..., 2], 0.8)
    joint += np.random.default_rng(1).normal(0, 12, joint.shape)
    _, back = decode_contours(np.clip(joint, 0, 255).astype(np.uint8), 1)
    assert dice(back == 1, mask == 1) >= 0.97


def test_a_structure_cut_off_by_the_border_is_closed_along_it():
    mask = ellipse(128, (0.5, 0.95), (0.3, 0.3)).astype(np.uint8)
    _, back = decode_contours(draw_contours(speckle(128), mask, 1), 1)
    assert dice(back == 1, mask == 1) >= 0.97


def test_an_open_contour_is_no_mask():
    mask = ellipse(128, (0.5, 0.5), (0.35, 0.25)).astype(np.uint8)
    joint = draw_contours(speckle(128), mask, 1)
    joint[60:70, 64:, 2] = 0
    grey, back = decode_contours(joint, 1)
    assert back is None
    np.testing.assert_array_equal(grey, speckle(128))


def test_one_open_contour_of_two_is_no_mask():
    joint = draw_contours(speckle(128), two_structures(128, False), 2)
    joint[60:75, 64:, 1] = 0
    assert decode_contours(joint, 2)[1] is None


def test_an_absent_structure_is_absent_and_an_empty_image_has_no_mask():
    mask = ellipse(128, (0.5, 0.5), (0.3, 0.2)).astype(np.uint8)
    _, back = decode_contours(draw_contours(speckle(128), mask, 2), 2)
    assert set(np.unique(back)) == {0, 1}
    assert decode_contours(draw_contours(speckle(128), mask * 0, 2), 2)[1] is None


def test_pure_noise_is_no_mask():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    noise[..., 2] = np.where(noise[..., 2] > 250, 255, 0)
    assert decode_contours(noise, 1)[1] is None


def test_the_line_grows_with_the_image():
    assert [line_width(size) for size in (64, 256, 512)] == [1, 2, 4]


def test_a_third_structure_has_no_channel():
    check_structures(2)
    with pytest.raises(InputError, match="at most 2 structures, and the cohort has 3; use 'controlnet'"):
        check_structures(3)
