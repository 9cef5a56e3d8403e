"""Several processes: which one this is, as `torchrun` or `accelerate launch` tell, and a pool of workers."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import timedelta

from pipeline.run import parents


def rank() -> int:
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Rank among the processes of this machine: which of its GPUs is ours."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    return rank() == 0


def wait_for_all(cpu: bool) -> None:
    """Until every process has come here."""
    if count() > 1:
        from accelerate import PartialState

        PartialState(cpu=cpu, timeout=timedelta(days=7)).wait_for_everyone()


def mean(values):
    """The mean of every process's tensor of one shape."""
    if count() == 1:
        return values
    import torch

    total = values.clone()
    torch.distributed.all_reduce(total)
    return total / count()


def gathered(values):
    """Every process's tensor, equally many rows of each, in order of rank; with gradient to those of all."""
    if count() == 1:
        return values
    import torch
    from torch.distributed.nn.functional import all_gather

    parts = all_gather(values) if values.requires_grad else _all(values)
    return torch.cat(list(parts))


def _all(values):
    import torch

    parts = [torch.empty_like(values) for _ in range(count())]
    torch.distributed.all_gather(parts, values.contiguous())
    return parts


@contextmanager
def pool(count: int) -> Iterator[Executor]:
    """Worker processes that end with this one, however it ends; after an error nothing that waits is begun."""
    from concurrent.futures import ProcessPoolExecutor

    workers = ProcessPoolExecutor(count, initializer=_follow, initargs=(os.getpid(),))
    try:
        yield workers
    except BaseException:
        workers.shutdown(cancel_futures=True)
        raise
    workers.shutdown()


def _follow(parent: int) -> None:
    # Ctrl-C reaches all; one of them says so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parents.end_with([parent])
