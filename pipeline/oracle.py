"""Stage oracle: what a box drawn from the reference mask would add. No headline: it holds most of the answer."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "cohorts", "oracle")


def run(params, *, base: Path, segmenter: Path, test: Path, held_out: Path, out: Output) -> None:
    """Dice of every structure of every test case with a jittered oracle box: of SAM, and of the ellipse in the box.

    The ellipse never looks at the image: what SAM scores beyond it is all that SAM adds.
    """
    import numpy as np

    from pipeline.data.dataset import open_dataset
    from pipeline.data.structures import names
    from pipeline.data.tables import write_table
    from pipeline.networks.segmenter import load_segmenter
    from pipeline.run import seeds
    from pipeline.run.compute import setup
    from pipeline.tasks.segmentation.oracle_box import segment_with_oracle

    device = setup(params.compute)
    network, config = load_segmenter(segmenter, device, base)
    rows = []
    for path in (test, *(held_out / name for name in params.held_out())):
        dataset = open_dataset(path, splits=["test"])
        for case in dataset.cases:
            generator = seeds.torch_generator(params.seed, "oracle", path.name, case.id)
            found = segment_with_oracle(network, case, config["image_size"], params.oracle.jitter, generator, device)
            for structure, sam, ellipse in zip(names(dataset.structures), *found, strict=True):
                if not np.isnan(sam):
                    rows.append(
                        {"cohort": path.name, "structure": structure, "id": case.id, "patient": case.patient,
                         "dice_oracle_box": sam, "dice_ellipse_in_box": ellipse}
                    )  # fmt: skip
    write_table(out, rows)


if __name__ == "__main__":
    main(run, PARAMS)
