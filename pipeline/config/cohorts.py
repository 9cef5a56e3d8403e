"""The sections ``cohorts`` and ``phantom`` of ``params.yaml``: where images come from and how patients are split."""

from typing import Literal

from pydantic import model_validator

from pipeline.config.section import Fraction, Name, Positive, Section


class Splits(Section):
    """Shares of patients; together they are 1."""

    evaluation: Fraction
    train: Fraction
    val: Fraction
    test: Fraction

    @model_validator(mode="after")
    def _whole(self):
        if not (self.evaluation and self.train and self.test):
            raise ValueError("evaluation, train and test each need a share above 0")
        if abs(self.evaluation + self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError("the four shares must add up to 1")
        return self


class Cohort(Section):
    role: Literal["train", "held_out", "foreign"]
    reader: Literal["hc18", "fetal_planes", "psfhs", "folder"]
    raw: str
    labelled: bool
    classes: tuple[str, ...] | None = None
    splits: Splits | None = None

    @model_validator(mode="after")
    def _splits_follow_role(self):
        if (self.role == "train") != (self.splits is not None):
            raise ValueError("splits belong to the cohort with role 'train', and to no other")
        if self.role != "foreign" and not self.labelled:
            raise ValueError("only a cohort with role 'foreign' may be unlabelled")
        return self


class Phantom(Section):
    cases: dict[Name, Positive]


def held_out_names(cohorts: dict[str, Cohort]) -> list[str]:
    """Names of the cohorts nothing is trained or tuned on, in file order."""
    return [name for name, cohort in cohorts.items() if cohort.role == "held_out"]
