"""The page of a synthetic set: four questions, the numbers behind the answers, and the samples to look at."""

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.case import Case
from pipeline.imaging.contact_sheet import with_contour
from pipeline.quality.measures import CATALOGUE, QUESTIONS, Measure
from pipeline.quality.percentiles import NUMBERS, values_of
from pipeline.quality.set_card import short
from pipeline.quality.templates import environment
from pipeline.run.errors import InputError

BLOCKS = {"set", "measures", "verdicts", "radiomics", "masks", "appearance"}
"""Keys of the file that the stage `score` writes."""
TILE_HEIGHT = 120
DISPLAY_HEIGHT = 110
"""Pixels that a tile has at least where the page is wide: three figures of square images or two of 3:2 fit."""
BEST, WORST, SUSPICIOUS = 6, 6, 8
PLOTS = ("obedience", "distance", "area", "grey_std", "snr")
BINS = 24
SHAPES = {
    "area": ("area", 100, "% of the image"),
    "aspect": ("aspect ratio", 1, "minor over major axis"),
    "angle": ("angle", 1, "degrees"),
    "row": ("height of the centroid", 100, "% from the top"),
    "column": ("place of the centroid", 100, "% from the left"),
}
APPEARANCE = {
    "grey_mean": ("mean grey level", 1, "0 to 255"),
    "grey_std": ("contrast", 1, "grey levels"),
    "snr": ("speckle SNR", 1, "1.91 is fully developed speckle before compression"),
    "axial_px": ("axial speckle length", 1, "px"),
    "lateral_px": ("lateral speckle length", 1, "px"),
}
_SET = ("n", "labels", "unlabelled", "cohort", "foreign", "replicate", "image_size")
_AREAS = {"head": "head", "image": "whole image"}
_FIRST_ORDER = {"mean": "mean grey level", "std": "standard deviation of the grey levels"}


@dataclass(frozen=True)
class Sample:
    """A synthetic case beside the training image it resembles most. ``flags``: copy, imprint."""

    row: Mapping[str, str]
    case: Case
    neighbour: Case

    @property
    def flags(self) -> list[str]:
        return [
            text for key, text in (("copy", "copy"), ("imprinted", "rim along the mask")) if self.row[key] == "True"
        ]


def check_scores(scored: Mapping, source: Path) -> None:
    """Hold what `score` wrote to ``source`` against what the page shows.

    Raises:
        InputError: a key is missing or unknown.
    """
    remedy = "run `dvc repro score`"
    _check_keys(scored, sorted(BLOCKS), "", source, remedy)
    _check_keys(scored["set"], _SET, "set.", source, remedy)
    for question, answer in scored["verdicts"].items():
        _check_keys(QUESTIONS, [question], "verdicts of the unknown question ", source, remedy)
        _check_keys(answer, ("word", "text"), f"verdicts.{question}.", source, remedy)
    for one in scored["radiomics"]:
        _check_keys(one, ("feature", "distance"), "radiomics.", source, remedy)
    groups = [("appearance", APPEARANCE, scored["appearance"])]
    groups += [(f"masks.{name}", SHAPES, descriptors) for name, descriptors in scored["masks"].items()]
    for where, known, descriptors in groups:
        for name, found in descriptors.items():
            if name not in known:
                raise InputError(f"{source}: key '{where}.{name}' is not known to this version; {remedy}")
            _check_keys(found, ("reference", "synthetic", "unseen"), f"{where}.{name}.", source, remedy)
            for which in ("reference", "synthetic", "unseen"):
                keys = ("mean", "std") if which == "reference" else ("mean", "std", "distance")
                _check_keys(found[which], keys, f"{where}.{name}.{which}.", source, remedy)


def _check_keys(found: Mapping, keys: Sequence[str], where: str, source: Path, remedy: str) -> None:
    if missing := [key for key in keys if key not in found]:
        raise InputError(f"{source}: key '{where}{missing[0]}' is missing; {remedy}")


def choose_samples(
    table: Sequence[dict[str, str]], generated: Sequence[Case], real: Sequence[Case], source: Path
) -> dict[str, list[Sample]]:
    """``best`` and ``worst`` by obedience, and the most ``suspicious``: flagged copies, then the nearest ones.

    Args:
        table: rows of the table of samples, read from ``source``. generated, real: lazily opened cases.

    Raises:
        InputError: a sample or its neighbour is not among the cases.
    """
    rows = [row for row in table if row["set"] == "synthetic"]
    by_obedience = sorted(rows, key=lambda row: (-float(row["obedience"]), row["id"]))
    by_distance = sorted(rows, key=lambda row: (row["copy"] != "True", float(row["distance"]), row["id"]))
    chosen = {"suspicious": by_distance[:SUSPICIOUS], "worst": by_obedience[::-1][:WORST], "best": by_obedience[:BEST]}
    wanted = {row["id"] for group in chosen.values() for row in group}
    nearest = {row["nearest"] for group in chosen.values() for row in group}
    own, others = _opened(generated, wanted), _opened(real, nearest)
    if missing := sorted((wanted - set(own)) | (nearest - set(others))):
        raise InputError(f"{source}: case '{missing[0]}' is not in the set or its train split; run `dvc repro score`")
    return {
        name: [Sample(row, own[row["id"]], others[row["nearest"]]) for row in group] for name, group in chosen.items()
    }


def _opened(cases: Sequence[Case], wanted: set[str]) -> dict[str, Case]:
    return {case.id: case for case in cases.where(lambda row: row["id"] in wanted)}


def render(
    index: dict,
    scored: dict,
    measures: Sequence[Measure],
    table: Sequence[dict[str, str]],
    samples: Mapping[str, Sequence[Sample]],
    digest: str,
) -> str:
    """The page: everything it shows is inside it, and equal inputs give equal bytes.

    Args:
        index: content of ``dataset.json``. scored: what `score` wrote. table: of samples. digest: of the set.
    """
    pages = environment("pipeline.quality")
    pages.filters |= {"short": short, "tile": tile, "spread": _spread, "feature": feature_in_words}
    pages.globals["aspect"] = _aspect
    return pages.get_template("page.html.j2").render(
        set=scored["set"],
        verdicts=scored["verdicts"],
        questions=QUESTIONS,
        catalogue=CATALOGUE,
        measures=[(question, [one for one in measures if one.question == question]) for question in QUESTIONS],
        useful=[one for one in measures if one.name == "tstr" and one.value is not None],
        reverse=[one for one in measures if one.name == "trts" and one.value is not None],
        samples=samples,
        card_px=round(DISPLAY_HEIGHT * 3 * _aspect(samples["best"][0].case)) + 12,
        radiomics=scored["radiomics"],
        shapes=[
            (structure, SHAPES[name], found)
            for structure, descriptors in scored["masks"].items()
            for name, found in descriptors.items()
        ],
        appearance=[(APPEARANCE[name], found) for name, found in scored["appearance"].items()],
        plots=[
            (
                NUMBERS[name],
                histogram(NUMBERS[name], values_of(table, "synthetic", name), values_of(table, "unseen", name)),
                [np.median(values_of(table, which, name)) for which in ("synthetic", "unseen")],
            )
            for name in PLOTS
            if len(values_of(table, "synthetic", name)) and len(values_of(table, "unseen", name))
        ],
        structures=[structure["name"] for structure in index["structures"]],
        provenance=json.dumps(index["provenance"], indent=2),
        digest=digest[:16],
        phantom=str(scored["set"]["cohort"]).startswith("phantom"),
    )


def tile(case: Case, with_mask: bool = False) -> str:
    """A data URI of the image at one height, with the contour of its mask where asked for."""
    picture = Image.fromarray(with_contour(case.image, case.mask if with_mask else None, TILE_HEIGHT))
    buffer = io.BytesIO()
    (picture if with_mask else picture.convert("L")).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _aspect(case: Case) -> float:
    """Width over height: tiles that share a row in these proportions are equally high."""
    return round(case.image.shape[1] / case.image.shape[0], 3)


def feature_in_words(name: str) -> str:
    """``head.glcm.contrast`` → ``contrast of the grey-level co-occurrence matrix, head``."""
    area, group, feature = name.split(".")
    last = feature.split("_")[-1]
    if group == "glcm":
        words = f"{feature} of the grey-level co-occurrence matrix"
    elif group == "lbp":
        arc = f"an arc of {last} brighter neighbours out of 8"
        words = f"share of pixels with {'scattered brighter neighbours' if feature == 'other' else arc}"
    elif feature.startswith("percentile"):
        words = f"{last}th percentile of the grey levels"
    else:
        words = _FIRST_ORDER.get(feature, f"{feature} of the grey levels")
    return f"{words}, {_AREAS[area]}"


def _spread(value: Mapping[str, float | None], factor: float) -> str:
    if value["mean"] is None:
        return "–"
    return f"{short(factor * value['mean'])} ± {short(factor * value['std'])}"


def histogram(title: str, synthetic: np.ndarray, unseen: np.ndarray) -> str:
    """Two step outlines over common bins as inline SVG; shares of each set, so that sizes do not matter."""
    together = np.concatenate([synthetic, unseen])
    low, high = float(together.min()), float(together.max())
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    heights = [np.histogram(values, edges)[0] / len(values) for values in (synthetic, unseen)]
    top = max(one.max() for one in heights)
    lines = []
    for one, style in zip(heights, ("synthetic", "unseen"), strict=True):
        points = [(0, 90.0)]
        for i, height in enumerate(one):
            points += [(i * 240 / BINS, 90 - 80 * height / top), ((i + 1) * 240 / BINS, 90 - 80 * height / top)]
        points.append((240, 90.0))
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        lines.append(f'<polyline class="{style}" points="{path}"/>')
    label = html.escape(
        f"{title}: synthetic median {short(float(np.median(synthetic)))}, real unseen {short(float(np.median(unseen)))}"
    )
    return (
        f'<svg viewBox="-2 0 244 112" role="img" aria-label="{label}">{"".join(reversed(lines))}'
        f'<line x1="0" y1="90" x2="240" y2="90" class="axis"/>'
        f'<text x="0" y="106">{short(float(edges[0]))}</text>'
        f'<text x="240" y="106" text-anchor="end">{short(float(edges[-1]))}</text></svg>'
    )
