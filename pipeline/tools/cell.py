"""One stage of a pinned revision, on any machine: clone, reproduce, push to the shared DVC remote.

    python -m pipeline.tools.cell finetune_sam@sam-40-0-real --repository git@host:me/project --revision 1a2b3c4 \
        --workspace /scratch/cells --storage s3://bucket/path

What the stage needs is restored from the remote's run cache, where other machines have put it; what is not there is run
here first. Afterwards its outputs and its run-cache entry are pushed, and any clone's `dvc repro --pull` finds it done.
Clones are kept under the workspace and used again; two processes never share one. The remote is the project's default
one unless ``--storage`` names another.
"""

import argparse
import hashlib
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.run.errors import InputError
from pipeline.tools import command
from pipeline.tools.launch import children
from pipeline.tools.launch.quick_dvc import QUICK_DVC

log = logging.getLogger("pipeline.cell")


def reproduce_and_push(stage: str, repository: str, revision: str, workspace: Path, storage: str | None) -> list[str]:
    """Reproduce ``stage`` in a clone of ``repository`` at ``revision`` and push it; returns the stages that ran here.

    Raises:
        InputError: git or DVC failed; the message ends with what they said.
    """
    with _clone(workspace, repository, revision) as folder:
        ran = pull_and_reproduce(folder, [stage], storage)
        call(folder, *QUICK_DVC, "push", "--run-cache", stage)
    return ran


def pull_and_reproduce(folder: Path, targets: Sequence[str], storage: str | None) -> list[str]:
    """`dvc repro --pull`; returns the stages that were run rather than restored from the remote.

    Args:
        storage: address of the remote to use from now on; None for the default one of the project.
    """
    if storage is not None:
        call(folder, *QUICK_DVC, "remote", "add", "--quiet", "--force", "--local", "--default", "shared", storage)
    output = call(folder, *QUICK_DVC, "repro", "--pull", *targets)
    return re.findall("(?m)^Running stage '(.+?)'", output)


@contextmanager
def _clone(workspace: Path, repository: str, revision: str) -> Iterator[Path]:
    """A clone at the revision that no other process uses; one that a killed process left behind is not used again."""
    if not re.fullmatch(r"[0-9a-f]{7,40}", revision):
        raise InputError(f"revision '{revision}': a commit is wanted, as `git rev-parse HEAD` prints it")
    workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
    origin = hashlib.sha256(repository.encode()).hexdigest()[:6]
    for number in range(10_000):
        folder = workspace / f"{revision[:12]}-{origin}-{number}"
        busy = folder.with_suffix(".busy")
        try:
            busy.touch(exist_ok=False)
        except FileExistsError:
            continue
        try:
            if not folder.exists():
                call(workspace, "git", "clone", "--quiet", "--no-checkout", repository, folder.name)
            call(folder, "git", "checkout", "--quiet", "--detach", "--force", revision)
            yield folder
        finally:
            busy.unlink()
        return
    raise InputError(f"{workspace}: too many clones left behind; remove the folder")


def call(folder: Path, *words: str) -> str:
    """What a command prints, run with the programs beside this Python first.

    Raises:
        InputError: it failed; with what it complained of.
    """
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = children.run(words, cwd=folder, env=environment, **piped)
    if done.returncode:
        raise InputError(f"`{' '.join(words)}` failed: {complaints(done.stdout)}")
    return done.stdout


def complaints(output: str) -> str:
    """The lines of an output that call themselves errors, or else the last five."""
    told = [line for line in output.splitlines() if line.strip()]
    return " ".join([line for line in told if line.startswith(("ERROR", "fatal"))] or told[-5:])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stage", help="as `dvc stage list` names it")
    parser.add_argument("--repository", required=True, help="what `git clone` takes")
    parser.add_argument("--revision", required=True, help="a commit that the repository has")
    parser.add_argument("--workspace", type=Path, required=True, help="folder of this machine for clones")
    parser.add_argument("--storage", help="address of the shared DVC remote (default: that of the project)")


def run(args: argparse.Namespace) -> None:
    ran = reproduce_and_push(args.stage, args.repository, args.revision, args.workspace.expanduser(), args.storage)
    log.info("%s is pushed; run here: %s", args.stage, ", ".join(ran) or "nothing, it was done before")
    print("\n".join(ran))


if __name__ == "__main__":
    command.main(add_arguments, run)
