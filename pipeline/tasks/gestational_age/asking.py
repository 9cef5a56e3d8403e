"""A fitted model asked for the age in one image: the mask of its networks, its features, its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config.age import Encoder
from pipeline.data.case import Case
from pipeline.features.tokens import TokenEncoder, encode_cases
from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age.conformal import Conformal
from pipeline.tasks.gestational_age.encoder import open_age_encoder
from pipeline.tasks.gestational_age.estimators import Estimator, Measured, load_estimator
from pipeline.tasks.gestational_age.features import head_index, image_features, mask_features
from pipeline.tasks.gestational_age.fitting import AGES, load_intervals
from pipeline.tasks.gestational_age.reading import inputs_of
from pipeline.tasks.gestational_age.taken import Taken, load_taken
from pipeline.tasks.segmentation.cross_fitted import CrossFitted


@dataclass(frozen=True)
class Answer:
    """days: the age; nan where there is none, with ``failure``. limits: of its interval; None where it has none.
    head: bool (H, W), the mask that was measured. notes: what to know of the age."""

    days: float
    limits: tuple[float, float] | None
    head: np.ndarray
    notes: Sequence[str]
    failure: str | None


@dataclass(frozen=True)
class Asked:
    """A model with all it needs. what: what its ages are, a sentence. range_days: of the ages it was fitted to."""

    estimator: Estimator
    intervals: Conformal
    networks: CrossFitted
    encoder: TokenEncoder
    how: Taken
    what: str
    range_days: tuple[float, float]

    def estimate(self, case: Case) -> Answer:
        """The age in an image, a function of it and its pixel size alone."""
        head = self.networks.mask(case) == head_index(self.networks.structures)
        size, binning = self.how.image_size, self.how.binning
        inputs = inputs_of(
            mask_features([case], [head], size, binning),
            image_features([case], size, binning),
            encode_cases(self.encoder, [(case.id, case.image)]),
            [case.id],
        )
        found = self.estimator.estimate(inputs)
        low, high = self.intervals.interval(found.days, found.sd)
        days = float(found.days[0])
        limits = (float(low[0]), float(high[0])) if np.isfinite(low[0]) and np.isfinite(high[0]) else None
        return Answer(days, limits, head, self._notes(days, head), self._failure(days, head, case))

    def _notes(self, days: float, head: np.ndarray) -> list[str]:
        low, high = self.range_days
        notes = []
        if isinstance(self.estimator, Measured):
            low, high = self.estimator.formula.fitted_days
        if np.isfinite(days) and not low <= days <= high:
            notes.append(f"beyond the ages that this is known for ({low:.0f} to {high:.0f} days): extrapolated")
        if not head.any():
            notes.append("no head was found in the image")
        if not self.intervals.enough:
            notes.append("no interval: too few validation patients")
        return notes

    def _failure(self, days: float, head: np.ndarray, case: Case) -> str | None:
        if np.isfinite(days):
            return None
        if not head.any():
            return "no head was found in the image, so nothing is measured"
        if case.pixel_mm is None:
            return "this model needs the pixel size; give --pixel-mm or --pixel-sizes"
        return "the model gives no age"


def open_asked(model: Path, networks: Path, base: Path | None, weights: Path | None, device) -> Asked:
    """A model of `fit_age` and networks of `cross_fit`.

    Args:
        weights: file of the encoder's, where it is one of timm.

    Raises:
        InputError: something is missing, or does not fit together.
    """
    how, about = load_taken(model), files.read_json(model / f"{AGES}.json", "run the stage fit_age, or `dvc pull`")
    # What is quickly told wrong comes before networks that take seconds to load.
    settings = _with_weights(how.encoder, weights)
    fitted = CrossFitted(networks, device, base)
    head_index(fitted.structures)
    encoder = open_age_encoder(settings, device)
    sources = ", ".join(f"{count} {words}" for words, count in about["ages"].items())
    what = f"an estimate of ages as those of the {sum(about['ages'].values())} cases it was fitted to: {sources}"
    if any(words.startswith("implied") for words in about["ages"]):
        what += "; an age implied by HC is a formula of the head circumference and no gestational age"
    estimator, intervals = load_estimator(model, device), load_intervals(model)
    return Asked(estimator, intervals, fitted, encoder, how, what, tuple(about["range_days"]))


def _with_weights(encoder: Encoder, weights: Path | None) -> Encoder:
    if encoder.timm is None:
        if weights is not None:
            raise InputError(
                "--encoder-weights is for encoders of timm; this model reads EfficientNet-Lite0, leave it out"
            )
        return encoder
    if weights is None:
        raise InputError(f"this model reads timm's '{encoder.timm.model}'; give its file by --encoder-weights")
    return encoder.model_copy(update={"timm": encoder.timm.model_copy(update={"weights": str(weights)})})
