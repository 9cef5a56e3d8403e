"""Stage train_diffusion: the mask-conditioned generator of one label subset."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import SCRATCH, Output

PARAMS = ("seed", "compute", "diffusion")


def run(params, *, train: Path, unlabelled: Path, labels: int, replicate: int, out: Output, live: Path) -> None:
    """Train the mask-to-image diffusion model on the n labelled cases of a replicate.

    With ``diffusion.unlabelled`` it also sees the other train images, without their annotated masks, and counts them.
    """
    from pipeline.data.dataset import read_dataset, read_images
    from pipeline.data.labels import label_subset
    from pipeline.diffusion.training import train_generator
    from pipeline.diffusion.training_set import build_training_set
    from pipeline.run import files, processes, seeds
    from pipeline.run.compute import setup
    from pipeline.run.progress import progress
    from pipeline.run.resume import Scratch

    device = setup(params.compute)
    settings = params.diffusion
    dataset = read_dataset(train, splits=["train"])
    cases = label_subset(dataset.cases, labels, replicate, params.seed)
    read = {"none": lambda path: [], "null_mask": read_images, "pseudo_mask": lambda path: read_dataset(path).cases}
    others = read[settings.unlabelled](unlabelled)
    if settings.needs_masks:
        others = [case for case in others if case.mask is not None]
    data = build_training_set(cases, others, dataset.structures, settings.image_size)
    pretrained = [Path(settings.weights)] if settings.backend == "latent" else []
    inputs = [train, *pretrained, *([unlabelled] if others else [])]
    scratch = Scratch(SCRATCH, f"diffusion-n{labels}-r{replicate}", inputs, params.as_dict(), processes.count())
    seed = seeds.derive(params.seed, "diffusion", labels, replicate)
    with progress(f"diffusion n={labels} r={replicate}", settings.steps, live) as tick:
        generator = train_generator(data, settings, seed, scratch, device, tick)
    if not processes.is_main():
        return
    generator.save(out)
    trained_on = {
        "cohort": dataset.cases[0].cohort,
        "data": files.digest([train]),
        "pretrained": files.digest(pretrained) if pretrained else None,
        "labels": [case.id for case in cases],
        "unlabelled": len(others),
        "pseudo_masks": int(data.known[data.labelled :].sum()),
    }
    about = {"parameters": settings.model_dump(mode="json"), "licence": generator.licence}
    files.write_json(out / "training.json", {"trained_on": trained_on, **about})
    scratch.clear()


if __name__ == "__main__":
    main(run, PARAMS)
