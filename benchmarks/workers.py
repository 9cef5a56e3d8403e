"""A grid of 24 cells on phantoms: `dvc repro` at one and at two threads, and two workers of one thread each.

    python -m benchmarks.workers

Clones the repository, prepares everything before the cells once for each number of threads, and times what is left: 24
cells (two segmenters x three replicates x four arms) of finetune, predict, evaluate, and compare. ``compute.threads``
is part of the lock, so the lock of the workers is compared with that of the sequential run at one thread.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "PYTHONPATH": "",
    "OMP_WAIT_POLICY": "passive",
}
BEFORE = ("assemble_labels", "assemble_generated", "base_sam", "base_unet")


def sh(folder: Path, *command: str) -> float:
    """Seconds the command takes; its output is shown only if it fails."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout.decode()[-3000:]}")
    return time.perf_counter() - start


def prepared(folder: Path, threads: int, steps: int) -> Path:
    """A clone with the parameters of the grid and all its synthetic sets."""
    from pipeline.tools.preset import compose

    sh(folder.parent, "git", "clone", "-q", str(ROOT), str(folder))
    params = yaml.safe_load(compose(ROOT / "presets", "smoke"))
    params["compute"]["threads"] = threads
    params["grid"] |= {"segmenters": ["sam", "unet"], "replicates": [0, 1, 2]}
    params["oracle"]["arms"] = []
    quick = yaml.safe_load(compose(ROOT / "presets", "quick"))["segmenters"]
    params["segmenters"] = {name: one | {"steps": steps} for name, one in quick.items()}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    sh(folder, "python", "-m", "pipeline.tools.preset")
    (folder / "dvc.lock").unlink(missing_ok=True)
    sh(folder, "dvc", "repro", *BEFORE)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="of every cell, at 64 px, batch 16")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        one = prepared(Path(temporary) / "one", 1, args.steps)
        two = prepared(Path(temporary) / "two", 2, args.steps)
        workers = Path(temporary) / "workers"
        shutil.copytree(one, workers, symlinks=True)
        seconds = {
            "two workers, one thread each": sh(workers, "python", "-m", "pipeline.tools.workers", "--workers", "2"),
            "dvc repro, one thread": sh(one, "dvc", "repro"),
            "dvc repro, two threads": sh(two, "dvc", "repro"),
        }
        print(json.dumps({name: round(value) for name, value in seconds.items()}))
        fastest = seconds["two workers, one thread each"]
        print(json.dumps({f"{name}, ratio": round(value / fastest, 2) for name, value in seconds.items()}))
        same = yaml.safe_load((one / "dvc.lock").read_text()) == yaml.safe_load((workers / "dvc.lock").read_text())
        print(f"dvc.lock of the workers and of the sequential run: {'equal' if same else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
