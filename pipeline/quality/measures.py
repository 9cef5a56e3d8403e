"""What a synthetic set scores: one record a number, read by the gate, the card, the report and the metrics alike."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pipeline.run import files
from pipeline.run.errors import InputError

QUESTIONS = {
    "fidelity": "Does it look real?",
    "coverage": "Does it cover the real variety?",
    "mask_agreement": "Does each image agree with its mask?",
    "privacy": "Does it leak training patients?",
    "usefulness": "Is it of use for training?",
}

CATALOGUE = {
    "fid": ("FID", "distance between the feature distributions of two image sets; few images bias it up"),
    "kid": ("KID", "the same question without that bias; ± is the standard deviation over random subsets"),
    "precision": ("Precision", "share of images that look like some real one"),
    "density": ("Density", "how many real neighbourhoods an image lies in, against the expected number"),
    "radiomics": ("Fréchet radiomics distance", "distance of first-order, texture and local-pattern statistics"),
    "imprint": ("Contour imprint", "share of images with a thin rim drawn along the edge of their mask"),
    "recall": ("Recall", "share of real images that lie where the synthetic ones do"),
    "coverage": ("Coverage", "share of real images with a synthetic one in their neighbourhood"),
    "diversity": ("Diversity within a mask", "distance of images of one mask, against that of images of other masks"),
    "dice": ("Mask agreement, Dice", "overlap of the mask asked for and the map of the evaluation network"),
    "boundary": ("Mask agreement, boundary", "mean distance between their outlines, % of the image's longer side"),
    "training_distance": ("Distance to training images", "median to the nearest one, over that of real unseen images"),
    "authenticity": ("Authenticity", "share farther from their nearest training image than that is from another's"),
    "copies": ("Copies", "share of images flagged as a copy of a training image"),
    "membership": ("Membership inference", "AUC of telling training from unseen patients by the synthetic images"),
    "tstr": ("Trained on synthetic", "Dice on real unseen images of a network trained on the set alone"),
    "trts": ("Tested on synthetic", "Dice on the set of a network trained on the real labels alone"),
}
"""Title and explanation of every measure."""


@dataclass(frozen=True)
class Measure:
    """One number between its ends.

    question: a key of ``QUESTIONS``. name: a key of ``CATALOGUE``. view: the extractor or structure, or None.
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
    def position(self) -> float | None:
        return position(self.value, self.best, self.worst)


def position(value: float | None, best: float | None, worst: float | None) -> float | None:
    """Where a value lies between best (0) and worst (1), not clipped: below 0 is better than the best reference."""
    if None in (value, best, worst) or best == worst:
        return None
    return (value - best) / (worst - best)


def find(measures: Iterable[Measure], name: str, view: str | None = None) -> list[Measure]:
    """Measures of a name, of one view where given."""
    return [measure for measure in measures if measure.name == name and (view is None or measure.view == view)]


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
        names = ", ".join(field.name for field in fields(Measure))
        raise InputError(f"{path}: holds no list 'measures' of records ({names}); {remedy}") from None
    if unknown := [
        measure for measure in measures if measure.name not in CATALOGUE or measure.question not in QUESTIONS
    ]:
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
