"""The section ``unlabelled`` of ``params.yaml``: images that are used without their labels."""

from typing import Literal

from pipeline.config.section import Fraction, Name, Section


class Unlabelled(Section):
    """Which images: of the training cohort (role train) the train patients beyond the n labels; or all images of a
    cohort with role unlabelled. ``agreement``: the label-budget filter's masks are kept where its networks agree at
    least this well (Dice).
    """

    role: Literal["train", "unlabelled"]
    cohort: Name
    agreement: Fraction
