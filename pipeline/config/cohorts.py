"""The sections ``cohorts`` and ``phantom`` of ``params.yaml``: where images come from and how patients are split."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import Fraction, Name, Positive, Section

WITHOUT_PATIENTS = {"psfhs", "fh_ps_aop"}
"""Readers of cohorts that are published without patients and hold many neighbouring frames."""

WITH_CIRCUMFERENCES = {"hc18", "folder"}
"""Readers of cohorts whose tables may have head circumferences."""


class Splits(Section):
    """Shares; together they are 1.

    by: ``patients`` in random order, or ``blocks`` of images whose names follow each other, in the order of the keys.
    """

    by: Literal["patients", "blocks"] = "patients"
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
    """A source of images.

    classes: names of the values in a folder's masks, the background first.
    values: of the classes in a folder's masks, in their order; None: 0, 1, 2 and so on.
    structures: class → structure of the task, or null for background.
    window: the values that become black and white, for images of more than 8 bits per channel.
    near_doubles: whether the patients of images that resemble each other (neighbouring frames) are one, or only listed.
    near_correlation: of small grey images (see cohorts/doubles.py), above which two resemble each other.
    mirrored: of a task with symphysis and head, whether the images are mirrored, and to be turned back when they are
        prepared; None: they are not.
    age_formula: which age implied by HC a case gets that has a circumference and no age of its own; None: none.
    """

    role: Literal["train", "held_out", "foreign", "unlabelled"]
    reader: Literal["hc18", "fetal_planes", "psfhs", "fh_ps_aop", "folder"]
    raw: str
    labelled: bool
    classes: tuple[str, ...] | None = None
    values: tuple[Annotated[int, Field(ge=0, le=255)], ...] | None = None
    structures: dict[str, str | None] | None = None
    near_doubles: Literal["list", "merge"] = "list"
    near_correlation: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    splits: Splits | None = None
    window: tuple[float, float] | None = None
    mirrored: bool | None = None
    age_formula: Literal["intergrowth21", "hadlock84"] | None = None

    @model_validator(mode="after")
    def _options_apply(self):
        if (self.role == "train") != (self.splits is not None):
            raise ValueError("splits belong to the cohort with role 'train', and to no other")
        if self.role in ("train", "held_out") and not self.labelled:
            raise ValueError("only a cohort with role 'foreign' or 'unlabelled' may be unlabelled")
        if self.role == "unlabelled" and self.labelled:
            raise ValueError("of a cohort with role 'unlabelled' no mask is read; say labelled: false")
        if self.role == "train" and self.reader in WITHOUT_PATIENTS and self.near_doubles == "list":
            raise ValueError(
                f"reader '{self.reader}' knows no patients and many images are neighbouring frames, which a split "
                "would leave on two sides; say near_doubles: merge"
            )
        if self.age_formula is not None and self.reader not in WITH_CIRCUMFERENCES:
            raise ValueError(f"reader '{self.reader}' knows no circumferences to imply ages; leave age_formula out")
        if self.age_formula is not None and self.role == "unlabelled":
            raise ValueError("of a cohort with role 'unlabelled' no measurement is kept; leave age_formula out")
        if self.classes is not None and self.reader != "folder":
            raise ValueError(f"reader '{self.reader}' knows its classes; leave classes out and map them by structures")
        if self.classes is not None and (len(self.classes) < 2 or len(set(self.classes)) != len(self.classes)):
            raise ValueError("classes needs two or more different names, the background first")
        if self.values is not None:
            if self.classes is None:
                raise ValueError("values are those of classes, one each; name the classes, the background first")
            if len(self.values) != len(self.classes) or len(set(self.values)) != len(self.values):
                raise ValueError(f"values needs {len(self.classes)} different ones, one for each of classes")
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ValueError("window is [low, high]: the value that becomes black, and a larger one that becomes white")
        return self


class Phantom(Section):
    """What the simulator makes.

    view: head, the fetal head in the womb (mask: 1); intrapartum, the view during labour (symphysis 1, head 2); or
        cervix, the transvaginal view of the cervix (anterior lip 1, posterior lip 2).
    cases: how many of each cohort.
    """

    view: Literal["head", "intrapartum", "cervix"]
    cases: dict[Name, Positive]


def held_out_names(cohorts: dict[str, Cohort]) -> list[str]:
    """Names of the cohorts nothing is trained or tuned on, in file order."""
    return [name for name, cohort in cohorts.items() if cohort.role == "held_out"]
