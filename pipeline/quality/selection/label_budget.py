"""What a set's own n labels say of its samples; nothing beyond those labels and the images shown is looked at.

The label-budget filter is one network a fold of the labels' patients. Each judges the samples and the labels of the
patients that it was not trained on, so labels and samples are judged alike.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch

from pipeline.data.case import Case
from pipeline.data.chunks import chunks
from pipeline.data.dataset import check_structures, open_dataset, read_images
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.imaging.letterbox import letterbox
from pipeline.networks.small_unet import bottleneck
from pipeline.quality import neighbours
from pipeline.quality.selection.curation import feature_distances
from pipeline.run.errors import InputError
from pipeline.tasks.segmentation.inference import class_map, dice, probabilities
from pipeline.tasks.segmentation.label_filter import LabelFilter

CHUNK = 32
Scorer = Callable[[Sequence[Case]], np.ndarray]
"""Cases → one score each, float (N, ...)."""


def scores(cases: Sequence[Case], scorers: Mapping[str, Scorer]) -> dict[str, np.ndarray]:
    """Every scorer's scores of all cases, in one pass with a chunk of them in memory."""
    if not scorers:
        return {}
    parts = [{name: scorer(chunk) for name, scorer in scorers.items()} for chunk in chunks(cases, CHUNK)]
    return {name: np.concatenate([part[name] for part in parts]) for name in scorers}


def score(cases: Sequence[Case], scorer: Scorer) -> np.ndarray:
    """One scorer's scores of all cases."""
    return scores(cases, {"": scorer})[""]


class LabelBudget:
    """A synthetic set, the labels it was made from, their filter and the images that the generator was shown.

    Attributes:
        samples: the synthetic set. labels: cases. Both are opened lazily.
        label_dice: of each label, by the network that was not trained on its patient.
        size: pixels of the longer side of a sample.

    Args:
        filter: folder of the label-budget filter.
        unlabelled: dataset of images without masks, looked at where the generator was shown them.

    Raises:
        InputError: the set has other structures or labels than the filter, or a label is not in the train split.
    """

    def __init__(self, filter: Path, synthetic: Path, train: Path, unlabelled: Path, device):
        self.filter = LabelFilter(filter, device)
        self.label_dice = self.filter.label_dice
        check_structures(synthetic, self.filter.structures, f"the filter {filter}")
        self.samples = open_dataset(synthetic)
        wanted = set(self.label_dice)
        if set(self.samples.labels) != wanted:
            raise InputError(
                f"{synthetic}: made from other labels than the filter {filter}; give the filter of its cell"
            )
        self.labels = open_dataset(train, ["train"]).cases.where(lambda row: row["id"] in wanted)
        if missing := wanted - set(self.labels.column("id")):
            raise InputError(
                f"{train}: case '{min(missing)}', a label of the filter {filter}, is not in its train split; "
                "give the cohort that the filter was trained on, or train the filter again"
            )
        self._others = unlabelled if self.samples.provenance.get("unlabelled") else None
        self.size = max(self.samples.cases[0].image.shape)

    def agreement(self, cases: Sequence[Case]) -> np.ndarray:
        """Dice of the filter's map and a case's mask, by structure: float (N, K)."""
        return self._dice(cases, stack_masks(cases, self.filter.size))

    @cached_property
    def label_agreement(self) -> np.ndarray:
        """float (n, K), of each label by the network that was not trained on its patient."""
        if self.samples.n_structures == 1:
            return np.array(list(self.label_dice.values()))[:, None]
        return score(self.labels, self.agreement)

    def shuffled_agreement(self, cases: Sequence[Case]) -> np.ndarray:
        """The same with the mask of the case before, or the last one."""
        return self._dice(cases, np.roll(stack_masks(cases, self.filter.size), 1, axis=0))

    def feature_distance(self, cases: Sequence[Case]) -> np.ndarray:
        """Distance to the nearest label of another fold in the filter's features, float (N,)."""
        return self._by_fold(
            cases, lambda fold, some: feature_distances(self._features(fold, some), self._label_features[fold])
        )

    def training_distance(self, cases: Sequence[Case]) -> np.ndarray:
        """Distance to the nearest image shown, float (N,); see :mod:`pipeline.quality.neighbours`."""
        return neighbours.nearest(self._described(cases), self._shown[0]).distance

    @cached_property
    def label_distances(self) -> np.ndarray:
        """float (n,), of each label to the nearest image shown of another patient."""
        (descriptors, patients), n = self._shown, len(self.labels)
        return neighbours.nearest(descriptors[:n], descriptors, patients[:n, None] == patients[None]).distance

    def _dice(self, cases: Sequence[Case], masks: np.ndarray) -> np.ndarray:
        def maps(fold: int, some: Sequence[Case]) -> list[np.ndarray]:
            found = probabilities(self.filter.networks[fold], stack_images(some, self.filter.size), self.filter.device)
            return [class_map(probability) for probability in found]

        pairs = zip(self._by_fold(cases, maps), masks, strict=True)
        return np.array([dice(found, mask, self.samples.n_structures) for found, mask in pairs])

    @cached_property
    def _label_features(self) -> list[np.ndarray]:
        """Of each fold, the features of the labels that its network was trained on."""

        def of_others(fold: int) -> np.ndarray:
            others = self.labels.where(lambda row: self.filter.fold_of[row["patient"]] != fold)
            return score(others, partial(self._features, fold))

        return [of_others(fold) for fold in range(len(self.filter.networks))]

    @torch.inference_mode()
    def _features(self, fold: int, cases: Sequence[Case]) -> np.ndarray:
        images = torch.from_numpy(stack_images(cases, self.filter.size))
        return bottleneck(self.filter.networks[fold], images.to(self.filter.device)).double().cpu().numpy()

    def _by_fold(self, cases: Sequence[Case], judge: Callable[[int, Sequence[Case]], Sequence]) -> np.ndarray:
        """What the network of its own fold gives each case, (N, ...)."""
        if lost := [case for case in cases if case.patient not in self.filter.fold_of]:
            raise InputError(
                f"case '{lost[0].id}': patient '{lost[0].patient}' is not among the patients of the filter "
                f"{self.filter.folder}; judge a set by the filter of its own labels"
            )
        folds = np.array([self.filter.fold_of[case.patient] for case in cases])
        given = {}
        for fold in np.unique(folds):
            places = np.flatnonzero(folds == fold)
            given |= dict(zip(places, judge(int(fold), [cases[i] for i in places]), strict=True))
        return np.array([given[i] for i in range(len(cases))])

    @cached_property
    def _shown(self) -> tuple[np.ndarray, np.ndarray]:
        """Descriptors and patients of the images shown, the labels first; no mask of the others is read."""
        others = [] if self._others is None else read_images(self._others)
        descriptors = np.concatenate([self._described(cases) for cases in (self.labels, others) if len(cases)])
        return descriptors, np.array([*self.labels.column("patient"), *(case.patient for case in others)])

    def _described(self, cases: Sequence[Case]) -> np.ndarray:
        # What was shown is compared at the resolution of the samples.
        boxed = (letterbox(letterbox(case.image, self.size)[0], neighbours.SIZE)[0] for case in cases)
        return np.stack([neighbours.descriptor(image) for image in boxed])
