"""Stage sample: paired synthetic images and masks from a trained generator."""

from pathlib import Path

from pipeline.core.stage import SCRATCH, Output, main

PARAMS = ("seed", "compute", "warp", "sample")


def run(params, *, diffusion: Path, train: Path, labels: int, replicate: int, out: Output) -> None:
    """Draw masks from the label subset and its shape model, and generate one image for each."""
    from pipeline.core import seeds
    from pipeline.core.compute import setup
    from pipeline.core.dataset import read_dataset, write_dataset
    from pipeline.core.labels import label_subset
    from pipeline.core.resume import Scratch
    from pipeline.diffusion.generator import load_generator
    from pipeline.diffusion.masks import draw_masks
    from pipeline.diffusion.sampling import generate, synthetic_cases

    device = setup(params.compute)
    settings = params.sample
    generator = load_generator(diffusion, device)
    dataset = read_dataset(train, splits=["train"])
    cases = label_subset(dataset.cases, labels, replicate, params.seed)
    seed = seeds.derive(params.seed, "sample", labels, replicate)
    draws = draw_masks(
        cases,
        dataset.n_structures,
        generator.config["image_size"],
        settings.count,
        settings.shape_model,
        params.warp,
        seed,
    )
    scratch = Scratch(SCRATCH, f"sample-n{labels}-r{replicate}", [diffusion, train], params.as_dict())
    images = generate(generator, draws, settings, seed, scratch.folder)
    write_dataset(
        out,
        synthetic_cases(draws, images, seed),
        role="synthetic",
        classes=dataset.classes,
        labels=[case.id for case in cases],
        provenance={"cohort": cases[0].cohort, "replicate": replicate, "sample": settings.model_dump(mode="json")},
        shard_rows=settings.chunk_size,
    )
    scratch.clear()


if __name__ == "__main__":
    main(run, PARAMS)
