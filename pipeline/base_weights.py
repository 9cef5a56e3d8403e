"""Stage base_weights: what every arm of a segmenter starts from."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import SCRATCH, Output

PARAMS = ("seed", "compute", "segmenters")


def run(params, *, segmenter: str, out: Output, live: Path) -> None:
    """Take over pretrained weights, or draw (and pre-train, where asked for) the compact SAM where there are none."""
    from pipeline.networks.segmenter import prepare_base
    from pipeline.run import processes, seeds
    from pipeline.run.compute import setup
    from pipeline.run.errors import InputError
    from pipeline.run.progress import progress
    from pipeline.run.resume import Scratch

    if processes.count() > 1:
        raise InputError("base_weights is work for one process; start it without torchrun")
    settings = params.segmenter(segmenter)
    device = setup(params.compute)
    live.mkdir(parents=True, exist_ok=True)
    steps = settings.base.pretraining.steps if settings.kind == "sam" else 0
    about = {"base": settings.base.model_dump(mode="json"), "seed": params.seed}
    scratch = Scratch(SCRATCH, f"base_weights-{segmenter}", [], about)
    with progress("pre-training SAM on procedural shapes", steps, live) as tick:
        # The same initial weights under every name.
        prepare_base(out, settings, seeds.derive(params.seed, "base_sam"), device, scratch, tick)
    scratch.clear()


if __name__ == "__main__":
    main(run, PARAMS)
