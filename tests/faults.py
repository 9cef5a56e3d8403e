"""Programs that are killed at random moments, and what has to hold after every kill and after the rerun."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT)
MARK = "KILLED_BY_TEST"
PATIENCE = 60
HIDDEN = (".*.partial", ".*.old", ".*.lock")


@dataclass
class Victim:
    """A program and its outputs.

    kills: how often it is killed. between: kills before it is let run to its end. outputs: whole or absent at any time.
    after: what has to be equal only once it has run to its end. reset: undoes a finished run. fresh: it writes no
    output that is there.
    """

    name: str
    command: list[str]
    outputs: list[Path]
    kills: int
    folder: Path
    between: int = 5
    after: list[Path] = field(default_factory=list)
    reset: Callable[[], None] = lambda: None
    fresh: bool = False

    def clear(self) -> None:
        for path in [*self.outputs, *self.after]:
            subprocess.run(["rm", "-rf", path], check=True)
        self.reset()


@dataclass
class Tally:
    """What came of the kills of a victim."""

    name: str
    kills: int = 0
    in_writing: int = 0
    reruns: int = 0
    incomplete: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    left_running: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        return [*self.incomplete, *self.differing, *self.left_running, *self.stale]

    def __str__(self) -> str:
        counts = ", ".join(
            f"{len(getattr(self, kind))} {kind.replace('_', ' ')}"
            for kind in ("incomplete", "differing", "left_running", "stale")
        )
        return f"{self.name}: {self.kills} kills ({self.in_writing} while writing), {self.reruns} reruns: {counts}"


def torment(victim: Victim, seed: int) -> Tally:
    """Kill a program at random moments until it has been killed often enough; half of them while it writes."""
    moments, tally = random.Random(f"{seed} {victim.name}"), Tally(victim.name)
    victim.clear()
    start = time.monotonic()
    finish(victim)
    lasts = time.monotonic() - start
    whole = {path: digest(path) for path in [*victim.outputs, *victim.after]}
    assert all(whole.values()), f"{victim.name} does not write {[str(path) for path, one in whole.items() if not one]}"
    victim.clear()
    since, before = 0, scratch(victim)
    while tally.kills < victim.kills:
        number, writing = moments.choice(SIGNALS), moments.random() < 0.5
        killed, seen = kill(victim, number, moments.uniform(0, 0.2 if writing else 1) * lasts, writing)
        what = f"{victim.name}, kill {tally.kills + 1} ({number.name})"
        tally.left_running += [f"{what}: {one}" for one in left_running()]
        tally.incomplete += [f"{what}: {path}" for path in victim.outputs if digest(path) not in (None, whole[path])]
        tally.kills, tally.in_writing, since = tally.kills + killed, tally.in_writing + seen, since + killed
        if not killed:
            # It was faster: what it wrote has been compared.
            victim.clear()
        elif since >= victim.between or tally.kills == victim.kills:
            if victim.fresh:
                # One that was killed after the last rename.
                victim.clear()
            finish(victim)
            tally.reruns, since = tally.reruns + 1, 0
            tally.differing += [f"{what}, rerun: {path}" for path, one in whole.items() if digest(path) != one]
            tally.stale += [f"{what}, rerun: {path}" for path in [*hidden(victim), *(scratch(victim) - before)]]
            if tally.kills < victim.kills:
                victim.clear()
    print(tally, flush=True)
    return tally


def kill(victim: Victim, number: signal.Signals, delay: float, writing: bool) -> tuple[bool, bool]:
    """Start it, and send a signal after so many seconds, or so many after it has begun to write.

    Ctrl-C goes to all processes of a terminal, other signals to one. Gives whether it was running then, and writing.
    """
    process = start(victim)
    deadline = time.monotonic() + PATIENCE
    while writing and not hidden(victim) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    try:
        process.wait(delay)
        return False, False
    except subprocess.TimeoutExpired:
        seen = bool(hidden(victim))
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    process.wait(PATIENCE)
    return True, seen


def start(victim: Victim, **options) -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", MARK: str(os.getpid())}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options
    return subprocess.Popen(victim.command, cwd=victim.folder, env=environment, start_new_session=True, **quiet)


def finish(victim: Victim) -> None:
    process = start(victim, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    told, _ = process.communicate()
    assert process.returncode == 0, f"{victim.name} does not end well: {told[-3000:]}"


def left_running() -> list[str]:
    """Programs started here that do not end with the one that was killed; they are ended."""
    deadline = time.monotonic() + PATIENCE
    while (alive := marked()) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in alive:
        process.kill()
    return [f"{process.pid} {process.name()}" for process in alive]


def marked() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(os.getpid()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def hidden(victim: Victim) -> list[Path]:
    """What lies beside the outputs while they are written."""
    folders = {path.parent for path in victim.outputs}
    return [path for folder in folders for pattern in HIDDEN for path in folder.glob(pattern)]


def scratch(victim: Victim) -> set[Path]:
    """The states kept for resuming."""
    return set((victim.folder / ".scratch").glob("*-*"))


def digest(path: Path) -> str | None:
    """Of the names and bytes of all files; None where there is nothing."""
    if not path.exists():
        return None
    total = hashlib.sha256()
    if path.suffix == ".lock":
        # Workers end in another order.
        return json.dumps(yaml.safe_load(path.read_text()), sort_keys=True)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        total.update(str(file.relative_to(path)).encode())
        total.update(file.read_bytes() if file.is_file() else b"folder")
    return total.hexdigest()
