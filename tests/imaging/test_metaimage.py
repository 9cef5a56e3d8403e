import numpy as np
import pytest

from pipeline.imaging.metaimage import grey_plane
from pipeline.run.errors import InputError


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4), dtype=np.int16), "holds int16 pixels"),
        (np.zeros((5, 4, 4), dtype=np.uint8), r"has the shape \(5, 4, 4\)"),
        (np.arange(48, dtype=np.uint8).reshape(3, 4, 4), "is in colour"),
    ],
)
def test_other_pixels_are_refused(array, message):
    with pytest.raises(InputError, match=f"file 'x.mha' {message}"):
        grey_plane(array, "x.mha")


def test_channels_last_are_accepted():
    plane = np.arange(20, dtype=np.uint8).reshape(4, 5)
    np.testing.assert_array_equal(grey_plane(np.stack([plane] * 3, axis=-1), "x.mha"), plane)
