"""Outputs of cells that left the grid stay on disk and would dirty a dependency on their folder: remove them."""

import logging
from collections.abc import Collection
from pathlib import Path

from pipeline.core import files

log = logging.getLogger("pipeline.prune")


def prune(folder: Path, keep: Collection[str]) -> None:
    """Remove the entries of ``folder`` whose name up to the first dot is not in ``keep``; hidden ones stay.

    DVC has them in its cache: putting the cell back into the grid brings them back.
    """
    for path in sorted(folder.glob("[!.]*")):
        if path.name.split(".")[0] not in keep:
            log.info("%s is no longer in the grid: removed (the DVC cache keeps it)", path)
            files.remove(path)


def cell_name(labels: int, replicate: int, *arm: str) -> str:
    """The name of a cell in paths: ``40-0`` or ``40-0-real``, as DVC names the stage of a matrix."""
    return "-".join(map(str, (labels, replicate, *arm)))
