"""Stage unlabelled: the images that an experiment uses without their labels."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "unlabelled")


def run(params, *, train: Path, source: Path, labels: int, replicate: int, out: Output) -> None:
    """Write the images of ``source``; of the training cohort those of train patients that are not among the n labels.

    No mask is read: which cases are labels is known from their ids.
    """
    from pipeline.data.dataset import open_dataset, read_images
    from pipeline.data.labels import label_ids
    from pipeline.data.writer import write_dataset

    taken = label_ids(train, labels, replicate, params.seed)
    cases = read_images(source, splits=["train"] if params.unlabelled.role == "train" else None)
    cases = [case for case in cases if source != train or case.id not in taken]
    write_dataset(out, cases, role="unlabelled", structures=open_dataset(source).structures, labels=taken)


if __name__ == "__main__":
    main(run, PARAMS)
