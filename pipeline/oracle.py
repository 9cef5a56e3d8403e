"""Stage oracle: what a box drawn from the reference mask would add. No headline: it holds most of the answer."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "cohorts", "oracle")


def run(params, *, base: Path, segmenter: Path, test: Path, held_out: Path, out: Output) -> None:
    """Dice of every structure of every test case with a jittered oracle box: of SAM, and of the ellipse in the box.

    The ellipse never looks at the image: what SAM scores beyond it is all that SAM adds.
    """
    from pipeline.config.cohorts import held_out_names
    from pipeline.data.tables import write_table
    from pipeline.networks.sam import checkpoint
    from pipeline.networks.segmenter import load_segmenter
    from pipeline.run.compute import setup
    from pipeline.tasks.segmentation.oracle_box import COLUMNS, score_with_oracle

    device = setup(params.compute)
    network, about = load_segmenter(checkpoint, segmenter, device, base)
    size, jitter = about["image_size"], params.oracle.jitter
    paths = (test, *(held_out / name for name in held_out_names(params.cohorts)))
    rows = [row for path in paths for row in score_with_oracle(network, path, size, jitter, params.seed, device)]
    write_table(out, rows, COLUMNS)


if __name__ == "__main__":
    main(run, PARAMS)
