"""Stage base_sam: the SAM that every arm starts from."""

from pathlib import Path

from pipeline.core.stage import SCRATCH, Output, main

PARAMS = ("seed", "compute", "sam")


def run(params, *, out: Output, live: Path) -> None:
    """Take over pretrained weights, or pre-train the compact SAM on procedural shapes where there are none."""
    from pipeline.core import processes, seeds
    from pipeline.core.compute import setup
    from pipeline.core.errors import InputError
    from pipeline.core.progress import progress
    from pipeline.core.resume import Scratch
    from pipeline.segmentation.checkpoint import save_compact_base, save_pretrained_base
    from pipeline.segmentation.pretrained import read_pretrained
    from pipeline.segmentation.pretraining import pretrain_compact_sam

    if processes.count() > 1:
        raise InputError("base_sam is work for one process; start it without torchrun")
    settings = params.sam
    device = setup(params.compute)
    live.mkdir(parents=True, exist_ok=True)
    if settings.weights is not None:
        save_pretrained_base(out, *read_pretrained(Path(settings.weights)))
        return
    scratch = Scratch(SCRATCH, "base_sam", [], params.as_dict())
    with progress("pre-training SAM on procedural shapes", settings.pretraining.steps, live) as tick:
        network = pretrain_compact_sam(settings, seeds.derive(params.seed, "base_sam"), device, scratch, tick)
    save_compact_base(out, network, settings)
    scratch.clear()


if __name__ == "__main__":
    main(run, PARAMS)
