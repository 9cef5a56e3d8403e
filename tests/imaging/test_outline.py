import numpy as np

from pipeline.imaging.contact_sheet import contact_sheet, with_contour
from pipeline.imaging.outline import outline


def test_outline_is_the_rim_of_a_rectangle():
    mask = np.zeros((8, 9), bool)
    mask[2:6, 3:8] = True
    expected = mask.copy()
    expected[3:5, 4:7] = False
    np.testing.assert_array_equal(outline(mask), expected)


def test_touching_structures_have_an_outline_each():
    classes = np.zeros((6, 8), np.uint8)
    classes[:, 2:5], classes[:, 5:7] = 1, 2
    found = outline(classes)
    np.testing.assert_array_equal(found, outline(classes == 1) | outline(classes == 2))
    assert found[3].tolist() == [False, False, True, False, True, True, True, False]


def test_the_rim_of_the_image_counts():
    np.testing.assert_array_equal(outline(np.ones((3, 3), bool)), [[1, 1, 1], [1, 0, 1], [1, 1, 1]])


def test_previews_outline_structures_in_rows_of_tiles():
    mask = np.zeros((10, 10), np.uint8)
    mask[2:8, 2:8] = 1
    tile = with_contour(np.full((10, 10), 100, np.uint8), mask, 10)
    assert ((tile != 100).any(axis=2) == outline(mask)).all()
    sheet = contact_sheet([tile, tile, tile], 2, gap=2)
    assert sheet.shape == (26, 26, 3)
    np.testing.assert_array_equal(sheet[14:24, 2:12], tile)
