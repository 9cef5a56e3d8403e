"""The votes of a blind reading: files of them, keys, scores."""

# Fixtures are imported.
# ruff: noqa: F811

import json
import re
from pathlib import Path

import pytest

from pipeline.run.errors import InputError
from pipeline.tools.blind_reading import Answer, read_ballots, read_key, score_reading
from tests.tools.reading import command, reading, sets  # noqa: F401

TRUTH = {1: "synthetic", 2: "real", 3: "synthetic", 4: "real"}
KEY = {i: Answer(reading="r1", image=i, case="x", truth=truth) for i, truth in TRUTH.items()}
HEADER = "reading,reader,image,vote,seconds"


def ballot(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_votes_are_scored_and_unrated_images_left_out(tmp_path):
    ana = ballot(tmp_path / "a.csv", "r1,ana,1,4,2.0", "r1,ana,2,1,4.0", "r1,ana,3,2,9.0")
    bo = ballot(tmp_path / "b.csv", "r1,bo,1,3,1", "r1,bo,2,3,1", "r1,bo,3,4,1", "r1,bo,4,,0")
    scores = score_reading(KEY, read_ballots([ana, bo], KEY))
    first, second = scores["readers"]
    assert (first["reader"], first["n"], first["unrated"], first["median_seconds"]) == ("ana", 3, 1, 4.0)
    assert first["accuracy"] == second["accuracy"] == pytest.approx(2 / 3)
    assert (second["sensitivity"], second["specificity"]) == (1, 0)
    assert scores["pooled"]["n"] == 6
    assert scores["agreement"]["n"] == 3
    json.dumps(scores, allow_nan=False)


def test_a_file_that_a_spreadsheet_saved_is_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(("\ufeff" + HEADER + "\r\n" + 'r1,"Ana, ""A""",1,4,2\r\n').encode())
    ((reader, votes),) = read_ballots([path], KEY).items()
    assert (reader, [(vote.image, vote.vote) for vote in votes]) == ('Ana, "A"', [(1, 4)])


@pytest.mark.parametrize(
    "rows, message",
    [
        (["r2,ana,1,4,2"], "votes of the reading 'r2', the key is of 'r1'"),
        (["r1,ana,5,4,2"], "image 5 is not among the 4 of the key"),
        (["r1,ana,one,4,2"], "row 1 below the header, column 'image' is 'one': Input should be a valid integer"),
        (["r1,ana,1,5,2"], "column 'vote' is '5': Input should be less than or equal to 4"),
        (["r1,ana,2,1,2", "r1,ana,1,2.5,2"], "row 2 below the header, column 'vote' is '2.5'"),
        (["r1,ana,1,4,2", "r1,ana,1,3,2"], "image 1 occurs twice"),
        (["r1,ana,1,4,2", "r1,bo,2,3,2"], "votes of 'ana' and of 'bo'"),
        (["r1,ana,1,4,soon"], "column 'seconds' is 'soon': Input should be a valid number"),
        (["r1,ana,1,4,nan"], "column 'seconds' is 'nan': Input should be a finite number"),
        (["r1,,1,4,2"], "column 'reader' is ''"),
        (["r1,ana,1,,0"], "no image is rated"),
        (["r1,ana,1"], "row 1 below the header has 3 fields, not 5"),
        ([], "no row below the header"),
    ],
)
def test_votes_that_cannot_be_counted_are_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        read_ballots([ballot(tmp_path / "votes-x.csv", *rows)], KEY)
    assert "votes-x.csv" in str(error.value) and "\n" not in str(error.value)


def test_files_that_hold_no_votes_are_refused(tmp_path):
    with pytest.raises(InputError, match="lacks the column 'seconds'"):
        read_ballots([ballot(tmp_path / "a.csv", "r1,ana,1,4", header="reading,reader,image,vote")], KEY)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(InputError, match=r"empty\.csv: the file is empty"):
        read_ballots([tmp_path / "empty.csv"], KEY)
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match="cannot be read as CSV"):
        read_ballots([tmp_path / "picture.csv"], KEY)
    with pytest.raises(InputError, match="no such file"):
        read_ballots([tmp_path / "none.csv"], KEY)


def test_a_reader_votes_once(tmp_path):
    paths = [ballot(tmp_path / f"{name}.csv", f"r1,{name},1,4,2") for name in ("ana", "Ana")]
    with pytest.raises(InputError, match=r"reader 'Ana' has voted in .*ana\.csv too"):
        read_ballots(paths, KEY)


@pytest.mark.parametrize(
    "rows, message",
    [
        (
            "r1,1,a,synthetic\nr1,2,b,fake\n",
            "row 2 below the header, column 'truth' is 'fake': Input should be 'real' or 'synthetic'",
        ),
        ("r1,1,a,synthetic\nr2,2,b,real\n", "answers of several readings"),
        ("r1,1,a,synthetic\nr1,1,b,real\n", "image 1 occurs twice"),
        ("r1,1,a,synthetic\n", "images of both kinds"),
    ],
)
def test_a_key_that_was_changed_is_refused(tmp_path, rows, message):
    (tmp_path / "key.csv").write_text("reading,image,case,truth\n" + rows)
    with pytest.raises(InputError, match=re.escape(message)):
        read_key(tmp_path / "key.csv")


def test_bad_votes_end_the_command_with_one_line_and_status_2(reading, tmp_path):
    votes = ballot(tmp_path / "a.csv", "r1,ana,1,4,2")
    result = command("score", "--key", reading / "key.csv", "--out", tmp_path / "scores.json", votes)
    assert result.returncode == 2
    assert result.stdout == "" and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "scores.json").exists()
