"""Stage train_diffusion: the mask-conditioned generator of one label subset."""

from pathlib import Path

from pipeline.core.stage import SCRATCH, Output, main

PARAMS = ("seed", "compute", "diffusion")


def run(params, *, train: Path, labels: int, replicate: int, out: Output, live: Path) -> None:
    """Train the mask-to-image diffusion model on the n labelled cases of a replicate, and on nothing else."""
    from pipeline.core import files, seeds
    from pipeline.core.compute import setup
    from pipeline.core.dataset import read_dataset
    from pipeline.core.geometry import stack_images, stack_masks
    from pipeline.core.labels import label_subset
    from pipeline.core.progress import progress
    from pipeline.core.resume import Scratch
    from pipeline.diffusion.generator import build_generator
    from pipeline.diffusion.sector import stack_sectors
    from pipeline.diffusion.training import standardise, train_denoiser

    device = setup(params.compute)
    settings = params.diffusion
    dataset = read_dataset(train, splits=["train"])
    cases = label_subset(dataset.cases, labels, replicate, params.seed)
    images, grey_mean, grey_std = standardise(stack_images(cases, settings.image_size), settings.sigma_data)
    scratch = Scratch(SCRATCH, f"diffusion-n{labels}-r{replicate}", [train], params.as_dict())
    with progress(f"diffusion n={labels} r={replicate}", settings.steps, live) as tick:
        unet = train_denoiser(
            images,
            stack_masks(cases, settings.image_size),
            stack_sectors(cases, settings.image_size),
            dataset.n_structures,
            settings,
            seeds.derive(params.seed, "diffusion", labels, replicate),
            scratch,
            device,
            tick,
        )
    build_generator(unet, settings, dataset.classes, grey_mean, grey_std).save_pretrained(out)
    files.write_json(
        out / "training.json",
        {
            "trained_on": {"cohort": dataset.cases[0].cohort, "labels": [case.id for case in cases]},
            "parameters": settings.model_dump(mode="json"),
            "licence": "Apache-2.0; see the licence of the training data",
        },
    )
    scratch.clear()


if __name__ == "__main__":
    main(run, PARAMS)
