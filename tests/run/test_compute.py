from argparse import Namespace

import pytest
import torch

from pipeline.config.compute import Compute
from pipeline.run.compute import setup
from pipeline.run.errors import InputError


@pytest.mark.parametrize("kind", [Compute, Namespace])
def test_a_section_and_the_arguments_of_a_command_set_up_alike(kind):
    before = torch.get_num_threads()
    try:
        assert setup(kind(device="cpu", threads=1)) == torch.device("cpu")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(torch.cuda.is_available() and torch.backends.mps.is_available(), reason="every device is there")
def test_a_device_that_is_not_there_is_named():
    name = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(InputError, match=f"no '{name}' .*compute.device.*--device"):
        setup(Compute(device=name, threads=torch.get_num_threads()))
