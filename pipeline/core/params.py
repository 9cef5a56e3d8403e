"""``params.yaml`` as strict, frozen, typed models: an unknown, missing or impossible value stops a stage at once."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from pipeline.core.errors import InputError
from pipeline.core.generation import Diffusion, Sample
from pipeline.core.grid import Arm, Compare, Grid, Oracle
from pipeline.core.section import Fraction, Name, NonNegative, Positive, PositiveFloat, Section
from pipeline.core.segmenter_params import Segmenter


class Compute(Section):
    device: Literal["auto", "cpu", "cuda", "mps"]
    threads: Positive


class Splits(Section):
    """Shares of patients; together they are 1."""

    instrument: Fraction
    train: Fraction
    val: Fraction
    test: Fraction

    @model_validator(mode="after")
    def _whole(self):
        if not (self.instrument and self.train and self.test):
            raise ValueError("instrument, train and test each need a share above 0")
        if abs(self.instrument + self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError("the four shares must add up to 1")
        return self


class Cohort(Section):
    role: Literal["train", "held_out", "foreign"]
    reader: Literal["hc18", "fetal_planes", "psfhs", "folder"]
    raw: str
    labelled: bool
    classes: tuple[str, ...] | None = None
    splits: Splits | None = None

    @model_validator(mode="after")
    def _splits_follow_role(self):
        if (self.role == "train") != (self.splits is not None):
            raise ValueError("splits belong to the cohort with role 'train', and to no other")
        if self.role != "foreign" and not self.labelled:
            raise ValueError("only a cohort with role 'foreign' may be unlabelled")
        return self


class Phantom(Section):
    cases: dict[Name, Positive]


class Augment(Section):
    """Standard augmentation, geometry applied to image and mask together (see segmentation/augment.py)."""

    flip: bool
    rotate_deg: NonNegative
    scale: Annotated[float, Field(ge=0, lt=1)]
    shift: Annotated[float, Field(ge=0, lt=1)]
    brightness: NonNegative
    contrast: Annotated[float, Field(ge=0, lt=1)]
    gamma: Annotated[float, Field(ge=0, lt=1)]


class StrongAugment(Augment):
    """Standard augmentation, and noise, blur and lower resolution (see segmentation/degrade.py)."""

    probability: Fraction
    noise: NonNegative
    blur: NonNegative
    low_resolution: Annotated[float, Field(gt=0, le=1)]


class Warp(Section):
    """Plausible shape change (see core/warp.py): sampled masks and the warped control share it."""

    rotate_deg: NonNegative
    scale: Annotated[float, Field(ge=0, lt=1)]
    aspect: Annotated[float, Field(ge=0, lt=1)]
    shift: Annotated[float, Field(ge=0, lt=1)]
    elastic: Annotated[float, Field(ge=0, lt=0.2)]


class UNet(Section):
    """The small U-Net: instrument, filter and judges of usefulness are trained with their own copy of these."""

    image_size: Annotated[int, Field(ge=32, multiple_of=16)]
    channels: Annotated[tuple[Annotated[int, Field(ge=4, multiple_of=4)], ...], Field(min_length=5, max_length=5)]
    steps: Positive
    batch: Positive
    learning_rate: PositiveFloat


class Filter(UNet):
    folds: Annotated[int, Field(ge=2)]


class Extractors(Section):
    """Feature extractors beside the domain one: paths of weights the user has, or null."""

    inception: str | None
    dinov2: str | None
    clip: str | None


class Score(Section):
    extractors: Extractors
    kid_subsets: Positive
    neighbours: Positive
    resamples: Annotated[int, Field(ge=0)]


class Gate(Section):
    """The worst a synthetic set may be for anything to be trained on it; null is no limit (see quality/gate.py)."""

    fidelity: NonNegative | None
    coverage: NonNegative | None
    imprint: Fraction | None
    obedience: NonNegative | None
    copies: Fraction | None
    membership: Fraction | None


class Curate(Section):
    """Which samples are kept (see quality/curation.py); every threshold is this quantile of the labels' own scores."""

    quantile: Fraction
    obedience: bool
    plausibility: bool
    novelty: bool
    hardness: Annotated[int, Field(ge=0)]


class Pseudo(Section):
    """Pseudo-masks of unlabelled images: kept where the filter's fold networks agree at least this well (Dice)."""

    agreement: Fraction


RESERVED = {"synthetic", "training", "oracle_box"}
"""Keys that stand beside the cohorts in ``results/metrics.json``."""


class Config(Section):
    """All of ``params.yaml``."""

    seed: Annotated[int, Field(ge=0)]
    compute: Compute
    phantom: Phantom
    cohorts: dict[Name, Cohort]
    grid: Grid
    instrument: UNet
    filter: Filter
    pseudo: Pseudo
    diffusion: Diffusion
    warp: Warp
    sample: Sample
    score: Score
    usefulness: UNet
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
