"""Device and determinism, decided once per process."""

from pipeline.core.errors import InputError


def setup(compute):
    """Set threads and deterministic algorithms; return the torch device.

    Args:
        compute: the ``compute`` section of the parameters.

    Raises:
        InputError: the device asked for is not there.
    """
    import torch

    torch.set_num_threads(compute.threads)
    # warn_only: some CUDA backward passes have no deterministic form; on the CPU all used here do.
    torch.use_deterministic_algorithms(True, warn_only=True)
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if compute.device == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if not available[compute.device]:
        raise InputError(f"key 'compute.device' is '{compute.device}', which this machine lacks; use 'auto' or 'cpu'")
    return torch.device(compute.device)
