"""What preparing the cohorts told: files passed over, warnings, doubles within cohorts and between them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.run import files

_ROLES = {"train": "training", "held_out": "held out", "foreign": "worst reference", "unlabelled": "unlabelled"}


@dataclass(frozen=True)
class CohortRow:
    """A row of the table. Of counts with an explanation: (count, explanation in words); None where nothing is known."""

    name: str
    role: str
    cases: int
    patients: int
    passed_over: tuple[int, str] | None
    doubles: tuple[int, str] | None
    near: tuple[int, str] | None
    warnings: Sequence[dict] | None


@dataclass(frozen=True)
class Between:
    """What two cohorts have in common. kind: in words. first: some of the pairs of cases."""

    cohorts: Sequence[str]
    kind: str
    count: int
    first: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Cohorts:
    rows: Sequence[CohortRow]
    between: Sequence[Between]


def load_cohorts(path: Path) -> Cohorts:
    """What the stage check_cohorts wrote.

    Raises:
        InputError: no such file, or a damaged one.
    """
    told = files.read_json(path, "run the stage check_cohorts, or `dvc pull`")
    rows = [_row(name, one) for name, one in told["cohorts"].items()]
    return Cohorts(rows, [Between(**{**one, "kind": _in_words(one["kind"])}) for one in told["between"]])


def _row(name: str, told: dict) -> CohortRow:
    about = (name, _ROLES[told["role"]], told["cases"], told["patients"])
    if "near" not in told:
        return CohortRow(*about, None, None, None, None)
    left, near = told["passed_over"], told["near"]
    warnings = [*({"case": "all cases", "text": text} for text in told.get("remarks", ())), *told["warnings"]]
    over = sum(one["count"] for one in left), ", ".join(f"{one['count']} {one['what']}" for one in left)
    doubles = len(told["doubles"]), ", ".join(_of_doubles(told))
    return CohortRow(*about, over, doubles, (near["pairs"], ", ".join(_of_near(near))), warnings)


def _of_doubles(told: dict) -> Iterator[str]:
    for kind, count in Counter(one["kind"] for one in told["doubles"]).items():
        yield f"{count} {kind}"
    if different := sum(one.get("masks") == "different" for one in told["doubles"]):
        yield f"{different} with different masks"
    if merged := told["merged_patients"]:
        yield f"{sum(map(len, merged))} patients merged into {len(merged)}"


def _of_near(near: dict) -> Iterator[str]:
    if sizes := [len(group) for group in near["groups"]]:
        yield f"{len(sizes)} groups of up to {max(sizes)} images"
        yield "merged" if near["merged"] else "not merged"
    if near["apart"]:
        yield f"pairs left in two groups: {near['apart']}"
    if across := near.get("across_splits"):
        yield f"in two splits: {across}"


def _in_words(kind: str) -> str:
    return {"patient": "the same patient", "near": "near images"}.get(kind, f"the same image ({kind})")
