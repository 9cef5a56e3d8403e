"""What an arm does with images that have no labels: the key ``unlabelled`` of an arm."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from pipeline.config.section import Fraction, Name, PositiveFloat, Section, Share


class Pseudo(Section):
    """The label-budget filter's masks, where its networks agree, are trained on as if they were labels (Lee 2013).

    ``weight``: of the loss on them, beside that on the labels.
    """

    method: Literal["pseudo"]
    weight: PositiveFloat = 1.0
    batch_norm: Literal["joint", "apart"] = "joint"


class Ramped(Section):
    """What the methods have in common that make their targets during training.

    ``weight``: of the loss without labels, beside that on the labels. ``warmup``: share of the steps on labels alone.
    ``ramp``: share of the steps over which the weight then rises, as exp(-5 (1 - t)²) (Laine & Aila 2017).
    ``batch_norm``: whether batches with and without labels are normalised each by itself (apart), with running
    statistics of those with labels, or as one (joint).
    """

    weight: PositiveFloat = 1.0
    warmup: Share = 0.1
    ramp: Share = 0.2
    batch_norm: Literal["joint", "apart"] = "apart"

    @model_validator(mode="after")
    def _ends(self):
        if self.warmup + self.ramp >= 1:
            raise ValueError("warmup and ramp are shares of the steps, one after the other; together less than 1")
        return self


class MeanTeacher(Ramped):
    """Probabilities under strong augmentation are to equal those of an average of past weights under weak
    augmentation (Tarvainen & Valpola 2017). ``ema_decay``: of that average, which is what is kept.
    """

    method: Literal["mean_teacher"]
    weight: PositiveFloat = 10.0
    ema_decay: Share = 0.99


class UniMatch(Ramped):
    """Pseudo-labels of an average of past weights, where they are confident, for two strong views (Yang et al. 2023,
    2025).

    ``confidence``: least probability, of structure or background, of a pixel that counts. ``cutmix``: share of the
    images that get a rectangle of another one. ``feature_dropout``: share of the images whose encoder features lose a
    random half of their channels in one strong view, and the other half in the other.
    """

    method: Literal["unimatch"]
    ema_decay: Share = 0.99
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    cutmix: Fraction = 0.5
    feature_dropout: Fraction = 0.5


class Contrast(Section):
    """InfoNCE between the two networks' representations of an image, against the other images of the batch (van den
    Oord et al. 2018). ``dimension``: of the projected representations.
    """

    weight: PositiveFloat = 0.1
    temperature: PositiveFloat = 0.1
    dimension: Annotated[int, Field(ge=2)] = 64


def _as_tuple(value):
    """What ``_as_mapping`` has seen is no longer JSON, whose lists strict types take for tuples."""
    return tuple(value) if isinstance(value, list) else value


class CrossPseudo(Ramped):
    """Two networks, each trained by the labels and by the other's pseudo-labels (Chen et al. 2021).

    ``networks``: names of two segmenters. In a cell of one of them the other is its partner, and only its own network
    is kept. ``partner_seed``: of the partner's random weights, which are others than those it has as a segmenter of its
    own; above 0 both may have one name. ``targets``: hard, the other's class map; or soft, its probabilities, by Dice
    alone, as in the published code of arXiv 2503.17057. ``contrast``: null for none.
    """

    method: Literal["cross_pseudo"]
    networks: Annotated[tuple[Name, Name], BeforeValidator(_as_tuple)]
    partner_seed: Annotated[int, Field(ge=0)] = 0
    targets: Literal["hard", "soft"] = "hard"
    contrast: Contrast | None = Contrast()

    @model_validator(mode="after")
    def _differ(self):
        if self.networks[0] == self.networks[1] and self.partner_seed == 0:
            raise ValueError(
                f"networks names '{self.networks[0]}' twice with partner_seed 0: equal networks never disagree; name "
                "two, or set partner_seed to 1"
            )
        return self

    def partner(self, segmenter: str) -> str:
        """The other network."""
        first, second = self.networks
        return second if segmenter == first else first


def _as_mapping(value):
    """A method's name alone stands for its defaults, ``none`` for no method."""
    if value == "none":
        return None
    return {"method": value} if isinstance(value, str) else value


def _method_of(value) -> str | None:
    method = value.get("method") if isinstance(value, dict) else getattr(value, "method", None)
    return "no method" if value is None else method


Method = Pseudo | MeanTeacher | UniMatch | CrossPseudo
UnlabelledUse = Annotated[
    Annotated[Pseudo, Tag("pseudo")]
    | Annotated[MeanTeacher, Tag("mean_teacher")]
    | Annotated[UniMatch, Tag("unimatch")]
    | Annotated[CrossPseudo, Tag("cross_pseudo")]
    | Annotated[None, Tag("no method")],
    Discriminator(
        _method_of,
        custom_error_type="unknown_method",
        custom_error_message="is no way to use unlabelled images; none, pseudo, mean_teacher, cross_pseudo or unimatch",
    ),
    BeforeValidator(_as_mapping),
]
