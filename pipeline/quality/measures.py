"""What a synthetic set scores: one record a number, read by the gate, the card, the report and the metrics alike."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from pipeline.run import files
from pipeline.run.errors import InputError

_TEXTS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
QUESTIONS: dict[str, str] = _TEXTS["questions"]
CATALOGUE: dict[str, tuple[str, str, str]] = _TEXTS["catalogue"]
"""Title, explanation and question of every measure."""
VIEWS: dict[str, str] = _TEXTS["views"]
"""What extractors and degradations are called; other views, the structures, by their own names."""
RATIOS = ("brightness_spread", "contrast_spread", "speckle_spread")
"""Measures whose best is 1 and for which half and double are equally far from it."""
DESCRIPTORS: dict[str, tuple[str, float, str]] = _TEXTS["descriptors"]
"""Name, factor and unit of every descriptor of shape and appearance."""
COLUMNS: dict[str, str] = _TEXTS["columns"]
"""Columns of the table of samples whose distributions are shown, and what they are called."""
PAIR_COLUMNS: dict[str, str] = _TEXTS["pair_columns"]
"""More of them, with a symphysis and a head."""
STRUCTURE_COLUMN: str = _TEXTS["structure_column"]
"""What the mask agreement of one of several structures is called."""
OPENINGS: dict[str, list[str]] = _TEXTS["openings"]
"""What a verdict says of a question: its subject, and what is said of it where it is good, doubtful or bad."""


@dataclass(frozen=True)
class Measure:
    """One number between its ends.

    question: a key of ``QUESTIONS``. name: a key of ``CATALOGUE``.
    view: the extractor, degradation or structure, or None.
    value: the number, None where it is undefined. n: images it was measured on.
    low, high: 95 % interval over those images. spread: standard deviation over subsets or images.
    best, worst: what ``best_is`` and ``worst_is`` score: a ceiling or floor, and the worst
    reference; None where there is none.
    """

    question: str
    name: str
    view: str | None
    value: float | None
    n: int
    best: float | None = None
    best_is: str | None = None
    worst: float | None = None
    worst_is: str | None = None
    low: float | None = None
    high: float | None = None
    spread: float | None = None

    @property
    def title(self) -> str:
        return CATALOGUE[self.name][0]

    @property
    def label(self) -> str:
        """Title and view."""
        return self.title if self.view is None else f"{self.title}, {view_title(self.view)}"

    @property
    def position(self) -> float | None:
        if self.name in RATIOS:
            return position(*map(_evenness, (self.value, self.best, self.worst)))
        return position(self.value, self.best, self.worst)


def view_title(view: str) -> str:
    """What people read of a view: ``lite0`` → ``ImageNet (EfficientNet-Lite0)``, ``timm_resnet18`` → ``resnet18
    (timm)``."""
    if view.startswith("timm_"):
        return f"{view.removeprefix('timm_')} (timm)"
    return VIEWS.get(view, view)


def _evenness(ratio: float | None) -> float | None:
    """A ratio or its inverse, whichever is at most 1; 0 for 0."""
    return ratio if ratio is None or ratio <= 1 else 1 / ratio


def position(value: float | None, best: float | None, worst: float | None) -> float | None:
    """Where a value lies between best (0) and worst (1), not clipped: below 0 is better than the best reference."""
    if None in (value, best, worst) or best == worst:
        return None
    return (value - best) / (worst - best)


def find(measures: Iterable[Measure], name: str) -> list[Measure]:
    """Measures of a name: one for each view."""
    return [measure for measure in measures if measure.name == name]


def as_json(measures: Sequence[Measure]) -> list[dict]:
    """Plain records with six significant digits."""
    return [
        {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in asdict(measure).items()}
        for measure in measures
    ]


def read_measures(path: Path, remedy: str) -> list[Measure]:
    """The records under the key ``measures`` of a JSON file.

    Raises:
        InputError: no such file, or it is of another version of the code.
    """
    content = files.read_json(path, remedy)
    try:
        measures = [Measure(**record) for record in content["measures"]]
    except (KeyError, TypeError):
        raise InputError(f"{path}: holds no list 'measures' of records of this version; {remedy}") from None
    if unknown := [one for one in measures if one.name not in CATALOGUE or one.question not in QUESTIONS]:
        raise InputError(f"{path}: measure '{unknown[0].name}' is not known to this version; {remedy}")
    return measures


def short(value: float | None) -> str:
    """Three significant digits without an exponent; a dash for no value."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    text = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return (text if "e" not in text else f"{value:.6f}").replace("-", "−")
