"""Fine-tuning one cell of the comparison: a segmenter on n labelled cases and what an arm adds to them."""

from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn

from pipeline.config.arms import Arm
from pipeline.config.augmentation import Augment
from pipeline.config.canvas import Canvas
from pipeline.data.case import Case
from pipeline.data.dataset import Dataset, open_dataset, read_dataset
from pipeline.data.labels import read_labels
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.data.structures import Structure
from pipeline.learning import loop
from pipeline.learning.objective import Objective
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import Examples, ImagePool, Segmentation, extra_first
from pipeline.networks.parameters import count_parameters
from pipeline.networks.segmenter import Kind, save_segmenter
from pipeline.run import files, processes, seeds
from pipeline.run.cells import Cell
from pipeline.run.compute import check_precision, setup
from pipeline.run.errors import InputError
from pipeline.run.progress import progress
from pipeline.run.resume import Scratch
from pipeline.run.stage import SCRATCH
from pipeline.tasks.segmentation.inference import mean_dice

PoolOf = Callable[[nn.Module, Sequence[Case], Canvas, Augment], Examples]
"""Network, cases, their size in pixels, augmentation → what is trained on."""


class WithOthers(Objective, Protocol):
    """The objective of a cell that learns from unlabelled images too."""

    unlabelled: Sized
    """These images."""
    averages: bool
    """Whether what is kept is an average of past weights already."""

    def segmenter(self) -> nn.Module:
        """What is kept after training."""

    def passes(self, steps: Iterable[int], batch: int) -> dict[str, int]:
        """Images through a network in these steps, ``with_gradient`` and ``without_gradient``."""

    def vanishing(self) -> dict[str, int]:
        """How often each structure all but vanished from the pseudo-labels."""


class Others(Protocol):
    """Unlabelled images of a cell; ``tasks.segmentation.unlabelled_training``, which supervised arms do not import."""

    inputs: Sequence[Path]
    """What it reads."""

    def beside(
        self, labelled: Segmentation, method, settings, cell: Cell, structures: Sequence[Structure]
    ) -> WithOthers:
        """The objective of a cell, from that of its labels alone."""


def image_pool(network: nn.Module, cases: Sequence[Case], size: Canvas, augmentation: Augment) -> ImagePool:
    """Images, augmented anew in every batch."""
    return ImagePool(stack_images(cases, size), stack_masks(cases, size), augmentation)


def finetune(
    kind: Kind, settings, params, cell: Cell, base: Path, train: Path, extra: Path,
    out: Path, metrics: Path, live: Path, pool_of: PoolOf = image_pool, others: Others | None = None,
) -> None:  # fmt: skip
    """Train for the same number of steps in every arm; write the segmenter and what it was trained on.

    Of the labelled cohort no case is decoded but the labels, and the val split where weights are chosen on it.

    Args:
        settings: the segmenter's section.
        params: the sections seed, compute, augment, strong_augment and arms.
        extra: the dataset of what the arm adds, which may be empty.
        pool_of: makes what is trained on of the cases, the real ones first.
        others: the images without labels, and what is done with them; None in arms without.
    """
    key, spec, size = f"segmenters.{cell.segmenter}", params.arms[cell.arm], settings.base.image_size
    device = setup(params.compute)
    check_precision(f"{key}.mixed_precision", settings.mixed_precision, device)
    structures = open_dataset(train, splits=[]).structures
    cases = read_labels(train, cell.labels, cell.replicate, params.seed)
    added = open_dataset(extra)
    seed = seeds.derive(params.seed, "finetune", cell.labels, cell.replicate)
    # The same initial weights and the same order of random numbers in every arm of a replicate.
    torch.manual_seed(seed)
    network = kind.build(base, settings, len(structures)).to(device)
    real = real_count(cell.arm, spec, cell.labels)
    augmentation = params.augment if spec.augment == "standard" else params.strong_augment
    pool = pool_of(network, [*cases[:real], *added.cases], size, augmentation)
    validation = read_dataset(train, splits=["val"]).cases if spec.validated else []
    drawn = extra_first(real, len(pool), settings.steps, spec.pretrain)
    objective = Segmentation(network, pool, len(structures), drawn)
    if others:
        objective = others.beside(objective, spec.unlabelled, settings, cell, structures)
    inputs = [train, base, extra, *(others.inputs if others else ())]
    scratch = Scratch(SCRATCH, f"finetune-{cell.name}", inputs, params.as_dict(), processes.count())
    with progress(f"finetune {cell.name}", settings.steps, live) as tick:
        loop.train(
            objective,
            recipe_of(settings, key, objective),
            seed=seed,
            device=device,
            scratch=scratch,
            validate=_validator(validation, size, len(structures), device),
            on_step=tick,
            on_curves=tick.curves,
        )
    if not processes.is_main():
        return
    trained_on = {
        "cohort": cases[0].cohort,
        "arm": cell.arm,
        "labels": [case.id for case in cases],
        "selected_on": [case.id for case in validation],
        "extra": spec.extra,
        "extra_cases": len(added.cases),
        "unlabelled_cases": len(objective.unlabelled) if others else 0,
    }
    about = {"name": cell.segmenter, "base": base, "settings": settings, "trained_on": trained_on}
    network = objective.segmenter() if others else network
    save_segmenter(kind, out, network, structures, **about)
    passes = {"with_gradient": settings.steps * settings.batch, "without_gradient": 0}
    if others:
        passes = objective.passes(range(settings.steps), settings.batch)
    told = label_budget(trained_on, added) | {
        "forward_passes": passes,
        "vanishing": objective.vanishing() if others else None,
    }
    files.write_json(metrics, told | count_parameters(network))
    scratch.clear()


def recipe_of(settings, key: str, objective: Objective) -> Recipe:
    """What a segmenter's section says; no average of weights where the objective keeps one of its own.

    The average of an arm with labels alone is of the form of a teacher, the mean of all steps at first.
    """
    recipe = Recipe.of(settings, key, ema_power=1.0)
    return replace(recipe, ema_decay=None) if getattr(objective, "averages", False) else recipe


def real_count(name: str, arm: Arm, labels: int) -> int:
    """How many of the labelled cases an arm trains on.

    Raises:
        InputError: less than one, though the arm wants some.
    """
    count = round(arm.real * labels)
    if arm.real and count == 0:
        raise InputError(f"arm '{name}': real {arm.real:g} of {labels} labels is not one case; raise it, or say 0")
    return count


def label_budget(trained_on: dict, added: Dataset) -> dict:
    """What an arm has seen in all, by its segmenter and whatever made its extra cases.

    Returns:
        labels: labelled real cases, those that weights were selected on among them. unlabelled: real images seen
        without their label. extra: cases added. samples: of a synthetic set, how many it had to offer and what its
        curation did; None of others.
    """
    made = added.provenance
    return {
        "labels": len(set(trained_on["labels"]) | set(added.labels)) + len(trained_on["selected_on"]),
        # A generator's unlabelled images and the arm's own are of one stage.
        "unlabelled": max(made.get("unlabelled", 0), trained_on["unlabelled_cases"]),
        "extra": len(added.cases),
        "samples": {"available": made["available"], "curated": made.get("curated")} if "available" in made else None,
    }


def _validator(cases: Sequence[Case], size: Canvas, n_structures: int, device):
    """Mean Dice of a network on the validation cases; None where there are none."""
    if not cases:
        return None
    images, masks = stack_images(cases, size), stack_masks(cases, size)
    return lambda network: float(np.mean(mean_dice(network, images, masks, n_structures, device)))
