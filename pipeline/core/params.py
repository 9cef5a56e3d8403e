"""``params.yaml`` as strict, frozen, typed models: an unknown, missing or impossible value stops a stage at once."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline.core.errors import InputError
from pipeline.core.generation import Diffusion, Sample
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


class Grid(Section):
    """The cells of the comparison: segmenters x labels x replicates x arms. ``train`` and ``foreign`` name cohorts."""

    train: Name
    foreign: Name
    labels: Annotated[tuple[Positive, ...], Field(min_length=1)]
    replicates: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    arms: Annotated[tuple[Name, ...], Field(min_length=1)]
    segmenters: Annotated[tuple[Name, ...], Field(min_length=1)]


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


class Oracle(Section):
    """Box prompts drawn from the reference mask: never a headline (see segmentation/prompts.py)."""

    segmenters: tuple[Name, ...]
    arms: tuple[Name, ...]
    jitter: Annotated[float, Field(ge=0, lt=0.5)]


class Arm(Section):
    """What an arm is trained on.

    ``extra``: synthetic; made from the labels without a generator (warped, copy_paste, rendered; see arms/derived.py);
    or the labels once more (repeated). ``ratio``: extra cases per labelled one.
    ``real``: share of the labelled cases that is trained on; 0 for the extra ones alone.
    ``generous``: synthetic cases made and curated with the most labels of the grid, not with the arm's own.
    ``pretrain``: share of the steps on the extra cases alone, before the others on the n real ones alone; 0 mixes them.
    ``augment``: standard, or the section ``strong_augment``.
    ``validated``: of the weights during training those best on the val split are kept, whose labels then count.
    """

    extra: Literal["none", "synthetic", "warped", "copy_paste", "rendered", "repeated"]
    ratio: NonNegative
    real: Fraction = 1.0
    curated: bool = False
    shuffled: bool = False
    generous: bool = False
    pretrain: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augment: Literal["standard", "strong"] = "standard"
    validated: bool = False

    @model_validator(mode="after")
    def _consistent(self):
        if (self.extra == "none") != (self.ratio == 0):
            raise ValueError("extra 'none' goes with ratio 0, anything else with a ratio above 0")
        if self.extra != "synthetic" and (self.curated or self.shuffled):
            raise ValueError("curated and shuffled belong to extra 'synthetic'")
        if self.generous and not self.curated:
            raise ValueError("generous belongs to extra 'synthetic' with curated: true")
        if self.real < 1 and self.extra == "none":
            raise ValueError("real below 1 leaves out labelled cases, which extra cases have to replace; set extra")
        if self.real == 0 and self.pretrain:
            raise ValueError("pretrain is before the real cases; with real 0 there are none")
        if self.pretrain and self.extra == "none":
            raise ValueError("pretrain is on extra cases; there are none with extra 'none'")
        return self


class Pseudo(Section):
    """Pseudo-masks of unlabelled images: kept where the filter's fold networks agree at least this well (Dice)."""

    agreement: Fraction


class Compare(Section):
    baseline: Name
    bootstrap: Positive


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


class _DatelessLoader(yaml.SafeLoader):
    """Reads a date as the text it is written in: JSON has no dates, and no parameter is one."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


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
    try:
        raw = yaml.load(text, _DatelessLoader)
    except (yaml.YAMLError, ValueError) as error:
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
