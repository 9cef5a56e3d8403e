"""Stage finetune_sam: a SAM on the labelled cases and the extra cases of one arm."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import SCRATCH, Output

PARAMS = ("seed", "compute", "segmenters", "augment", "strong_augment", "arms")


def run(
    params, *, segmenter: str, base: Path, train: Path, extra: Path, labels: int, replicate: int, arm: str,
    out: Output, metrics: Output, live: Path,
) -> None:  # fmt: skip
    """Fine-tune for the same number of steps in every arm, without a prompt unless told otherwise."""
    from pipeline.config.segmenters import chosen_segmenter

    # Before what takes seconds to import: a mistyped name is refused at once.
    settings = chosen_segmenter(params.segmenters, segmenter, "sam")
    from pipeline.networks.sam import checkpoint
    from pipeline.run.cells import Cell
    from pipeline.tasks.segmentation.finetuning import finetune, image_pool

    pool_of = image_pool
    if settings.train == "decoder":
        from pipeline.learning.embedding_pool import embedding_pool

        pool_of = embedding_pool(SCRATCH / "embeddings", base, settings.views, params.seed)
    cell = Cell(segmenter, labels, replicate, arm)
    finetune(checkpoint, settings, params, cell, base, train, extra, out, metrics, live, pool_of)


if __name__ == "__main__":
    main(run, PARAMS)
