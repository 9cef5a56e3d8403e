"""The area under the receiver operating characteristic curve."""

import numpy as np


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Chance that a positive scores above a negative, ties counting half.

    Source: the Mann-Whitney form of Hanley & McNeil, "The meaning and use of the area under a receiver operating
    characteristic (ROC) curve", Radiology 143 (1982).

    Args:
        scores: float (N,), higher for "more likely positive".
        truth: bool (N,), True for positives.

    Returns:
        A value in [0, 1]; nan where one of the two kinds is absent.
    """
    from scipy.stats import rankdata

    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    above = rankdata(scores)[truth].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))
