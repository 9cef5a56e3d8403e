"""How well readers tell two kinds of image apart, and how far they agree with one another.

All intervals hold 95 % and are about images: what these readers would have said of other images of the same kind. They
say nothing about other readers.
"""

from itertools import combinations

import numpy as np

from pipeline.quality.intervals import LEVEL, stratified_interval
from pipeline.quality.pages.templates import environment
from pipeline.quality.roc import auc

FIRST_SYNTHETIC_VOTE = 3
"""Votes are 1 (surely real), 2 (probably real), 3 (probably synthetic), 4 (surely synthetic)."""
WIDE = 0.65
"""An accuracy that an interval around one half must not reach before the images may be called alike."""


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Score interval of a proportion, within [0, 1]; it keeps its width where all or none succeed.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Raises:
        ValueError: ``n`` is 0, or ``successes`` is not in [0, n].
    """
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def fleiss_kappa(counts: np.ndarray) -> float:
    """Agreement of a fixed number of readers beyond what their shares of each category bring by chance.

    Source: Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76 (1971).

    Args:
        counts: int (N, K), how many readers put image i into category k; every row has the same sum of at least 2.

    Returns:
        1 for full agreement, 0 for chance, negative below it; nan where all votes are in one category.
    """
    n = counts[0].sum()
    observed = ((counts * (counts - 1)).sum(axis=1) / (n * (n - 1))).mean()
    expected = ((counts.sum(axis=0) / counts.sum()) ** 2).sum()
    return float((observed - expected) / (1 - expected)) if expected < 1 else float("nan")


def weighted_kappa(first: np.ndarray, second: np.ndarray) -> float:
    """Agreement of two readers on an ordered scale beyond chance, disagreement weighing its square.

    Source: Cohen, "Weighted kappa: nominal scale agreement with provision for scaled disagreement or partial credit",
    Psychological Bulletin 70 (1968).

    Args:
        first, second: float (N,), the two readers' votes on the same images.

    Returns:
        1 for full agreement, 0 for chance; nan where both gave one and the same vote throughout.
    """
    observed = ((first - second) ** 2).mean()
    # The mean over all pairs of an image of one reader and an image of the other.
    expected = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    return float(1 - observed / expected) if expected > 0 else float("nan")


def score_pooled(votes: np.ndarray, truth: np.ndarray, generator: np.random.Generator) -> dict:
    """All readers against the truth.

    Shares are of all votes. The AUC is the mean of the readers' own, because they use the scale differently. Votes on
    one image resemble each other, so intervals resample images with all their votes; the accuracy of one reader has
    Wilson's interval. So has one of 0 or 1, which no resample changes, with as many images as if the readers were one.

    Args:
        votes: float (R, N) in 1 to 4, nan where unrated; at least one is rated.
        truth: bool (N,), True for synthetic.

    Returns:
        n and unrated (votes); accuracy, sensitivity (share of the votes on synthetic images that call them so) and
        specificity (the same of real images), in [0, 1]; auc; accuracy_interval and auc_interval. Undefined values are
        None.
    """
    rated = np.isfinite(votes)
    right = np.where(rated, (votes >= FIRST_SYNTHETIC_VOTE) == truth, np.nan)
    accuracy = float(np.nanmean(right))
    seen = np.flatnonzero(rated.any(axis=0))

    def mean_auc(i: np.ndarray) -> float:
        each = [auc(vote[i][known[i]], truth[i][known[i]]) for vote, known in zip(votes, rated, strict=True)]
        return float(np.mean(each)) if np.isfinite(each).all() else float("nan")

    if len(votes) == 1 or accuracy in (0, 1):
        interval = wilson_interval(round(accuracy * len(seen)), len(seen))
    else:
        interval = stratified_interval(lambda i: float(np.nanmean(right[:, seen[i]])), truth[seen], generator)
    return {
        "n": int(rated.sum()),
        "unrated": int((~rated).sum()),
        "accuracy": accuracy,
        "accuracy_interval": interval,
        "auc": _defined(mean_auc(np.arange(len(truth)))),
        "auc_interval": _defined(stratified_interval(lambda i: mean_auc(seen[i]), truth[seen], generator)),
        "sensitivity": float(np.nanmean(right[:, truth])) if rated[:, truth].any() else None,
        "specificity": float(np.nanmean(right[:, ~truth])) if rated[:, ~truth].any() else None,
    }


def score_agreement(votes: np.ndarray, truth: np.ndarray, generator: np.random.Generator) -> dict | None:
    """Agreement of two or more readers on the images all of them rated; float (R, N) votes, bool (N,) truth.

    Returns:
        n (images); fleiss_kappa of the call, real or synthetic; weighted_kappa, the mean over pairs of readers on the
        four-point scale; their intervals. Undefined values are None; None for one reader or no common image.
    """
    common = np.isfinite(votes).all(axis=0)
    if len(votes) < 2 or not common.any():
        return None
    ours, kinds = votes[:, common], truth[common]
    calls = (ours >= FIRST_SYNTHETIC_VOTE).sum(axis=0)
    counts = np.stack([len(ours) - calls, calls], axis=1)

    def pairs(i: np.ndarray) -> float:
        kappas = [weighted_kappa(a[i], b[i]) for a, b in combinations(ours, 2)]
        return float(np.mean(kappas)) if np.isfinite(kappas).all() else float("nan")

    return {
        "n": int(common.sum()),
        "fleiss_kappa": _defined(fleiss_kappa(counts)),
        "fleiss_interval": _defined(stratified_interval(lambda i: fleiss_kappa(counts[i]), kinds, generator)),
        "weighted_kappa": _defined(pairs(np.arange(len(kinds)))),
        "weighted_interval": _defined(stratified_interval(pairs, kinds, generator)),
    }


def in_words(pooled: dict, n_readers: int, n_images: int) -> str:
    """What the accuracy of :func:`score_pooled` allows to be said, as a sentence or two."""
    low, high = pooled["accuracy_interval"]
    votes = f"{n_readers} × {n_images}"
    if pooled["unrated"]:
        votes = f"{pooled['n']} votes of {votes}"
    limits = f"95 % interval {100 * low:.0f} to {100 * high:.0f} %"
    numbers = f"accuracy {100 * pooled['accuracy']:.0f} %, {limits}, n = {votes}"
    subject = "The reader" if n_readers == 1 else "Readers"
    if low > 0.5:
        return f"{subject} told them apart: {numbers}."
    if high < 0.5:
        return f"{subject} told them apart but took one kind for the other: {numbers}."
    doubt = f" Too few votes to call the images alike: up to {100 * high:.0f} % is not ruled out."
    return f"{subject} could not tell them apart: {numbers}." + (doubt if high > WIDE else "")


def as_text(scores: dict) -> str:
    """A reading's scores (``blind_reading.score_reading``) as a table, the agreement, and the sentence."""
    return environment("pipeline.quality").get_template("reader_agreement.txt.j2").render(scores).rstrip()


def _defined(value):
    """The number, or the pair of numbers; None where it is not finite."""
    return value if np.isfinite(value).all() else None
