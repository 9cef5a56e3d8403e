"""The four questions answered in a word and a sentence.

A word is a rule, not a finding: it rests on where the key measures lie between real unseen images (0) and a far end
(1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.quality.gate import key_measures
from pipeline.quality.measures import Measure, find

GOOD, DOUBTFUL = 0.15, 0.5
"""Positions up to which the worst of a question's key measures is good, and doubtful."""
SAME = 0.25
"""Diversity within a mask below which its images hardly differ; at one place and size they always differ less."""
IMPRINT_MARGIN = 0.1
"""Share of imprinted images, beyond that of real ones, from which realism is doubtful."""
LEAK_AUC = 0.6
"""An attack whose interval lies above 0.5 and whose AUC is at least this makes privacy doubtful."""


@dataclass(frozen=True)
class Verdict:
    word: Literal["good", "doubtful", "bad"]
    text: str


def verdicts(measures: Sequence[Measure]) -> dict[str, Verdict]:
    """Question → verdict, for fidelity, coverage, obedience and privacy."""
    return {
        "fidelity": _fidelity(measures),
        "coverage": _coverage(measures),
        "obedience": _obedience(measures),
        "privacy": _privacy(measures),
    }


def _fidelity(measures: Sequence[Measure]) -> Verdict:
    keys = key_measures(measures, "fidelity")
    word = _word(keys)
    # The far end is very far: near the best end is not the same as indistinguishable from it.
    if any(_beyond_chance(one) for one in keys):
        word = _not_good(word)
    ends = "like real unseen ones", "somewhat apart from real ones", "unlike real ones"
    text = _opening(word, "The images look", *ends)
    (imprint,) = find(measures, "imprint")
    if imprint.value - imprint.best > IMPRINT_MARGIN:
        word = _not_good(word)
        text += f" A rim is drawn along the mask in {imprint.value:.0%} of them (real: {imprint.best:.0%})."
    return Verdict(word, f"{text} {_numbers(keys)}")


def _coverage(measures: Sequence[Measure]) -> Verdict:
    keys = key_measures(measures, "coverage")
    word = _word(keys)
    ends = "the real variety", "part of the real variety", "little of the real variety"
    text = _opening(word, "The set covers", *ends)
    diversity = find(measures, "diversity")
    if diversity and diversity[0].value < SAME:
        word = _not_good(word)
        text += f" Images of one mask hardly differ ({diversity[0].value:.2f} of the distance between masks)."
    return Verdict(word, f"{text} {_numbers(keys)}")


def _obedience(measures: Sequence[Measure]) -> Verdict:
    keys = key_measures(measures, "obedience")
    word = _word(keys)
    text = _opening(word, "The images", "obey their masks", "obey their masks in part", "ignore their masks")
    return Verdict(word, f"{text} {_numbers(keys)} This never says that they look real.")


def _privacy(measures: Sequence[Measure]) -> Verdict:
    (copies,), (authenticity,), (membership,) = (
        find(measures, name) for name in ("copies", "authenticity", "membership")
    )
    attack = f"A membership attack reaches an AUC of {membership.value:.2f}{_interval(membership)}; 0.5 is no leak."
    authentic = f"{authenticity.value:.0%} of the images are authentic (real unseen ones: {authenticity.best:.0%})."
    if copies.value > 0:
        count = round(copies.value * copies.n)
        what = "image is flagged as a copy" if count == 1 else "images are flagged as copies"
        return Verdict("bad", f"{count} of {copies.n} {what} of a training image. {authentic} {attack}")
    leaks = membership.value >= LEAK_AUC and (membership.low is None or membership.low > 0.5)
    word = "doubtful" if leaks or (authenticity.position or 0) > DOUBTFUL else "good"
    opening = "No image is a copy of a training image, up to flips, shifts, small turns and grey levels."
    return Verdict(word, f"{opening} {authentic} {attack}")


def _word(keys: Sequence[Measure]) -> Literal["good", "doubtful", "bad"]:
    if not keys:
        return "doubtful"
    worst = max(one.position for one in keys)
    return "good" if worst <= GOOD else "doubtful" if worst <= DOUBTFUL else "bad"


def _not_good(word: str) -> Literal["doubtful", "bad"]:
    return "bad" if word == "bad" else "doubtful"


def _beyond_chance(one: Measure) -> bool:
    """Whether the interval lies on the far side of what real unseen images score."""
    if one.low is None:
        return False
    return one.low > one.best if one.worst > one.best else one.high < one.best


def _opening(word: str, subject: str, good: str, doubtful: str, bad: str) -> str:
    return f"{subject} {({'good': good, 'doubtful': doubtful, 'bad': bad})[word]}."


def _numbers(keys: Sequence[Measure]) -> str:
    """What the word rests on: ``KID 0.14 (real unseen images −0.12, phantom_d images 2.1)``."""
    if not keys:
        return "No measure could be placed between its ends."
    parts = [
        f"{one.title}{f' of the {one.view}' if one.question == 'obedience' else ''} {_short(one.value)} "
        f"({one.best_is} {_short(one.best)}, {one.worst_is} {_short(one.worst)})"
        for one in keys
    ]
    return "; ".join(parts) + "."


def _interval(one: Measure) -> str:
    return "" if one.low is None else f" ({one.low:.2f} to {one.high:.2f})"


def _short(value: float) -> str:
    return (f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}").replace("-", "−")
