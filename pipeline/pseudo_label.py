"""Stage pseudo_label: the unlabelled images with the label-budget filter's masks, where its networks agree."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("compute", "unlabelled")


def run(params, *, unlabelled: Path, filter: Path, out: Output) -> None:
    """Write the same images; a mask is kept where the mean Dice between the networks' own class maps is high enough."""
    from pipeline.data.dataset import read_images
    from pipeline.data.writer import write_dataset
    from pipeline.run.compute import setup
    from pipeline.tasks.segmentation.label_filter import LabelFilter, with_pseudo_masks

    judge = LabelFilter(filter, setup(params.compute))
    cases = with_pseudo_masks(judge, read_images(unlabelled), params.unlabelled.agreement)
    write_dataset(out, cases, role="unlabelled", structures=judge.structures, labels=list(judge.label_dice))


if __name__ == "__main__":
    main(run, PARAMS)
