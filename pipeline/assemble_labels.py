"""Stage assemble_labels: what an arm without a generator adds to its labelled cases."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "assemble", "arms", "warp")


def run(params, *, train: Path, labels: int, replicate: int, arm: str, out: Output) -> None:
    """Write nothing, or cases made from the labels."""
    from functools import partial

    from pipeline.arms.assembly import assemble_from_labels
    from pipeline.data.dataset import open_dataset
    from pipeline.diffusion.pair_limits import keeps_pair
    from pipeline.tasks.segmentation.pair import pair_of

    size, spec = params.assemble.image_size, params.arms[arm]
    # Of sampled masks the same is asked: the control has the shape change of the synthetic arm.
    acceptance = partial(keeps_pair, pair_of(open_dataset(train).structures))
    assemble_from_labels(arm, spec, train, labels, replicate, size, params.warp, acceptance, params.seed, out)


if __name__ == "__main__":
    main(run, PARAMS)
