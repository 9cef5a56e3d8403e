"""An arm in words, and the colour and marker it has in every chart."""

from collections.abc import Iterable, Iterator

from pipeline.config.arms import Arm
from pipeline.config.section import Section

BLUE, SKY, ORANGE, RED, GREY, GREEN = "#0b6fa4", "#56a8d8", "#d98200", "#b5403a", "#5b6770", "#3a7d44"
VIOLET, TEAL, BROWN, PLUM = "#7b4fa3", "#11807c", "#8a5a2b", "#a0307a"
OLIVE, NAVY, MAGENTA, RUST = "#6b7a1e", "#2a3f8f", "#c2185b", "#a8481a"
PINE = "#1f5c4d"
WITHOUT_GENERATOR = {
    "warped": ("warped labelled images", ORANGE, "s"),
    "copy_paste": ("copy-paste", BROWN, "^"),
}
"""Extra cases made without a generator: words, colour and marker."""
METHODS = {
    "pseudo": ("pseudo-labels", OLIVE, "v"),
    "mean_teacher": ("mean teacher", NAVY, "<"),
    "unimatch": ("UniMatch", MAGENTA, "d"),
    "cross_pseudo": ("cross pseudo-supervision", RUST, "p"),
}
"""Ways to use unlabelled images: words, colour, and the marker without extra cases."""
BESIDE_METHODS = {"warped": "s", "copy_paste": "^", "simulated": "h", "synthetic": "D"}
"""The marker of such an arm with extra cases."""
SIGNS = dict(zip("osXDPvp*^<>hd", "●■✖◆✚▼⬟★▲◀▶⬢♦", strict=True))
"""Marker of a chart → the sign of the legend."""


def arm_in_words(spec: Arm) -> str:
    """``synthetic ×4, curated``."""
    if spec.extra == "none":
        words = "labelled images only" if spec.unlabelled is None else "labelled and unlabelled images"
    else:
        kind = WITHOUT_GENERATOR[spec.extra][0] if spec.extra in WITHOUT_GENERATOR else spec.extra
        words = f"{kind} ×{spec.ratio:g}"
    if spec.real < 1:
        words += f", {spec.real:.0%} of the labelled ones" if spec.real else ", no labelled ones"
    words += ", curated" * spec.curated + ", shuffled masks" * spec.shuffled
    words += ", strongly augmented" * (spec.augment == "strong") + ", generator of more labels" * spec.generous
    if spec.pretrain:
        words += f", {spec.pretrain:.0%} of the steps before the labelled ones"
    words += ", weights chosen on val" * spec.validated
    return words if spec.unlabelled is None else f"{words}, {method_in_words(spec.unlabelled)}"


def method_in_words(method: Section) -> str:
    """``cross pseudo-supervision (unet, sam), without contrast``: a way to use unlabelled images, and its options
    where they are not the defaults."""
    words = METHODS[method.method][0]
    if networks := getattr(method, "networks", ()):
        words += f" ({', '.join(networks)})"
    return ", ".join([words, *_options(method)])


def _options(section: Section, prefix: str = "") -> Iterator[str]:
    for key, field in type(section).model_fields.items():
        value, name = getattr(section, key), f"{prefix}{key.replace('_', ' ')}"
        if field.is_required() or value == field.default:
            continue
        if value is None:
            yield f"without {name}"
        elif isinstance(value, Section):
            yield from _options(value, f"{name} ")
        else:
            yield f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"


def series(spec: Arm) -> tuple[str, str, str]:
    """Name, colour and marker of the series an arm belongs to."""
    if spec.unlabelled is not None and not spec.shuffled:
        method, colour, marker = METHODS[spec.unlabelled.method]
        if spec.extra == "none":
            return f"unlabelled images: {method}", colour, marker
        extra = WITHOUT_GENERATOR[spec.extra][0] if spec.extra in WITHOUT_GENERATOR else spec.extra
        return f"{extra}, and unlabelled images: {method}", colour, BESIDE_METHODS[spec.extra]
    if spec.extra in WITHOUT_GENERATOR:
        words, colour, marker = WITHOUT_GENERATOR[spec.extra]
        return f"control: {words}", colour, marker
    rules = (
        (spec.extra == "none" and spec.augment == "strong", "labelled images only, strongly augmented", GREEN, "P"),
        (spec.extra == "none", "labelled images only", GREY, "o"),
        (spec.extra == "simulated", "simulated cases", PINE, "h"),
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
