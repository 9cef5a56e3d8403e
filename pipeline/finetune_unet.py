"""Stage finetune_unet: a U-Net on the labelled cases and the extra cases of one arm."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import SCRATCH, Output

PARAMS = ("seed", "compute", "segmenters", "augment", "strong_augment", "arms")


def run(
    params,
    *,
    segmenter: str,
    base: Path,
    train: Path,
    extra: Path,
    labels: int,
    replicate: int,
    arm: str,
    out: Output,
    metrics: Output,
    live: Path,
) -> None:
    """Fine-tune for the same number of steps in every arm, with the strategy of the segmenter."""
    from pipeline.config.segmenters import chosen_segmenter
    from pipeline.networks.unet import checkpoint
    from pipeline.tasks.segmentation.finetuning import finetune

    finetune(
        checkpoint,
        chosen_segmenter(params.segmenters, segmenter, "unet"),
        params,
        segmenter=segmenter,
        base=base,
        train=train,
        extra=extra,
        labels=labels,
        replicate=replicate,
        arm=arm,
        out=out,
        metrics=metrics,
        live=live,
        scratch_root=SCRATCH,
    )


if __name__ == "__main__":
    main(run, PARAMS)
