"""The section ``arms`` of ``params.yaml``: what an arm is trained on."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import Fraction, NonNegative, Section
from pipeline.config.semi_supervised import UnlabelledUse

EXTRAS = {
    "none": (),
    "warped": ("ratio", "real", "pretrain"),
    "copy_paste": ("ratio", "real", "pretrain"),
    "simulated": ("ratio", "real", "pretrain"),
    "synthetic": ("ratio", "real", "pretrain", "curated", "shuffled", "generous"),
}
"""The kinds of extra cases, and the keys that apply to each beside those of every arm."""
EVERY = {"extra", "augment", "validated", "unlabelled"}


class Arm(Section):
    """What an arm is trained on.

    ``extra``: synthetic; made from the labels without a generator (warped, copy_paste; see arms/derived.py);
    simulated, with exact masks (arms/simulated.py); or none. ``ratio``: extra cases per labelled one.
    ``real``: share of the labelled cases that is trained on; 0 for the extra ones alone.
    ``generous``: synthetic cases made and curated with ``assemble.generous_labels`` labels, not with the arm's own.
    ``pretrain``: share of the steps on the extra cases alone, before the others on the n real ones alone; 0 mixes them.
    ``augment``: standard, or the section ``strong_augment``.
    ``validated``: of the weights during training those best on the val split are kept, whose labels then count.
    ``unlabelled``: what is done with the images of the section ``unlabelled``: ``none``, or a method of
    config/semi_supervised.py, by name alone or with its options.
    """

    extra: Literal["none", "warped", "copy_paste", "simulated", "synthetic"]
    ratio: NonNegative = 0.0
    real: Fraction = 1.0
    curated: bool = False
    shuffled: bool = False
    generous: bool = False
    pretrain: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augment: Literal["standard", "strong"] = "standard"
    validated: bool = False
    unlabelled: UnlabelledUse = None

    @model_validator(mode="after")
    def _only_what_applies(self):
        allowed = EVERY | set(EXTRAS[self.extra])
        if idle := sorted(self.model_fields_set - allowed):
            applies = ", ".join(kind for kind, keys in EXTRAS.items() if idle[0] in keys)
            raise ValueError(f"{idle[0]} does not apply to extra '{self.extra}' (it does to {applies}); remove it")
        if self.extra != "none" and self.ratio == 0:
            raise ValueError(f"extra '{self.extra}' needs a ratio above 0")
        if self.generous and not self.curated:
            raise ValueError("generous sets are curated ones; set curated: true")
        if self.real == 0 and self.pretrain:
            raise ValueError("pretrain is before the real cases; with real 0 there are none")
        if self.unlabelled is not None and self.validated:
            raise ValueError("validated does not apply with unlabelled: the last weights are kept; set it to false")
        if self.unlabelled is not None and self.real == 0:
            raise ValueError("unlabelled is beside labels; with real 0 there are none")
        return self

    @property
    def source(self) -> Literal["labels", "simulated", "generated", "generous"]:
        """Which stage assembles its extra cases; see the section ``assemble``."""
        if self.extra != "synthetic":
            return "simulated" if self.extra == "simulated" else "labels"
        return "generous" if self.generous else "generated"

    @property
    def supervision(self) -> Literal["supervised", "pseudo", "semi"]:
        """Which stage fine-tunes it, by what it does with unlabelled images."""
        if self.unlabelled is None:
            return "supervised"
        return "pseudo" if self.unlabelled.method == "pseudo" else "semi"

    @property
    def networks(self) -> tuple[str, ...]:
        """The segmenters that it trains together; none where each is trained alone."""
        return getattr(self.unlabelled, "networks", ())
