"""Stage train_filter: networks trained on an arm's own n labels, which may judge samples, cross-fitted."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "filter", "augment")


def run(params, *, train: Path, labels: int, replicate: int, out: Output) -> None:
    """Train one filter network per fold of the label subset and keep each label's out-of-fold Dice."""
    import numpy as np
    import torch

    from pipeline.data.dataset import read_dataset
    from pipeline.data.labels import label_subset
    from pipeline.data.stacking import stack_images, stack_masks
    from pipeline.data.structures import to_json
    from pipeline.learning.training import ImagePool, Recipe, fit
    from pipeline.networks.small_unet import build_unet, save_unet
    from pipeline.run import files, seeds
    from pipeline.run.compute import setup
    from pipeline.run.errors import InputError
    from pipeline.run.progress import progress
    from pipeline.tasks.segmentation.inference import class_map, dice, probabilities

    device = setup(params.compute)
    settings = params.filter
    dataset = read_dataset(train, splits=["train"])
    cases = label_subset(dataset.cases, labels, replicate, params.seed)
    patients = sorted({case.patient for case in cases})
    if len(patients) < settings.folds:
        raise InputError(f"key 'filter.folds' is {settings.folds}, the {labels} labels are of {len(patients)} patients")
    # Folds are of patients: a network never judges a patient it was trained on.
    fold_of_patient = {patient: i % settings.folds for i, patient in enumerate(patients)}
    fold_of = np.array([fold_of_patient[case.patient] for case in cases])
    trained_on = {"labels": [case.id for case in cases], "parameters": settings.model_dump(mode="json")}
    images = stack_images(cases, settings.image_size)
    masks = stack_masks(cases, settings.image_size)
    out_of_fold = {}
    with progress("filter", settings.steps * settings.folds) as tick:
        for fold in range(settings.folds):
            seed = seeds.derive(params.seed, "filter", labels, replicate, fold)
            torch.manual_seed(seed)
            network = fit(
                build_unet(settings.channels, dataset.n_structures),
                ImagePool(images[fold_of != fold], masks[fold_of != fold], params.augment),
                Recipe.of(settings),
                n_structures=dataset.n_structures,
                seed=seed,
                device=device,
                on_step=tick,
            )
            save_unet(out, f"fold-{fold}", network, settings, dataset.structures, trained_on)
            held = np.flatnonzero(fold_of == fold)
            for i, probability in zip(held, probabilities(network, images[held], device), strict=True):
                score = dice(class_map(probability), masks[i], dataset.n_structures)
                out_of_fold[cases[i].id] = float(score.mean())
    files.write_json(
        out / "filter.json",
        {
            "structures": to_json(dataset.structures),
            "folds": settings.folds,
            "fold_of_patient": fold_of_patient,
            "out_of_fold_dice": dict(sorted(out_of_fold.items())),
        },
    )


if __name__ == "__main__":
    main(run, PARAMS)
