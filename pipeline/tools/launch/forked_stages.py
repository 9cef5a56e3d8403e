"""Stages of DVC that start at once: forked from a process that has imported what the stages before them imported.

Half of a short stage is the import of torch and transformers. A stage whose command is `python -m <module> <words>`
runs in a fork of :mod:`~pipeline.tools.launch.fork_server`; every other one runs as DVC runs it. Where a GPU is at hand
nothing is forked: its driver does not survive a fork, and stages take longer than their imports there.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.run.parents import VARIABLE

SERVER = Path(__file__).with_name("fork_server.py")
GPUS = ("/dev/nvidiactl", "/dev/kfd")
# Words that no shell would change.
PLAIN = re.compile(r"python -m ([\w.]+)((?: [\w@%+=:,./-]+)*)")


class ForkServer:
    """The server, once a stage has asked for it; it ends with this process."""

    def __init__(self):
        self._process: subprocess.Popen | None = None

    def run(self, module: str, arguments: list[str], env: Mapping[str, str], cwd: str) -> int:
        """Exit status of the module as a program, negative where a signal ended it."""
        if self._process is None:
            self._start()
        job = {"module": module, "arguments": arguments, "cwd": os.fspath(cwd)}
        job["env"] = {**env, VARIABLE: str(os.getpid())}
        try:
            print(json.dumps(job), file=self._jobs)
            answer = self._statuses.readline()
        except BrokenPipeError:
            answer = ""
        if answer:
            return int(answer)
        # It was killed, as for memory.
        status, self._process = self._process.wait(), None
        return status or 1

    def _start(self) -> None:
        (jobs, to_server), (from_server, statuses) = os.pipe(), os.pipe()
        words = [sys.executable, "-P", str(SERVER), str(jobs), str(statuses)]
        self._process = subprocess.Popen(words, pass_fds=(jobs, statuses))
        os.close(jobs)
        os.close(statuses)
        self._jobs, self._statuses = os.fdopen(to_server, "w", buffering=1), os.fdopen(from_server)


def fork_stages() -> None:
    """Have DVC, in this process, run its stages in forks."""
    if sys.platform != "linux" or any(map(os.path.exists, GPUS)):
        return
    from dvc.stage import run

    run._run = forking(ForkServer(), run._run)


def forking(server: ForkServer, run_in_shell: Callable) -> Callable:
    """What replaces DVC's own function that runs one command of a stage."""

    def run_command(executable, cmd: str, *, env: Mapping[str, str], cwd: str, **options) -> None:
        from dvc.stage.exceptions import StageCmdFailedError

        plain = PLAIN.fullmatch(cmd)
        if not plain or not _is_ours(env):
            run_in_shell(executable, cmd, env=env, cwd=cwd, **options)
            return
        before = None
        if threading.current_thread() is threading.main_thread():
            # As with a shell: Ctrl-C is the stage's to answer.
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            status = server.run(plain[1], plain[2].split(), env, cwd)
        finally:
            if before is not None:
                signal.signal(signal.SIGINT, before)
        if status:
            raise StageCmdFailedError(cmd, status)

    return run_command


def _is_ours(env: Mapping[str, str]) -> bool:
    """Whether `python` is the one that runs this, started as that one would be."""
    found = shutil.which("python", path=env.get("PATH"))
    if not found or "PYTHONSAFEPATH" in env:
        return False
    return Path(found).parent.samefile(Path(sys.executable).parent)
