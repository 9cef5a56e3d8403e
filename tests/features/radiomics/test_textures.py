"""The families of texture against counts by hand and against loops over pixels."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.features.radiomics import glcm, glszm, ngldm, ngtdm, size_matrices
from pipeline.features.radiomics.glcm import co_occurrences
from pipeline.features.radiomics.glrlm import runs
from pipeline.features.radiomics.glszm import zones
from pipeline.features.radiomics.ngldm import dependences
from pipeline.features.radiomics.ngtdm import tone_differences

AROUND = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
# As co_occurrences and runs have them: along rows, 45°, columns, 135° (y downwards).
DIRECTIONS = {"row": (0, 1), "45": (-1, 1), "column": (1, 0), "135": (1, 1)}


def texture(seed, shape=(7, 9), levels=3, share=0.8):
    """Levels from 1, and 0 outside an irregular region."""
    rng = np.random.default_rng(seed)
    return (rng.integers(1, levels + 1, shape) * (rng.random(shape) < share)).astype(np.uint16)


def named(module, *arguments, **options):
    return dict(zip(module.NAMES, module.features(*arguments, **options), strict=True))


def at(levels, y, x):
    inside = 0 <= y < levels.shape[0] and 0 <= x < levels.shape[1]
    return int(levels[y, x]) if inside else 0


def pixels(levels):
    return [(y, x, int(levels[y, x])) for y, x in np.argwhere(levels > 0)]


@pytest.mark.parametrize("seed", range(4))
def test_co_occurrences_are_those_of_a_loop_over_pairs(seed):
    levels = texture(seed)
    for matrix, (dy, dx) in zip(co_occurrences(levels, 3), DIRECTIONS.values(), strict=True):
        expected = np.zeros((3, 3), int)
        for y, x, level in pixels(levels):
            if other := at(levels, y + dy, x + dx):
                expected[level - 1, other - 1] += 1
                expected[other - 1, level - 1] += 1
        np.testing.assert_array_equal(matrix, expected)


@pytest.mark.parametrize("seed", range(4))
def test_runs_are_those_of_a_walk_along_every_direction(seed):
    levels = texture(seed, levels=2)
    names = ("row", "column", "45", "135")
    for (found, lengths), name in zip(runs(levels), names, strict=True):
        dy, dx = DIRECTIONS[name]
        expected = []
        for y, x, level in pixels(levels):
            if at(levels, y - dy, x - dx) != level:
                length = 1
                while at(levels, y + length * dy, x + length * dx) == level:
                    length += 1
                expected.append((level, length))
        assert sorted(zip(found.tolist(), lengths.tolist(), strict=True)) == sorted(expected), name


@pytest.mark.parametrize("seed", range(4))
def test_zones_are_those_of_a_labelling_by_level(seed):
    levels = texture(seed)
    expected = []
    for level in (1, 2, 3):
        labels, count = ndimage.label(levels == level, np.ones((3, 3)))
        expected += [(level, int(size)) for size in np.bincount(labels.ravel(), minlength=count + 1)[1:]]
    assert sorted((int(level), int(size)) for level, size in zip(*zones(levels), strict=True)) == sorted(expected)


@pytest.mark.parametrize("seed", range(4))
def test_dependences_and_tone_differences_are_those_of_a_loop_over_neighbours(seed):
    levels = texture(seed, share=0.5)
    counts, numbers, differences = dependences(levels), np.zeros(3), np.zeros(3)
    for y, x, level in pixels(levels):
        around = [other for dy, dx in AROUND if (other := at(levels, y + dy, x + dx))]
        assert counts[y, x] == 1 + around.count(level)
        if around:
            numbers[level - 1] += 1
            differences[level - 1] += abs(level - np.mean(around))
    found = tone_differences(levels, 3)
    np.testing.assert_array_equal(found[0], numbers)
    np.testing.assert_allclose(found[1], differences)


SQUARE = np.array([[1, 1], [2, 2]], np.uint16)


def test_co_occurrence_of_two_rows_by_hand():
    # Along rows only equal pairs; down and along both diagonals only unequal ones.
    found, merged = named(glcm, SQUARE, 2), named(glcm, SQUARE, 2, merging="combine")
    assert found["contrast"] == found["dissimilarity"] == pytest.approx(3 / 4)
    assert found["correlation"] == pytest.approx((1 - 3) / 4)
    assert found["joint_entropy"] == pytest.approx(1) and found["angular_second_moment"] == pytest.approx(1 / 2)
    assert found["inverse_difference"] == pytest.approx((1 + 3 / 2) / 4)
    assert found["information_correlation_1"] == pytest.approx(-1)
    # Of six pairs two are equal: the matrix is [[2, 4], [4, 2]] / 12.
    assert merged["contrast"] == pytest.approx(2 / 3) and merged["correlation"] == pytest.approx(-1 / 3)
    assert merged["joint_maximum"] == pytest.approx(1 / 3)
    assert merged["joint_average"] == pytest.approx(3 / 2) and merged["sum_average"] == pytest.approx(3)


def test_identities_that_the_features_left_out_rest_on():
    found = named(glcm, texture(1, levels=5), 5)
    assert found["difference_average"] == pytest.approx(found["dissimilarity"])
    assert found["sum_average"] == pytest.approx(2 * found["joint_average"])
    assert found["sum_variance"] == pytest.approx(found["cluster_tendency"])
    assert named(ngldm, texture(1, levels=5), 5)["dependence_count_percentage"] == 1


def test_runs_of_galloways_example_by_hand():
    """Galloway, "Texture analysis using gray level run lengths", 1975: the matrices of 0° and 90°, levels from 1."""
    levels = np.array([[0, 1, 2, 3], [0, 2, 3, 3], [2, 1, 1, 1], [3, 0, 3, 0]], np.uint16) + 1
    row, column = [np.zeros((4, 4), int) for _ in range(2)]
    for matrix, (level, length) in zip((row, column), runs(levels), strict=False):
        np.add.at(matrix, (level - 1, length - 1), 1)
    assert row.tolist() == [[4, 0, 0, 0], [1, 0, 1, 0], [3, 0, 0, 0], [3, 1, 0, 0]]
    assert column.tolist() == [[2, 1, 0, 0], [4, 0, 0, 0], [3, 0, 0, 0], [3, 1, 0, 0]]


def test_features_of_sizes_by_hand():
    # Elements (level, size): (1, 1), (1, 1), (2, 3), so three of five pixels.
    values = size_matrices.features(np.array([1, 1, 2]), np.array([1, 1, 3]), 5)
    found = dict(zip(glszm.NAMES, values, strict=True))
    assert found["small_zone_emphasis"] == pytest.approx((2 + 1 / 9) / 3)
    assert found["large_zone_emphasis"] == pytest.approx((2 + 9) / 3)
    assert found["low_grey_level_zone_emphasis"] == pytest.approx((2 + 1 / 4) / 3)
    assert found["high_grey_level_zone_emphasis"] == pytest.approx((2 + 4) / 3)
    assert found["small_zone_low_grey_level_emphasis"] == pytest.approx((2 + 1 / 36) / 3)
    assert found["small_zone_high_grey_level_emphasis"] == pytest.approx((2 + 4 / 9) / 3)
    assert found["large_zone_low_grey_level_emphasis"] == pytest.approx((2 + 9 / 4) / 3)
    assert found["large_zone_high_grey_level_emphasis"] == pytest.approx((2 + 36) / 3)
    assert found["grey_level_non_uniformity"] == found["zone_size_non_uniformity"] == pytest.approx(5 / 3)
    assert found["zone_percentage"] == pytest.approx(3 / 5)
    assert found["grey_level_variance"] == pytest.approx(2 / 9) and found["zone_size_variance"] == pytest.approx(8 / 9)
    assert found["zone_size_entropy"] == pytest.approx(np.log2(3) - 2 / 3)


def test_large_zones_are_counted_as_small_ones_are():
    """Where a table of all codes would be long, the codes are sorted: the same features."""
    rng = np.random.default_rng(0)
    levels, sizes = rng.integers(1, 33, 300), rng.integers(1, 6, 300)
    sizes[:2] = 400_000
    table = np.zeros((33, 400_001))
    np.add.at(table, (levels, sizes), 1)
    found = dict(zip(glszm.NAMES, size_matrices.features(levels, sizes, 10**6), strict=True))
    assert found["zone_size_non_uniformity"] == pytest.approx((table.sum(axis=0) ** 2).sum() / 300)
    shares = table[table > 0] / 300
    assert found["zone_size_entropy"] == pytest.approx(-shares @ np.log2(shares))


def test_tone_differences_of_a_bright_pixel_by_hand():
    # The pixel of level 3 in the middle differs by 2 from its neighbours; its eight neighbours see it among others.
    levels = np.ones((3, 3), np.uint16)
    levels[1, 1] = 3
    numbers, differences = tone_differences(levels, 3)
    assert numbers.tolist() == [8, 0, 1]
    # Corners have three neighbours, edges five, one of them the bright one.
    low = 4 * (5 / 3 - 1) + 4 * (7 / 5 - 1)
    assert differences.tolist() == pytest.approx([low, 0, 2])
    found, weighted = named(ngtdm, levels, 3), (8 / 9 * low, 1 / 9 * 2)
    assert found["coarseness"] == pytest.approx(1 / sum(weighted))
    assert found["contrast"] == pytest.approx(2 * (8 / 9) * (1 / 9) * 4 / 2 * (low + 2) / 9)
    assert found["busyness"] == pytest.approx(sum(weighted) / (2 * abs(8 / 9 - 3 / 9)))
    assert found["complexity"] == pytest.approx(2 * 2 * sum(weighted) / 9)
    assert found["strength"] == pytest.approx(2 * 4 / (low + 2))


def test_stripes_and_a_checkerboard_have_known_textures():
    rows, columns = np.indices((32, 40))
    stripes, board = ((pattern % 2 * 31 + 1).astype(np.uint16) for pattern in (columns, rows + columns))
    # Of four directions, stripes differ along the row and both diagonals, the board along row and column.
    for levels, differing in ((stripes, 3), (board, 2)):
        found = named(glcm, levels, 32)
        assert found["contrast"] == pytest.approx(differing / 4 * 31**2)
        assert found["dissimilarity"] == pytest.approx(differing / 4 * 31)
        assert found["correlation"] == pytest.approx(1 - 2 * differing / 4, abs=2e-3)
        assert found["joint_entropy"] == pytest.approx(1, abs=1e-3)
    # Every stripe is a zone of 32 pixels; on the board diagonal steps join each colour into one.
    assert named(glszm, stripes, 32)["large_zone_emphasis"] == pytest.approx(32**2)
    assert named(glszm, board, 32)["large_zone_emphasis"] == pytest.approx(640**2)
    assert dependences(board)[1:-1, 1:-1].tolist() == np.full((30, 38), 5).tolist()
    assert dependences(stripes)[1:-1, 1:-1].tolist() == np.full((30, 38), 3).tolist()
