"""Samples to look at: the best and the worst by mask agreement, as on the page of their set."""

from pathlib import Path

from pipeline.data.dataset import open_dataset
from pipeline.quality.pages.page import choose_samples
from pipeline.quality.samples_table import read_samples
from pipeline.run.cells import cell_name


def sample_sheets(grid, samples: Path, synthetic: Path, train: Path) -> dict[int, list[dict]]:
    """Number of labels → samples of the set of the first replicate, best first.

    Args:
        samples, synthetic: folders of the tables of samples and of the sets. train: the dataset they resemble.

    Raises:
        InputError: a table is of another version of the code, or names a case that is not there.
    """
    sheets = {}
    for labels in grid.labels:
        name = cell_name(labels, grid.replicates[0])
        table, generated = samples / f"{name}.csv", open_dataset(synthetic / name).cases
        chosen = choose_samples(read_samples(table), generated, open_dataset(train, ["train"]).cases, table)
        sheets[labels] = [*chosen["best"], *chosen["worst"][::-1]]
    return sheets
