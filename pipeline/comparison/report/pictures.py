"""Pictures of the report: samples with their masks and neighbours, cases with their outlines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.comparison.report.numbers import percent
from pipeline.comparison.report.tiles import CASE_HEIGHT, PREDICTION, REFERENCE, SAMPLE_HEIGHT, mask_tile, tile
from pipeline.comparison.scores import ScoreTable
from pipeline.data.case import Case
from pipeline.data.predictions import read_predictions
from pipeline.run.cells import cell_name
from pipeline.run.errors import InputError


@dataclass(frozen=True)
class Picture:
    """PNG tiles that stand side by side, with a line for each and a caption."""

    tiles: tuple[bytes, ...]
    lines: tuple[str, ...]
    caption: str
    badge: str | None = None


def sample_pictures(samples: Sequence[dict], cases: Sequence[Case], train: Sequence[Case]) -> list[Picture]:
    """Nine samples spread over mask agreement, best first, then the three that agree least.

    Args:
        samples: rows of a samples table (id, mask_agreement, nearest).
        cases, train: the synthetic cases and the real ones their neighbours are among.

    Raises:
        InputError: the table names a case that is not there.
    """
    ordered = sorted(samples, key=lambda row: (-float(row["mask_agreement"]), row["id"]))
    worst = ordered[-3:] if len(ordered) > 3 else []
    rest = ordered[: len(ordered) - len(worst)]
    places = dict.fromkeys(np.linspace(0, len(rest) - 1, min(9, len(rest))).round().astype(int).tolist())
    by_id, real = {case.id: case for case in cases}, {case.id: case for case in train}
    pictures = []
    for row in [*(rest[i] for i in places), *worst]:
        if row["id"] not in by_id or row["nearest"] not in real:
            raise InputError(f"sample '{row['id']}' or its neighbour '{row['nearest']}' is gone; run `dvc repro score`")
        case = by_id[row["id"]]
        tiles = (
            mask_tile(case.mask, SAMPLE_HEIGHT),
            tile(case.image, SAMPLE_HEIGHT),
            tile(real[row["nearest"]].image, SAMPLE_HEIGHT),
        )
        caption = f"mask agreement {float(row['mask_agreement']):.2f} · distance {float(row['distance']):.2f}"
        pictures.append(
            Picture(tiles, ("mask", "synthetic", "nearest real"), caption, "obeys least" if row in worst else None)
        )
    return pictures


def case_pictures(
    scores: ScoreTable,
    cohort: str,
    cases: Sequence[Case],
    predictions: Path,
    segmenter: str,
    labels: int,
    replicate: int,
    arms: Sequence[str],
) -> list[Picture]:
    """Best, worst and most changed cases of one cohort: reference and predicted contours, arms side by side.

    Args:
        cases: the cohort's cases with their masks.
        replicate: the first one of the grid, whose scores come first in ``scores``.
        arms: one or two, the baseline first.
    """
    dice = {arm: scores[cohort, segmenter, labels, arm].per_case("dice")[0] for arm in arms}
    ids = scores[cohort, segmenter, labels, arms[0]].case_ids
    cells = {arm: cell_name(segmenter, labels, replicate, arm) for arm in arms}
    maps = {arm: read_predictions(predictions / cell / f"{cohort}.parquet") for arm, cell in cells.items()}
    by_id = {case.id: case for case in cases}
    pictures = []
    for badge, place in _telling(np.stack([dice[arm] for arm in arms])):
        case = by_id[ids[place]]
        tiles, lines = [], []
        for arm in arms:
            predicted = maps[arm].get(case.id, np.zeros_like(case.mask))
            contours = [(case.mask, REFERENCE), (predicted, PREDICTION)]
            tiles.append(tile(case.image, CASE_HEIGHT, contours))
            lines.append(f"{arm}: Dice {percent(dice[arm][place])} %")
        pictures.append(Picture(tuple(tiles), tuple(lines), case.id, badge))
    return pictures


def _telling(dice: np.ndarray) -> list[tuple[str, int]]:
    """(why, case) of up to six different cases; ``dice``: float (arms, cases), baseline first."""
    order = np.argsort(dice.mean(axis=0), kind="stable")
    wanted = [("best", order[-1]), ("best", order[-2:][0]), ("worst", order[0]), ("worst", order[:2][-1])]
    if len(dice) > 1:
        change = dice[1] - dice[0]
        if change.max() > 0:
            wanted.append(("largest gain", change.argmax()))
        if change.min() < 0:
            wanted.append(("largest loss", change.argmin()))
    chosen: dict[int, str] = {}
    for why, place in wanted:
        chosen[int(place)] = f"{chosen[int(place)]}, {why}" if chosen.get(int(place), why) != why else why
    return [(why, place) for place, why in chosen.items()]
