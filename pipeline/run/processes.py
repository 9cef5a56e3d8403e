"""Which of several processes this one is: `torchrun` or `accelerate launch` tell by environment variables."""

import os
from datetime import timedelta


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
