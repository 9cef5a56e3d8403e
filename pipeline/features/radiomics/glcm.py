"""Grey-level co-occurrence matrix (Haralick et al., 1973; IBSI, section 3.6): symmetric, distance 1."""

import numpy as np

from pipeline.features.radiomics.directions import Merging, average, neighbours

NAMES = (
    "joint_maximum",
    "joint_average",
    "joint_variance",
    "joint_entropy",
    "difference_average",
    "difference_variance",
    "difference_entropy",
    "sum_average",
    "sum_variance",
    "sum_entropy",
    "angular_second_moment",
    "contrast",
    "dissimilarity",
    "inverse_difference",
    "inverse_difference_normalised",
    "inverse_difference_moment",
    "inverse_difference_moment_normalised",
    "inverse_variance",
    "correlation",
    "autocorrelation",
    "cluster_tendency",
    "cluster_shade",
    "cluster_prominence",
    "information_correlation_1",
    "information_correlation_2",
)


def features(levels: np.ndarray, count: int, merging: Merging = "average") -> np.ndarray:
    """float64 (25,) of levels (H, W), 1 to ``count`` and 0 outside the region, named by ``NAMES``; entropies in bits.

    Only pairs with both pixels in the region count; a direction without any is left out, and all are nan where there
    is no pair at all. Normalised differences are shares of ``count``. Of one grey level the correlation is 1 and both
    information correlations are 0.
    """
    matrices = co_occurrences(levels, count)
    if merging == "combine":
        matrices = matrices.sum(axis=0, keepdims=True)
    return average([_features(matrix / matrix.sum()) for matrix in matrices if matrix.any()], len(NAMES))


def co_occurrences(levels: np.ndarray, count: int) -> np.ndarray:
    """int (4, count, count): how often level i + 1 lies beside level j + 1, in either order, by direction."""
    # Level 0 stands for "outside": its row and column hold every pair that leaves the region.
    base = count + 1
    codes = levels.astype(np.intp)
    scaled = base * codes
    pairs = [
        np.bincount((first + second).ravel(), minlength=base**2).reshape(base, base)[1:, 1:]
        for (first, _), (_, second) in zip(neighbours(scaled), neighbours(codes), strict=True)
    ]
    return np.stack([matrix + matrix.T for matrix in pairs])


def _features(joint: np.ndarray) -> np.ndarray:
    """Of one symmetric matrix of probabilities, float (L, L)."""
    size = len(joint)
    numbers = np.arange(1, size + 1, dtype=np.float64)
    rows, columns = np.indices(joint.shape)
    gaps, sums = np.arange(size, dtype=np.float64), np.arange(2, 2 * size + 1, dtype=np.float64)
    difference = np.bincount(np.abs(rows - columns).ravel(), weights=joint.ravel(), minlength=size)
    total = np.bincount((rows + columns).ravel(), weights=joint.ravel(), minlength=2 * size - 1)
    marginal = joint.sum(axis=1)
    mean = marginal @ numbers
    variance = marginal @ (numbers - mean) ** 2
    dissimilarity, contrast = difference @ gaps, difference @ gaps**2
    from_mean = sums - 2 * mean
    tendency = total @ from_mean**2
    joint_entropy, own_entropy = _entropy(joint), _entropy(marginal)
    # The matrix is symmetric, so both entropies of independent levels in IBSI are twice that of the marginal.
    shared = 2 * own_entropy - joint_entropy
    return np.array(
        [
            joint.max(),
            mean,
            variance,
            joint_entropy,
            dissimilarity,
            difference @ (gaps - dissimilarity) ** 2,
            _entropy(difference),
            total @ sums,
            tendency,
            _entropy(total),
            np.vdot(joint, joint),
            contrast,
            dissimilarity,
            difference @ (1 / (1 + gaps)),
            difference @ (1 / (1 + gaps / size)),
            difference @ (1 / (1 + gaps**2)),
            difference @ (1 / (1 + (gaps / size) ** 2)),
            difference[1:] @ gaps[1:] ** -2.0,
            1 - contrast / (2 * variance) if variance > 0 else 1.0,
            numbers @ joint @ numbers,
            tendency,
            total @ from_mean**3,
            total @ from_mean**4,
            -shared / own_entropy if own_entropy > 0 else 0.0,
            np.sqrt(max(0.0, 1 - np.exp(-2 * shared))),
        ]
    )


def _entropy(shares: np.ndarray) -> float:
    occurring = shares[shares > 0]
    return -(occurring @ np.log2(occurring)) + 0.0
