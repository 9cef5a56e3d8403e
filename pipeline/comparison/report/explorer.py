"""Data of the report's case explorer: every case as a small picture, outlines as paths, Dice and its change by arm.

Pictures are grey JPEG at most ``SIDE`` pixels long. Paths are SVG path data in quarters of those pixels. Outlines and
Dice are of one replicate; changes are means over replicates, so that what is sorted by is less a matter of chance.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.comparison.scores import ScoreTable
from pipeline.comparison.statistics.summary import Result
from pipeline.data.case import Case
from pipeline.data.predictions import read_predictions
from pipeline.run.cells import cell_name

SIDE = 220
QUALITY = 72
SCALE = 4
"""Units of a path per pixel of the picture."""
STRIDE = 6
"""Of the outline's points, about two a pixel, one in so many is kept: off by a thirtieth of a pixel on a head."""
OUTLINES = 4500
"""About as many predicted outlines as the page carries: with many cases or models fewer arms of each, at least one."""


def explorer(
    scores: ScoreTable,
    results: Sequence[Result],
    cases: Mapping[str, Sequence[Case]],
    predictions: Path,
    baseline: str,
    replicate: int,
) -> dict:
    """Everything the explorer shows, ready for JSON.

    Args:
        results: of the cohorts of ``cases``, whose order and models they give.
        cases: by cohort, its cases with their masks.
        replicate: the first of the grid, whose scores come first in ``scores``.

    Returns:
        {"scale", "arms" of the grid, "shown" of each view, "cohorts": {name: {"cases": [{id, picture, size, truth}],
        "views": [{segmenter, labels, arms: [{arm, outlines, dice, change}]}]}}}, the baseline first among ``arms``;
        Dice and change in per cent and points.
    """
    total = sum(map(len, cases.values()))
    views = list(dict.fromkeys((one.segmenter, one.labels) for one in results))
    most = max(1, OUTLINES // max(1, total * len(views)) - 1)
    shown = {view: _shown([one for one in results if (one.segmenter, one.labels) == view], most) for view in views}
    cohorts = {}
    for name, own in cases.items():
        pictures = {case.id: _picture(case) for case in own}
        ids = scores[name, *views[0], baseline].case_ids
        cohorts[name] = {
            "cases": [pictures[id_] for id_ in ids],
            "views": [
                {
                    "segmenter": segmenter,
                    "labels": labels,
                    "arms": [
                        _arm(scores, name, segmenter, labels, arm, baseline, predictions, replicate, pictures)
                        for arm in (baseline, *shown[segmenter, labels])
                    ],
                }
                for segmenter, labels in views
            ],
        }
    arms = len({one.arm for one in results})
    return {"scale": SCALE, "arms": arms, "shown": min(most + 1, arms), "cohorts": cohorts}


def _shown(results: Sequence[Result], most: int) -> list[str]:
    """Up to ``most`` arms, those with synthetic data by their mean gain first, then the others in the grid's order."""
    gains: dict[str, list[float]] = {}
    synthetic = {one.arm for one in results if one.synthetic}
    for one in results:
        if one.difference is not None:
            gains.setdefault(one.arm, []).append(one.difference.mean)
    ordered = sorted(gains, key=lambda arm: -np.mean(gains[arm]) if arm in synthetic else np.inf)
    return ordered[:most]


def _arm(scores, cohort, segmenter, labels, arm, baseline, predictions, replicate, pictures) -> dict:
    own = scores[cohort, segmenter, labels, arm]
    dice = own.per_case("dice")
    change = (dice - scores[cohort, segmenter, labels, baseline].per_case("dice")).mean(axis=0)
    maps = read_predictions(predictions / cell_name(segmenter, labels, replicate, arm) / f"{cohort}.parquet")
    return {
        "arm": arm,
        "outlines": [_path(maps[id_], pictures[id_]["size"]) if id_ in maps else "" for id_ in own.case_ids],
        "dice": [round(100 * float(value), 1) for value in dice[0]],
        "change": [round(100 * float(value), 2) for value in change],
    }


def _picture(case: Case) -> dict:
    height, width = case.image.shape
    share = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * share)), max(1, round(height * share))
    buffer = io.BytesIO()
    Image.fromarray(case.image).resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=QUALITY)
    source = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return {"id": case.id, "picture": source, "size": size, "truth": _path(case.mask, size)}


def _path(class_map: np.ndarray, size: tuple[int, int]) -> str:
    """SVG path data of the outlines of every structure, closed, in units of the picture over ``SCALE``."""
    from skimage.measure import find_contours

    parts = []
    for k in range(1, int(class_map.max()) + 1):
        reduced = Image.fromarray((class_map == k).astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
        for line in find_contours(np.pad(np.asarray(reduced, np.float32), 1), 127.5):
            # Row r of the padded map is the pixel whose centre lies at r - 1/2.
            stride = min(STRIDE, max(1, len(line) // 8))
            corners = np.round((line[:-1:stride, ::-1] - 0.5) * SCALE).astype(int)
            if len(corners) > 2:
                steps = " ".join(f"{x} {y}" for x, y in np.diff(corners, axis=0))
                parts.append(f"M{corners[0][0]} {corners[0][1]}l{steps}z")
    return "".join(parts)
