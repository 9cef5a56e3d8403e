"""The page of a synthetic set: four questions, the numbers behind the answers, and the samples to look at."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from pipeline.data.case import Case
from pipeline.data.structures import from_json, names
from pipeline.imaging.contact_sheet import with_contour
from pipeline.quality.measures import CATALOGUE, DESCRIPTORS, QUESTIONS, Measure
from pipeline.quality.pages.templates import environment
from pipeline.quality.samples_table import BY_STRUCTURE, known_pairs, titles
from pipeline.run.errors import InputError

TILE_HEIGHT = 120
DISPLAY_HEIGHT = 110
"""Pixels that a tile has at least where the page is wide: three figures of square images or two of 3:2 fit."""
BEST, WORST, SUSPICIOUS = 6, 6, 8
PLOTS = ("mask_agreement", "distance", "area", "grey_std", "snr", "aop_deg")
BINS = 24
_WORDS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())


def choose_samples(
    table: Sequence[Mapping], generated: Sequence[Case], real: Sequence[Case], source: Path
) -> dict[str, list[dict]]:
    """``best`` and ``worst`` by mask agreement, and the most ``suspicious``: flagged copies, then the nearest ones.

    Args:
        table: rows of the table of samples, read from ``source``. generated, real: lazily opened cases.

    Returns:
        Of each sample its ``row``, its ``case`` and its ``neighbour``, the training image it resembles most.

    Raises:
        InputError: a sample or its neighbour is not among the cases.
    """
    rows = [row for row in table if row["set"] == "synthetic"]
    by_agreement = sorted(rows, key=lambda row: (-row["mask_agreement"], row["id"]))
    by_distance = sorted(rows, key=lambda row: (not row["copy"], row["distance"], row["id"]))
    chosen = {"suspicious": by_distance[:SUSPICIOUS], "worst": by_agreement[::-1][:WORST], "best": by_agreement[:BEST]}
    wanted, nearest = ({row[key] for group in chosen.values() for row in group} for key in ("id", "nearest"))
    own, others = _opened(generated, wanted), _opened(real, nearest)
    if missing := sorted((wanted - set(own)) | (nearest - set(others))):
        raise InputError(f"{source}: case '{missing[0]}' is not in the set or its train split; run `dvc repro score`")
    return {
        name: [{"row": row, "case": own[row["id"]], "neighbour": others[row["nearest"]]} for row in group]
        for name, group in chosen.items()
    }


def _opened(cases: Sequence[Case], wanted: set[str]) -> dict[str, Case]:
    return {case.id: case for case in cases.where(lambda row: row["id"] in wanted)}


def render(
    index: dict, scored: dict, measures: Sequence[Measure], table: Sequence[Mapping], samples: Mapping, digest: str
) -> str:
    """The page: everything it shows is inside it, and equal inputs give equal bytes.

    Args:
        index: content of ``dataset.json``. scored: what `score` wrote. table: of samples. samples: of
            :func:`choose_samples`. digest: of the set.

    Raises:
        InputError: ``scored`` is of another version of the code.
    """
    from jinja2 import UndefinedError

    pages = environment("pipeline.quality.pages")
    pages.filters |= {"tile": tile, "feature": feature_in_words}
    try:
        return pages.get_template("page.html.j2").render(
            scored,
            questions=QUESTIONS,
            catalogue=CATALOGUE,
            descriptors=DESCRIPTORS,
            measures=measures,
            samples=samples,
            display_height=DISPLAY_HEIGHT,
            plots=_plots(table),
            by_structure=BY_STRUCTURE,
            structures=names(from_json(index["structures"])),
            provenance=json.dumps(index["provenance"], indent=2),
            digest=digest[:16],
        )
    except (UndefinedError, KeyError) as error:
        raise InputError(f"the scores are of another version of the code ({error}); run `dvc repro score`") from None


def _plots(table: Sequence[Mapping]) -> list[tuple[str, dict]]:
    """Titles and histograms; of several structures the mask agreement of each stands for their mean."""
    title_of, pairs = titles(table), known_pairs(table)
    each = [name for name in pairs if name.startswith(BY_STRUCTURE)]
    shown = [*(each or ["mask_agreement"]), *(name for name in PLOTS[1:] if name in pairs)]
    return [(title_of[name], histogram(pairs[name])) for name in shown if name in pairs]


def tile(case: Case, with_mask: bool = False) -> str:
    """A data URI of the image at one height, with the contour of its mask where asked for."""
    picture = Image.fromarray(with_contour(case.image, case.mask if with_mask else None, TILE_HEIGHT))
    buffer = io.BytesIO()
    (picture if with_mask else picture.convert("L")).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def feature_in_words(name: str) -> str:
    """``head.glcm.contrast`` → ``contrast of the grey-level co-occurrence matrix, head``."""
    area, feature = name.split(".", 1)
    return f"{_WORDS['features'][feature]}, {_WORDS['areas'][area]}"


def histogram(sets: Mapping[str, np.ndarray]) -> dict:
    """Step outlines of sets over common bins; shares of each set, so that sizes do not matter.

    Returns:
        low, high: ends of the bins. medians: by set. lines: by set, the points of a line in a box of 240 by 90.
    """
    together = np.concatenate(list(sets.values()))
    low, high = float(together.min()), float(together.max())
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    heights = {name: np.histogram(values, edges)[0] / len(values) for name, values in sets.items()}
    top = max(shares.max() for shares in heights.values())
    across = np.repeat(np.arange(BINS + 1) * 240 / BINS, 2)
    lines = {}
    for name, shares in heights.items():
        down = 90 - 80 * np.concatenate([[0], np.repeat(shares, 2), [0]]) / top
        lines[name] = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    medians = {name: float(np.median(values)) for name, values in sets.items()}
    return {"low": float(edges[0]), "high": float(edges[-1]), "medians": medians, "lines": lines}
