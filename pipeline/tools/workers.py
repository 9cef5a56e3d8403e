"""Independent stages side by side, through DVC itself: the lock file and the cache end as after `dvc repro`.

    python -m pipeline.tools.workers --workers 2

Each stage is run by `dvc repro --single-item`, started when everything it depends on is done; stages that only follow
one another, as those of a cell, share a start. DVC locks its repository while it reads and writes its lock file, and
each path for as long as a stage reads or writes it. Set ``compute.threads`` to the cores of one worker; it is part of
the lock, because it changes floating-point sums.

When a stage fails, nothing new is started; with ``--keep-going`` every stage that does not need it still is. What
failed, and what was not run for that, is named at the end, and the exit status is 2. Ctrl-C and SIGTERM end the stages
that run; what they had saved for resuming stays.
"""

import argparse
import logging
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pipeline.run.errors import InputError, in_one_line
from pipeline.tools import command
from pipeline.tools.cell import complaints
from pipeline.tools.launch import children
from pipeline.tools.launch.quick_dvc import QUICK_DVC
from pipeline.tools.launch.without_git import do_without_git

LOGS = Path(".scratch/workers")
log = logging.getLogger("pipeline.workers")


def dependencies(repo: Path, targets: Sequence[str] = ()) -> dict[str, set[str]]:
    """Stage → the stages it needs, of all or of what ``targets`` need; named as commands run here name them.

    Raises:
        InputError: no such stage, or no pipeline that DVC can read.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.graph import get_subgraph_of_nodes

    try:
        with Repo(str(repo)) as opened:
            graph = opened.index.graph
            chosen = [stage for target in targets for stage in opened.stage.collect(target, graph=graph)]
            graph = get_subgraph_of_nodes(graph, chosen)
            return {stage.addressing: {one.addressing for one in graph.successors(stage)} for stage in graph.nodes}
    except DvcException as error:
        named = f"{', '.join(targets)}: " if targets else ""
        raise InputError(f"{named}{in_one_line(error)}") from None


Fault = tuple[str, str]
"""A stage that failed, and what is said of it."""
Start = Callable[[Sequence[str], int], Fault | None]
"""(Stages to run one after the other, worker number) → the one that failed, or None."""


def run_all(
    needs: Mapping[str, set[str]],
    workers: int,
    start: Start,
    chained: bool = True,
    keep_going: bool = False,
    stop: Callable[[], None] = lambda: None,
) -> None:
    """Start every stage as soon as what it needs is done, and log it as it ends.

    After a failure no worker is given anything new, and what they have is waited for.

    Args:
        start: called in threads.
        chained: give a worker, with a stage, the next ones that nothing else could run meanwhile: that saves starts.
        keep_going: after a failure go on with all stages that do not need the failed one.
        stop: called when this is interrupted, to end what ``start`` waits for.

    Raises:
        InputError: stages failed; with what is said of them, and with the stages that were not run for that.
    """
    waiting, ended, begin = dict(needs), {}, time.monotonic()
    idle, running = list(range(workers)), {}
    with ThreadPoolExecutor(workers) as threads, _stopped(stop):
        while True:
            done = {stage for stage, fault in ended.items() if not fault}
            stopped = len(done) < len(ended) and not keep_going
            ready = [] if stopped else [stage for stage, needed in waiting.items() if needed <= done]
            for stage in ready[: len(idle)]:
                chain = _chain(stage, waiting, done) if chained else [stage]
                for link in chain:
                    del waiting[link]
                worker = idle.pop(0)
                running[threads.submit(start, chain, worker)] = (chain, worker)
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                chain, worker = running.pop(future)
                idle.append(worker)
                failed, fault = future.result() or (None, None)
                # Every link needs the one before it: those after the failed one cannot be run.
                for stage in chain[: chain.index(failed) + 1] if failed else chain:
                    ended[stage] = fault if stage == failed else None
                    spent, mark = time.monotonic() - begin, " FAILED" if stage == failed else ""
                    log.info("%d of %d, %.0f s: %s%s", len(ended), len(needs), spent, stage, mark)
    if told := [f"stage {stage} {fault}" for stage, fault in ended.items() if fault]:
        left = ", ".join(stage for stage in needs if stage not in ended)
        raise InputError("; ".join([*told, f"not run for that: {left}"] if left else told))


@contextmanager
def _stopped(stop: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        stop()
        raise


def _chain(first: str, waiting: Mapping[str, set[str]], done: set[str]) -> list[str]:
    """The stage and those after it, as long as each makes exactly one other one ready."""
    chain = [first]
    while True:
        behind = done.union(chain)
        enabled = [stage for stage, needed in waiting.items() if chain[-1] in needed and needed <= behind]
        if len(enabled) != 1:
            return chain
        chain += enabled


def reproduce(stages: Sequence[str], worker: int, devices: Sequence[str] = ()) -> Fault | None:
    """`dvc repro` of stages one after the other, their output in a log; on a GPU of its own where there are some."""
    LOGS.mkdir(parents=True, exist_ok=True)
    environment = os.environ | ({"CUDA_VISIBLE_DEVICES": devices[worker % len(devices)]} if devices else {})
    path = LOGS / f"{stages[0].replace('/', '_')}.log"
    with path.open("w") as output:
        words = [*QUICK_DVC, "--wait-for-lock", "repro", "--single-item", *stages]
        if children.run(words, stdout=output, stderr=subprocess.STDOUT, env=environment).returncode == 0:
            return None
    text = path.read_text()
    named = [stage for stage in re.findall(r"failed to reproduce '([^']+)'", text) if stage in stages]
    return [*stages[:1], *named][-1], f"failed: {complaints(text)} (all of it: {path})"


def add_stages(parser: argparse.ArgumentParser) -> None:
    """The arguments of every command that runs stages of the pipeline."""
    parser.add_argument("targets", nargs="*", help="stages, with what they need (default: the whole pipeline)")
    parser.add_argument("--keep-going", action="store_true", help="go on with what does not need a failed stage")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_stages(parser)
    parser.add_argument("--workers", type=command.between(int, 1), default=2)
    parser.add_argument("--devices", nargs="+", default=(), help="GPUs by number, dealt out to the workers")


def run(args: argparse.Namespace) -> None:
    do_without_git()
    start = partial(reproduce, devices=args.devices)
    needs = dependencies(Path(), args.targets)
    run_all(needs, args.workers, start, keep_going=args.keep_going, stop=children.end_all)


if __name__ == "__main__":
    command.main(add_arguments, run)
