"""``params.yaml`` as strict, frozen, typed models: an unknown, missing or impossible value stops a stage at once."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from pipeline.config.age import Age, AgeModel
from pipeline.config.arms import Arm
from pipeline.config.augmentation import Augment, StrongAugment, Warp
from pipeline.config.cohorts import Cohort, Phantom
from pipeline.config.compute import Compute
from pipeline.config.consistency import complaints
from pipeline.config.diffusion import Diffusion
from pipeline.config.grid import Assemble, Compare, Grid, Kinds, Oracle
from pipeline.config.quality import Curate, Gate, Score
from pipeline.config.sample import Sample
from pipeline.config.section import Name, Section
from pipeline.config.segmenters import Segmenter
from pipeline.config.small_unet import Filter, SmallUNet
from pipeline.config.task import Task
from pipeline.config.unlabelled import Unlabelled
from pipeline.config.views import ViewsSection
from pipeline.run.errors import InputError

_IN_WORDS = {
    "model_type": "a mapping of keys to values is wanted",
    "dict_type": "a mapping of keys to values is wanted",
    "tuple_type": "a list is wanted, as [1, 2]",
    "too_short": "a list of {min_length} or more is wanted",
    "too_long": "a list of at most {max_length} is wanted",
}
"""pydantic's kinds of errors whose own words are Python's."""


class Config(Section):
    """All of ``params.yaml``."""

    seed: Annotated[int, Field(ge=0)]
    compute: Compute
    phantom: Phantom
    task: Task
    cohorts: dict[Name, Cohort]
    unlabelled: Unlabelled
    grid: Grid
    kinds: Kinds
    arms: dict[Name, Arm]
    assemble: Assemble
    evaluation_network: SmallUNet
    filter: Filter
    views: ViewsSection
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
    age: Age
    age_models: dict[Name, AgeModel]
    compare: Compare

    @model_validator(mode="after")
    def _consistent(self):
        if found := list(complaints(self)):
            raise ValueError("; ".join(found))
        return self


class View:
    """The sections a stage declares, and no other: what it cannot read cannot make its cache stale."""

    def __init__(self, config: Config, sections: Sequence[str]):
        self._config, self._sections = config, frozenset(sections)

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._sections:
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
    except (YAMLError, ValueError, RecursionError) as error:
        told = " ".join(str(error).split()).split(" To suppress this check")[0]
        raise InputError(f"{path}: not valid YAML: {told}") from None
    try:
        plain = json.dumps(raw)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: more than text, numbers, lists and mappings ({error}); remove the tag") from None
    try:
        # Strict, by way of JSON, which lets lists be tuples and integers floats, but no text be a number.
        return Config.model_validate_json(plain, strict=True)
    except ValidationError as error:
        places = [item["loc"] for item in error.errors()]
        # A list is called too short for an item that is wrong; of these the item is told.
        told = [
            item
            for item in error.errors()
            if item["type"] != "too_short" or not any(place[:-1] == item["loc"] for place in places)
        ]
        raise InputError(f"{path}: " + "; ".join(_explain(item, raw) for item in told)) from None


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


def _explain(item: dict, raw) -> str:
    kind = item["type"]
    absent = kind in ("missing", "extra_forbidden")
    keys, kinds = _parted(item["loc"][:-1] if absent else item["loc"], raw)
    keys += item["loc"][-1:] if absent else ()
    if kind == "union_tag_not_found":
        kind, keys = "missing", [*keys, item["ctx"]["discriminator"].strip("'")]
    key = ".".join(map(str, keys))
    if kind == "extra_forbidden":
        of = f" of {' '.join(map(repr, kinds))}" if kinds else ""
        return f"unknown key '{key}'{of}; remove it or correct its spelling"
    if kind == "missing":
        return f"key '{key}' is missing; add it (the presets/ folder shows every key)"
    message = item["msg"].removeprefix("Value error, ")
    if kind in _IN_WORDS:
        message = _IN_WORDS[kind].format(**item.get("ctx", {}))
    if not keys:
        return message
    value = item["input"]
    shown = "" if isinstance(value, dict) else " is empty" if value is None else f" is {value!r}"
    return f"key '{key}'{shown}: {message}"


def _parted(loc: Sequence, raw) -> tuple[list, list]:
    """The keys of a place in the file, and the kinds that pydantic names between them, which the file does not hold."""
    keys, kinds, here = [], [], raw
    for key in loc:
        if (isinstance(here, dict) and key in here) or (isinstance(here, list) and isinstance(key, int)):
            keys.append(key)
            here = here[key] if isinstance(here, dict) or key < len(here) else None
        else:
            kinds.append(key)
    return keys, kinds
