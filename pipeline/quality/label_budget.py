"""What a set's own n labels say of its samples; nothing beyond those labels and the images shown is looked at.

The label-budget filter is one network a fold of the labels' patients. Each judges the samples and the labels of the
patients that it was not trained on, so labels and samples are judged alike.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline.data.case import Case
from pipeline.data.chunks import chunks
from pipeline.data.dataset import LazyCases, open_dataset, read_images
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.imaging.letterbox import letterbox
from pipeline.networks.small_unet import bottleneck
from pipeline.quality import neighbours
from pipeline.quality.curation import feature_distances
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


class LabelBudgetFilter(LabelFilter):
    """The filter of a cell beside its labels.

    Attributes:
        labels: the cases it was trained on, opened lazily.

    Raises:
        InputError: no filter, or one of its labels is not in the train split of ``train``.
    """

    def __init__(self, folder: Path, train: Path, device):
        super().__init__(folder, device)
        wanted = set(self.label_dice)
        self.labels: LazyCases = open_dataset(train, ["train"]).cases.where(lambda row: row["id"] in wanted)
        if missing := wanted - set(self.labels.column("id")):
            raise InputError(
                f"{train}: case '{min(missing)}', a label of the filter {folder}, is not in its train split; "
                "give the cohort that the filter was trained on, or train the filter again"
            )
        self._training: list[np.ndarray] = []

    def check_labels(self, labels: Sequence[str], by: Path) -> None:
        """Refuse a set that was made from other labels.

        Raises:
            InputError: naming the set ``by``.
        """
        if set(labels) != set(self.label_dice):
            raise InputError(f"{by}: made from other labels than the filter {self.folder}; give the filter of its cell")

    def agreement(self, cases: Sequence[Case], masks: np.ndarray | None = None) -> np.ndarray:
        """Dice of the filter's map and a mask, by structure: float (N, K).

        Args:
            masks: uint8 (N, S, S) in the filter's resolution; None for the cases' own.
        """
        masks = self.masks(cases) if masks is None else masks
        structures = len(self.structures)

        def of_fold(fold: int, own: Sequence[Case]) -> list[np.ndarray]:
            found = probabilities(self.networks[fold], stack_images(own, self.size), self.device)
            return [class_map(probability) for probability in found]

        return np.array([dice(a, b, structures) for a, b in zip(self._by_fold(cases, of_fold), masks, strict=True)])

    def masks(self, cases: Sequence[Case]) -> np.ndarray:
        """uint8 (N, S, S), the cases' masks in the filter's resolution."""
        return stack_masks(cases, self.size)

    def feature_distance(self, cases: Sequence[Case]) -> np.ndarray:
        """Distance to the nearest label of another fold in the filter's features, float (N,)."""
        if not self._training:
            for fold in range(len(self.networks)):
                others = self.labels.where(lambda row, fold=fold: self.fold_of[row["patient"]] != fold)
                self._training.append(scores(others, {"": lambda some, fold=fold: self._features(fold, some)})[""])
        return self._by_fold(
            cases, lambda fold, own: feature_distances(self._features(fold, own), self._training[fold])
        )

    @torch.inference_mode()
    def _features(self, fold: int, cases: Sequence[Case]) -> np.ndarray:
        images = torch.from_numpy(stack_images(cases, self.size))
        return bottleneck(self.networks[fold], images.to(self.device)).double().cpu().numpy()

    def _by_fold(self, cases: Sequence[Case], score: Callable[[int, Sequence[Case]], Sequence]) -> np.ndarray:
        """What the network of its own fold gives each case, (N, ...)."""
        if lost := [case for case in cases if case.patient not in self.fold_of]:
            raise InputError(
                f"case '{lost[0].id}': patient '{lost[0].patient}' is not among the patients of the filter "
                f"{self.folder}; judge a set by the filter of its own labels"
            )
        folds = np.array([self.fold_of[case.patient] for case in cases])
        given = {}
        for fold in np.unique(folds):
            places = np.flatnonzero(folds == fold)
            given |= dict(zip(places, score(int(fold), [cases[i] for i in places]), strict=True))
        return np.array([given[i] for i in range(len(cases))])


class ImagesShown:
    """The images that a generator was shown, as descriptors; masks are not read.

    Args:
        unlabelled: dataset of the images shown beside the labels, or None.
        size: pixels of the longer side of a sample; what was shown is compared at that resolution.

    Attributes:
        label_distances: float (n,), of each label to the nearest image of another patient.
    """

    def __init__(self, labels: LazyCases, unlabelled: Path | None, size: int):
        self.size = size
        others = [] if unlabelled is None else read_images(unlabelled)
        self._descriptors = np.concatenate([self._described(some) for some in (labels, others) if len(some)])
        names = np.array([*labels.column("patient"), *(case.patient for case in others)])
        own = len(labels)
        same = names[:own, None] == names[None]
        self.label_distances = neighbours.nearest(self._descriptors[:own], self._descriptors, same).distance

    def distance(self, cases: Sequence[Case]) -> np.ndarray:
        """Distance to the nearest image shown, float (N,); see :mod:`pipeline.quality.neighbours`."""
        return neighbours.nearest(self._described(cases), self._descriptors).distance

    def _described(self, cases: Sequence[Case]) -> np.ndarray:
        boxed = (letterbox(letterbox(case.image, self.size)[0], neighbours.SIZE)[0] for case in cases)
        return np.stack([neighbours.descriptor(image) for image in boxed])
