import numpy as np

from pipeline.quality.degradations import blurred, degradations, enlarged


def test_they_take_detail_and_keep_the_size_and_the_level(ring):
    image = ring(0, height=192, width=256).image
    for change in (enlarged, blurred):
        made = change(image, 128)
        assert made.shape == (96, 128) and made.dtype == np.uint8
        assert abs(made.mean() - image.mean()) < 1
    flat = np.full((40, 80), 77, np.uint8)
    assert (enlarged(flat, 128) == 77).all() and (blurred(flat, 128) == 77).all()


def test_the_finest_grain_is_gone(ring):
    image = ring(0, height=192, width=256).image
    grain = {
        name: np.abs(np.diff(change(image, 256).astype(float))).mean() for name, change in degradations(256).items()
    }
    plain = np.abs(np.diff(image.astype(float))).mean()
    assert all(value < 0.4 * plain for value in grain.values())


def test_what_would_change_nothing_is_left_out():
    assert list(degradations(64)) == ["blurred_1px"] and list(degradations(65)) == ["enlarged_64px", "blurred_1px"]
