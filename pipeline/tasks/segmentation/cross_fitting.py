"""Masks of images by networks that have not seen their patients: one fine-tuned segmenter a fold of the labels.

A mask that a network predicts of an image that it was trained on is better than any it will predict afterwards, so what
is fitted to features of such masks would find others where it is used.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from pipeline.data.case import Case
from pipeline.data.folds import ABOUT, fold_of_patient
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.data.structures import Structure
from pipeline.learning.loop import train
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import ImagePool, Segmentation, extra_first
from pipeline.networks.kinds import kind_named
from pipeline.networks.segmenter import save_segmenter
from pipeline.run import files
from pipeline.run.resume import Scratch


def cross_fit(
    cases: Sequence[Case],
    structures: Sequence[Structure],
    folds: int,
    *,
    name: str,
    settings,
    augmentation,
    base: Path,
    seed_of_fold: Callable[[int], int],
    device,
    on_step: Callable[[int, float], None],
    out: Path,
    scratch_of: Callable[[int], Scratch | None] = lambda fold: None,
) -> None:
    """Fine-tune a segmenter for each fold on the labelled ``cases`` of all other folds, and write them.

    Args:
        name, settings: of the segmenter in the parameters, and its section. base: what it starts from.
        scratch_of: fold → where its state is kept.

    Raises:
        InputError: fewer patients than folds.
    """
    fold_of = fold_of_patient((case.patient for case in cases), folds, "age.folds")
    kind, size = kind_named(settings.kind), settings.base.image_size
    for fold in range(folds):
        seen = [case for case in cases if fold_of[case.patient] != fold]
        torch.manual_seed(seed_of_fold(fold))
        network = kind.build(base, settings, len(structures)).to(device)
        pool = ImagePool(stack_images(seen, size), stack_masks(seen, size), augmentation)
        objective = Segmentation(network, pool, len(structures), extra_first(len(seen), len(seen), settings.steps, 0))
        recipe = Recipe.of(settings, f"segmenters.{name}", ema_power=1.0)
        scratch = scratch_of(fold)
        train(objective, recipe, seed=seed_of_fold(fold), device=device, scratch=scratch, on_step=on_step)
        trained_on = {"cohort": seen[0].cohort, "labels": [case.id for case in seen], "fold": fold}
        about = {"name": name, "base": base, "settings": settings, "trained_on": trained_on}
        save_segmenter(kind, out / f"fold-{fold}", network, structures, **about)
    about = {"folds": folds, "fold_of_patient": fold_of, "labels": [case.id for case in cases]}
    files.write_json(out / f"{ABOUT}.json", about)
