"""The three geometries of the angle of progression on the same true masks: how far they differ, and what turning does.

    python -m benchmarks.angle_of_progression --masks data/raw/psfhs/label_mha

Prints Markdown tables: differences of the default geometry, the evaluator of PSFHS 2023 (``official``) and that of IUGC
2024; what each says of the same masks turned by a random angle or mirrored; the error of the median as a predictor.
"""

import argparse
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.decoding.decode import read_masks
from pipeline.tasks.segmentation.biometry.iugc2024 import iugc2024_biometry
from pipeline.tasks.segmentation.biometry.official import official_angle
from pipeline.tasks.segmentation.biometry.progression import measure_progression

STRUCTURES = ("pubic_symphysis", "fetal_head")


def default(mask: np.ndarray, head_side: str = "right") -> float:
    angle = measure_progression(mask == 1, mask == 2, head_side).aop_deg
    return np.nan if angle is None else angle


def official(mask: np.ndarray) -> float:
    """nan where the evaluator's failure is an angle of 0."""
    return np.nan if (angle := official_angle(mask == 1, mask == 2)) is None else angle


def iugc2024(mask: np.ndarray) -> float:
    found = iugc2024_biometry(mask == 1, mask == 2)
    return np.nan if found is None else found.aop_deg


METHODS: dict[str, Callable] = {"default": default, "official": official, "iugc2024": iugc2024}


def turned(mask: np.ndarray, degrees: float) -> np.ndarray:
    return np.asarray(Image.fromarray(mask).rotate(degrees, Image.Resampling.NEAREST, expand=True))


def row(name: str, differences: np.ndarray) -> str:
    known = differences[np.isfinite(differences)]
    size = np.abs(known)
    numbers = (known.mean(), known.std(ddof=1), size.mean(), np.percentile(size, 95), size.max())
    return " | ".join((f"| {name}", str(known.size), *(f"{one:.2f}" for one in numbers))) + " |"


def table(title: str, rows: list[str]) -> None:
    print(f"| {title} | n | mean | sd | mean size | 95 % | largest |\n|---|---|---|---|---|---|---|")
    print(*rows, "", sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=Path, required=True, help="1 symphysis, 2 head")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    masks = [mask for _, mask in read_masks(args.masks, STRUCTURES)]
    angles = {name: np.array([method(mask) for mask in masks]) for name, method in METHODS.items()}
    pairs = list(combinations(METHODS, 2))
    table("difference", [row(f"{one} − {other}", angles[one] - angles[other]) for one, other in pairs])

    degrees = np.random.default_rng(args.seed).uniform(0, 360, len(masks))
    rotated = [turned(mask, angle) for mask, angle in zip(masks, degrees, strict=True)]
    rows = [row(name, np.array([method(one) for one in rotated]) - angles[name]) for name, method in METHODS.items()]
    table("turned by any angle − as it is", rows)
    small = [turned(mask, angle / 18 - 10) for mask, angle in zip(masks, degrees, strict=True)]
    rows = [row(name, np.array([method(one) for one in small]) - angles[name]) for name, method in METHODS.items()]
    table("turned by up to 10° − as it is", rows)
    flipped = [mask[:, ::-1] for mask in masks]
    rows = [row("default, declared", np.array([default(one, "left") for one in flipped]) - angles["default"])]
    rows += [row(name, np.array([method(one) for one in flipped]) - angles[name]) for name, method in METHODS.items()]
    table("mirrored − as it is", rows)

    heading = "| angle | n | lowest | median | highest | at 120° or above | error of the median |"
    print(heading, "|---|---|---|---|---|---|---|", sep="\n")
    for name, values in angles.items():
        known = values[np.isfinite(values)]
        median, high = np.median(known), np.mean(known >= 120)
        numbers = (known.size, *(f"{one:.1f}" for one in (known.min(), median, known.max())), f"{high:.1%}")
        print(f"| {name} |", " | ".join(map(str, numbers)), f"| {np.abs(known - median).mean():.1f} |")


if __name__ == "__main__":
    main()
