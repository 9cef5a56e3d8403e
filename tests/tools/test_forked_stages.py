"""Forked stages end as others do, start where and as what others do, and import nothing twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.tools.launch.forked_stages import PLAIN, ForkServer, forking

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="stages are forked on Linux alone")
HEAVY = (
    "peft, segmentation_models_pytorch, skimage.measure, timm, "
    "torchvision.transforms.v2, transformers.models.sam.modeling_sam, accelerate"
)


@pytest.fixture
def server():
    return ForkServer()


def run(server, folder: Path, code: str, *arguments: str, env=None) -> tuple[int, str]:
    """Exit status of the code as a module ``stage`` in the folder, and what it has written to the file ``out``."""
    (folder / "stage.py").write_text(f"import os, sys\nout = open('out', 'w')\n{code}\n")
    status = server.run("stage", list(arguments), os.environ if env is None else env, str(folder))
    return status, (folder / "out").read_text()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("pass", 0),
        ("sys.exit(0)", 0),
        ("sys.exit(3)", 3),
        ("sys.exit('a reason')", 1),
        ("raise ValueError('named')", 1),
        ("os._exit(5)", 5),
        ("import signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("import signal; os.kill(os.getpid(), signal.SIGINT)", -2),
    ],
)
def test_statuses_are_those_of_a_process_of_its_own(server, tmp_path, capfd, code, status):
    assert run(server, tmp_path, code)[0] == status
    own = subprocess.run([sys.executable, "-m", "stage"], cwd=tmp_path, capture_output=True, text=True)
    assert own.returncode == status
    assert own.stderr.splitlines()[-1:] == capfd.readouterr().err.splitlines()[-1:]
    # The next one is not touched by how this one ended.
    assert run(server, tmp_path, "print(1, file=out)") == (0, "1\n")


def test_words_folder_and_environment_are_those_of_the_job(server, tmp_path):
    code = (
        "print(sys.argv[1:], os.getcwd(), os.environ['MINE'], __name__, __spec__.name, 'HOME' in os.environ, file=out)"
    )
    told = run(server, tmp_path, code, "--a", "b=c", env={"MINE": "é"})
    assert told == (0, f"['--a', 'b=c'] {tmp_path} é __main__ stage False\n")
    # Modules of a clone that is worked in, not of another one.
    other = tmp_path / "clone"
    other.mkdir()
    assert run(server, other, "print(os.environ.get('MINE'), file=out)", env={}) == (0, "None\n")


def test_what_is_slow_is_imported_once_with_the_threads_that_the_stage_had_and_starts_no_thread(server, tmp_path):
    known = "print('torch' in sys.modules, 'json.tool' in sys.modules, file=out)"
    assert run(server, tmp_path, known) == (0, "False False\n")
    assert run(server, tmp_path, f"os.environ['OMP_NUM_THREADS'] = '1'; import json.tool, {HEAVY}")[0] == 0
    assert run(server, tmp_path, known) == (0, "True False\n")
    code = "import torch; print(torch.get_num_threads(), len(os.listdir(f'/proc/{os.getppid()}/task')), file=out)"
    assert run(server, tmp_path, code) == (0, "1 1\n")


def test_a_server_that_is_killed_fails_its_stage_and_the_next_has_another(server, tmp_path):
    assert run(server, tmp_path, f"os.kill(os.getppid(), {int(signal.SIGKILL)})")[0] == -9
    assert run(server, tmp_path, "pass")[0] == 0


@pytest.mark.parametrize(
    ("cmd", "plain"),
    [
        ("python -m pipeline.score --out results/quality/8-0.json --n 0.5 --a x=1,2", True),
        ("python -m pipeline.compare", True),
        ("python -m pipeline.prepare --raw 'data/My Drive'", False),
        ("python -m pipeline.prepare --raw $HOME", False),
        ("python -m pipeline.prepare --raw ~/data", False),
        ("python -m pipeline.prepare --raw data/*", False),
        ("python -m pipeline.score && true", False),
        ("python -m pipeline.score > log", False),
        ("python  -m pipeline.score", False),
        ("python -u -m pipeline.score", False),
        ("A=1 python -m pipeline.score", False),
        ("python stage.py", False),
        ("torchrun --nproc-per-node 2 -m pipeline.sample", False),
        ("python -m pipeline.score\n", False),
    ],
)
def test_what_a_shell_would_change_is_left_to_a_shell(cmd, plain):
    assert bool(PLAIN.fullmatch(cmd)) == plain


def test_another_python_and_a_safe_path_are_left_to_a_shell(tmp_path):
    from dvc.stage.exceptions import StageCmdFailedError

    class Server:
        def run(self, module, arguments, env, cwd):
            forked.append((module, arguments, cwd))
            return 7

    forked, in_shell = [], []
    run_command = forking(Server(), lambda executable, cmd, **options: in_shell.append(cmd))
    ours = {"PATH": str(Path(sys.executable).parent)}
    (tmp_path / "python").symlink_to(sys.executable)
    for env in ({"PATH": str(tmp_path)}, {"PATH": ""}, ours | {"PYTHONSAFEPATH": "1"}):
        run_command("sh", "python -m a.b --c d", env=env, cwd="e")
    assert len(in_shell) == 3 and not forked
    with pytest.raises(StageCmdFailedError, match="exited with 7"):
        run_command("sh", "python -m a.b --c d", env=ours, cwd="e")
    assert forked == [("a.b", ["--c", "d"], "e")] and len(in_shell) == 3
