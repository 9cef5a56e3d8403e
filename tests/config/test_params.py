"""Parameters that are allowed though others like them are not, and what is made of them."""

import pytest

from pipeline.config.cohorts import held_out_names
from tests.config.changes import angled, stable, two_sided


def test_a_grid_may_have_no_held_out_cohort(edited):
    config = edited(lambda p: [p["cohorts"].pop(name) for name in ("phantom_b", "phantom_c")])
    assert held_out_names(config.cohorts) == []


def test_without_flips_a_task_may_have_sides(edited):
    assert edited(two_sided).task.structures == {"pubic_symphysis": "symphysis", "fetal_head": "head"}
    assert edited(lambda p: stable(p) or two_sided(p)).diffusion.flip is False


def test_shares_of_rare_angles_are_written_down_only_where_they_are_asked_for(edited):
    asked = edited(lambda p: two_sided(p) or angled(p)).sample.model_dump(mode="json")
    assert asked["masks"]["angles"] == {"below_90": 0.1, "from_140": 0.4}
    assert set(edited(two_sided).sample.model_dump(mode="json")["masks"]) == {"parent", "shape_model", "user"}


@pytest.mark.parametrize("roles", [{"head": "head"}, {"symphysis": "symphysis"}, {"a": None, "head": "head"}])
def test_one_structure_alone_may_be_flipped(edited, roles):
    assert edited(lambda p: p["task"].update(structures=roles)).augment.flip
