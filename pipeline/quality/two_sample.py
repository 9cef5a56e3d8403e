"""Can it be told? A classifier two-sample test: how well does a classifier tell two sets of images apart?

Lopez-Paz & Oquab, "Revisiting classifier two-sample tests" (ICLR 2017), with the area under the ROC curve in the place
of the accuracy. Features of a fixed network, and a logistic regression that is cross-fitted by patient: the images of a
patient, of either set, are all in one fold, so that nobody is recognised by an image of the same patient (a copy, or a
real image and what was made after it).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from pipeline.quality.intervals import stratified_interval
from pipeline.run import seeds

FOLDS = 5
RIDGE = 0.1
"""Penalty on the squared weights, per feature of unit variance: fixed, never chosen on the images that are told apart.

Between 0.001 and 1 it hardly matters: 80 v 80 HC18 images at 256 px, Lite0 features, three assignments of folds: real v
real 0.49 to 0.60, blurred by half a pixel 0.79 to 0.86, by one pixel 0.98 to 1.00, with noise of sd 8 grey levels 1.00.
"""


class Told(NamedTuple):
    """auc: chance that the second set's image of a pair scores above the first's; None where undefined.

    low, high: 95 % interval over patients, the classifiers held. n: images of each set.
    """

    auc: float | None
    low: float | None
    high: float | None
    n: int


def two_sample_test(
    first: np.ndarray, second: np.ndarray, first_patients: Sequence[str], second_patients: Sequence[str], seed: int
) -> Told:
    """Tell ``second`` from ``first``: about 0.5 where both are drawn alike, 1 where every pair is told.

    Only images of one fold, scored by one classifier, are compared: the classifiers of different folds have levels of
    their own. The order of the images changes nothing.

    Args:
        first, second: float (N, D) each, as many of both, features as they come.
        first_patients, second_patients: of each image; equal names are one patient.

    Returns:
        Without an AUC where a set has fewer than two patients: nothing can be held out.
    """
    ordered = [_in_order(*pair) for pair in ((first, first_patients), (second, second_patients))]
    features = np.concatenate([values for values, _ in ordered]).astype(np.float64)
    patients = np.concatenate([names for _, names in ordered])
    truth = np.repeat([False, True], [len(first), len(second)])
    folds = patient_folds(patients, truth, seed)
    if folds is None:
        return Told(None, None, None, len(first))
    scores = np.empty(len(truth))
    for fold in range(folds.max() + 1):
        held = folds == fold
        scores[held] = _scores(features[~held], truth[~held], features[held])
    # Concordance of each unit (a patient in a set) with each of the other set; images of other folds make no pairs.
    above, pairs = _concordance(scores, truth, folds)
    units = [_membership(patients[kind]) for kind in (truth, ~truth)]
    above, pairs = (units[0] @ table @ units[1].T for table in (above, pairs))
    rows = len(units[0])

    def auc(drawn: np.ndarray) -> float:
        times = np.bincount(drawn, minlength=rows + len(units[1]))
        count = times[:rows] @ pairs @ times[rows:]
        return float(times[:rows] @ above @ times[rows:] / count) if count else np.nan

    kinds = np.repeat([0, 1], [len(one) for one in units])
    limits = stratified_interval(auc, kinds, seeds.numpy_generator(seed, "two-sample interval"))
    value = auc(np.arange(len(kinds)))
    return Told(value, *limits, len(first)) if np.isfinite(value) else Told(None, None, None, len(first))


def patient_folds(patients: np.ndarray, truth: np.ndarray, seed: int) -> np.ndarray | None:
    """int (N,): the fold of every image, the same for all of a patient, each set spread evenly over the folds.

    At most 5 folds, and no more than the set with fewer patients has; None where that is fewer than two.
    """
    names, places = np.unique(patients, return_inverse=True)
    counts = np.stack([np.bincount(places[truth == kind], minlength=len(names)) for kind in (False, True)], axis=1)
    number = min(FOLDS, *np.count_nonzero(counts, axis=0))
    if number < 2:
        return None
    shuffled = seeds.numpy_generator(seed, "two-sample folds").permutation(len(names))
    # The largest first, each to the fold that has least of what it brings.
    loads, folds = np.zeros((number, 2), dtype=int), np.zeros(len(names), dtype=int)
    for i in sorted(shuffled, key=lambda i: -counts[i].sum()):
        folds[i] = np.lexsort([loads.sum(axis=1), loads @ counts[i]])[0]
        loads[folds[i]] += counts[i]
    return folds[places]


def _in_order(features: np.ndarray, patients: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    order = sorted(range(len(features)), key=lambda i: (patients[i], features[i].tobytes()))
    return features[order], np.array(patients, dtype=str)[order]


def _scores(train: np.ndarray, truth: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Scores (M,) of held-out images; features are standardised by the training folds alone."""
    mean, std = train.mean(axis=0), train.std(axis=0)
    varying = std > 1e-9
    mean, std = mean[varying], std[varying]
    if not varying.any():
        return np.zeros(len(held))
    # Per feature of unit variance: the sum over features grows with their number, and so does the penalty.
    regression = LogisticRegression(C=1 / (RIDGE * varying.sum()), tol=1e-8, max_iter=1000)
    regression.fit((train[:, varying] - mean) / std, truth)
    return regression.decision_function((held[:, varying] - mean) / std)


def _concordance(scores: np.ndarray, truth: np.ndarray, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float (N, N) each: how far an image of the second set scores above one of the first (1, ties a half), and
    whether the two are compared."""
    gap = scores[truth][:, None] - scores[~truth][None]
    pairs = (folds[truth][:, None] == folds[~truth][None]).astype(float)
    return pairs * ((gap > 0) + 0.5 * (gap == 0)), pairs


def _membership(patients: np.ndarray) -> np.ndarray:
    """float (units, N): 1 where an image is of a patient."""
    return (np.unique(patients)[:, None] == patients[None]).astype(float)
