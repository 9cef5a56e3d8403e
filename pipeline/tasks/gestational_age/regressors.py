"""Regressors of scikit-learn that are kept as arrays: fitted by it, evaluated by a formula, nothing is pickled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]
BOOSTING = {
    "loss": "huber",
    "n_estimators": 300,
    "learning_rate": 0.05,
    "max_depth": 3,
    "subsample": 0.5,
    "max_features": "sqrt",
}
"""Fixed: small trees, slowly, each on half of the cases (Friedman 2002)."""


@dataclass(frozen=True)
class Regressor:
    """settings: P features → what is chosen among, the first of equal ones. fit: float (N, P), float (N,), a seed and a
    setting → arrays. predict: arrays, float (N, P) → float (N,)."""

    settings: Callable[[int], Sequence[dict[str, float]]]
    fit: Callable[..., dict[str, np.ndarray]]
    predict: Callable[[Arrays, np.ndarray], np.ndarray]


def _fit_ridge(x: np.ndarray, y: np.ndarray, seed: int, *, alpha: float) -> dict[str, np.ndarray]:
    from sklearn.linear_model import Ridge

    found = Ridge(alpha=alpha, solver="svd").fit(x, y)
    return {"coefficients": found.coef_, "intercept": np.array(found.intercept_, dtype=float)}


def _ridge(arrays: Arrays, x: np.ndarray) -> np.ndarray:
    return x @ arrays["coefficients"] + arrays["intercept"]


def _fit_kernel_ridge(x: np.ndarray, y: np.ndarray, seed: int, *, alpha: float, gamma: float) -> dict[str, np.ndarray]:
    from sklearn.kernel_ridge import KernelRidge

    # It has no intercept: far from all training cases the answer is their mean age, not birth.
    mean = y.mean()
    found = KernelRidge(alpha=alpha, kernel="rbf", gamma=gamma).fit(x, y - mean)
    return {"cases": x, "weights": found.dual_coef_, "mean": np.array(mean), "gamma": np.array(gamma)}


def _kernel_ridge(arrays: Arrays, x: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import cdist

    kernel = np.exp(-arrays["gamma"] * cdist(x, arrays["cases"], "sqeuclidean"))
    return kernel @ arrays["weights"] + arrays["mean"]


def _fit_boosting(x: np.ndarray, y: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Trees side by side, float (M, K) each, a leaf where ``left`` is -1."""
    from sklearn.ensemble import GradientBoostingRegressor

    found = GradientBoostingRegressor(random_state=seed % 2**32, **BOOSTING).fit(x, y)
    trees = [one.tree_ for one in found.estimators_[:, 0]]
    size = max(tree.node_count for tree in trees)

    def side_by_side(values: Callable, fill: float) -> np.ndarray:
        rows = np.full((len(trees), size), fill)
        for row, tree in zip(rows, trees, strict=True):
            row[: tree.node_count] = values(tree)
        return rows

    return {
        "left": side_by_side(lambda tree: tree.children_left, -1).astype(np.int64),
        "right": side_by_side(lambda tree: tree.children_right, -1).astype(np.int64),
        "feature": np.maximum(side_by_side(lambda tree: tree.feature, 0), 0).astype(np.int64),
        "threshold": side_by_side(lambda tree: tree.threshold, 0.0),
        "value": BOOSTING["learning_rate"] * side_by_side(lambda tree: tree.value[:, 0, 0], 0.0),
        "start": np.array(float(np.ravel(found.init_.constant_)[0])),
    }


def _boosting(arrays: Arrays, x: np.ndarray) -> np.ndarray:
    # scikit-learn's trees compare single-precision features.
    x, trees = x.astype(np.float32), np.arange(len(arrays["left"]))
    total = np.full(len(x), float(arrays["start"]))
    for row, features in enumerate(x):
        nodes = np.zeros(len(trees), dtype=np.int64)
        while (inner := arrays["left"][trees, nodes] >= 0).any():
            smaller = features[arrays["feature"][trees, nodes]] <= arrays["threshold"][trees, nodes]
            after = np.where(smaller, arrays["left"][trees, nodes], arrays["right"][trees, nodes])
            nodes = np.where(inner, after, nodes)
        total[row] += arrays["value"][trees, nodes].sum()
    return total


REGRESSORS: dict[str, Regressor] = {
    "ridge": Regressor(lambda features: [{"alpha": 10.0**power} for power in range(-1, 5)], _fit_ridge, _ridge),
    "kernel_ridge": Regressor(
        # Squared distances of standardised cases grow with the number of features.
        lambda features: [
            {"alpha": alpha, "gamma": width / features} for width in (0.03, 0.1, 0.3, 1.0) for alpha in (1.0, 0.1, 0.01)
        ],
        _fit_kernel_ridge,
        _kernel_ridge,
    ),
    "boosting": Regressor(lambda features: [{}], _fit_boosting, _boosting),
}
"""ridge: linear (Hoerl & Kennard 1970). kernel_ridge: with a Gaussian kernel (Saunders et al. 1998). boosting: 300
trees of depth 3 under a Huber loss (Friedman 2001), with fixed settings."""
