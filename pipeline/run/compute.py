"""Device and determinism, decided once per process."""

from pipeline.run.errors import InputError
from pipeline.run.processes import local_rank


def check_precision(key: str, precision: str, device) -> None:
    """Raise InputError, naming the key, where the device cannot train in this precision."""
    if precision == "fp16" and device.type == "cpu":
        raise InputError(f"key '{key}' is 'fp16', which needs a GPU; use 'no' or 'bf16'")


def setup(compute):
    """Set threads and deterministic algorithms; return the torch device.

    Args:
        compute: the section of the parameters, or the arguments of a command: ``device`` and ``threads``.

    Raises:
        InputError: the device asked for is not there.
    """
    import torch

    torch.set_num_threads(compute.threads)
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    preferred = "cuda" if available["cuda"] else "cpu"
    name = preferred if compute.device == "auto" else compute.device
    if not available[name]:
        raise InputError(f"this machine has no '{name}' (key 'compute.device', option --device); use 'auto' or 'cpu'")
    if name == "cuda":
        torch.cuda.set_device(local_rank())
    if name != "cpu":
        # Every operation used here repeats on the CPU with fixed threads, where this mode is several times slower.
        # warn_only: some CUDA backward passes have no deterministic form.
        torch.use_deterministic_algorithms(True, warn_only=True)
    return torch.device(name, local_rank()) if name == "cuda" else torch.device(name)
