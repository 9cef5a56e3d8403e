"""Write ``params.yaml`` from a preset: ``python -m pipeline.tools.preset hc18``.

``presets/quick.yaml`` is complete and commented; the others list what they change, and the comments come along.
"""

import argparse
import io
import logging
from pathlib import Path

from pipeline.config.params import parse_params
from pipeline.run import files
from pipeline.run.cells import prune_datasets
from pipeline.run.errors import InputError
from pipeline.tools.command import command_line

COMPLETE = "quick"
EMBEDDED = "data/raw/phantom/"
"""The stage `phantom` makes these."""
log = logging.getLogger("pipeline.presets")


def compose(folder: Path, name: str) -> str:
    """The text of ``params.yaml`` for a preset.

    Raises:
        InputError: no such preset, or it names a key the complete preset does not have.
    """
    from ruamel.yaml import YAML

    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in names:
        raise InputError(f"no preset '{name}' in {folder}; there are {', '.join(names)}")
    yaml = YAML()
    yaml.width = 120
    yaml.preserve_quotes = True
    params = yaml.load(folder / f"{COMPLETE}.yaml")
    if name != COMPLETE:
        _merge(params, yaml.load(folder / f"{name}.yaml"))
        params.yaml_set_start_comment(f"The parameters of every stage. This file was written from the preset `{name}`.")
    buffer = io.StringIO()
    yaml.dump(params, buffer)
    return buffer.getvalue()


def _merge(base, change) -> None:
    for key, value in change.items():
        if key == "cohorts" and not set(value) <= set(base[key]):
            base[key] = value
        elif isinstance(value, dict) and "backend" not in value and isinstance(base.get(key), dict):
            # A section that names another backend has other keys, and replaces the former whole.
            _merge(base[key], value)
        else:
            base[key] = value


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.tools.preset", description=__doc__)
    parser.add_argument("preset")
    parser.add_argument("--presets", type=Path, default=Path("presets"))
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument(
        "--held-out", type=Path, default=Path("data/cohorts/held_out"), help="cohorts of other presets leave it"
    )
    args = parser.parse_args()
    with command_line():
        text = compose(args.presets, args.preset)
        config = parse_params(text, args.params)
        files.write_bytes(args.params, text.encode())
        prune_datasets(args.held_out, config.held_out())
    for name, cohort in config.cohorts.items():
        if not Path(cohort.raw).exists() and not cohort.raw.startswith(EMBEDDED):
            log.warning("cohort %s: %s is not there yet; data/README.md says how to get it", name, cohort.raw)
    log.info("%s now holds the preset %s; `dvc repro` runs it", args.params, args.preset)


if __name__ == "__main__":
    main()
