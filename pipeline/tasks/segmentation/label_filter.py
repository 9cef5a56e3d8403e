"""The label-budget filter: small U-Nets trained on an arm's own n labels, one a fold of patients.

What it judges by a network that was trained without the patient in question it judges without having seen the answer.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from pipeline.data.case import Case
from pipeline.data.stacking import stack_images
from pipeline.data.structures import from_json
from pipeline.imaging.letterbox import Letterbox
from pipeline.networks.small_unet import load_unet
from pipeline.networks.weights import read_config
from pipeline.tasks.segmentation.inference import class_map, dice, probabilities


class LabelFilter:
    """A trained filter.

    networks: one a fold, for images of ``size`` pixels. fold_of: patient → the fold whose network has not seen her.
    label_dice: label → its Dice by the network that has not seen its patient.
    """

    def __init__(self, folder: Path, device):
        about = read_config(folder, "filter", "structures", "folds", "fold_of_patient", "out_of_fold_dice")
        self.folder, self.device = folder, device
        self.structures = from_json(about["structures"])
        self.fold_of: dict[str, int] = about["fold_of_patient"]
        self.label_dice: dict[str, float] = about["out_of_fold_dice"]
        loaded = [load_unet(folder, f"fold-{fold}", device) for fold in range(about["folds"])]
        self.networks, self.size = [network for network, _ in loaded], loaded[0][1]["image_size"]


def with_pseudo_masks(judge: LabelFilter, cases: Sequence[Case], agreement: float) -> list[Case]:
    """The cases with the class map of the networks' mean probability at native resolution, where they agree.

    Args:
        agreement: least mean Dice between the networks' own class maps; a case below it stays without a mask.
    """
    n_structures, results = len(judge.structures), []
    for case in cases:
        votes = []
        box = Letterbox.fit(case.image.shape, judge.size)
        for network in judge.networks:
            (vote,) = probabilities(network, stack_images([case], judge.size), judge.device)
            votes.append(np.stack([box.restore(plane) for plane in vote]))
        maps = [class_map(vote) for vote in votes]
        agreed = np.mean([dice(a, b, n_structures).mean() for a, b in combinations(maps, 2)]) >= agreement
        mask = class_map(np.mean(votes, axis=0))
        results.append(replace(case, mask=mask, mask_source="filter") if agreed and mask.any() else case)
    return results
