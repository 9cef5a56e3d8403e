"""Stage assemble_labels: what an arm without a generator adds to its labelled cases."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "assemble", "arms", "warp")


def run(params, *, train: Path, labels: int, replicate: int, arm: str, out: Output) -> None:
    """Write nothing, or cases made from the labels."""
    from pipeline.arms.assembly import assemble_from_labels

    size, spec = params.assemble.image_size, params.arms[arm]
    assemble_from_labels(arm, spec, train, labels, replicate, size, params.warp, params.seed, out)


if __name__ == "__main__":
    main(run, PARAMS)
