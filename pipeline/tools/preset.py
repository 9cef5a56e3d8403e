"""Write ``params.yaml`` from a preset: ``python -m pipeline.tools.preset hc18``.

``presets/quick.yaml`` is complete and commented; the others list what they change, and the comments come along. The
section ``kinds`` is filled in from the grid; without a preset only that is done, in the ``params.yaml`` that is there.
"""

import argparse
import io
import logging
from pathlib import Path
from types import SimpleNamespace

from pipeline.config.arms import Arm
from pipeline.config.cohorts import held_out_names
from pipeline.config.grid import kinds_of
from pipeline.config.params import parse_params
from pipeline.run import files
from pipeline.run.cells import prune_datasets
from pipeline.run.errors import InputError
from pipeline.run.outputs import written_whole
from pipeline.tools import command

COMPLETE = "quick"
PARAMS = Path("params.yaml")
log = logging.getLogger("pipeline.preset")


def compose(folder: Path, name: str) -> str:
    """The text of ``params.yaml`` for a preset.

    Raises:
        InputError: no such preset.
    """
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in names:
        raise InputError(f"no preset '{name}' in {folder}; there are {', '.join(names)}")
    yaml = _yaml()
    params = yaml.load(folder / f"{COMPLETE}.yaml")
    if name != COMPLETE:
        _merge(params, yaml.load(folder / f"{name}.yaml"))
        params.yaml_set_start_comment(f"The parameters of every stage. This file was written from the preset `{name}`.")
    return _written(params)


def sorted_by_kind(path: Path) -> str:
    """The text of a parameter file with its section ``kinds`` made to fit its grid."""
    try:
        return _written(_yaml().load(path))
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: cannot be sorted by kind ({error}); name a preset to start from") from None


def _written(params) -> str:
    arms = {name: Arm(**params["arms"][name]) for name in params["grid"]["arms"]}
    segmenters = {name: SimpleNamespace(**one) for name, one in params["segmenters"].items()}
    cohorts = {name: SimpleNamespace(**one) for name, one in params["cohorts"].items()}
    age = SimpleNamespace(**params["age"])
    for kind, names in kinds_of(SimpleNamespace(**params["grid"]), arms, segmenters, cohorts, age).model_dump().items():
        if isinstance(names, dict):
            params["kinds"][kind] = names
        else:
            params["kinds"][kind][:] = names
    buffer = io.StringIO()
    _yaml().dump(params, buffer)
    return buffer.getvalue()


def _yaml():
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 120
    yaml.preserve_quotes = True
    return yaml


def _merge(base, change) -> None:
    """Write the values of ``change`` into ``base``; a mapping of another kind takes the place of the old one whole.

    So do cohorts and structures, where any of the new names is not among the old.
    """
    for key, value in change.items():
        if key in ("cohorts", "structures") and not set(value) <= set(base.get(key) or ()):
            base[key] = value
        elif isinstance(value, dict) and isinstance(base.get(key), dict) and _alike(base[key], value):
            _merge(base[key], value)
        else:
            base[key] = value


def _alike(base, change) -> bool:
    """Whether both have the same keys, as far as a choice among kinds tells."""
    choices = ("kind", "extra", "backend", *(("train",) if "kind" in base else ()))
    return all(change[key] == base[key] for key in choices if key in change and key in base)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("preset", nargs="?", help="a file of the presets folder, without its ending")


def run(args: argparse.Namespace) -> None:
    text = compose(Path("presets"), args.preset) if args.preset else sorted_by_kind(PARAMS)
    config = parse_params(text, PARAMS)
    with written_whole(PARAMS) as partial:
        files.write_bytes(partial, text.encode())
    # A cohort of another preset would dirty what depends on the folder.
    prune_datasets(Path("data/cohorts/held_out"), held_out_names(config.cohorts))
    for name, cohort in config.cohorts.items():
        # The stage `phantom` makes its own.
        if not Path(cohort.raw).exists() and not cohort.raw.startswith("data/raw/phantom/"):
            log.warning("cohort %s: %s is not there yet; data/README.md says how to get it", name, cohort.raw)
    done = f"now holds the preset {args.preset}" if args.preset else "fits"
    log.info("%s %s; `dvc repro` runs it", PARAMS, done)


if __name__ == "__main__":
    command.main(add_arguments, run)
