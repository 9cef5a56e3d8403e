"""Which samples of a synthetic set are worth training on, judged with nothing but the labels it was made from.

Three criteria, each with a threshold that the labels set themselves, cross-fitted: a label is scored by a network that
was not trained on its patient, or against images of other patients. A set drawn from the distribution of many labels
therefore loses about the quantile to each criterion, one drawn from that of few loses more: all n labels are better
than one unseen image in n + 1, so that even at quantile 0 four labels let a criterion drop a fifth of real images.

* mask_agreement: Dice of the map of the label-budget filter and the sample's mask, of each structure by its own
  threshold: a head that agrees does not make up for a symphysis that does not;
* plausibility: distance to the nearest label in the filter's features;
* training_distance: distance to the nearest image that the generator was shown.

Filtering by a network trained on real labels, and repeating what is hard for it, follow Yang et al. 2023 (FreeMask,
NeurIPS, sections on filtering and on re-sampling by hardness); there pixels are filtered and whole masks are hard or
easy, here both are said of a sample.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.config.quality import Curate
from pipeline.data.case import Case
from pipeline.run.errors import InputError

CRITERIA = ("mask_agreement", "plausibility", "training_distance")
STD_FLOOR = 0.5
"""Least standard deviation of a feature, as a share of the root mean square over all features."""
_FAR_IS_BAD = frozenset({"plausibility"})


def feature_distances(features: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Distance of images to the nearest label a network was trained on: root mean square over standardised features.

    The unit is the training labels' standard deviation, by feature, and never less than ``STD_FLOOR`` of what is usual
    among the features. With the two training labels that four labels in two folds leave, many features differ by next
    to nothing by chance, and would decide alone: without a floor to speak of half of 156 unseen HC18 images are farther
    from four labels than 95 % of these are from each other, with it 42 %; of 40 labels, 4 %. One training label has no
    spread: the features stay as they are, and distances of its fold are not comparable with those of others.

    Args:
        features: float (N, F). training: float (M, F), of the labels of the other folds.

    Returns:
        float (N,), at least 0; 0 for a training label itself.
    """
    from scipy.spatial.distance import cdist

    std = training.std(axis=0, dtype=np.float64)
    usual = np.sqrt(np.mean(std**2))
    scale = np.maximum(std, STD_FLOOR * usual) if usual > 0 else np.ones_like(std)
    distances = cdist(features / scale, training / scale)
    return distances.min(axis=1) / np.sqrt(training.shape[1])


Threshold = float | list[float]
"""Of a criterion; one for each structure where it judges several."""


def threshold(criterion: str, label_scores: np.ndarray, quantile: float) -> Threshold:
    """The score that the share ``quantile`` of the labels fails; a function of the labels alone.

    It is interpolated between labels: among few of them a small quantile lies next to the worst label.

    Args:
        criterion: one of ``CRITERIA``. label_scores: float (n,), cross-fitted; (n, K) of K structures, each of which
            has its own. quantile: in [0, 1].
    """
    wanted = 1 - quantile if criterion in _FAR_IS_BAD else quantile
    return np.quantile(label_scores, wanted, axis=0).squeeze().tolist()


def drops(scores: Mapping[str, np.ndarray], thresholds: Mapping[str, Threshold | None]) -> dict[str, np.ndarray]:
    """Which samples each criterion in use drops by itself, bool (N,). A sample on the threshold stays.

    Args:
        scores: by criterion, float (N,), or (N, K) of K structures: one that fails is enough.
        thresholds: by criterion; None for one not in use.
    """
    worse = {
        criterion: scores[criterion] > limit if criterion in _FAR_IS_BAD else scores[criterion] < np.asarray(limit)
        for criterion, limit in thresholds.items()
        if limit is not None
    }
    return {criterion: gone.reshape(len(gone), -1).any(axis=1) for criterion, gone in worse.items()}


def blind(thresholds: Mapping[str, Threshold | None], structures: Sequence[str]) -> list[str]:
    """Structures whose threshold of mask agreement is 0, by which no sample is dropped: labels of them were not found.

    Args:
        structures: their names, in class order.
    """
    limits = thresholds["mask_agreement"]
    return [] if limits is None else [n for n, one in zip(structures, np.atleast_1d(limits), strict=True) if one <= 0]


def select(
    synthetic: Path,
    count: int,
    scores: Mapping[str, np.ndarray],
    label_scores: Mapping[str, np.ndarray],
    settings: Curate,
    generator: np.random.Generator,
) -> tuple[list[tuple[int, int]], dict]:
    """The samples that no criterion drops, those that are hard for the filter more than once.

    Args:
        synthetic: what messages call the set. count: N, its samples.
        scores, label_scores: criterion → float (N,) of the samples and (n,) of the labels, of every criterion in use;
            mask agreement, (N, K) and (n, K) of K structures, also where samples are repeated by hardness.
        generator: of the order of the rows, where some are repeated.

    Returns:
        (place, occurrence) of the rows that are kept, and what the curated set says of its curation.

    Raises:
        InputError: no sample is kept, with what dropped how many, and the remedy.
    """
    thresholds = {
        name: threshold(name, label_scores[name], settings.quantile) if getattr(settings, name) else None
        for name in CRITERIA
    }
    dropped = drops(scores, thresholds)
    kept = np.flatnonzero(~np.any([np.zeros(count, bool), *dropped.values()], axis=0))
    if not len(kept):
        reasons = [
            f"curate.{name} drops {gone.sum()} (threshold {_in_words(thresholds[name])}, "
            f"samples score {scores[name].min():.3f} to {scores[name].max():.3f})"
            for name, gone in dropped.items()
        ]
        raise InputError(
            f"{synthetic}: none of {count} samples is kept: {', '.join(reasons)}; train the diffusion model longer, "
            "lower curate.quantile, or switch off the criterion that drops most"
        )
    hardness = np.zeros(len(kept))
    if settings.hardness:
        hardness = 1 - scores["mask_agreement"][kept].reshape(len(kept), -1).mean(axis=1)
    times = repeats(hardness, settings.hardness)
    order = [(int(i), turn + 1) for i, often in zip(kept, times, strict=True) for turn in range(often)]
    if settings.hardness:
        # An arm takes the first so many rows: they are to hold the mixture.
        order = [order[i] for i in generator.permutation(len(order))]
    return order, {
        "kept": len(kept),
        "of": count,
        "rows": len(order),
        "thresholds": thresholds,
        "dropped": {name: int(dropped[name].sum()) if name in dropped else 0 for name in CRITERIA},
        "hardness": settings.hardness,
    }


def _in_words(limit: Threshold) -> str:
    """``0.812``, or ``0.655 and 0.871`` of two structures."""
    return " and ".join(f"{one:.3f}" for one in np.atleast_1d(limit))


def rows(cases: Sequence[Case], order: Sequence[tuple[int, int]]) -> Iterator[Case]:
    """The cases of ``order``, one by one."""
    places = [place for place, _ in order]
    # Out of order every case would have its shard read anew.
    source = cases if places == sorted(set(places)) else {i: cases[i] for i in sorted(set(places))}
    for place, occurrence in order:
        case = source[place]
        yield replace(case, id=repeated_id(case.id, occurrence))


def repeats(hardness_scores: np.ndarray, hardness: int) -> np.ndarray:
    """How often each sample occurs, int (N,): 1 + round(hardness * r), r from 0 for the easiest to 1 for the hardest.

    r is the share of the rank, so that the result does not depend on the scale of the scores; equally hard samples
    occur equally often.

    Args:
        hardness_scores: float (N,), larger is harder. hardness: at least 0; 0 is once each.
    """
    ranks = np.searchsorted(np.sort(hardness_scores), hardness_scores)
    return 1 + np.rint(hardness * ranks / max(ranks.max(initial=0), 1)).astype(int)


def repeated_id(case_id: str, occurrence: int) -> str:
    """The id of the first, second … occurrence of a case: ``a``, ``a-x2`` …"""
    return case_id if occurrence == 1 else f"{case_id}-x{occurrence}"
