"""Device and determinism, decided once per process."""

from pipeline.run.errors import InputError
from pipeline.run.processes import local_rank


def check_precision(key: str, precision: str, device) -> None:
    """Raise InputError, naming the key, where the device cannot train in this precision."""
    import torch

    if precision == "fp16" and device.type == "cpu":
        raise InputError(f"key '{key}' is 'fp16', which needs a GPU; use 'no' or 'bf16'")
    if precision == "bf16" and (
        (device.type == "cuda" and not torch.cuda.is_bf16_supported())
        or (device.type == "mps" and not torch.backends.mps.is_macos_or_newer(14, 0))
    ):
        raise InputError(f"key '{key}' is 'bf16', which this GPU lacks; use 'no' or 'fp16'")


def check_compiler(key: str, device) -> None:
    """Raise InputError, naming the key, where torch lacks what it compiles networks with."""
    import importlib.util
    import os
    import shutil

    if not any(map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++")))):
        raise InputError(f"key '{key}' is true, which needs a C++ compiler; install g++, or set it to false")
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise InputError(f"key '{key}' is true, which needs the package triton; install it, or set it to false")


def setup(compute):
    """Set threads and deterministic algorithms; return the torch device.

    Args:
        compute: the section of the parameters, or the arguments of a command: ``device`` and ``threads``.

    Raises:
        InputError: the device asked for is not there.
    """
    import torch

    _keep_freed_memory()
    torch.set_num_threads(compute.threads)
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    preferred = "cuda" if available["cuda"] else "cpu"
    name = preferred if compute.device == "auto" else compute.device
    if not available[name]:
        raise InputError(f"this machine has no '{name}' (key 'compute.device', option --device); use 'auto' or 'cpu'")
    if name == "cuda":
        if local_rank() >= (gpus := torch.cuda.device_count()):
            raise InputError(
                f"process {local_rank() + 1} of this machine has no GPU of its own; start no more than {gpus}"
            )
        torch.cuda.set_device(local_rank())
    if name != "cpu":
        # Every operation used here repeats on the CPU with fixed threads, where this mode is several times slower.
        # warn_only: some CUDA backward passes have no deterministic form.
        torch.use_deterministic_algorithms(True, warn_only=True)
    return torch.device(name, local_rank()) if name == "cuda" else torch.device(name)


def _keep_freed_memory() -> None:
    """Let glibc keep what is freed: asked back of the system for every activation it costs up to half of the time.

    Other C libraries go on as they are.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 2**26)
    # 32 MiB is the most that older releases take.
    mallopt(mmap_threshold, 2**30) or mallopt(mmap_threshold, 2**25)
