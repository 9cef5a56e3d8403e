"""Time, memory and size of `compare` and its report for many arms and cases, on made-up inputs.

    python -m benchmarks.report --arms 100 --cases 600

Writes the inputs with the maker of the tests (one segmenter, five replicates; half of the cases held out), then runs
the stage in a process of its own.
"""

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.case import Case

ROOT = Path(__file__).parents[1]
STAGE = "import sys; from pathlib import Path; from benchmarks.report import World; World(Path(sys.argv[1])).run()"


def _world():
    # Other packages install a module `tests`, so this one is found by its place.
    spec = importlib.util.spec_from_file_location("world", ROOT / "tests/comparison/world.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["world"] = module
    spec.loader.exec_module(module)
    return module.World


World = _world()


def arms_of(count: int) -> dict[str, dict]:
    """Real alone, and synthetic arms at rising ratios, curated and not in turn."""
    arms = {"real": {"extra": "none"}}
    for i in range(1, count):
        arms[f"synthetic_{i}"] = {"extra": "synthetic", "ratio": (i + 1) // 2, "curated": bool(i % 2)}
    return arms


def speckled(cohort: str, i: int, split: str) -> Case:
    """A bright ring on speckle of a grain like ultrasound's, 540 x 800 pixels as HC18's images."""
    draws = np.random.default_rng([ord(cohort), i])
    rows, columns = np.mgrid[:540, :800]
    radius = np.hypot((rows - draws.uniform(230, 310)) / 150, (columns - draws.uniform(350, 450)) / 200)
    grain = Image.fromarray(draws.rayleigh(25, (180, 260)).clip(0, 255).astype(np.uint8))
    image = np.asarray(grain.resize((800, 540), Image.Resampling.BICUBIC), float)
    image = np.clip(image + 120 * np.exp(-(((radius - 1) / 0.04) ** 2)), 0, 255).astype(np.uint8)
    mask = (radius < 1).astype(np.uint8)
    return Case(f"{cohort}-{i}", cohort, f"p{cohort}{i}", image, mask, split, pixel_mm=0.2, mask_source="annotated")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", type=int, default=100)
    parser.add_argument("--cases", type=int, default=600)
    parser.add_argument("--labels", type=int, nargs="+", default=[4])
    args = parser.parse_args()
    arms = arms_of(args.arms)
    gain = {name: 0.001 * i for i, name in enumerate(arms)}
    with tempfile.TemporaryDirectory() as folder:
        World(
            Path(folder), labels=args.labels, replicates=list(range(5)), arms=arms, gain=gain, bootstrap=2000,
            n_unseen=args.cases // 2, n_held_out=args.cases - args.cases // 2, make_case=speckled,
        ).build()  # fmt: skip
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", STAGE, folder], check=True)
        print(
            json.dumps(
                {
                    "arms": args.arms,
                    "cases": args.cases,
                    "labels": args.labels,
                    "seconds": round(time.perf_counter() - start, 1),
                    "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6, 2),
                    "page_mb": round((Path(folder) / "out/report.html").stat().st_size / 1e6, 1),
                }
            )
        )


if __name__ == "__main__":
    main()
