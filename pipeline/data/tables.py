"""Small tables as CSV, and the one reader of CSV: equal values give equal bytes, and no cell runs in a spreadsheet."""

import codecs
import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.run import files
from pipeline.run.errors import InputError

_FORMULA = tuple("=+-@\t\r")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_SEPARATORS = {",": "','", ";": "';'", "\t": "a tab"}
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


class Row(dict[str, str]):
    """A row by column name, which knows its place for messages: file, and number below the header from 1.

    separator: what stands between its fields.
    """

    __slots__ = ("file", "number", "separator")

    def place(self, column: str) -> str:
        return f"{self.file}: row {self.number} below the header, column '{column}'"

    def positive(self, column: str) -> float:
        """A finite number above 0; with a decimal comma too, where no comma separates the fields.

        Raises:
            InputError: the field holds something else.
        """
        text = self[column]
        comma = self.separator != "," and _DECIMAL_COMMA.fullmatch(text)
        return positive(text.replace(",", ".") if comma else text, self.place(column))


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
        point = ", with a decimal point" if "," in text else ""
        raise InputError(f"{what} is '{text}'; it must be a number above 0{point}")
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
    optional: Iterable[str] = (),
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
    return parse_table(data, str(path), required, remedy, strip, optional)


def parse_table(
    data: bytes,
    file: str,
    required: Iterable[str] = (),
    remedy: str = "export it again",
    strip: bool = True,
    optional: Iterable[str] = (),
) -> list[Row]:
    """Rows of a table by column name; blank rows are passed over.

    The text is UTF-8, or UTF-16 behind a byte order mark. Of comma, semicolon and tab that one separates the fields
    which makes most of the wanted columns, then most columns, in the header; or the one that a first line ``sep=;``
    names.

    Args:
        file: what messages call it.
        required: columns that must be there. optional: others that are looked for. Case, blanks, ``_`` and ``-`` do
            not count in the file; the rows have these names.
        strip: remove blanks around every field, and pass over rows of nothing but blanks.

    Raises:
        InputError: other text, no header, a required column is missing, a column occurs twice or has no name, or a row
            is of another length.
    """
    required = tuple(required)
    wanted = {_plain(name): name for name in (*required, *optional)}
    try:
        text, separator = _separated(_decoded(data), wanted)
        lines = [[_shown(field.strip() if strip else field) for field in line] for line in _lines(text, separator)]
    except (ValueError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read as CSV ({error}); {remedy}") from None
    while strip and lines and not any(lines[0]):
        del lines[0]
    if not lines:
        raise InputError(f"{file}: the file is empty; {remedy}")
    header, rows = [wanted.get(_plain(name), name) for name in lines[0]], []
    advice = f"{remedy} (separator: {_SEPARATORS.get(separator, repr(separator))})"
    for column in dict.fromkeys((*required, *filter(None, header))):
        if (times := header.count(column)) != 1:
            fault = f"has {times} columns '{column}'" if times else f"lacks the column '{column}'"
            raise InputError(f"{file}: the table {fault} (it has: {', '.join(header)}); {advice}")
    for number, line in enumerate(lines[1:], start=1):
        if not line or (strip and not any(line)):
            continue
        if len(line) != len(header):
            raise InputError(
                f"{file}: row {number} below the header has {len(line)} fields, not {len(header)}: "
                f"'{separator.join(line)}'; {advice}"
            )
        if nameless := next((value for name, value in zip(header, line, strict=True) if value and not name), None):
            raise InputError(f"{file}: row {number} below the header holds '{nameless}' in a column without a name")
        rows.append(row := Row((name, value) for name, value in zip(header, line, strict=True) if name))
        row.file, row.number, row.separator = file, number, separator
    return rows


def _decoded(data: bytes) -> str:
    """The text of a file. Raises ValueError with the cause and the remedy."""
    if data.startswith(_SPREADSHEETS):
        raise ValueError("it is a spreadsheet; save it as 'CSV UTF-8'")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"byte {data[error.start]:#04x} at {error.start}"
        raise ValueError(f"{place} is not UTF-8, perhaps Latin-1; save it as 'CSV UTF-8'") from None
    if "\0" in text:
        raise ValueError("it holds zero bytes: no text, or UTF-16 without its mark; save it as 'CSV UTF-8'")
    return text


def _separated(text: str, wanted: Mapping[str, str]) -> tuple[str, str]:
    """The text below a line that names the separator, and the separator."""
    if named := _SEPARATOR_LINE.match(text):
        return text[named.end() :], named[1]

    def columns(separator: str) -> tuple[int, int]:
        try:
            header = next(filter(any, _lines(text, separator)), [])
        except csv.Error:
            return 0, 0
        return sum(_plain(name) in wanted for name in header), len(header)

    return text, max(_SEPARATORS, key=columns)


def _lines(text: str, separator: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)


def _plain(name: str) -> str:
    """A column's name without what people write differently."""
    return re.sub(r"[\s_-]", "", unicodedata.normalize("NFC", name).casefold())


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
