"""Stop a synthetic set that is not fit to be trained on, with a reason a person can act on.

To stop a run is to select: who trains again until a set passes has chosen with whatever the gate looks at. So it looks
at nothing but what the arms may see: the set's own n labels, through the label-budget filter trained on them, and the
images that the generator was shown. No label beyond the n, no evaluation network and no val or test patient is among
its inputs; their scores stand on the set's page and decide nothing.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.config.quality import Gate
from pipeline.data.case import Case
from pipeline.data.structures import names
from pipeline.quality.imprint import MIN_REAL, imprint, imprinted
from pipeline.quality.label_budget import ImagesShown, LabelBudgetFilter, scores
from pipeline.quality.measurement import at_size
from pipeline.quality.measures import position
from pipeline.quality.training_distance import copy_threshold

REMEDIES = {
    "mask_agreement": "the generator does not follow its masks: train it longer or raise sample.guidance",
    "plausibility": "train the diffusion model longer",
    "imprint": "look at preview.png; train longer or lower sample.guidance",
    "copies": "data/scores names them and what they copy: train for fewer steps or with more images",
}


def broken_limits(samples: Sequence[Case], judge: LabelBudgetFilter, shown: ImagesShown, limits: Gate) -> list[str]:
    """One sentence for every limit that is broken, with the number, the limit and a remedy.

    mask_agreement: of every structure, where the mean Dice of filter and mask lies between that on the labels, by
    networks that were not trained on their patients (0), and that with the mask of another sample (1).
    plausibility: share of samples farther from the labels, in the filter's features, than every label is from those of
    the other folds. imprint: share with a rim along their mask (:mod:`pipeline.quality.imprint`), beyond that of the
    labels; 10 labels are needed, with fewer nothing is asked. copies: share flagged as copies of an image shown; what
    is normal, the distances of the labels to images of other patients say.
    """
    return [
        f"{sentence}; gate.{name} allows {getattr(limits, name):g}: {REMEDIES[name]}, or raise gate.{name}"
        for name, check in CHECKS.items()
        if getattr(limits, name) is not None
        for value, sentence in check(samples, judge, shown)
        if value > getattr(limits, name)
    ]


def _mask_agreement(samples, judge, shown):
    def shuffled(cases: Sequence[Case]) -> np.ndarray:
        return judge.agreement(cases, np.roll(judge.masks(cases), 1, axis=0))

    found = scores(samples, {"own": judge.agreement, "shuffled": shuffled})
    labels = scores(judge.labels, {"": judge.agreement})[""]
    means = zip(
        names(judge.structures),
        *(values.mean(axis=0) for values in (found["own"], labels, found["shuffled"])),
        strict=True,
    )
    for structure, value, best, worst in means:
        if (place := position(value, best, worst)) is not None:
            yield (
                place,
                f"mask agreement of '{structure}' is {value:.3g}, {place:.2f} of the way from that of the labels "
                f"({best:.3g}) to that with another sample's mask ({worst:.3g})",
            )


def _plausibility(samples, judge, shown):
    far = scores(judge.labels, {"": judge.feature_distance})[""].max()
    share = (scores(samples, {"": judge.feature_distance})[""] > far).mean()
    yield share, f"{share:.0%} of {len(samples)} images lie farther from the labels than any label from the others"


def _imprint(samples, judge, shown):
    if len(judge.labels) < MIN_REAL:
        return

    def rims(cases: Sequence[Case]) -> np.ndarray:
        return np.array([imprint(*at_size(case, shown.size)) for case in cases])

    labels = scores(judge.labels, {"": rims})[""]
    share, normal = (imprinted(one, labels).mean() for one in (scores(samples, {"": rims})[""], labels))
    yield (
        share - normal,
        f"{share:.0%} of {len(samples)} images are imprinted with a rim along their mask ({normal:.0%} of the labels)",
    )


def _copies(samples, judge, shown):
    copied = scores(samples, {"": shown.distance})[""] < copy_threshold(shown.label_distances)
    yield copied.mean(), f"{copied.sum()} of {len(samples)} images are copies of training images"


CHECKS = {"mask_agreement": _mask_agreement, "plausibility": _plausibility, "imprint": _imprint, "copies": _copies}
