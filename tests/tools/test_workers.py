import threading
import time

import pytest

from pipeline.tools.workers import in_order

NEEDS = {
    "a": set(), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}, "e": set(),
}  # fmt: skip


@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_stage_runs_once_after_what_it_needs(workers, chained):
    started, ended, lock = [], set(), threading.Lock()

    def start(stages, worker):
        for stage in stages:
            with lock:
                assert NEEDS[stage] <= ended and 0 <= worker < workers
                started.append(stage)
            time.sleep(0.01)
            with lock:
                ended.add(stage)

    assert {stage for stage, fine in in_order(NEEDS, workers, start, chained) if fine} == set(NEEDS)
    assert sorted(started) == sorted(NEEDS)


def test_independent_stages_run_at_the_same_time():
    meet = threading.Barrier(2, timeout=5)
    assert len(list(in_order({"a": set(), "b": set()}, 2, lambda stages, worker: meet.wait() and None))) == 2


def test_two_stages_never_share_a_worker():
    busy, lock = set(), threading.Lock()

    def start(stages, worker):
        with lock:
            assert worker not in busy
            busy.add(worker)
        time.sleep(0.005)
        with lock:
            busy.remove(worker)

    assert len(list(in_order({str(i): set() for i in range(20)}, 3, start))) == 20


@pytest.mark.parametrize("chained", [True, False])
def test_after_a_failure_nothing_new_starts(chained):
    started = []

    def start(stages, worker):
        for stage in stages:
            started.append(stage)
            if stage == "b":
                return stage
        return None

    found = dict(in_order({"a": set(), "b": {"a"}, "c": {"b"}, "d": {"c"}}, 1, start, chained))
    assert found == {"a": True, "b": False} and started == ["a", "b"]


def test_stages_of_a_cell_share_a_start_and_what_could_run_beside_does_not():
    """train → predict → evaluate of two cells, then one page; the set's three readers are for three workers."""
    needs = {"set": set(), "score": {"set"}, "use": {"set"}}
    for cell in "xy":
        needs |= {
            f"train-{cell}": {"set"},
            f"predict-{cell}": {f"train-{cell}"},
            f"evaluate-{cell}": {f"predict-{cell}"},
        }
    needs["page"] = {"score", "use", "evaluate-x", "evaluate-y"}
    chains = []
    list(in_order(needs, 2, lambda stages, worker: chains.append(list(stages))))
    assert ["set"] in chains and ["train-x", "predict-x", "evaluate-x"] in chains
    assert ["score"] in chains and ["use"] in chains
    assert sorted(stage for chain in chains for stage in chain) == sorted(needs)
