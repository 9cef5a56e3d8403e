"""Stage train_instrument: the fixed network that only measures, trained on patients reserved for it."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "instrument", "augment")


def run(params, *, train: Path, out: Output) -> None:
    """Train the instrument network on the instrument split of the training cohort."""
    import torch

    from pipeline.data.dataset import read_dataset
    from pipeline.data.stacking import stack_images, stack_masks
    from pipeline.learning.training import ImagePool, Recipe, fit
    from pipeline.networks.small_unet import build_unet, save_unet
    from pipeline.run import seeds
    from pipeline.run.compute import setup
    from pipeline.run.progress import progress

    device = setup(params.compute)
    settings = params.instrument
    dataset = read_dataset(train, splits=["instrument"])
    seed = seeds.derive(params.seed, "instrument")
    torch.manual_seed(seed)
    trained_on = {
        "cohort": dataset.cases[0].cohort,
        "cases": [case.id for case in dataset.cases],
        "parameters": settings.model_dump(mode="json"),
    }
    images, masks = (stack(dataset.cases, settings.image_size) for stack in (stack_images, stack_masks))
    with progress("instrument", settings.steps) as tick:
        network = fit(
            build_unet(settings.channels, dataset.n_structures),
            ImagePool(images, masks, params.augment),
            Recipe.of(settings),
            n_structures=dataset.n_structures,
            seed=seed,
            device=device,
            on_step=tick,
        )
    save_unet(out, "instrument", network, settings, dataset.structures, trained_on)


if __name__ == "__main__":
    main(run, PARAMS)
