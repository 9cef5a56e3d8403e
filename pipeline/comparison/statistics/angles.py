"""The angle of progression of every cell: its errors, its agreement with the reference, and its side of 120 degrees."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.comparison.scores import CELL, Scores, ScoreTable
from pipeline.comparison.statistics.known import KnownMean, Share, known_mean
from pipeline.comparison.statistics.resampling import Interval, Patients
from pipeline.comparison.statistics.threshold import ThresholdTable, threshold_shares, threshold_table
from pipeline.tasks.metrics import PAIR

ERRORS = (
    "aop_error_deg", "aop_error_valid_deg", "aop_official_error_deg", "hsd_error_px", "hsd_error_valid_px",
    "hsd_error_mm", "challenge_score",
)  # fmt: skip
"""What is measured between symphysis and head and has a mean."""


@dataclass(frozen=True)
class Agreement:
    """Predicted minus true angles in degrees, or ages in days, of what was measured in all replicates (Bland & Altman
    1986).

    bias: their mean; None where nothing was measured. sd: None for fewer than two.
    patients: interval of the bias over patients. n, total: measured, of so many cases × replicates.
    means, differences: float (n,), of single cases in the first replicate.
    """

    bias: float | None
    sd: float | None
    patients: Interval | None
    n: int
    total: int
    means: np.ndarray
    differences: np.ndarray

    @property
    def limits(self) -> tuple[float, float] | None:
        """Between which 95 % of differences lie if they are normally distributed: bias ± 1.96 sd."""
        return None if self.sd is None else (self.bias - 1.96 * self.sd, self.bias + 1.96 * self.sd)


@dataclass(frozen=True, kw_only=True)
class Angles:
    """Of one cohort, segmenter, number of labels and arm.

    errors: metric of ``ERRORS`` → its mean, of those that are scored. at_threshold: counts of cases × replicates.
    shares: sensitivity and the like with their intervals.
    """

    cohort: str
    segmenter: str
    labels: int
    arm: str
    errors: Mapping[str, KnownMean]
    agreement: Agreement
    at_threshold: ThresholdTable
    shares: Mapping[str, Share]


def angles_of(scores: ScoreTable, patients: Mapping[str, Patients]) -> list[Angles]:
    """In the order of the table; nothing where no angle is scored, as without a symphysis and a head."""
    return [
        _angles(dict(zip(CELL, cell, strict=True)), one, patients[cell[0]])
        for cell, one in scores.items()
        if (PAIR, "aop_deg") in one.values
    ]


def _angles(where: Mapping, scores: Scores, patients: Patients) -> Angles:
    found, true = (scores.values[PAIR, name] for name in ("aop_deg", "aop_reference_deg"))
    scored = {name: scores.values[PAIR, name] for name in ERRORS if (PAIR, name) in scores.values}
    return Angles(
        **where,
        errors={name: known_mean(values, patients) for name, values in scored.items()},
        agreement=agreement(found, true, patients),
        at_threshold=threshold_table(found, true),
        shares=threshold_shares(found, true, patients),
    )


def agreement(predicted: np.ndarray, reference: np.ndarray, patients: Patients) -> Agreement:
    """Of float (R, C) angles, or ages, replicates by cases, nan where there is none."""
    differences = predicted - reference
    bias, known = known_mean(differences, patients), np.isfinite(differences)
    first = known[0]
    return Agreement(
        bias.value,
        float(differences[known].std(ddof=1)) if bias.known > 1 else None,
        bias.patients,
        bias.known,
        int(np.isfinite(reference).sum()),
        ((predicted[0] + reference[0]) / 2)[first],
        differences[0][first],
    )
