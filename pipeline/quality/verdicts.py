"""The four questions answered in a word and a sentence.

A word is a rule, not a finding: it rests on where the key measures lie between real unseen images (0) and a worst
reference (1). The references are test patients among others, so no word decides anything.
"""

from collections.abc import Sequence

from pipeline.quality.measures import OPENINGS, RATIOS, Measure, find, short

KEY_MEASURES = {
    "fidelity": ("kid", "radiomics"),
    "coverage": ("recall", "coverage"),
    # Errors are of the images whose angle can be read: those in which it cannot stand beside them.
    "mask_agreement": ("dice", "aop_error", "aop_unread"),
}
"""Those whose position answers a question, in domain features where they have a view of an extractor."""
DOMAIN = "domain"
GOOD, DOUBTFUL = 0.15, 0.5
"""Positions up to which the worst of a question's key measures is good, and doubtful."""
SAME = 0.25
"""Diversity within a mask below which its images hardly differ; at one place and size they always differ less."""
IMPRINT_MARGIN = 0.1
"""Share of imprinted images, beyond that of real ones, from which realism is doubtful."""
TOLD_AUC = 0.75
"""A two-sample test whose interval lies above that of real images and whose AUC is at least this: surely told apart."""
LEAK_AUC = 0.6
"""An attack whose interval lies above 0.5 and whose AUC is at least this makes privacy doubtful."""

WORDS = ("good", "doubtful", "bad")


def verdicts(measures: Sequence[Measure]) -> dict[str, dict[str, str]]:
    """Question → its ``word``, one of ``WORDS``, and ``text``; of fidelity, coverage, mask agreement and privacy."""
    extras = {
        "fidelity": _rims(measures) + _told(measures),
        "coverage": _sameness(measures) + _spreads(measures),
        "mask_agreement": "",
    }
    answers = {question: _answer(measures, question, extra) for question, extra in extras.items()}
    return answers | {"privacy": _privacy(measures)}


def _answer(measures: Sequence[Measure], question: str, extra: str) -> dict[str, str]:
    """``extra``: sentences about faults that make the answer doubtful, or empty."""
    keys = key_measures(measures, question)
    worst = max((key.position for key in keys), default=DOUBTFUL)
    word = "good" if worst <= GOOD else "doubtful" if worst <= DOUBTFUL else "bad"
    # The worst reference of realism is very far: near the best one is not the same as indistinguishable from it.
    beyond = question == "fidelity" and any(_beyond_chance(key) for key in keys)
    if word == "good" and (beyond or extra):
        word = "doubtful"
    subject, *endings = OPENINGS[question]
    text = f"{subject} {endings[WORDS.index(word)]}.{extra} {_numbers(keys)}"
    if question == "mask_agreement":
        text += " This never says that they look real."
    return {"word": word, "text": text}


def _rims(measures: Sequence[Measure]) -> str:
    (imprint,) = find(measures, "imprint")
    if imprint.value - imprint.best <= IMPRINT_MARGIN:
        return ""
    return f" A rim is drawn along the mask in {imprint.value:.0%} of them (real: {imprint.best:.0%})."


def _sameness(measures: Sequence[Measure]) -> str:
    diversity = find(measures, "diversity")
    if not diversity or diversity[0].value >= SAME:
        return ""
    return f" Images of one mask hardly differ ({diversity[0].value:.2f} of the distance between masks)."


def _told(measures: Sequence[Measure]) -> str:
    for one in find(measures, "two_sample"):
        if _beyond_chance(one) and one.value >= TOLD_AUC:
            real = f"real training images: {one.best:.2f}"
            return f" A classifier tells them from real unseen ones with an AUC of {one.value:.2f} ({real})."
    return ""


def _spreads(measures: Sequence[Measure]) -> str:
    """Of what varies over images surely, and by more than is good, less or more than over real unseen ones."""
    parts = []
    for one in (found for name in RATIOS for found in find(measures, name)):
        surely = None not in (one.low, one.position) and not one.low <= one.best <= one.high
        if surely and one.position > GOOD:
            what = one.title.removeprefix("Spread of ")
            parts.append(f"{what} {short(one.value)} ({one.best_is} {short(one.best)})")
    opening = " Standard deviations over images, against those of real training images"
    return f"{opening}: {'; '.join(parts)}." if parts else ""


def _privacy(measures: Sequence[Measure]) -> dict[str, str]:
    copies, authenticity, membership = (find(measures, name)[0] for name in ("copies", "authenticity", "membership"))
    limits = "" if membership.low is None else f" ({membership.low:.2f} to {membership.high:.2f})"
    attack = f"A membership attack reaches an AUC of {membership.value:.2f}{limits}; 0.5 is no leak."
    authentic = f"{authenticity.value:.0%} of the images are authentic (real unseen ones: {authenticity.best:.0%})."
    if copies.value > 0:
        count = round(copies.value * copies.n)
        what = "image is flagged as a copy" if count == 1 else "images are flagged as copies"
        return {"word": "bad", "text": f"{count} of {copies.n} {what} of a training image. {authentic} {attack}"}
    leaks = membership.value >= LEAK_AUC and (membership.low is None or membership.low > 0.5)
    word = "doubtful" if leaks or (authenticity.position or 0) > DOUBTFUL else "good"
    opening = "No image is a copy of a training image, up to flips, shifts, small turns and grey levels."
    return {"word": word, "text": f"{opening} {authentic} {attack}"}


def key_measures(measures: Sequence[Measure], question: str) -> list[Measure]:
    """The measures that a question's answer rests on, those of them that have a position."""
    chosen = [measure for name in KEY_MEASURES[question] for measure in find(measures, name)]
    views = (None, DOMAIN)
    counted = [one for one in chosen if one.view in views or one.question == "mask_agreement"]
    return [one for one in counted if one.position is not None]


def _beyond_chance(measure: Measure) -> bool:
    """Whether the interval lies beyond what real unseen images score."""
    if None in (measure.low, measure.best, measure.worst):
        return False
    return measure.low > measure.best if measure.worst > measure.best else measure.high < measure.best


def _numbers(keys: Sequence[Measure]) -> str:
    """What the word rests on: ``KID 0.14 (real unseen images −0.12, phantom_d images 2.1)``."""
    parts = []
    for key in keys:
        of = f" of the {key.view}" if key.name == "dice" else ""
        ends = f"{key.best_is} {short(key.best)}, {key.worst_is} {short(key.worst)}"
        parts.append(f"{key.title}{of} {short(key.value)} ({ends})")
    return ("; ".join(parts) or "No measure could be placed between its references") + "."
