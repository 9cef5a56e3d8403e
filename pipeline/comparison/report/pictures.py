"""Pictures of the report: samples with their masks and neighbours, cases with their outlines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.comparison.report.numbers import Display
from pipeline.comparison.report.tiles import CASE_HEIGHT, PREDICTION, REFERENCE, SAMPLE_HEIGHT, mask_tile, tile
from pipeline.comparison.scores import Scores, direction
from pipeline.data.case import Case
from pipeline.data.dataset import LazyCases
from pipeline.imaging.contact_sheet import evenly_spaced
from pipeline.run.errors import InputError


@dataclass(frozen=True)
class Picture:
    """PNG tiles that stand side by side, with a line for each and a caption."""

    tiles: tuple[bytes, ...]
    lines: tuple[str, ...]
    caption: str
    badge: str | None = None


def sample_pictures(samples: Sequence[dict], cases: LazyCases, train: Sequence[Case]) -> list[Picture]:
    """Nine samples spread over mask agreement, best first, then the three whose agreement is lowest.

    Args:
        samples: rows of the table of samples (id, mask_agreement, nearest, distance).
        cases, train: the synthetic cases and the real ones their neighbours are among.

    Raises:
        InputError: the table names a case that is not there.
    """
    ordered = sorted(samples, key=lambda row: (-float(row["mask_agreement"]), row["id"]))
    worst = ordered[-3:] if len(ordered) > 3 else []
    chosen = [*evenly_spaced(ordered[: len(ordered) - len(worst)], 9), *worst]
    wanted = {row["id"] for row in chosen}
    generated = {case.id: case for case in cases.where(lambda row: row["id"] in wanted)}
    real, pictures = {case.id: case for case in train}, []
    for row in chosen:
        if row["id"] not in generated or row["nearest"] not in real:
            raise InputError(f"sample '{row['id']}' or its neighbour '{row['nearest']}' is gone; run `dvc repro score`")
        case = generated[row["id"]]
        images = (tile(one.image, SAMPLE_HEIGHT) for one in (case, real[row["nearest"]]))
        caption = f"mask agreement {float(row['mask_agreement']):.2f} · distance {float(row['distance']):.2f}"
        lines, badge = ("mask", "synthetic", "nearest real"), "lowest agreement" if row in worst else None
        pictures.append(Picture((mask_tile(case.mask, SAMPLE_HEIGHT), *images), lines, caption, badge))
    return pictures


def case_pictures(
    scores: Mapping[str, Scores], cases: Sequence[Case], predicted: Mapping[str, Mapping[str, np.ndarray]]
) -> list[Picture]:
    """Best, worst and most changed cases of one cohort: reference and predicted contours, arms side by side.

    Args:
        scores: of one or two arms, the baseline first; their first replicate is shown.
        cases: the cohort's cases with their masks.
        predicted: arm → case → class map of that replicate.
    """
    first = next(iter(scores.values()))
    display, by_id, pictures = Display(first.metric), {case.id: case for case in cases}, []
    values = np.stack([own.primary[0] for own in scores.values()])
    for badge, place in _telling(direction(first.metric) * values):
        case = by_id[first.cases.ids[place]]
        tiles, lines = [], []
        for arm, value in zip(scores, values[:, place], strict=True):
            found = predicted[arm].get(case.id, np.zeros_like(case.mask))
            tiles.append(tile(case.image, CASE_HEIGHT, [(case.mask, REFERENCE), (found, PREDICTION)]))
            lines.append(f"{arm}: {first.metric.title} {display.value_with_unit(value)}")
        pictures.append(Picture(tuple(tiles), tuple(lines), case.id, badge))
    return pictures


def _telling(scores: np.ndarray) -> list[tuple[str, int]]:
    """(why, case) of up to six different cases; ``scores``: float (arms, cases), baseline first, higher is better."""
    order = np.argsort(scores.mean(axis=0), kind="stable")
    wanted = [("best", order[-1]), ("best", order[-2:][0]), ("worst", order[0]), ("worst", order[:2][-1])]
    if len(scores) > 1:
        change = scores[1] - scores[0]
        if change.max() > 0:
            wanted.append(("largest gain", change.argmax()))
        if change.min() < 0:
            wanted.append(("largest loss", change.argmin()))
    chosen: dict[int, str] = {}
    for why, place in wanted:
        chosen[int(place)] = f"{chosen[int(place)]}, {why}" if chosen.get(int(place), why) != why else why
    return [(why, place) for place, why in chosen.items()]
