"""The sections ``grid``, ``oracle`` and ``compare`` of ``params.yaml``: the cells, and what is asked of them."""

from collections.abc import Mapping
from itertools import product
from typing import Annotated

from pydantic import Field

from pipeline.config.canvas import canvas
from pipeline.config.section import Name, Positive, Section


class Grid(Section):
    """The cells of the comparison: segmenters x labels x replicates x arms. ``train`` and ``foreign`` name cohorts."""

    train: Name
    foreign: Name
    labels: Annotated[tuple[Positive, ...], Field(min_length=1)]
    replicates: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    arms: Annotated[tuple[Name, ...], Field(min_length=1)]
    segmenters: Annotated[tuple[Name, ...], Field(min_length=1)]

    def cells(self) -> list[tuple[str, int, int, str]]:
        """(segmenter, labels, replicate, arm) of every cell."""
        return list(product(self.segmenters, self.labels, self.replicates, self.arms))

    def sets(self) -> list[tuple[int, int]]:
        """(labels, replicate) of every label subset."""
        return list(product(self.labels, self.replicates))


class CohortRole(Section):
    role: str


class Kinds(Section):
    """The names of the grid once more, by the stage that works on them.

    DVC chooses no dependency by what a name stands for, so there is one stage a kind, and a list for each.
    ``labels``: arms whose extra cases come from the labels, or that have none. ``simulated``: arms with simulated ones.
    ``generated``: arms with a synthetic set of their own labels. ``generous``: arms with that of the most labels.
    The same arms by what they do with unlabelled images: ``supervised``, nothing; ``pseudo``, train on the filter's
    masks of them; ``semi``, learn from the images alone.
    ``sam``, ``unet``: segmenters; ``sam_bases``, ``unet_bases``: these, the partners of dual arms and the segmenter of
    ``age``. ``age_segmenters``, ``age_cohorts``: that, and the role of the cohorts that are asked, where ``age.models``
    names any.
    """

    labels: tuple[Name, ...]
    simulated: tuple[Name, ...]
    generated: tuple[Name, ...]
    generous: tuple[Name, ...]
    supervised: tuple[Name, ...]
    pseudo: tuple[Name, ...]
    semi: tuple[Name, ...]
    sam: tuple[Name, ...]
    unet: tuple[Name, ...]
    sam_bases: tuple[Name, ...]
    unet_bases: tuple[Name, ...]
    age_segmenters: tuple[Name, ...]
    age_cohorts: dict[Name, CohortRole]


def kinds_of(grid: Grid, arms: Mapping, segmenters: Mapping, cohorts: Mapping, age) -> Kinds:
    """The lists that fit a grid: ``arms``, ``segmenters``, ``cohorts`` and ``age`` are those sections."""
    by_kind: dict = {kind: [] for kind in Kinds.model_fields}
    for arm in grid.arms:
        by_kind[arms[arm].source].append(arm)
        by_kind[arms[arm].supervision].append(arm)
    for name in grid.segmenters:
        by_kind[segmenters[name].kind].append(name)
    partners = [name for arm in grid.arms for name in arms[arm].networks if name in segmenters]
    if age.models:
        by_kind["age_segmenters"].append(age.segmenter)
    for name in dict.fromkeys([*grid.segmenters, *partners, *by_kind["age_segmenters"]]):
        by_kind[f"{segmenters[name].kind}_bases"].append(name)
    asked = [name for name, one in cohorts.items() if name == grid.train or one.role == "held_out"]
    by_kind["age_cohorts"] = {name: {"role": cohorts[name].role} for name in asked if age.models}
    return Kinds(**by_kind)


class Assemble(Section):
    """How the extra cases of arms are put together.

    ``image_size``: the canvas that cases made from the labels fill, without padding: the largest a segmenter sees.
    ``generous_labels``: the number of labels behind the synthetic sets of generous arms, one of ``grid.labels``.
    """

    image_size: canvas(16)
    generous_labels: Positive


class Oracle(Section):
    """Box prompts drawn from the reference mask: never a headline (see networks/sam/prompts.py)."""

    segmenters: tuple[Name, ...]
    arms: tuple[Name, ...]
    jitter: Annotated[float, Field(ge=0, lt=0.5)]


class Compare(Section):
    baseline: Name
    bootstrap: Positive
