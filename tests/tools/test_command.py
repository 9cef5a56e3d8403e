"""The frame that the commands share."""

import subprocess
import sys

import pytest

from pipeline.run.errors import InputError
from pipeline.tools import command

COMMANDS = ("segment", "measure", "generate", "export", "blind_reading", "preset", "workers", "cell", "cluster")
HEAVY = {"torch", "numpy", "scipy", "pyarrow", "transformers", "diffusers", "PIL", "SimpleITK", "jinja2", "dvc", "ray"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_quick_and_names_the_command(root, name):
    code = (
        "import runpy, sys\n"
        "sys.argv = ['x', '--help']\n"
        f"try:\n    runpy.run_module('pipeline.tools.{name}', run_name='__main__')\n"
        "except SystemExit as left:\n    assert left.code == 0\n"
        f"print({HEAVY} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.startswith(f"usage: python -m pipeline.tools.{name} ")
    assert f"python -m pipeline.tools.{name}" in result.stdout.partition("\n\n")[2], (
        "the docstring shows how to call it"
    )
    assert result.stdout.splitlines()[-1] == "set()"


def add_arguments(parser):
    parser.add_argument("--out", type=command.new_folder)
    parser.add_argument("--table", type=command.new_file)
    parser.add_argument("--guidance", type=command.between(float, 0))
    command.add_compute(parser)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "0"], "argument --threads: 0, but it must be from 1 to 1024"),
        (["--threads", "two"], "argument --threads: invalid int value: 'two'"),
        (["--guidance", "-0.5"], "argument --guidance: -0.5, but it must be from 0 to inf"),
        (["--guidance", "nan"], "argument --guidance: nan, but it must be"),
        (["--out", "."], "argument --out: . exists and is not an empty folder; name a new one, or empty it"),
        (["--out", "pyproject.toml"], "pyproject.toml exists and is not an empty folder"),
        (["--table", "docs"], "argument --table: docs is a folder; name a file"),
        (["--device", "tpu"], "invalid choice: 'tpu'"),
    ],
)
def test_arguments_are_checked_before_anything_runs(root, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(root)
    with pytest.raises(SystemExit) as left:
        command.main(add_arguments, lambda args: pytest.fail("it ran"), arguments)
    assert left.value.code == 2 and message in capsys.readouterr().err


def test_an_empty_folder_and_a_new_one_may_be_written(tmp_path):
    (tmp_path / ".DS_Store").touch()
    for path in (tmp_path, tmp_path / "new/deep"):
        assert command.build_parser(add_arguments).parse_args(["--out", str(path)]).out == path


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        (None, None),
        (0, None),
        (1, 1),
        (InputError("file x: bad"), 2),
        (FileNotFoundError("file x: bad"), 2),
        (KeyboardInterrupt("file x: bad"), 130),
    ],
)
def test_exit_status_is_that_of_the_command_and_2_for_bad_input(monkeypatch, caplog, ends, status):
    monkeypatch.setattr(command.stage, "prepare_environment", lambda threads: None)

    def run(args):
        if isinstance(ends, BaseException):
            raise ends
        return ends

    if status is None:
        command.main(add_arguments, run, [])
    else:
        with pytest.raises(SystemExit) as left:
            command.main(add_arguments, run, [])
        assert left.value.code == status
    assert ("file x: bad" in caplog.text) == (status == 2)
    assert ("ended by SIGINT" in caplog.text) == (status == 130)


def test_a_fault_of_the_program_is_not_called_bad_input(monkeypatch):
    monkeypatch.setattr(command.stage, "prepare_environment", lambda threads: None)
    with pytest.raises(ZeroDivisionError):
        command.main(add_arguments, lambda args: 1 // 0, [])
