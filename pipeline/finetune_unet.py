"""Stage finetune_unet: a U-Net on the labelled cases and the extra cases of one arm."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "segmenters", "augment", "strong_augment", "arms")


def run(
    params, *, segmenter: str, base: Path, train: Path, extra: Path, labels: int, replicate: int, arm: str,
    out: Output, metrics: Output, live: Path,
) -> None:  # fmt: skip
    """Fine-tune for the same number of steps in every arm, with the strategy of the segmenter."""
    from pipeline.config.segmenters import chosen_segmenter

    # Before what takes seconds to import: a mistyped name is refused at once.
    settings = chosen_segmenter(params.segmenters, segmenter, "unet")
    from pipeline.networks.unet import checkpoint
    from pipeline.run.cells import Cell
    from pipeline.tasks.segmentation.finetuning import finetune

    cell = Cell(segmenter, labels, replicate, arm)
    finetune(checkpoint, settings, params, cell, base, train, extra, out, metrics, live)


if __name__ == "__main__":
    main(run, PARAMS)
