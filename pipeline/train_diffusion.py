"""Stage train_diffusion: the mask-conditioned generator of one label subset."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import SCRATCH, Output

PARAMS = ("seed", "compute", "diffusion")
LICENCES = {
    "pixel": "Apache-2.0; see the licence of the training data",
    "latent": "that of the pretrained model; see the licence of the training data",
}


def run(params, *, train: Path, unlabelled: Path, labels: int, replicate: int, out: Output, live: Path) -> None:
    """Train the mask-to-image diffusion model on the n labelled cases of a replicate.

    With ``diffusion.unlabelled`` it also sees the other train images, without their masks; with ``diffusion.select``
    validation it also sees the labels of the val split. Both are counted in ``training.json``.
    """
    from pipeline.data.dataset import read_dataset
    from pipeline.data.labels import label_subset
    from pipeline.diffusion.backends import image_size, train_backend, train_steps
    from pipeline.diffusion.pool import build_pool
    from pipeline.run import files, processes, seeds
    from pipeline.run.compute import setup
    from pipeline.run.progress import progress
    from pipeline.run.resume import Scratch

    device = setup(params.compute)
    settings = params.diffusion
    pretrained = [Path(settings.latent.weights)] if settings.backend == "latent" else []
    selects = settings.backend == "pixel" and settings.select == "validation"
    dataset = read_dataset(train, splits=["train", "val"] if selects else ["train"])
    cases = label_subset(dataset.cases, labels, replicate, params.seed)
    others = [] if settings.unlabelled == "none" else read_dataset(unlabelled).cases
    if settings.backend == "latent" and settings.latent.variant == "reference":
        # Its mask is part of the image.
        others = [case for case in others if case.mask is not None]
    size = image_size(settings)
    pool = build_pool(cases, others, size)
    validation = dataset.split("val") if selects else []
    inputs = [train, *pretrained, *([unlabelled] if others else [])]
    scratch = Scratch(SCRATCH, f"diffusion-n{labels}-r{replicate}", inputs, params.as_dict(), processes.count())
    with progress(f"diffusion n={labels} r={replicate}", train_steps(settings), live) as tick:
        generator = train_backend(
            pool,
            dataset.structures,
            settings,
            seeds.derive(params.seed, "diffusion", labels, replicate),
            scratch,
            device,
            tick,
            build_pool(validation, [], size) if validation else None,
        )
    if not processes.is_main():
        return
    generator.save(out)
    files.write_json(
        out / "training.json",
        {
            "trained_on": {
                "cohort": dataset.cases[0].cohort,
                "data": files.digest([train]),
                "pretrained": files.digest(pretrained) if pretrained else None,
                "labels": [case.id for case in cases],
                "unlabelled": len(others),
                "pseudo_masks": int(pool.known[pool.labelled :].sum()),
                "selected_on": [case.id for case in validation],
            },
            "parameters": settings.model_dump(mode="json"),
            "licence": LICENCES[settings.backend],
        },
    )
    scratch.clear()


if __name__ == "__main__":
    main(run, PARAMS)
