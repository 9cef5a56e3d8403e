"""Stage finetune_pseudo: a segmenter on labelled cases and unlabelled images with the label-budget filter's masks."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "segmenters", "augment", "strong_augment", "arms")


def run(
    params, *, segmenter: str, bases: Path, train: Path, extra: Path, unlabelled: Path, labels: int, replicate: int,
    arm: str, out: Output, metrics: Output, live: Path,
) -> None:  # fmt: skip
    """Fine-tune for the same number of steps as in every arm; ``unlabelled`` has pseudo-masks."""
    from pipeline.tasks.segmentation.unlabelled_training import finetune_with_others

    finetune_with_others(params, segmenter, bases, train, extra, unlabelled, labels, replicate, arm, out, metrics, live)


if __name__ == "__main__":
    main(run, PARAMS)
