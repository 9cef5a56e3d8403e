"""The label-budget filter: small U-Nets trained on an arm's own n labels, one a fold of patients.

What it judges by a network that was trained without the patient in question it judges without having seen the answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from pipeline.config.augmentation import Augment
from pipeline.config.small_unet import Filter
from pipeline.data.case import Case
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.data.structures import Structure, from_json, to_json
from pipeline.imaging.letterbox import Letterbox
from pipeline.learning.small_unet import train_small_unet
from pipeline.networks.small_unet import load_unet, save_unet
from pipeline.networks.weights import read_config
from pipeline.run import files, seeds
from pipeline.run.errors import InputError
from pipeline.tasks.segmentation.inference import class_map, dice, mean_dice, probabilities


class LabelFilter:
    """A trained filter.

    networks: one a fold, for images of ``size`` pixels. fold_of: patient → the fold whose network has not seen her.
    label_dice: label → its Dice by the network that has not seen its patient.
    """

    def __init__(self, folder: Path, device):
        about = read_config(folder, "filter")
        self.folder, self.device = folder, device
        self.structures = from_json(about["structures"])
        self.fold_of: dict[str, int] = about["fold_of_patient"]
        self.label_dice: dict[str, float] = about["out_of_fold_dice"]
        loaded = [load_unet(folder, f"fold-{fold}", device) for fold in range(about["folds"])]
        self.networks, self.size = [network for network, _ in loaded], loaded[0][1]["image_size"]


def train_label_filter(
    cases: Sequence[Case],
    structures: Sequence[Structure],
    settings: Filter,
    augmentation: Augment,
    seed_of_fold: Callable[[int], int],
    device,
    on_step: Callable[[int, float], None],
    out: Path,
) -> None:
    """Train a network a fold on the labelled ``cases`` and write them with each label's out-of-fold Dice.

    Raises:
        InputError: fewer patients than folds.
    """
    patients, n_structures = sorted({case.patient for case in cases}), len(structures)
    if len(patients) < settings.folds:
        raise InputError(
            f"key 'filter.folds' is {settings.folds}, the {len(cases)} labels are of {len(patients)} patients"
        )
    fold_of_patient = {patient: i % settings.folds for i, patient in enumerate(patients)}
    trained_on = {"labels": [case.id for case in cases], "parameters": settings.model_dump(mode="json")}
    out_of_fold = {}
    for fold in range(settings.folds):
        judged = [case for case in cases if fold_of_patient[case.patient] == fold]
        network = train_small_unet(
            [case for case in cases if fold_of_patient[case.patient] != fold],
            settings,
            augmentation,
            key="filter",
            n_structures=n_structures,
            seed=seed_of_fold(fold),
            device=device,
            on_step=on_step,
        )
        save_unet(out, f"fold-{fold}", network, settings, structures, trained_on)
        images, masks = stack_images(judged, settings.image_size), stack_masks(judged, settings.image_size)
        scores = mean_dice(network, images, masks, n_structures, device)
        out_of_fold |= {case.id: float(score) for case, score in zip(judged, scores, strict=True)}
    files.write_json(
        out / "filter.json",
        {
            "structures": to_json(structures),
            "folds": settings.folds,
            "fold_of_patient": fold_of_patient,
            "out_of_fold_dice": dict(sorted(out_of_fold.items())),
        },
    )


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


def fold_seed(seed: int, labels: int, replicate: int) -> Callable[[int], int]:
    """The seed of each fold's network."""
    return lambda fold: seeds.derive(seed, "filter", labels, replicate, fold)
