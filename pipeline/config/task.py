"""The section ``task`` of ``params.yaml``: the structures that are segmented, and what a cell is judged by."""

from pipeline.config.section import Name, Section


class Task(Section):
    """``structures``: name → role or null, in the order of class indices. ``unions``: name → structures.

    ``primary``: the metric that arms are compared by.
    """

    structures: dict[Name, Name | None]
    unions: dict[Name, tuple[Name, ...]]
    primary: Name
