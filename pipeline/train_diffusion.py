"""Stage train_diffusion: the mask-conditioned generator of one label subset."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import SCRATCH, Output

PARAMS = ("seed", "compute", "diffusion")


def run(params, *, views: Path, labels: int, replicate: int, out: Output, live: Path) -> None:
    """Train the mask-to-image diffusion model on the views of the n labelled cases of a replicate, and of others."""
    from pipeline.diffusion.training import train_generator
    from pipeline.diffusion.training_set import open_training_set
    from pipeline.run import files, processes, seeds
    from pipeline.run.compute import setup
    from pipeline.run.progress import progress
    from pipeline.run.resume import Scratch

    device = setup(params.compute)
    settings = params.diffusion
    data = open_training_set(views)
    data = data.with_masks() if settings.needs_masks else data
    trained_on = files.read_json(views / "trained_on.json", "run the stage encode_views again, or `dvc pull`")
    pretrained = [Path(settings.weights)] if settings.backend == "stable_diffusion" else []
    values = params.as_dict(), processes.count()
    scratch = Scratch(SCRATCH, f"diffusion-n{labels}-r{replicate}", [views, *pretrained], *values)
    seed = seeds.derive(params.seed, "diffusion", labels, replicate)
    with progress(f"diffusion n={labels} r={replicate}", settings.steps, live) as tick:
        generator = train_generator(data, views, settings, seed, scratch, device, tick)
    if not processes.is_main():
        return
    generator.save(out)
    trained_on["unlabelled"] = len(data) - data.labelled
    trained_on["pretrained"] = files.digest(pretrained) if pretrained else None
    about = {"parameters": settings.model_dump(mode="json"), "licence": generator.licence}
    files.write_json(out / "training.json", {"trained_on": trained_on, **about})
    scratch.clear()


if __name__ == "__main__":
    main(run, PARAMS)
