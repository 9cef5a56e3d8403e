"""Stage train_diffusion: the mask-conditioned generator of one label subset."""

from pathlib import Path

from pipeline.core.stage import SCRATCH, Output, main

PARAMS = ("seed", "compute", "diffusion")


def run(params, *, train: Path, unlabelled: Path, labels: int, replicate: int, out: Output, live: Path) -> None:
    """Train the mask-to-image diffusion model on the n labelled cases of a replicate.

    With ``diffusion.unlabelled`` it also sees the other train images, without their masks; with ``diffusion.select``
    validation it also sees the labels of the val split. Both are counted in ``training.json``.
    """
    from pipeline.core import files, processes, seeds
    from pipeline.core.compute import setup
    from pipeline.core.dataset import read_dataset
    from pipeline.core.labels import label_subset
    from pipeline.core.progress import progress
    from pipeline.core.resume import Scratch
    from pipeline.diffusion.augmentation import N_CHANGES
    from pipeline.diffusion.conditioning import Condition
    from pipeline.diffusion.generator import build_generator
    from pipeline.diffusion.pool import build_pool, without_masks
    from pipeline.diffusion.preview import preview_sheet
    from pipeline.diffusion.sector import outline
    from pipeline.diffusion.training import train_denoiser

    device = setup(params.compute)
    settings = params.diffusion
    dataset = read_dataset(train, splits=["train", "val"] if settings.select == "validation" else ["train"])
    cases = label_subset(dataset.cases, labels, replicate, params.seed)
    others = [] if settings.unlabelled == "none" else read_dataset(unlabelled).cases
    if settings.unlabelled == "null_mask":
        others = without_masks(others)
    pool = build_pool(cases, others, settings.image_size)
    validation = dataset.split("val") if settings.select == "validation" else []
    devices = sorted({case.device for case in cases if case.device}) if settings.device else []
    condition = Condition(
        dataset.n_structures, N_CHANGES if settings.augment.conditioned else 0, settings.pixel_size, tuple(devices)
    )
    sectors = [outline(sector) for sector in pool.sectors[: pool.labelled].numpy()]

    def generator_of(unet):
        return build_generator(unet, settings, dataset.classes, pool.grey, condition, sectors)

    inputs = [train, *([unlabelled] if others else [])]
    scratch = Scratch(SCRATCH, f"diffusion-n{labels}-r{replicate}", inputs, params.as_dict(), processes.count())
    with progress(f"diffusion n={labels} r={replicate}", settings.steps, live) as tick:
        unet = train_denoiser(
            pool,
            condition,
            settings,
            seeds.derive(params.seed, "diffusion", labels, replicate),
            scratch,
            device,
            tick,
            validation=build_pool(validation, [], settings.image_size) if validation else None,
            on_preview=lambda step, network: tick.image("preview.png", preview_sheet(generator_of(network), pool)),
        )
    if not processes.is_main():
        return
    generator_of(unet).save_pretrained(out)
    files.write_json(
        out / "training.json",
        {
            "trained_on": {
                "cohort": dataset.cases[0].cohort,
                "labels": [case.id for case in cases],
                "unlabelled": len(others),
                "pseudo_masks": int(pool.known[pool.labelled :].sum()),
                "selected_on": [case.id for case in validation],
            },
            "parameters": settings.model_dump(mode="json"),
            "licence": "Apache-2.0; see the licence of the training data",
        },
    )
    scratch.clear()


if __name__ == "__main__":
    main(run, PARAMS)
