"""DVC's own command line, quicker on large grids; the lock file comes out byte for byte the same.

    python -m pipeline.tools.launch.quick_dvc repro

After every stage DVC parses and prints the whole lock file to change one entry of it, and lets no other worker in
meanwhile: six seconds where there are 300 stages. Here only that entry is printed, and put in its place. This reaches
into DVC, so it is done with the versions it was tested with and no other; with another one this is plain `dvc`.
"""

import re
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from pipeline.run.files import write_bytes

TESTED = ("3.67.1",)
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


def main() -> None:
    from dvc.cli import main as dvc

    if (installed := version("dvc")) in TESTED:
        replace_lock_writer()
    else:
        slow = "plain DVC writes the lock file, which takes seconds a stage in a large grid"
        print(f"WARNING: quick_dvc knows DVC {' and '.join(TESTED)}, not {installed}; {slow}", file=sys.stderr)
    sys.exit(dvc())


if __name__ == "__main__":
    main()
