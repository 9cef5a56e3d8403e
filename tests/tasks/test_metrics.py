"""The registry of metrics, and what the parameters say of it."""

from typing import get_args

import pytest
from pydantic import ValidationError

from pipeline.config.task import PAIRED, Primary, Task
from pipeline.tasks.metrics import METRICS


def test_every_metric_is_filed_under_its_name():
    assert all(name == metric.name for name, metric in METRICS.items())


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_the_worst_value_lies_at_the_worse_end(metric):
    assert metric.better is not None or metric.worst is None
    if metric.worst is not None:
        assert metric.worst == 0 if metric.better == "higher" else metric.worst > 0


def test_the_parameters_may_name_every_metric_that_ranks_segmentations():
    ranked = [name for name, metric in METRICS.items() if metric.better]
    assert list(get_args(Primary)) == [name for name in ranked if name not in ("missing", "spurious", "aop_failed")]
    assert list(PAIRED) == [name for name in get_args(Primary) if METRICS[name].paired]


@pytest.mark.parametrize("name", PAIRED)
def test_a_primary_of_the_pair_takes_both_structures(name):
    whole = {"pubic_symphysis": "symphysis", "fetal_head": "head"}
    assert Task(structures=whole, unions={}, primary=name).primary == name
    for part in ({"fetal_head": "head"}, {"pubic_symphysis": "symphysis", "fetal_head": None}):
        with pytest.raises(ValidationError, match=f"primary '{name}' takes structures with the roles symphysis and"):
            Task(structures=part, unions={}, primary=name)
