"""Small tables as CSV: readable in any tool, equal values give equal bytes."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.run import files
from pipeline.run.errors import InputError


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Rows with the same keys in the same order; floats with six significant digits, None as an empty field."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([[_text(value) for value in row.values()] for row in rows])
    files.write_bytes(path, buffer.getvalue().encode())


def read_table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise InputError(f"{path}: no such table; run the stage that makes it, or `dvc pull`") from None


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
