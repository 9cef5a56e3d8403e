"""Stop a synthetic set that is not fit to be trained on, with a reason a person can act on.

To stop a run is to select: who trains again until a set passes has chosen with whatever the gate looks at. So it looks
at nothing but what the arms may see: the set's own n labels, through the label-budget filter trained on them, and the
images that the generator was shown. Labels beyond the n, the evaluation network, val and test patients are not looked
at; what they say stands on the set's page and decides nothing.
"""

import logging
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.config.quality import MIN_REAL, Gate
from pipeline.data.case import Case
from pipeline.data.stacking import at_size
from pipeline.data.structures import names
from pipeline.quality.imprint import imprinted, imprints
from pipeline.quality.measures import position
from pipeline.quality.selection.label_budget import LabelBudget, score, scores
from pipeline.quality.training_distance import copy_threshold

log = logging.getLogger("pipeline.gate")
REMEDIES = {
    "mask_agreement": "the generator does not follow its masks: train it longer or raise sample.guidance",
    "plausibility": "train the diffusion model longer",
    "imprint": "look at preview.png; train longer or lower sample.guidance",
    "copies": "data/scores has the nearest image of each: train for fewer steps or with more images",
}
UNREAD = "raise filter.steps, filter.image_size or grid.labels, or set gate.mask_agreement to null"
"""Remedy where a limit cannot be read, which only that of mask agreement may be."""


def broken_limits(budget: LabelBudget, limits: Gate) -> list[str]:
    """One sentence for every limit that is broken, with the number, the limit and a remedy, and for every one that
    cannot be read: a set does not pass a limit that was not held against it.

    mask_agreement: of every structure, where the mean Dice of filter and mask lies between that on the labels, by
    networks that were not trained on their patients (0), and that with the mask of another sample (1). It cannot be
    read where the filter agrees with the labels no better than with other samples' masks.
    plausibility: share of samples farther from the labels, in the filter's features, than every label is from those of
    the other folds. imprint: share with a rim along their mask (:mod:`pipeline.quality.imprint`), beyond that of the
    labels; a structure whose outline fewer than 10 labels show is left out with a warning. copies: share flagged as
    copies of an image shown; what is normal, the distances of the labels to images of other patients say.
    """
    checks = {"mask_agreement": _agreement, "plausibility": _plausibility, "imprint": _imprint, "copies": _copies}
    return [
        f"{sentence}; gate.{name} {'cannot be read' if value is None else f'allows {limit:g}'}: "
        + (UNREAD if value is None else f"{REMEDIES[name]}, or raise gate.{name}")
        for name, check in checks.items()
        if (limit := getattr(limits, name)) is not None
        for value, sentence in check(budget)
        if value is None or value > limit
    ]


def _agreement(budget: LabelBudget) -> Iterator[tuple[float | None, str]]:
    found = scores(budget.samples.cases, {"own": budget.agreement, "shuffled": budget.shuffled_agreement})
    ends = found["own"], score(budget.labels, budget.agreement), found["shuffled"]
    for structure, *means in zip(names(budget.samples.structures), *(dice.mean(axis=0) for dice in ends), strict=True):
        value, best, worst = means
        if best <= worst:
            than = f"of the filter is {best:.3g} on the labels and {worst:.3g} with another sample's mask"
            yield None, f"mask agreement of '{structure}' {than}: the filter does not find it"
        else:
            place = position(*means)
            way = f"from that of the labels ({best:.3g}) to that with another sample's mask ({worst:.3g})"
            yield place, f"mask agreement of '{structure}' is {value:.3g}, {place:.2f} of the way {way}"


def _plausibility(budget: LabelBudget) -> Iterator[tuple[float, str]]:
    samples, labels = (score(cases, budget.feature_distance) for cases in (budget.samples.cases, budget.labels))
    share = (samples > labels.max()).mean()
    yield share, f"{share:.0%} of {len(samples)} images lie farther from the labels than any label from the others"


def _imprint(budget: LabelBudget) -> Iterator[tuple[float, str]]:
    def rims(cases: Sequence[Case]) -> np.ndarray:
        return np.array([imprints(*at_size(case, budget.size), budget.samples.n_structures) for case in cases])

    labels = score(budget.labels, rims)
    clear = np.isfinite(labels).sum(axis=0)
    for structure, count in zip(names(budget.samples.structures), clear, strict=True):
        if count < MIN_REAL:
            told = "gate.imprint leaves '%s' out: it needs %d labels that show its outline clearly, the set has %d"
            log.warning(told, structure, MIN_REAL, count)
    judged = clear >= MIN_REAL
    if not judged.any():
        return
    samples, labels = score(budget.samples.cases, rims)[:, judged], labels[:, judged]
    share, normal = (imprinted(rim, labels).mean() for rim in (samples, labels))
    rest = f"of {len(samples)} images are imprinted with a rim along their mask ({normal:.0%} of the labels)"
    yield share - normal, f"{share:.0%} {rest}"


def _copies(budget: LabelBudget) -> Iterator[tuple[float, str]]:
    copied = score(budget.samples.cases, budget.training_distance) < copy_threshold(budget.label_distances)
    yield copied.mean(), f"{copied.sum()} of {len(copied)} images are copies of training images"
