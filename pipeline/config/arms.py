"""The section ``arms`` of ``params.yaml``: what an arm is trained on."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import Fraction, NonNegative, Section


class Arm(Section):
    """What an arm is trained on.

    ``extra``: synthetic; made from the labels without a generator (warped, copy_paste, rendered; see arms/derived.py);
    or the labels once more (repeated). ``ratio``: extra cases per labelled one.
    ``real``: share of the labelled cases that is trained on; 0 for the extra ones alone.
    ``generous``: synthetic cases made and curated with the most labels of the grid, not with the arm's own.
    ``pretrain``: share of the steps on the extra cases alone, before the others on the n real ones alone; 0 mixes them.
    ``augment``: standard, or the section ``strong_augment``.
    ``validated``: of the weights during training those best on the val split are kept, whose labels then count.
    """

    extra: Literal["none", "synthetic", "warped", "copy_paste", "rendered", "repeated"]
    ratio: NonNegative
    real: Fraction = 1.0
    curated: bool = False
    shuffled: bool = False
    generous: bool = False
    pretrain: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augment: Literal["standard", "strong"] = "standard"
    validated: bool = False

    @model_validator(mode="after")
    def _consistent(self):
        if (self.extra == "none") != (self.ratio == 0):
            raise ValueError("extra 'none' goes with ratio 0, anything else with a ratio above 0")
        if self.extra != "synthetic" and (self.curated or self.shuffled):
            raise ValueError("curated and shuffled belong to extra 'synthetic'")
        if self.generous and not self.curated:
            raise ValueError("generous belongs to extra 'synthetic' with curated: true")
        if self.real < 1 and self.extra == "none":
            raise ValueError("real below 1 leaves out labelled cases, which extra cases have to replace; set extra")
        if self.real == 0 and self.pretrain:
            raise ValueError("pretrain is before the real cases; with real 0 there are none")
        if self.pretrain and self.extra == "none":
            raise ValueError("pretrain is on extra cases; there are none with extra 'none'")
        return self
