"""Stage usefulness: train on synthetic and test on real, and the reverse."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "usefulness", "augment")


def run(params, *, synthetic: Path, train: Path, labels: int, replicate: int, out: Output) -> None:
    """Train one small U-Net on the synthetic set alone and one on the n real labels alone, and test each on the other.

    Neither is the evaluation network or a filter, and nothing is selected with them. Real test images are those of
    unseen patients. "Train on synthetic, test on real" is due to Esteban, Hyland & Rätsch 2017.
    """
    import torch

    from pipeline.data.dataset import read_dataset
    from pipeline.data.labels import label_subset
    from pipeline.data.stacking import stack_images, stack_masks
    from pipeline.learning.recipe import Recipe
    from pipeline.learning.segmentation import ImagePool, fit
    from pipeline.networks.small_unet import build_unet
    from pipeline.quality.measures import as_json
    from pipeline.quality.usefulness import usefulness_measures
    from pipeline.run import files, seeds
    from pipeline.run.compute import setup
    from pipeline.run.progress import progress
    from pipeline.tasks.segmentation.inference import mean_dice

    device = setup(params.compute)
    settings = params.usefulness
    real = read_dataset(train, splits=["train", "val", "test"])
    sets = {
        "synthetic": read_dataset(synthetic).cases,
        "labels": label_subset(real, labels, replicate, params.seed),
        "unseen": real.split("val", "test"),
    }
    images = {name: stack_images(cases, settings.image_size) for name, cases in sets.items()}
    masks = {name: stack_masks(cases, settings.image_size) for name, cases in sets.items()}
    seed = seeds.derive(params.seed, "usefulness", labels, replicate)
    dice = {}
    for name, tested_on in (("synthetic", ("unseen",)), ("labels", ("unseen", "synthetic"))):
        # The same initial weights and order of random numbers for both.
        torch.manual_seed(seed)
        with progress(f"usefulness, trained on {name}", settings.steps) as tick:
            network = fit(
                build_unet(settings.channels, real.n_structures),
                ImagePool(images[name], masks[name], params.augment),
                Recipe.of(settings, "usefulness"),
                n_structures=real.n_structures,
                seed=seed,
                device=device,
                on_step=tick,
            )
        for other in tested_on:
            dice[name, other] = mean_dice(network, images[other], masks[other], real.n_structures, device)
    measures = usefulness_measures(dice, masks, real.n_structures, seed)
    files.write_json(out, {"measures": as_json(measures)})


if __name__ == "__main__":
    main(run, PARAMS)
