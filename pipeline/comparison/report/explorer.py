"""Data of the report's case explorer: every case as a small picture, outlines as paths, scores and changes by arm.

Pictures are grey JPEG at most ``SIDE`` pixels long. Paths are SVG path data in quarters of those pixels. Outlines and
scores are of one replicate; changes are means over replicates, so that what is sorted by is less a matter of chance.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.comparison.report.numbers import Display
from pipeline.comparison.scores import ScoreTable
from pipeline.comparison.statistics.summary import Result
from pipeline.data.case import Case
from pipeline.data.predictions import read_predictions
from pipeline.run.cells import cell_name
from pipeline.tasks.metrics import METRICS
from pipeline.tasks.segmentation.pair import Pair
from pipeline.tasks.segmentation.progression_drawing import angle_corners

COLOURS = {"truth": "#ffc400", "base": "#ff6ad5", "own": "#19d3ff"}
"""Of outlines: annotated, predicted by the baseline arm, predicted by another."""
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
    predictions: Path,
    baseline: str,
    replicate: int,
    pair: Pair | None = None,
) -> dict:
    """Everything the explorer shows, ready for JSON.

    Args:
        scores: of every cohort, in the order of the page, with its cases and their masks.
        predictions: the folder of every cell's predictions.
        replicate: the first of the grid, whose scores come first in ``scores``.
        pair: where there is one, the angle of progression is drawn.

    Returns:
        {"scale", "metric": how scores are shown, "cohorts": {name: {"cases": [{id, picture, size, truth}], "views":
        [{segmenter, labels, arms: [{arm, outlines, score, change}]}]}}}, the baseline first among ``arms``; score and
        change in the unit shown. With a pair also "angle" in each case and "angles" in each arm: see :func:`_angle`.
    """
    views = list(dict.fromkeys((one.segmenter, one.labels) for one in results))
    cases = {cohort: one.cases for (cohort, *_), one in scores.items()}
    most = max(1, OUTLINES // (sum(map(len, cases.values())) * len(views)) - 1)
    arms = {view: _shown([one for one in results if (one.segmenter, one.labels) == view], most) for view in views}
    metric, cohorts = results[0].metric, {}
    for name, own in cases.items():
        pictures, content = {case.id: _picture(case, pair) for case in own}, []
        for view in views:
            base, shown = scores[name, *view, baseline].primary, []
            for arm in (baseline, *arms[view]):
                values = scores[name, *view, arm].primary
                maps = read_predictions(predictions / cell_name(*view, replicate, arm) / f"{name}.parquet")
                sized = [(maps.get(id_), picture["size"]) for id_, picture in pictures.items()]
                score, change = metric.factor * values[0], metric.factor * (values - base).mean(axis=0)
                shown.append(
                    {
                        "arm": arm,
                        "outlines": ["" if found is None else svg_path(found, size) for found, size in sized],
                        "score": [round(float(value), metric.digits) for value in score],
                        "change": [round(float(value), metric.digits + 1) for value in change],
                    }
                    | ({} if pair is None else {"angles": [_angle(found, size, pair) for found, size in sized]})
                )
            content.append({"segmenter": view[0], "labels": view[1], "arms": shown})
        cohorts[name] = {"cases": list(pictures.values()), "views": content}
    shown_as = {"title": metric.title, "unit": metric.shown_unit, "digits": metric.digits}
    return {"scale": SCALE, "metric": shown_as | {"better": results[0].better}, "cohorts": cohorts}


def _shown(results: Sequence[Result], most: int) -> list[str]:
    """Up to ``most`` arms, those with synthetic data by their mean gain first, then the others in the grid's order."""
    gains: dict[str, list[float]] = {}
    for one in results:
        if one.difference is not None:
            gains.setdefault(one.arm, []).append(one.gain)
    synthetic = {one.arm for one in results if one.synthetic}
    return sorted(gains, key=lambda arm: -np.mean(gains[arm]) if arm in synthetic else np.inf)[:most]


def _picture(case: Case, pair: Pair | None) -> dict:
    height, width = case.image.shape
    share = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * share)), max(1, round(height * share))
    buffer = io.BytesIO()
    Image.fromarray(case.image).resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=QUALITY)
    source = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    angle = {} if pair is None else {"angle": _angle(case.mask, size, pair)}
    return {"id": case.id, "picture": source, "size": size, "truth": svg_path(case.mask, size), **angle}


def _angle(class_map: np.ndarray | None, size: tuple[int, int], pair: Pair) -> dict:
    """{"path": SVG path data of the angle's two sides, "text": the angle in degrees, or why there is none}."""
    if class_map is None:
        return {"path": "", "text": "no prediction"}
    found = pair.measure(class_map)
    if found.failure is not None:
        return {"path": "", "text": f"not measured: {found.failure}"}
    scale = SCALE * np.array(size) / class_map.shape[::-1]
    corners = [np.round((corner + 0.5) * scale).astype(int) for corner in angle_corners(found)]
    path = "M" + "L".join(f"{x} {y}" for x, y in corners)
    return {"path": path, "text": f"{Display(METRICS['aop_deg']).value(found.aop_deg)}°"}


def svg_path(class_map: np.ndarray, size: tuple[int, int]) -> str:
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
