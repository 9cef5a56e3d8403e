import csv
import re

import pytest

from pipeline.data.tables import parse_table, read_table, write_table
from pipeline.run.errors import InputError


def test_tables_round_trip(tmp_path):
    write_table(tmp_path / "t.csv", [{"id": "a,b", "x": 1 / 3, "y": None}, {"id": ' "c"\r\nd ', "x": -2e-9, "y": True}])
    assert read_table(tmp_path / "t.csv") == [
        {"id": "a,b", "x": "0.333333", "y": ""},
        {"id": ' "c"\r\nd ', "x": "-2e-09", "y": "True"},
    ]


def test_a_table_without_rows_has_a_header(tmp_path):
    write_table(tmp_path / "t.csv", [], ("id", "x"))
    assert (tmp_path / "t.csv").read_bytes() == b"id,x\n"
    assert read_table(tmp_path / "t.csv", ("id", "x")) == []
    with pytest.raises(ValueError, match=r"t\.csv: a table without rows needs the names"):
        write_table(tmp_path / "t.csv", [])


def test_columns_order_the_fields_and_a_key_without_a_column_is_refused(tmp_path):
    write_table(tmp_path / "t.csv", [{"b": 1}, {"a": 2, "b": 3}], ("a", "b"))
    assert (tmp_path / "t.csv").read_text() == "a,b\n,1\n2,3\n"
    with pytest.raises(ValueError, match="no column for c"):
        write_table(tmp_path / "t.csv", [{"a": 1}, {"a": 1, "c": 2}])


@pytest.mark.parametrize(
    "value, field",
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-x", "'-x"),
        ("-", "'-"),
        ("@sum(a)", "'@sum(a)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("=a,b", "'=a,b"),
        ("'=1", "''=1"),
        ("'-5", "''-5"),
        ("-5", "-5"),
        ("+.5e-3", "+.5e-3"),
        ("-1-1", "'-1-1"),
        (-0.25, "-0.25"),
        (-3, "-3"),
        ("'quoted'", "'quoted'"),
        ("a=b", "a=b"),
        ("é–-", "é–-"),
        ("", ""),
    ],
)
def test_no_field_runs_in_a_spreadsheet_and_reading_restores_it(tmp_path, value, field):
    write_table(tmp_path / "t.csv", [{"x": value, "y": 0}])
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1] == [field, "0"]
    assert read_table(tmp_path / "t.csv") == [{"x": str(value), "y": "0"}]


def test_a_file_that_a_spreadsheet_saved_is_read():
    data = "\ufeffid, x \r\n a ,1\r\n,\r\n\r\nb,2\r\n".encode()
    rows = parse_table(data, "t.csv", ("id", "x"))
    assert rows == [{"id": "a", "x": "1"}, {"id": "b", "x": "2"}]
    assert [row.number for row in rows] == [1, 4]
    assert parse_table(b"id\r\n a \r\n", "t.csv", strip=False) == [{"id": " a "}]


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "t.csv: the file is empty; mend it"),
        (b"a,x\n1,2\n", "t.csv: the table lacks the column 'id' (it has: a, x); mend it (separator: ',')"),
        (b"a;x\n1;2\n", "t.csv: the table lacks the column 'id' (it has: a, x); mend it (separator: ';')"),
        (b"id|x\n1|2\n", "t.csv: the table lacks the column 'id' (it has: id|x); mend it (separator: ',')"),
        (b"id,Id\n1,2\n", "t.csv: the table has 2 columns 'id'"),
        (b"id,x,X\n1,2,3\n", "t.csv: the table has 2 columns 'x'"),
        (b",id\n7,1\n", "t.csv: row 1 below the header holds '7' in a column without a name"),
        (b"id;x\n1;2;3\n", "row 1 below the header has 3 fields, not 2: '1;2;3'; mend it (separator: ';')"),
        (b"id\n0,25\n", "row 1 below the header has 2 fields, not 1: '0,25'; mend it (separator: ',')"),
        ("id,x\nä,1\n".encode("latin-1"), "byte 0xe4 at 5 is not UTF-8, perhaps Latin-1; save it as 'CSV UTF-8'"),
        ("id,x\na,1\n".encode("utf-16-le"), "it holds zero bytes: no text, or UTF-16 without its mark"),
        (b"PK\x03\x04xl/workbook.xml", "it is a spreadsheet; save it as 'CSV UTF-8'"),
        (b"id,x,id\n1,2,3\n", "t.csv: the table has 2 columns 'id'"),
        (b"id,x\n1,2\n\n3\n", "t.csv: row 3 below the header has 1 fields, not 2: '3'; mend it"),
        (b"\x89PNG\xff", "t.csv: cannot be read as CSV"),
        (b'id,x\n"1"2,3\n', "t.csv: cannot be read as CSV"),
    ],
)
def test_what_cannot_be_read_is_named(data, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        parse_table(data, "t.csv", ("id",), "mend it", optional=("x",))
    assert "\n" not in str(error.value)


ROWS = [{"id": "a", "pixel_mm": "0.25", "who": "Ä"}, {"id": "b", "pixel_mm": ".5", "who": "x, y"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_any_separator_encoding_and_line_end(separator, end, encoding):
    lines = ["", f" ID {separator}Pixel MM{separator}who", f"a{separator}0.25{separator}Ä", separator * 2]
    lines += [f'b{separator} .5{separator}"x, y"', "", ""]
    rows = parse_table(end.join(lines).encode(encoding), "t.csv", ("id", "pixel_mm"), optional=("who",))
    assert rows == ROWS
    assert [row.positive("pixel_mm") for row in rows] == [0.25, 0.5]


@pytest.mark.parametrize(
    ("text", "required", "expected"),
    [
        ("sep=;\nid;x\na;1\n", ("id",), {"id": "a", "x": "1"}),
        ('"sep=|"\r\nid|x\r\na|1\r\n', ("id",), {"id": "a", "x": "1"}),
        ("id;a, b, c\n1;2\n", ("id",), {"id": "1", "a, b, c": "2"}),
        ('"id";"x"\n"a;b";"1"\n', ("id",), {"id": "a;b", "x": "1"}),
        ("id,x,,\na,1,,\n", ("id",), {"id": "a", "x": "1"}),
        ("id\na\n", ("id",), {"id": "a"}),
        ("FileName;pixel size (MM)\na;1\n", ("filename", "pixel size(mm)"), {"filename": "a", "pixel size(mm)": "1"}),
    ],
)
def test_the_separator_is_the_one_that_makes_the_wanted_columns(text, required, expected):
    assert parse_table(text.encode(), "t.csv", required) == [expected]


@pytest.mark.parametrize(
    ("line", "value"),
    [("a;0,25", 0.25), ("a;,5", 0.5), ("a;1e-1", 0.1), ("a;2,5E1", 25.0), ("a\t0,25", 0.25), ("a;0.25", 0.25)],
)
def test_a_decimal_comma_where_no_comma_separates(line, value):
    (row,) = parse_table(f"id{line[1]}mm\n{line}\n".encode(), "t.csv")
    assert row.positive("mm") == value


@pytest.mark.parametrize("line", ['a,"0,25"', "a;1.234,5", "a;1,234.5", "a;1,2,3"])
def test_an_ambiguous_number_is_refused(line):
    (row,) = parse_table(f"id{line[1]}mm\n{line}\n".encode(), "t.csv")
    with pytest.raises(InputError, match="it must be a number above 0, with a decimal point"):
        row.positive("mm")


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "nan", "inf"])
def test_a_number_that_is_not_positive_is_named_by_file_row_and_column(text):
    (row,) = parse_table(f"id,mm\na,{text}\n".encode(), "t.csv")
    with pytest.raises(InputError, match=re.escape(f"t.csv: row 1 below the header, column 'mm' is '{text}'; it must")):
        row.positive("mm")


def test_no_file_says_how_to_get_it(tmp_path):
    with pytest.raises(InputError, match=r"t\.csv: no such file; run the stage that makes it"):
        read_table(tmp_path / "t.csv")
    with pytest.raises(InputError, match="cannot be read as CSV"):
        read_table(tmp_path)
