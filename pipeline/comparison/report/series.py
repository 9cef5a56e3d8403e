"""An arm in words, and the colour and marker it has in every chart."""

from collections.abc import Iterable

from pipeline.config.arms import Arm

BLUE, SKY, ORANGE, RED, GREY, GREEN = "#0b6fa4", "#56a8d8", "#d98200", "#b5403a", "#5b6770", "#3a7d44"
VIOLET, TEAL, BROWN, PLUM = "#7b4fa3", "#11807c", "#8a5a2b", "#a0307a"
WITHOUT_GENERATOR = {
    "warped": ("warped labelled images", ORANGE, "s"),
    "copy_paste": ("copy-paste", BROWN, "^"),
}
"""Extra cases made without a generator: words, colour and marker."""
SIGNS = dict(zip("osXDPvp*^<>hd", "●■✖◆✚▼⬟★▲◀▶⬢♦", strict=True))
"""Marker of a chart → the sign of the legend."""


def arm_in_words(spec: Arm) -> str:
    """``synthetic ×4, curated``."""
    if spec.extra == "none":
        words = "labelled images only"
    else:
        kind = WITHOUT_GENERATOR[spec.extra][0] if spec.extra in WITHOUT_GENERATOR else spec.extra
        words = f"{kind} ×{spec.ratio:g}"
    if spec.real < 1:
        words += f", {spec.real:.0%} of the labelled ones" if spec.real else ", no labelled ones"
    words += ", curated" * spec.curated + ", shuffled masks" * spec.shuffled
    words += ", strongly augmented" * (spec.augment == "strong") + ", generator of more labels" * spec.generous
    if spec.pretrain:
        words += f", {spec.pretrain:.0%} of the steps before the labelled ones"
    return words + ", weights chosen on val" * spec.validated


def series(spec: Arm) -> tuple[str, str, str]:
    """Name, colour and marker of the series an arm belongs to."""
    if spec.extra in WITHOUT_GENERATOR:
        words, colour, marker = WITHOUT_GENERATOR[spec.extra]
        return f"control: {words}", colour, marker
    rules = (
        (spec.extra == "none" and spec.augment == "strong", "labelled images only, strongly augmented", GREEN, "P"),
        (spec.extra == "none", "labelled images only", GREY, "o"),
        (spec.shuffled, "control: shuffled masks", RED, "X"),
        (spec.generous, "synthetic, generator of more labels", VIOLET, "v"),
        (spec.augment == "strong", "synthetic, strongly augmented", GREEN, "h"),
        (spec.pretrain, "synthetic before labelled", PLUM, ">"),
        (spec.real == 0, "synthetic alone", TEAL, "*"),
        (spec.real < 1, "synthetic, fewer labelled", TEAL, "p"),
        (spec.curated, "synthetic, curated", BLUE, "o"),
    )
    return next((tuple(found) for applies, *found in rules if applies), ("synthetic", SKY, "D"))


def legend(arms: Iterable[Arm]) -> list[tuple[str, str, str]]:
    """(name, colour, sign) of every series the arms belong to, in their order."""
    return [(name, colour, SIGNS[marker]) for name, colour, marker in dict.fromkeys(map(series, arms))]
