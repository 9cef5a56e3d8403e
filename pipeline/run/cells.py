"""Names of the cells of the grid; and outputs of those that left it, which would dirty a dependency: remove them."""

import logging
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from pipeline.run import files

_CELL = re.compile(r"([a-z0-9_]+-)?\d+-\d+(-[a-z0-9_]+)?(\.csv|\.json)?")
log = logging.getLogger("pipeline.cells")


def prune_cells(folder: Path, keep: Collection[str]) -> None:
    """Remove the cells in ``folder`` whose name, up to the first dot, is not in ``keep``; all else stays."""
    _remove(path for path in folder.glob("*") if _CELL.fullmatch(path.name) and path.name.split(".")[0] not in keep)


def prune_datasets(folder: Path, keep: Collection[str]) -> None:
    """Remove the datasets in ``folder`` whose name is not in ``keep``; all else stays."""
    _remove(path for path in folder.glob("*") if (path / "dataset.json").is_file() and path.name not in keep)


class Cell(NamedTuple):
    """A cell of the comparison: one fine-tuned segmenter."""

    segmenter: str
    labels: int
    replicate: int
    arm: str

    @property
    def name(self) -> str:
        return cell_name(*self)


def cell_name(*parts: str | int) -> str:
    """The name of a cell in paths, as DVC names the stage of a matrix.

    ``40-0`` for (labels, replicate), ``sam-40-0-real`` for (segmenter, labels, replicate, arm).
    """
    return "-".join(map(str, parts))


def _remove(paths: Iterable[Path]) -> None:
    for path in sorted(paths):
        log.info("%s is no longer in the grid: removed (DVC's cache has what it tracks)", path)
        files.remove(path)
