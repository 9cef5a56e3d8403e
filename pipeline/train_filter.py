"""Stage train_filter: the label-budget filter, networks trained on an arm's own n labels, cross-fitted."""

from functools import partial
from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "filter", "augment")


def run(params, *, train: Path, labels: int, replicate: int, out: Output) -> None:
    """Train one network per fold of the label subset's patients and keep each label's out-of-fold Dice."""
    from pipeline.data.dataset import read_dataset
    from pipeline.data.labels import label_subset
    from pipeline.run import seeds
    from pipeline.run.compute import setup
    from pipeline.run.progress import progress
    from pipeline.tasks.segmentation.filter_training import train_label_filter

    settings = params.filter
    dataset = read_dataset(train, splits=["train"])
    cases = label_subset(dataset, labels, replicate, params.seed)
    seed_of_fold = partial(seeds.derive, params.seed, "filter", labels, replicate)
    device = setup(params.compute)
    with progress("filter", settings.steps * settings.folds) as tick:
        train_label_filter(cases, dataset.structures, settings, params.augment, seed_of_fold, device, tick, out)


if __name__ == "__main__":
    main(run, PARAMS)
