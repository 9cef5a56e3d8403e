"""The sections ``grid``, ``oracle`` and ``compare`` of ``params.yaml``: the cells, and what is asked of them."""

from typing import Annotated

from pydantic import Field

from pipeline.config.section import Name, Positive, Section


class Grid(Section):
    """The cells of the comparison: segmenters x labels x replicates x arms. ``train`` and ``foreign`` name cohorts."""

    train: Name
    foreign: Name
    labels: Annotated[tuple[Positive, ...], Field(min_length=1)]
    replicates: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    arms: Annotated[tuple[Name, ...], Field(min_length=1)]
    segmenters: Annotated[tuple[Name, ...], Field(min_length=1)]


class Oracle(Section):
    """Box prompts drawn from the reference mask: never a headline (see segmentation/prompts.py)."""

    segmenters: tuple[Name, ...]
    arms: tuple[Name, ...]
    jitter: Annotated[float, Field(ge=0, lt=0.5)]


class Compare(Section):
    baseline: Name
    bootstrap: Positive
