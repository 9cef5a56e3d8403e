"""DVC's own command line, quicker on large grids; the lock file comes out byte for byte the same.

    python -m pipeline.tools.launch.quick_dvc repro

After every stage DVC parses and prints the whole lock file to change one entry of it, and lets no other worker in
meanwhile: six seconds where there are 300 stages. Here only that entry is printed, and put in its place; and stages
are forked, so that torch is imported once (:mod:`~pipeline.tools.launch.forked_stages`). This reaches into DVC, so it
is done with the versions it was tested with and no other; with another one this is plain `dvc`.

SIGTERM and SIGHUP end the stage that runs, then DVC in good order; so does the end of the program that started this.
"""

import re
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from pipeline.run import parents
from pipeline.run.files import write_bytes
from pipeline.tools.launch.forked_stages import fork_stages
from pipeline.tools.launch.without_git import do_without_git

TESTED = ("3.67.1",)
signals: list[int] = []
"""Those that ended this process."""
INTERRUPTED = 252
"""What DVC exits with after Ctrl-C."""
# They end at SIGTERM without passing it on to what they wait for.
SHELLS = frozenset({"sh", "ash", "bash", "dash", "fish", "ksh", "zsh"})
# The one of this environment (-P), not of a clone that is worked in.
QUICK_DVC = (sys.executable, "-P", "-m", "pipeline.tools.launch.quick_dvc")


def with_entries(text: str, entries: Mapping[str, Mapping]) -> str | None:
    """The text of a lock file with these entries set as DVC would write it; new ones come last.

    Args:
        entries: stage name → what the lock file holds of it.

    Returns:
        None where the text is not as DVC writes it, so that it has to be parsed.
    """
    from dvc.utils.serialize import dumps_yaml

    head, marker, body = text.partition("\nstages:\n")
    if not body.endswith("\n") or re.search(r"(?m)^(?!  )", body[:-1]):
        return None
    for name, entry in entries.items():
        wanted = dumps_yaml({"stages": {name: entry}}).removeprefix("stages:\n")
        key = wanted[: wanted.index("\n") + 1]
        if not key.endswith(":\n"):
            return None
        found = re.search(rf"(?m)^{re.escape(key)}(?:    .*\n)*", body)
        body = body[: found.start()] + wanted + body[found.end() :] if found else body + wanted
    return head + marker + body


def replace_lock_writer() -> None:
    """Make DVC write single entries of its lock file, in this process."""
    from dvc import dvcfile
    from dvc.stage.serialize import to_lockfile

    parse_and_dump = dvcfile.Lockfile.dump_stages

    def dump_stages(self, stages, **kwargs):
        path = Path(self.path)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        entries = {name: entry for stage in stages for name, entry in to_lockfile(stage, **kwargs).items()}
        after = with_entries(before, entries)
        if after is None:
            parse_and_dump(self, stages, **kwargs)
        elif after != before:
            dvcfile.logger.info("Updating lock file '%s'", self.relpath)
            write_bytes(path, after.encode())
            self.repo.scm_context.track_file(self.relpath)

    dvcfile.Lockfile.dump_stages = dump_stages


def end_in_order(number: int, frame) -> None:
    """What a signal does: the stage that runs ends first, then DVC, as after Ctrl-C."""
    import psutil

    signal.signal(number, signal.SIG_IGN)
    below = psutil.Process().children(recursive=True)
    told = psutil.Process().children()
    for child in told:
        with suppress(psutil.NoSuchProcess):
            if child.name() in SHELLS:
                told.extend(child.children())
    for child in told:
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    deadline = time.monotonic() + parents.GRACE
    for process in below:
        if not parents.wait_for_any([process.pid], max(0, deadline - time.monotonic())):
            with suppress(psutil.NoSuchProcess):
                process.kill()
    signals.append(number)
    raise KeyboardInterrupt


def main() -> None:
    from dvc.cli import main as dvc

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end_in_order)
    parents.follow()
    do_without_git()
    if (installed := version("dvc")) in TESTED:
        replace_lock_writer()
        fork_stages()
    else:
        slow = "plain DVC starts every stage anew and takes seconds to write the lock file of a large grid"
        print(f"WARNING: quick_dvc knows DVC {' and '.join(TESTED)}, not {installed}; {slow}", file=sys.stderr)
    status = dvc()
    sys.exit(128 + signals[0] if signals else 128 + signal.SIGINT if status == INTERRUPTED else status)


if __name__ == "__main__":
    main()
