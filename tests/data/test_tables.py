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
        (b"a,x\n1,2\n", "t.csv: the table lacks the column 'id' (it has: a, x); mend it"),
        (b"id,x,id\n1,2,3\n", "t.csv: the table has 2 columns 'id'"),
        (b"id,x\n1,2\n\n3\n", "t.csv: row 3 below the header has 1 fields, not 2: '3'; mend it"),
        (b"\x89PNG\xff", "t.csv: cannot be read as CSV"),
        (b'id,x\n"1"2,3\n', "t.csv: cannot be read as CSV"),
    ],
)
def test_what_cannot_be_read_is_named(data, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        parse_table(data, "t.csv", ("id",), "mend it")
    assert "\n" not in str(error.value)


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
