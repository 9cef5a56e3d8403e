"""``params.yaml`` as strict, frozen, typed models: an unknown, missing or impossible value stops a stage at once."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from pipeline.config.arms import Arm
from pipeline.config.augmentation import Augment, StrongAugment, Warp
from pipeline.config.cohorts import Cohort, Phantom
from pipeline.config.compute import Compute
from pipeline.config.diffusion import Diffusion
from pipeline.config.grid import Compare, Grid, Oracle
from pipeline.config.quality import Curate, Gate, Score
from pipeline.config.sample import Sample
from pipeline.config.section import Name, Section
from pipeline.config.segmenters import Segmenter
from pipeline.config.small_unet import Filter, Pseudo, SmallUNet
from pipeline.config.task import Task
from pipeline.run.errors import InputError

RESERVED = {"synthetic", "training", "oracle_box"}
"""Keys that stand beside the cohorts in ``results/metrics.json``."""


class Config(Section):
    """All of ``params.yaml``."""

    seed: Annotated[int, Field(ge=0)]
    compute: Compute
    phantom: Phantom
    task: Task
    cohorts: dict[Name, Cohort]
    grid: Grid
    instrument: SmallUNet
    filter: Filter
    pseudo: Pseudo
    diffusion: Diffusion
    warp: Warp
    sample: Sample
    score: Score
    usefulness: SmallUNet
    gate: Gate
    curate: Curate
    segmenters: dict[Name, Segmenter]
    oracle: Oracle
    augment: Augment
    strong_augment: StrongAugment
    arms: dict[Name, Arm]
    compare: Compare

    @model_validator(mode="after")
    def _names_exist(self):
        for role in ("train", "foreign"):
            name = getattr(self.grid, role)
            if name not in self.cohorts or self.cohorts[name].role != role:
                raise ValueError(f"grid.{role} names '{name}', which is no cohort with role '{role}' under cohorts")
        trained = [name for name, cohort in self.cohorts.items() if cohort.role == "train"]
        if len(trained) != 1:
            raise ValueError(f"exactly one cohort may have role 'train', found {', '.join(trained)}")
        if self.sample.guidance != 1 and self.diffusion.mask_dropout == 0 and self.diffusion.backend == "pixel":
            raise ValueError("guidance needs diffusion.mask_dropout above 0, or sample.guidance 1")
        if taken := sorted(set(self.cohorts) & RESERVED):
            raise ValueError(f"cohort '{taken[0]}': results/metrics.json needs this name for itself; choose another")
        if not self.held_out():
            raise ValueError("no cohort has role 'held_out'; the comparison needs at least one")
        for arm in (*self.grid.arms, *self.oracle.arms, self.compare.baseline):
            if arm not in self.arms:
                raise ValueError(f"arm '{arm}' is not defined under arms (defined: {', '.join(self.arms)})")
        if self.compare.baseline not in self.grid.arms:
            raise ValueError(f"compare.baseline '{self.compare.baseline}' is not in grid.arms")
        if unused := [arm for arm in self.oracle.arms if arm not in self.grid.arms]:
            raise ValueError(f"oracle.arms names '{unused[0]}', which is not in grid.arms")
        for name in self.grid.segmenters:
            if name not in self.segmenters:
                known = ", ".join(self.segmenters)
                raise ValueError(f"segmenter '{name}' is not defined under segmenters (defined: {known})")
        for name in self.oracle.segmenters if self.oracle.arms else ():
            if name not in self.grid.segmenters or self.segmenters[name].kind != "sam":
                raise ValueError(f"oracle.segmenters names '{name}', which is no SAM in grid.segmenters")
        for key in ("labels", "replicates", "arms", "segmenters"):
            values = getattr(self.grid, key)
            if len(set(values)) != len(values):
                raise ValueError(f"grid.{key} holds a value twice: {values}")
        return self

    def held_out(self) -> list[str]:
        """Names of the cohorts nothing is trained or tuned on, in file order."""
        return [name for name, cohort in self.cohorts.items() if cohort.role == "held_out"]

    def cells(self) -> list[tuple[str, int, int, str]]:
        """(segmenter, labels, replicate, arm) of every cell of the grid."""
        grid = self.grid
        return list(product(grid.segmenters, grid.labels, grid.replicates, grid.arms))

    def segmenter(self, name: str) -> Segmenter:
        """The section of one segmenter.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.segmenters:
            raise InputError(f"no segmenter '{name}' under segmenters; there are {', '.join(self.segmenters)}")
        return self.segmenters[name]


class View:
    """The sections a stage declares, and no other: what it cannot read cannot make its cache stale."""

    def __init__(self, config: Config, sections: Sequence[str]):
        self._config, self._sections = config, frozenset(sections)

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._sections and not hasattr(Config, name):
            raise AttributeError(f"this stage does not declare the parameter section '{name}'")
        return getattr(self._config, name)

    def as_dict(self) -> dict:
        """The declared sections as plain values, for digests and provenance."""
        return self._config.model_dump(mode="json", include=set(self._sections))


def load_params(path: Path) -> Config:
    """Read and check a parameter file.

    Raises:
        InputError: naming every offending key, what it holds and what is allowed.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); write one with `make preset PRESET=quick`") from None
    return parse_params(text, path)


def parse_params(text: str, path: Path) -> Config:
    """The parameters in ``text``; ``path`` is what messages call it."""
    from ruamel.yaml import YAMLError

    try:
        raw = _yaml().load(text)
    except (YAMLError, ValueError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    try:
        plain = json.dumps(raw)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: more than text, numbers, lists and mappings ({error}); remove the tag") from None
    try:
        # Strict, by way of JSON, which lets lists be tuples and integers floats, but no text be a number.
        return Config.model_validate_json(plain, strict=True)
    except ValidationError as error:
        raise InputError(f"{path}: " + "; ".join(_explain(item) for item in error.errors())) from None


def _yaml():
    """YAML 1.2, as DVC reads and writes it: a bare no is a word, 1e-4 a number. A date is the text it is written in."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import SafeConstructor

    class Dateless(SafeConstructor):
        pass

    Dateless.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)
    reader = YAML(typ="safe")
    reader.Constructor = Dateless
    return reader


def _explain(item: dict) -> str:
    loc = list(item["loc"])
    if loc[0:1] == ["segmenters"] and len(loc) > 3:
        # Of a choice by kind pydantic names the kind too.
        del loc[2]
    key = ".".join(map(str, loc)) or "the file"
    if item["type"] == "extra_forbidden":
        return f"unknown key '{key}'; remove it or correct its spelling"
    if item["type"] == "missing":
        return f"key '{key}' is missing; add it (the presets/ folder shows every key)"
    message = item["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(item["input"], dict) else f" is {item['input']!r}"
    return f"key '{key}'{shown}: {message}"
