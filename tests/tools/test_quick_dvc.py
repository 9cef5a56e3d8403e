"""The lock file that quick_dvc writes is, byte for byte, the one that DVC writes; an unknown DVC is left alone."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from pipeline.tools.launch import quick_dvc
from pipeline.tools.launch.quick_dvc import QUICK_DVC, with_entries
from tests.tools.dvc_folder import init_dvc

LOCK = Path(__file__).parents[2] / "dvc.lock"


def as_dvc(folder, text, entries):
    """The text after DVC's own way of setting entries."""
    from dvc.utils.serialize import modify_yaml

    path = folder / "dvc.lock"
    path.write_text(text)
    with modify_yaml(str(path)) as data:
        data["stages"].update(entries)
    return path.read_text()


def entry(word, **more):
    return {
        "cmd": f"python -m {word} " + "--option value " * 12,
        "deps": [{"path": word, "md5": "0", "size": 1}],
        **more,
    }


@pytest.fixture(scope="module")
def lock():
    return LOCK.read_text()


def test_an_entry_set_to_what_it_is_changes_nothing(lock):
    from dvc.utils.serialize import loads_yaml

    stages = loads_yaml(lock)["stages"]
    for name in list(stages)[:: len(stages) // 5]:
        assert with_entries(lock, {name: stages[name]}) == lock


@pytest.fixture(scope="module")
def short(lock):
    """Stages of the lock file, the first and the last among them; DVC takes a second to parse all."""
    from dvc.utils.serialize import dumps_yaml, loads_yaml

    whole = loads_yaml(lock)
    names = list(whole["stages"])
    kept = {*names[::30], "phantom", "finetune_sam@sam-40-0-real", "compare"}
    return dumps_yaml(whole | {"stages": {name: whole["stages"][name] for name in names if name in kept}})


@pytest.mark.parametrize(
    "entries",
    [
        {"phantom": entry("first")},
        {"finetune_sam@sam-40-0-real": entry("middle")},
        {"compare": entry("last")},
        {"new@1-0": entry("new"), "compare": entry("two at once")},
        {"finetune_sam@sam-40-0": entry("a name that starts another's")},
        {"odd: name": entry("quoted"), "10-0": entry("digits")},
        {
            "values": entry(
                "v", params={"params.yaml": {"a.b": [1, 2.5, 1e-5, True, None, "no", "", "1", "x: y", "é # "]}}
            )
        },
        {
            "lines": entry(
                "v", params={"params.yaml": {"text": "two\nlines", "long": "word " * 60, "empty": {}, "none": []}}
            )
        },
    ],
)
def test_entries_old_and_new_come_out_as_dvc_writes_them(short, tmp_path, entries):
    assert with_entries(short, entries) == as_dvc(tmp_path, short, entries)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "schema: '2.0'\n",
        "schema: '2.0'\nstages: {}\n",
        "schema: '2.0'\nstages:\n  a:\n    cmd: b",
        "schema: '2.0'\nstages:\n  a:\n    cmd: b\n# a comment\n  c:\n    cmd: d\n",
        "schema: '2.0'\nstages:\n  a:\n    cmd: b\ndatasets: []\n",
        "schema: '2.0'\nstages:\n  a:\n    cmd: |-\n      b\n\n      c\n",
    ],
)
def test_what_dvc_does_not_write_is_left_to_its_parser(text):
    assert with_entries(text, {"a": entry("new")}) is None


def test_a_name_too_long_for_a_plain_key_is_left_to_the_parser(lock):
    assert with_entries(lock, {"x" * 200: entry("new")}) is None


def test_the_command_writes_the_lock_that_dvc_writes(tmp_path, monkeypatch):
    """A first run, a changed stage and a new one; each time also the same exit status and messages."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    written = {}
    for name, dvc in {"plain": ("dvc",), "quick": QUICK_DVC}.items():
        repo = tmp_path / name
        repo.mkdir()

        def run(*command, repo=repo):
            done = subprocess.run(command, cwd=repo, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            return done.returncode, done.stdout

        init_dvc(repo)
        steps = written[name] = []
        for stages in (
            {"a": "echo 1 > a", "b": "cat a > b"},
            {"a": "echo 2 > a", "b": "cat a > b"},
            {"a": "echo 2 > a", "b": "cat a > b", "c": "echo 3 > c"},
            {"a": "echo 2 > a", "b": "exit 3", "c": "echo 3 > c"},
        ):
            whole = {one: {"cmd": cmd, "outs": [one], "deps": ["a"] * (one == "b")} for one, cmd in stages.items()}
            (repo / "dvc.yaml").write_text(yaml.safe_dump({"stages": whole}))
            steps.append((*run(*dvc, "repro"), (repo / "dvc.lock").read_text()))
    assert written["quick"] == written["plain"]
    assert [status for status, *_ in written["quick"]] == [0, 0, 0, 255]


def test_another_version_of_dvc_is_left_as_it_is(monkeypatch, capsys):
    from dvc import cli, dvcfile

    before = dvcfile.Lockfile.dump_stages
    monkeypatch.setattr(dvcfile.Lockfile, "dump_stages", before)
    monkeypatch.setattr(cli, "main", lambda: 7)
    monkeypatch.setattr(quick_dvc, "version", lambda name: "3.999.0")
    with pytest.raises(SystemExit, match="7"):
        quick_dvc.main()
    assert dvcfile.Lockfile.dump_stages is before
    assert "not 3.999.0; plain DVC starts every stage anew" in capsys.readouterr().err
    monkeypatch.setattr(quick_dvc, "version", lambda name: quick_dvc.TESTED[-1])
    with pytest.raises(SystemExit, match="7"):
        quick_dvc.main()
    assert dvcfile.Lockfile.dump_stages is not before and capsys.readouterr().err == ""


def test_the_version_of_the_lock_is_a_tested_one():
    assert version("dvc") in quick_dvc.TESTED
