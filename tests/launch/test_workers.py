import threading
import time

import pytest

from pipeline.launch.workers import in_order

NEEDS = {
    "a": set(), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}, "e": set(),
}  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_stage_runs_once_after_what_it_needs(workers):
    started, ended, lock = [], set(), threading.Lock()

    def start(stage, worker):
        with lock:
            assert NEEDS[stage] <= ended and 0 <= worker < workers
            started.append(stage)
        time.sleep(0.01)
        with lock:
            ended.add(stage)
        return True

    assert {stage for stage, fine in in_order(NEEDS, workers, start) if fine} == set(NEEDS)
    assert sorted(started) == sorted(NEEDS)


def test_independent_stages_run_at_the_same_time():
    meet = threading.Barrier(2, timeout=5)
    assert len(list(in_order({"a": set(), "b": set()}, 2, lambda stage, worker: meet.wait() >= 0))) == 2


def test_two_stages_never_share_a_worker():
    busy, lock = set(), threading.Lock()

    def start(stage, worker):
        with lock:
            assert worker not in busy
            busy.add(worker)
        time.sleep(0.005)
        with lock:
            busy.remove(worker)
        return True

    assert len(list(in_order({str(i): set() for i in range(20)}, 3, start))) == 20


def test_after_a_failure_nothing_new_starts():
    started = []

    def start(stage, worker):
        started.append(stage)
        return stage != "b"

    found = dict(in_order({"a": set(), "b": {"a"}, "c": {"b"}, "d": {"c"}}, 1, start))
    assert found == {"a": True, "b": False} and started == ["a", "b"]
