from argparse import Namespace

import pytest
import torch

from pipeline.config.compute import Compute
from pipeline.run.compute import check_compiler, check_precision, setup
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


@pytest.mark.parametrize(
    ("device", "precision", "lacks", "words"),
    [
        ("cpu", "fp16", False, "'a.b' is 'fp16', which needs a GPU; use 'no' or 'bf16'"),
        ("cpu", "bf16", True, None),
        ("cuda", "bf16", True, "'a.b' is 'bf16', which this GPU lacks; use 'no' or 'fp16'"),
        ("mps", "bf16", True, "'a.b' is 'bf16', which this GPU lacks"),
        ("cuda", "bf16", False, None),
        ("cuda", "fp16", True, None),
    ],
)
def test_a_precision_that_a_device_lacks_is_named(monkeypatch, device, precision, lacks, words):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: not lacks)
    monkeypatch.setattr("torch.backends.mps.is_macos_or_newer", lambda *version: not lacks)
    if words is None:
        check_precision("a.b", precision, torch.device(device))
    else:
        with pytest.raises(InputError, match=words):
            check_precision("a.b", precision, torch.device(device))


def test_compiling_needs_a_compiler_and_on_a_gpu_triton(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    compiler = tmp_path / "c++"
    compiler.write_text("")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CXX", str(compiler))
    check_compiler("a.b", torch.device("cpu"))
    with pytest.raises(InputError, match="'a.b' is true, which needs the package triton"):
        check_compiler("a.b", torch.device("cuda"))
    monkeypatch.delenv("CXX")
    with pytest.raises(
        InputError, match=r"'a.b' is true, which needs a C\+\+ compiler; install g\+\+, or set it to false"
    ):
        check_compiler("a.b", torch.device("cpu"))


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("pipeline.run.compute.local_rank", lambda: 2)
    with pytest.raises(InputError, match="process 3 of this machine has no GPU of its own; start no more than 2"):
        setup(Compute(device="cuda", threads=torch.get_num_threads()))
