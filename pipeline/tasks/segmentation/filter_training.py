"""Training of the label-budget filter."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.config.augmentation import Augment
from pipeline.config.small_unet import Filter
from pipeline.data.case import Case
from pipeline.data.folds import fold_of_patient
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.data.structures import Structure, to_json
from pipeline.learning.small_unet import train_small_unet
from pipeline.networks.small_unet import save_unet
from pipeline.run import files
from pipeline.tasks.segmentation.inference import mean_dice


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
    n_structures = len(structures)
    fold_of = fold_of_patient((case.patient for case in cases), settings.folds, "filter.folds")
    trained_on = {"labels": [case.id for case in cases], "parameters": settings.model_dump(mode="json")}
    out_of_fold = {}
    for fold in range(settings.folds):
        judged = [case for case in cases if fold_of[case.patient] == fold]
        network = train_small_unet(
            [case for case in cases if fold_of[case.patient] != fold],
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
            "fold_of_patient": fold_of,
            "out_of_fold_dice": dict(sorted(out_of_fold.items())),
        },
    )
