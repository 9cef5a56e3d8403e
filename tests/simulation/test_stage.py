"""The stage writes folders that the reader ``folder`` reads back, with the measurements of the view."""

import csv
from types import SimpleNamespace

import pytest

from pipeline import phantom
from pipeline.cohorts.readers import read_cohort
from pipeline.config.cohorts import Cohort, Phantom
from pipeline.config.compute import Compute
from pipeline.data.structures import Structure
from pipeline.run.errors import InputError
from pipeline.simulation import simulate_case

HEAD, SYMPHYSIS = Structure("head", "head"), Structure("symphysis", "symphysis")
LIPS = Structure("anterior_lip"), Structure("posterior_lip")
VIEWS = {
    "head": ((HEAD,), ["hc_mm", "ga_days", "ga_source"]),
    "intrapartum": ((SYMPHYSIS, HEAD), ["aop_deg", "hsd_mm"]),
    "cervix": (LIPS, []),
}


def _params(view: str, cases: dict) -> SimpleNamespace:
    compute = Compute(device="cpu", threads=1)
    return SimpleNamespace(seed=0, compute=compute, phantom=Phantom(view=view, cases=cases))


@pytest.mark.parametrize("view", VIEWS)
def test_what_the_stage_writes_is_read_back(view, tmp_path):
    structures, measured = VIEWS[view]
    phantom.run(_params(view, {"phantom_b": 3, "phantom_d": 1}), out=tmp_path)
    with (tmp_path / "phantom_b" / "cases.csv").open() as file:
        assert next(csv.reader(file)) == ["id", "patient", "pixel_mm", *measured, "country", "device"]
    settings = Cohort(role="held_out", reader="folder", raw=str(tmp_path), labelled=True)
    for index, case in enumerate(read_cohort("phantom_b", settings, structures, tmp_path / "phantom_b")):
        made = simulate_case("phantom_b", index, 0, view)
        assert (case.image == made.image).all() and (case.mask == made.mask).all()
        for name in measured:
            known = getattr(made, name)
            assert getattr(case, name) == (known if name == "ga_source" else pytest.approx(known, rel=1e-5))
    assert index == 2
    assert not (tmp_path / "phantom_d" / "masks").exists()


def test_an_unknown_cohort_is_refused(tmp_path):
    with pytest.raises(InputError, match="no phantom cohort 'phantom_z'; there are phantom_a"):
        phantom.run(_params("intrapartum", {"phantom_z": 1}), out=tmp_path)
