"""Limits of the gate that labels cannot carry: too few clear outlines, a structure that the filter does not find."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.config.quality import Gate
from pipeline.data.structures import Structure
from pipeline.quality.selection.gate import broken_limits

OFF = dict.fromkeys(("mask_agreement", "plausibility", "imprint", "copies"))


@pytest.mark.parametrize(("clear", "left_out"), [(12, []), (10, []), (9, ["bone"]), (0, ["bone"])])
def test_only_labels_with_a_score_count_for_the_limit_of_rims(clear, left_out, monkeypatch, caplog):
    """Twelve labels, of which the symphysis is clear in some: ten scores it takes, not ten labels."""
    levels = iter(np.linspace(0, 0.1, 12))

    def imprints(case, *_):
        return np.array([next(levels) if case < clear else np.nan, 0.0]) if case < 12 else np.array([9.0, 0.0])

    monkeypatch.setattr("pipeline.quality.selection.gate.at_size", lambda case, size: (case,))
    monkeypatch.setattr("pipeline.quality.selection.gate.imprints", imprints)
    budget = SimpleNamespace(
        samples=SimpleNamespace(cases=[100, 101], structures=(Structure("bone"), Structure("head")), n_structures=2),
        labels=range(12), size=32,
    )  # fmt: skip
    found = broken_limits(budget, Gate(**OFF | {"imprint": 0.2}))
    assert [name for name in ("bone", "head") if f"leaves '{name}' out" in caplog.text] == left_out
    assert bool(found) == (not left_out)


def test_without_one_clear_outline_the_limit_of_rims_is_left_out(monkeypatch, caplog):
    monkeypatch.setattr("pipeline.quality.selection.gate.at_size", lambda case, size: (case,))
    monkeypatch.setattr("pipeline.quality.selection.gate.imprints", lambda *_: np.array([np.nan]))
    budget = SimpleNamespace(
        samples=SimpleNamespace(cases=[0], structures=(Structure("head", "head"),), n_structures=1),
        labels=range(12),
        size=32,
    )
    assert broken_limits(budget, Gate(**OFF | {"imprint": 0.2})) == []
    assert (
        "gate.imprint leaves 'head' out: it needs 10 labels that show its outline clearly, the set has 0" in caplog.text
    )


@pytest.mark.parametrize(
    ("on_labels", "on_samples", "with_others", "told"),
    [
        ((0.0, 0.9), (0.0, 0.9), (0.0, 0.3), "is 0 on the labels and 0 with another sample's mask"),
        ((0.02, 0.9), (0.0, 0.9), (0.03, 0.3), "is 0.02 on the labels and 0.03 with another sample's mask"),
        ((0.8, 0.9), (0.0, 0.9), (0.0, 0.3), None),
        ((0.8, 0.9), (0.8, 0.9), (0.0, 0.3), ""),
    ],
)
def test_a_structure_that_the_filter_does_not_find_does_not_pass(on_labels, on_samples, with_others, told):
    """Its mask agreement has no scale then: no place on it is a pass."""
    budget = SimpleNamespace(
        samples=SimpleNamespace(cases=["s"] * 3, structures=(Structure("bone"), Structure("head"))),
        labels=["l"] * 4,
        agreement=lambda cases: np.array([on_labels if case == "l" else on_samples for case in cases]),
        shuffled_agreement=lambda cases: np.array([with_others for _ in cases]),
    )
    found = broken_limits(budget, Gate(**OFF | {"mask_agreement": 0.5}))
    if told == "":
        assert found == []
    elif told is None:
        assert found == [one for one in found if one.startswith("mask agreement of 'bone' is 0, 1.00 of the way")] != []
    else:
        (one,) = found
        assert one.startswith(f"mask agreement of 'bone' of the filter {told}: the filter does not find it; ")
        assert "gate.mask_agreement cannot be read: raise filter.steps" in one
