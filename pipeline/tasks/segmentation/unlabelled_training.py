"""What an arm with unlabelled images trains on beside its labels, for one cell of the comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.config.canvas import Canvas
from pipeline.config.segmenters import chosen_segmenter
from pipeline.config.semi_supervised import CrossPseudo, Pseudo
from pipeline.data.dataset import open_dataset, read_dataset, read_images
from pipeline.data.stacking import stack_masks
from pipeline.data.structures import Structure, names
from pipeline.imaging.letterbox import letterbox
from pipeline.learning.segmentation import Segmentation
from pipeline.networks.kinds import kind_named
from pipeline.run import seeds
from pipeline.run.cells import Cell
from pipeline.run.errors import InputError
from pipeline.semi_supervision.choice import semi_supervised
from pipeline.semi_supervision.objective import SemiSupervised
from pipeline.semi_supervision.views import UnlabelledImages
from pipeline.tasks.segmentation.finetuning import finetune


def finetune_with_others(
    params, segmenter: str, bases: Path, train: Path, extra: Path, unlabelled: Path, labels: int, replicate: int,
    arm: str, out: Path, metrics: Path, live: Path,
) -> None:  # fmt: skip
    """Fine-tune a cell of an arm with unlabelled images, a segmenter of any kind; see :func:`finetune`."""
    settings, cell = chosen_segmenter(params.segmenters, segmenter), Cell(segmenter, labels, replicate, arm)
    others = Others(unlabelled, train, bases, params)
    kind, base = kind_named(settings.kind), bases / segmenter
    finetune(kind, settings, params, cell, base, train, extra, out, metrics, live, others=others)


@dataclass(frozen=True)
class Others:
    """The images without labels, and where partners come from.

    folder: what the stage `unlabelled` wrote, or for pseudo-labels what `pseudo_label` did. train: the labelled cohort.
    bases: the folder of the segmenters' bases. params: the sections seed, segmenters, augment and strong_augment.
    """

    folder: Path
    train: Path
    bases: Path
    params: object

    @property
    def inputs(self) -> list[Path]:
        """What is read."""
        return [self.folder, self.bases]

    def beside(
        self, labelled: Segmentation, method, settings, cell: Cell, structures: Sequence[Structure]
    ) -> SemiSupervised:
        """The objective of a cell.

        Args:
            labelled: its objective without unlabelled images. method: the arm's section ``unlabelled``.
            settings: the segmenter's section.

        Raises:
            InputError: no images, or of pseudo-labels no masks.
        """
        key = f"arms.{cell.arm}.unlabelled"
        return semi_supervised(
            labelled,
            self._images(method, settings.base.image_size),
            method,
            steps=settings.steps,
            names=names(structures),
            key=key,
            partner=lambda: self._partner(method, cell, len(structures)),
        )

    def _images(self, method, size: Canvas) -> UnlabelledImages:
        pseudo, masks = isinstance(method, Pseudo), None
        cases = read_dataset(self.folder).cases if pseudo else read_images(self.folder)
        if not cases:
            raise InputError(
                f"{self.folder}: no image is left beyond the labels; lower grid.labels, or name another cohort under "
                "unlabelled.cohort"
            )
        if pseudo:
            cases = [case for case in cases if case.mask is not None]
            if not cases:
                raise InputError(
                    f"{self.folder}: no image has a pseudo-mask; lower unlabelled.agreement, or raise grid.labels"
                )
            masks = stack_masks(cases, size)
        elif truth := self._simulated([case.id for case in cases]):
            masks = stack_masks(truth, size)
        images = np.stack([letterbox(case.image, size)[0] for case in cases])
        return UnlabelledImages(images, masks, self.params.augment, self.params.strong_augment)

    def _simulated(self, ids: Sequence[str]) -> list:
        """The cases with the masks they were simulated from, for the curve of correctness; none of real images, whose
        masks are not opened."""
        cases = open_dataset(self.train, ["train"]).cases.chosen(ids)
        if len(cases) < len(ids) or any(row["mask_source"] != "simulated" for row in cases.table):
            return []
        found = {case.id: case for case in cases}
        return [found[one] for one in ids]

    def _partner(self, method: CrossPseudo, cell: Cell, n_structures: int) -> nn.Module:
        name = method.partner(cell.segmenter)
        partner = self.params.segmenters[name]
        # Always another seed than the cell's own network has: two names may stand for equal settings.
        keys = ("finetune", cell.labels, cell.replicate, "partner", method.partner_seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.derive(self.params.seed, *keys))
            network = kind_named(partner.kind).build(self.bases / name, partner, n_structures)
        return network.to(memory_format=torch.channels_last)
