"""One row and one overlay a file, whatever becomes of the others: the loop of commands that measure a folder."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.run import files
from pipeline.tools.command import reason

Answer = Callable[[str, Path], tuple[dict, object]]
"""File name without suffix and path → the row of a file and its overlay, RGB uint8 (H, W, 3)."""


def tabulated(paths: Mapping[str, Path], answer: Answer, out: Path, noun: str, log: logging.Logger) -> list[dict]:
    """The rows of all files, with their names, in order; overlays are written into ``out / "overlays"``.

    What ``answer`` raises is told in the row's ``error``; that and its ``warning`` are logged too.

    Args:
        noun: what a file is called on the progress bar.
    """
    from tqdm import tqdm

    from pipeline.data.writer import encode_png

    table = []
    for stem, path in tqdm(paths.items(), desc=f"{noun}s", unit=noun, mininterval=5, disable=None):
        # One at a time: what is said of a file does not depend on what else lies in the folder.
        try:
            row, picture = answer(stem, path)
            files.write_bytes(out / "overlays" / f"{stem}.png", encode_png(picture))
        # Decoders raise all kinds, and no file may stop the others.
        except Exception as error:
            row = {"error": reason(error, path)}
        for kind in ("error", "warning"):
            if row.get(kind):
                log.warning("%s: %s", path.name, row[kind])
        table.append({"file": path.name} | row)
    return table


def failures(table: list[dict]) -> int:
    """How many rows have an error."""
    return sum(bool(row.get("error")) for row in table)
