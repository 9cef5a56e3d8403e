"""Do sharper synthetic images give better masks? Segmenters at 192 px, and synthetic images of 64 px beside 256 px.

    python -m benchmarks.native_dice params --size 256 > params.yaml      # in one checkout; --size 64 in another
    dvc repro evaluate                                                    # in both, in slices: finished stages stay
    python -m benchmarks.native_dice compare --large <checkout> --small <checkout> --out results/native_dice.json

Both grids are the preset `hc18` but for what ``CHANGES`` names: 10 and 50 labels, the U-Net and the SAM decoder on
Lite0, five replicates, labelled images only and with four synthetic ones for each. The generator at 64 px works in
pixels, that at 256 px in the linear code, on the same grid of 32 × 32 cells and with the same steps. Compared are the
replicates that both checkouts have finished: every arm with every other, on the same cases, with intervals over
patients and replicates.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import yaml

from pipeline.comparison.statistics.crossed import crossed
from pipeline.data.dataset import open_dataset
from pipeline.data.tables import read_table
from pipeline.run.cells import cell_name
from pipeline.tools.preset import compose

LABELS, REPLICATES, SEGMENTERS = (10, 50), range(5), ("unet", "sam_lite0")
METRICS = ("dice", "hd95_px")
CHANGES = {
    "compute": {"threads": 1},
    "grid": {
        "labels": list(LABELS),
        "replicates": list(REPLICATES),
        "arms": ["real", "synthetic"],
        "segmenters": list(SEGMENTERS),
    },
    "assemble": {"image_size": 192},
    "diffusion": {"steps": 1600},
    "gate": {"mask_agreement": None, "plausibility": None, "imprint": None, "copies": None},
    "segmenters": {name: {"base": {"image_size": 192}} for name in SEGMENTERS},
}
SMALL = {"views": {"image_size": 64, "code": {"kind": "pixel", "patch": 2}}}


def params(size: int) -> str:
    """The text of ``params.yaml`` of one of the two grids."""
    values = yaml.safe_load(compose(Path("presets"), "hc18"))
    for change in (CHANGES, SMALL if size == 64 else {}):
        _merge(values, change)
    values["kinds"] |= {"labels": ["real"], "generated": ["synthetic"], "sam": ["sam_lite0"], "unet": ["unet"]}
    return yaml.safe_dump(values, sort_keys=False)


def _merge(base: dict, change: dict) -> None:
    for key, value in change.items():
        if isinstance(value, dict) and key != "code":
            _merge(base[key], value)
        else:
            base[key] = value


def rows(large: Path, small: Path) -> list[dict]:
    """For each segmenter, labels, cohort and metric: the mean of every arm, and every difference with its interval."""
    arms = {"labelled only": (large, "real"), "+ 64 px": (small, "synthetic"), "+ 256 px": (large, "synthetic")}
    values = yaml.safe_load((large / "params.yaml").read_text())
    train = values["grid"]["train"]
    held_out = [name for name, cohort in values["cohorts"].items() if cohort["role"] == "held_out"]
    folders = {train: large / "data/cohorts/train" / train}
    folders |= {name: large / "data/cohorts/held_out" / name for name in held_out}
    patients = {
        cohort: {case.id: case.patient for case in open_dataset(folder, splits=["test"]).cases}
        for cohort, folder in folders.items()
    }
    found = []
    for segmenter in SEGMENTERS:
        for labels in LABELS:
            done = [
                replicate
                for replicate in REPLICATES
                if all(_table(root, segmenter, labels, replicate, arm).exists() for root, arm in arms.values())
            ]
            if not done:
                continue
            for cohort in folders:
                for metric in METRICS:
                    ids = list(patients[cohort])
                    scores = {
                        title: np.array(
                            [_scores(_table(root, segmenter, labels, r, arm), cohort, metric, ids) for r in done]
                        )
                        for title, (root, arm) in arms.items()
                    }
                    found.append(
                        {"segmenter": segmenter, "labels": labels, "cohort": cohort, "metric": metric}
                        | {"replicates": done, "cases": len(ids)}
                        | {title: round(float(of.mean()), 5) for title, of in scores.items()}
                        | {
                            f"{b} − {a}": _difference(scores[b] - scores[a], [patients[cohort][one] for one in ids])
                            for a, b in combinations(arms, 2)
                        }
                    )
    return found


def _table(root: Path, segmenter: str, labels: int, replicate: int, arm: str) -> Path:
    return root / "data/evaluation" / f"{cell_name(segmenter, labels, replicate, arm)}.csv"


def _scores(path: Path, cohort: str, metric: str, ids: Sequence[str]) -> list[float]:
    """The metric of each case of a cohort, in the order of ``ids``."""
    found = {
        row["case"]: float(row["value"])
        for row in read_table(path)
        if row["cohort"] == cohort and row["metric"] == metric
    }
    return [found[one] for one in ids]


def _difference(differences: np.ndarray, patients: Sequence[str]) -> dict:
    """Mean of float (R, N) differences and its 95 % interval over patients and replicates, None for one replicate."""
    estimate = crossed(differences, patients)
    interval = None if estimate is None else [round(limit, 5) for limit in estimate.interval(0.95)]
    return {"mean": round(float(differences.mean()), 5), "interval": interval}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("params", help="print the parameters of a grid")
    one.add_argument("--size", type=int, choices=(64, 256), required=True, help="pixels of synthetic images")
    two = commands.add_parser("compare", help="compare what both grids have finished")
    two.add_argument("--large", type=Path, required=True, help="the checkout with images of 256 px")
    two.add_argument("--small", type=Path, required=True, help="the checkout with images of 64 px")
    two.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.command == "params":
        sys.stdout.write(params(args.size))
    else:
        args.out.write_text(json.dumps(rows(args.large, args.small), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
