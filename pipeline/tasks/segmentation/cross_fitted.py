"""The networks of :mod:`pipeline.tasks.segmentation.cross_fitting`, asked for masks."""

from pathlib import Path

import numpy as np

from pipeline.data.case import Case
from pipeline.data.folds import ABOUT
from pipeline.data.stacking import stack_images
from pipeline.data.structures import from_json
from pipeline.imaging.letterbox import Letterbox
from pipeline.networks.kinds import kind_of
from pipeline.networks.outputs import outputs_of
from pipeline.networks.segmenter import load_segmenter
from pipeline.networks.weights import read_config
from pipeline.tasks.segmentation.inference import class_map, probabilities


class CrossFitted:
    """A segmenter a fold of the labels.

    labels: ids of the cases it was trained on. fold_of: their patients → the fold whose network has not seen her.
    """

    def __init__(self, folder: Path, device, base: Path | None = None):
        about = read_config(folder, ABOUT, "folds", "fold_of_patient", "labels")
        self.device, self.fold_of, self.labels = device, about["fold_of_patient"], tuple(about["labels"])
        folders = [folder / f"fold-{fold}" for fold in range(about["folds"])]
        loaded = [load_segmenter(kind_of(one), one, device, base) for one in folders]
        self.networks = [network for network, _ in loaded]
        self.size, self.structures = loaded[0][1]["image_size"], from_json(loaded[0][1]["structures"])

    def mask(self, case: Case) -> np.ndarray:
        """uint8 class map (H, W) of a case from its image alone: of a label's patient by the network of her fold, of
        any other by the mean probability of all networks.
        """
        fold = self.fold_of.get(case.patient)
        networks = self.networks if fold is None else [self.networks[fold]]
        x = stack_images([case], self.size)
        votes = np.mean([probabilities(network, x, self.device)[0] for network in networks], axis=0)
        box = Letterbox.fit(case.image.shape, self.size)
        return class_map(np.stack([box.restore(plane) for plane in votes]), outputs_of(networks[0]))
