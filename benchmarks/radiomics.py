"""Time of the radiomics features of one image of 800 x 540 pixels, on one core.

    OMP_NUM_THREADS=1 python -m benchmarks.radiomics [--image image.png]

Regions: an ellipse of 350 x 280 pixels, such as a head; an ellipse of 700 x 524, the largest that a sector holds; and
every pixel. The image is simulated speckle, or the one that is given. Prints JSON, processor milliseconds: the median
of ``--rounds`` after one to warm up, in all and by family (with bins of fixed width).
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from pipeline.config.binning import FixedBinNumber, FixedBinWidth
from pipeline.features.radiomics import FEATURES, first_order, glcm, glrlm, glszm, ngldm, ngtdm, radiomics, shape
from pipeline.features.radiomics.discretisation import discretise
from pipeline.features.radiomics.regions import REGIONS, region_radiomics

SHAPE = 540, 800
BINNINGS = {
    "bins of 8 levels": FixedBinWidth(width=8),
    "32 bins": FixedBinNumber(count=32),
    "bins of 1 level": FixedBinWidth(width=1),
}


def speckle() -> np.ndarray:
    """uint8 SHAPE: log-compressed speckle, grains of about three pixels."""
    rng = np.random.default_rng(0)
    echoes = [ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.2) for _ in range(2)]
    return np.clip(60 * np.log1p(20 * np.hypot(*echoes)), 0, 255).astype(np.uint8)


def ellipse(height: int, width: int) -> np.ndarray:
    rows, columns = np.indices(SHAPE)
    return ((rows - SHAPE[0] / 2) / (height / 2)) ** 2 + ((columns - SHAPE[1] / 2) / (width / 2)) ** 2 < 1


def milliseconds(call: Callable[[], object], rounds: int) -> float:
    call()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return round(1e3 * float(np.median(times)), 1)


def by_family(image: np.ndarray, region: np.ndarray, rounds: int) -> dict[str, float]:
    values = image[region].astype(np.float64)
    found, count = discretise(values, BINNINGS["bins of 8 levels"])
    levels = np.zeros(SHAPE, np.uint16)
    levels[region] = found
    calls = {"first order": lambda: first_order.features(values), "shape": lambda: shape.features(region)}
    for family in (glcm, glrlm, glszm, ngldm, ngtdm):
        calls[family.__name__.rsplit(".", 1)[1]] = lambda family=family: family.features(levels, count)
    return {name: milliseconds(call, rounds) for name, call in calls.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, help=f"an image of {SHAPE[1]} x {SHAPE[0]} pixels")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    image = speckle() if args.image is None else np.asarray(Image.open(args.image).convert("L"))
    if image.shape != SHAPE:
        parser.error(f"{args.image} has {image.shape[1]} x {image.shape[0]} pixels, not {SHAPE[1]} x {SHAPE[0]}")
    head = ellipse(280, 350)
    regions = {"head": head, "largest head": ellipse(524, 700), "every pixel": np.ones(SHAPE, dtype=bool)}
    totals = {
        where: {
            name: milliseconds(lambda region=region, b=b: radiomics(image, region, b), args.rounds)
            for name, b in BINNINGS.items()
        }
        for where, region in regions.items()
    }
    whole = milliseconds(lambda: region_radiomics(image, head, BINNINGS["bins of 8 levels"]), args.rounds)
    report = {
        "features": len(FEATURES),
        "milliseconds": totals,
        "by_family": {where: by_family(image, regions[where], args.rounds) for where in ("head", "every pixel")},
        f"the {len(REGIONS)} regions, with finding the sector and the ring": whole,
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
