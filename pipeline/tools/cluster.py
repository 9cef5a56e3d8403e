"""The pipeline on a Ray cluster: every stage is a task that reproduces it from this revision and pushes it.

    python -m pipeline.tools.cluster --address auto --storage s3://bucket/path

A task is `python -m pipeline.tools.cell` on whichever node has room, started when all it needs has been pushed. A task
whose worker or node is lost starts again elsewhere. In the end `dvc repro --pull` on this machine takes all of it from
the remote, so that the lock file and the cache are those of a run here; after a failure, what is done stays in the
remote for the next run. Nodes need this project's environment (`ray
start` from it), git access to the repository and access to the remote.
"""

import argparse
import logging
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.run.errors import InputError
from pipeline.tools import command
from pipeline.tools.cell import call, pull_and_reproduce
from pipeline.tools.launch import children
from pipeline.tools.workers import Fault, add_stages, dependencies, run_all

log = logging.getLogger("pipeline.cluster")


def pinned_revision(repo: Path) -> str:
    """The commit of a repository without changes to tracked files.

    Raises:
        InputError: it has changes that no other machine could see.
    """
    if changed := call(repo, "git", "status", "--porcelain", "--untracked-files=no"):
        names = ", ".join(line.split()[-1] for line in changed.splitlines()[:5])
        raise InputError(f"other machines see committed files only; commit or undo the changes to {names}")
    return call(repo, "git", "rev-parse", "HEAD").strip()


def shared(repo: Path, targets: Sequence[str]) -> dict[str, set[str]]:
    """Stage → the stages it needs, without those with an output outside DVC's cache.

    No remote has such an output: the stage is run at home, and once more in every cell that needs it.
    """
    from dvc.repo import Repo

    with Repo(str(repo)) as opened:
        stages = opened.index.stages
        at_home = {stage.addressing for stage in stages if not all(out.use_cache for out in stage.outs)}
    needs = dependencies(repo, targets)
    return {stage: needed - at_home for stage, needed in needs.items() if stage not in at_home}


def run_cell(stage: str, options: Sequence[str]) -> list[str]:
    """On a node: the stages that ran there. The process and all it starts end with the worker that calls this."""
    words = [sys.executable, "-m", "pipeline.tools.cell", stage, *options]
    done = children.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise InputError(done.stderr.strip().removeprefix("ERROR "))
    return done.stdout.split()


def run_on_cluster(args: argparse.Namespace, repo: Path) -> list[str]:
    """Run the pipeline of a repository, or what the targets need, on the cluster; returns the stages that were run.

    Args:
        args: of :func:`add_arguments`.

    Raises:
        InputError: a stage failed, or its worker was lost more often than is retried.
    """
    import ray

    repository = args.repository or call(repo, "git", "remote", "get-url", "origin").strip()
    options = ["--repository", repository, "--revision", pinned_revision(repo), "--workspace", args.workspace]
    options += ["--storage", args.storage] if args.storage else []
    needs = shared(repo, args.targets)
    ran, asked = [], []
    on_term = signal.getsignal(signal.SIGTERM)
    ray.init(address=args.address, logging_level=logging.WARNING, log_to_driver=False)
    # Ray has put its own there.
    signal.signal(signal.SIGTERM, on_term)
    try:
        remote, room = ray.remote(run_cell), {"num_cpus": args.cpus, "num_gpus": args.gpus}
        room |= {"max_retries": args.retries, "scheduling_strategy": "SPREAD"}

        def task(stages: Sequence[str], _: int) -> Fault | None:
            (stage,) = stages
            try:
                asked.append(remote.options(name=stage, **room).remote(stage, options))
                ran.extend(ray.get(asked[-1]))
            except ray.exceptions.RayTaskError as error:
                return stage, f"failed: {error.cause}"
            except ray.exceptions.RayError as error:
                return stage, f"is lost, after {args.retries} retries: {str(error).splitlines()[0]}"

        def stop() -> None:
            for one in asked:
                ray.cancel(one, force=True)

        # Twice what has room: Ray queues the rest, and a failure leaves little in its queue.
        at_once = max(2, round(2 * ray.cluster_resources().get("CPU", 1) / max(args.cpus, 0.1)))
        run_all(needs, min(len(needs), at_once), task, chained=False, keep_going=args.keep_going, stop=stop)
    finally:
        ray.shutdown()
    return ran


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_stages(parser)
    parser.add_argument("--address", default="auto", help="of the Ray cluster (default: the one running here)")
    parser.add_argument("--repository", help="what nodes clone (default: the remote `origin`)")
    parser.add_argument("--storage", help="address of the shared DVC remote, here the default one from then on")
    parser.add_argument("--workspace", default="~/.cache/fetal-head-cells", help="folder of every node for clones")
    parser.add_argument("--cpus", type=float, default=1, help="of a node that a stage takes; as `compute.threads`")
    parser.add_argument("--gpus", type=float, default=0)
    parser.add_argument("--retries", type=int, default=3, help="of a stage whose worker is lost")


def run(args: argparse.Namespace) -> None:
    repo = Path.cwd()
    ran = run_on_cluster(args, repo)
    log.info("run on the cluster: %d stages", len(ran))
    here = pull_and_reproduce(repo, args.targets, args.storage)
    log.info("taken from the remote; run here: %s", ", ".join(here) or "nothing")


if __name__ == "__main__":
    command.main(add_arguments, run)
