"""What a mask's class indices mean: 0 is the background, k + 1 the k-th structure of the task."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Structure:
    """role: what a measurement asks for, e.g. ``head``; None for a structure that is only segmented."""

    name: str
    role: str | None = None


def of_task(roles: Mapping[str, str | None]) -> tuple[Structure, ...]:
    """The structures of the parameter ``task.structures``: name → role, in class-index order."""
    return tuple(Structure(name, role) for name, role in roles.items())


def names(structures: Iterable[Structure]) -> tuple[str, ...]:
    return tuple(structure.name for structure in structures)


def with_role(structures: Sequence[Structure], role: str) -> tuple[int, ...]:
    """Class indices of the structures that have the role."""
    return tuple(index for index, structure in enumerate(structures, start=1) if structure.role == role)


def legend(structures: Iterable[Structure]) -> str:
    """``0 background, 1 head``, for cards."""
    return ", ".join(f"{index} {name}" for index, name in enumerate(("background", *names(structures))))


def to_json(structures: Iterable[Structure]) -> list[dict]:
    return [asdict(structure) for structure in structures]


def from_json(items: Iterable[Mapping]) -> tuple[Structure, ...]:
    return tuple(Structure(item["name"], item["role"]) for item in items)
