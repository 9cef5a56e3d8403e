"""Extra cases that nobody scanned: simulated ones, with exact masks, mixed from the simulator's labelled devices."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.data.case import Case
from pipeline.run import seeds
from pipeline.simulation import VIEWS, simulate_case


def simulated_cohorts(view: str) -> tuple[str, ...]:
    """The simulated cohorts of a view that have masks."""
    return tuple(name for name, definition in VIEWS[view].COHORTS.items() if definition.annotated)


def simulated_cases(view: str, count: int, seed: int, replicate: int, cohorts: Sequence[str]) -> Iterator[Case]:
    """``count`` cases of the cohorts in turn, each a function of (view, seed, replicate, its number) alone.

    Patients are others than those of the stage `phantom`: the seed of the simulation is derived.
    """
    own = seeds.derive(seed, "simulated arm", replicate)
    for i in range(count):
        turn, place = divmod(i, len(cohorts))
        case = simulate_case(cohorts[place], turn, own, view)
        yield replace(case, id=f"simulated-{i:06d}", split="train", mask_source="simulated")
