"""Small tables as CSV, and the one reader of CSV: equal values give equal bytes, and no cell runs in a spreadsheet."""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.run import files
from pipeline.run.errors import InputError

_FORMULA = tuple("=+-@\t\r")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class Row(dict[str, str]):
    """A row by column name, which knows its place for messages: file, and number below the header from 1."""

    __slots__ = ("file", "number")

    def place(self, column: str) -> str:
        return f"{self.file}: row {self.number} below the header, column '{column}'"

    def positive(self, column: str) -> float:
        """A finite number above 0.

        Raises:
            InputError: the field holds something else.
        """
        return positive(self[column], self.place(column))


def positive(text: str, what: str) -> float:
    """A finite number above 0 from text; ``what`` is what the message calls it.

    Raises:
        InputError: it is something else.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"{what} is '{text}'; it must be a number above 0")
    return number


def write_table(path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] | None = None) -> None:
    """Write a table; floats with six significant digits, None and missing keys as an empty field.

    Args:
        columns: names in order; None for the keys of the first row. A table without rows needs them.

    Raises:
        ValueError: neither rows nor columns, or a row has a key that is no column.
    """
    if columns is None and not rows:
        raise ValueError(f"{path}: a table without rows needs the names of its columns")
    columns = list(rows[0] if columns is None else columns)
    for row in rows:
        if unknown := set(row).difference(columns):
            raise ValueError(f"{path}: no column for {', '.join(sorted(unknown))}")
    lines = [columns, *([row.get(name) for name in columns] for row in rows)]
    # File names, which stand in some tables, need not be UTF-8.
    files.write_bytes(path, "".join(map(_line, lines)).encode(errors="surrogateescape"))


def read_table(
    path: Path,
    required: Iterable[str] = (),
    remedy: str = "run the stage that makes it, or `dvc pull`",
    strip: bool = False,
) -> list[Row]:
    """The rows of a CSV file; see :func:`parse_table`.

    Raises:
        InputError: no such file, or it cannot be read; also as :func:`parse_table`.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {remedy}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read as CSV ({error}); {remedy}") from None
    return parse_table(data, str(path), required, remedy, strip)


def parse_table(
    data: bytes, file: str, required: Iterable[str] = (), remedy: str = "export it again", strip: bool = True
) -> list[Row]:
    """Rows of comma-separated UTF-8 text by column name; a byte order mark and blank rows are passed over.

    Args:
        file: what messages call it.
        required: columns that must be there, once each.
        strip: remove blanks around every field, and pass over rows of nothing but blanks.

    Raises:
        InputError: other text, no header, a required column is missing or double, or a row of another length.
    """
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        lines = [[_shown(field.strip() if strip else field) for field in line] for line in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read as CSV, comma-separated UTF-8 ({error}); {remedy}") from None
    if not lines:
        raise InputError(f"{file}: the file is empty; {remedy}")
    header, rows = lines[0], []
    for column in required:
        if (times := header.count(column)) != 1:
            fault = f"has {times} columns '{column}'" if times else f"lacks the column '{column}'"
            raise InputError(f"{file}: the table {fault} (it has: {', '.join(header)}); {remedy}")
    for number, line in enumerate(lines[1:], start=1):
        if not line or (strip and not any(line)):
            continue
        if len(line) != len(header):
            raise InputError(
                f"{file}: row {number} below the header has {len(line)} fields, not {len(header)}: "
                f"'{','.join(line)}'; {remedy}"
            )
        rows.append(row := Row(zip(header, line, strict=True)))
        row.file, row.number = file, number
    return rows


def _line(values: Iterable[object]) -> str:
    # A field that holds a line end of any kind is quoted only where the writer's own line end holds it.
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerow(map(_text, values))
    return buffer.getvalue().removesuffix("\r\n") + "\n"


def _text(value: object) -> str:
    """The text of a field, behind an apostrophe where a spreadsheet would run it; :func:`_shown` undoes that."""
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def _shown(text: str) -> str:
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_FORMULA) else text
