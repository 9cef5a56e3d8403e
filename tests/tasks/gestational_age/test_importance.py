"""Permutation importance of an estimator whose formula is known."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age.importance import TOKENS, permutation_importance
from tests.tasks.gestational_age.made import made


def by_formula(inputs):
    """30 days for each sd of the area, 5 for each of the first deep channel's mean; nothing of anything else."""
    deep = inputs.tokens.astype(float)[:, :, 0].mean(axis=1)
    return 170 + 0.3 * (inputs.radiomics[:, 2] - 1000) + 5 * deep


def found_of(estimate=by_formula, seed=0, repeats=5, count=80):
    inputs, _ = made(count)
    return permutation_importance(estimate, inputs, by_formula(inputs), repeats=repeats, seed=seed)


def test_what_the_formula_reads_comes_first_and_what_it_does_not_costs_nothing():
    found = found_of()
    assert [one.group for one in found][:2] == ["head.shape", TOKENS]
    assert {one.group: one.increase for one in found[2:]} == {"head.glcm": 0.0, "image.first_order": 0.0}
    # Of two normal values of 30 days each the mean absolute difference is 2 × 30 / √π.
    assert found[0].increase == pytest.approx(60 / np.sqrt(np.pi), rel=0.15)
    for one in found:
        assert one.repeats.shape == (5,) and one.per_case.shape == (80,)
        assert one.per_case.mean() == pytest.approx(one.increase)


def test_draws_are_functions_of_seed_group_and_repeat():
    first, again, other = found_of(), found_of(), found_of(seed=1)
    for one, two, three in zip(first[:2], again, other, strict=False):
        np.testing.assert_array_equal(one.repeats, two.repeats)
        assert (one.repeats != three.repeats).any()
    few = {one.group: one for one in found_of(repeats=2)}
    for one in first:
        np.testing.assert_array_equal(few[one.group].repeats, one.repeats[:2])


def test_columns_of_a_class_move_together():
    """An estimator of a difference within a class: it is lost only where the two part, which they do not."""
    inputs, _ = made(50)
    radiomics = inputs.radiomics.copy()
    radiomics[:, 3] = radiomics[:, 2]
    twins = replace(inputs, radiomics=radiomics)
    difference = lambda one: 150 + one.radiomics[:, 3] - one.radiomics[:, 2]  # noqa: E731
    found = permutation_importance(difference, twins, np.full(50, 150.0))
    assert all(one.increase == 0 for one in found)


def test_without_tokens_there_is_no_group_of_them():
    inputs, days = made(20)
    bare = replace(inputs, tokens=None)
    found = permutation_importance(lambda one: one.radiomics[:, 2], bare, days, repeats=1)
    assert sorted(one.group for one in found) == ["head.glcm", "head.shape", "image.first_order"]
    before = bare.radiomics.copy()
    np.testing.assert_array_equal(bare.radiomics, before)


def test_bad_input_is_named():
    inputs, days = made(5)
    with pytest.raises(InputError, match=r"1 case\(s\), 10 repeat\(s\)"):
        permutation_importance(by_formula, inputs.rows([0]), days[:1])
    with pytest.raises(InputError, match="case 'case-0-002' has no estimate or no age"):
        permutation_importance(by_formula, inputs, np.where(np.arange(5) == 2, np.nan, days))
