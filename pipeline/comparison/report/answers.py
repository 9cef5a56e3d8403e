"""The answers of the report in words: did it help, by how much, which ratio to use, did the controls behave."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.comparison.report.figures import describe
from pipeline.comparison.report.numbers import in_labels, interval, points
from pipeline.comparison.statistics.estimates import MIN_REPLICATES, Estimate
from pipeline.comparison.statistics.learning_curve import Worth
from pipeline.comparison.statistics.summary import Result

WITHOUT_GENERATOR = {
    "warped": "warped real images",
    "copy_paste": "heads in the place of other heads",
    "rendered": "speckle drawn into masks",
    "repeated": "the labelled cases once more",
}


def asked(results: Sequence[Result]) -> list[Result]:
    """The results the question is about, with their difference from the baseline."""
    return [one for one in results if one.asked and one.difference is not None]


def answer(results: Sequence[Result], baseline: str) -> tuple[str, str]:
    """The headline and one sentence below it, from the held-out results in question."""
    ones = asked(results)
    if not ones:
        return (
            "Not asked in this run",
            f"It takes an arm with synthetic data that is in all else like the arm “{baseline}”.",
        )
    words = [one.verdict.word for one in ones if one.verdict.word != "too few"]
    total, helps, hurts = len(words), words.count("helps"), words.count("hurts")
    if not words:
        head = "Too few replicates to say" if ones[0].dice.n_replicates < MIN_REPLICATES else "Too few patients to say"
    elif helps == total:
        head = "Yes, on the held-out cohort" if total == 1 else f"Yes, in all {total} held-out comparisons"
    elif hurts == total:
        head = "No: it hurt" if total == 1 else f"No: it hurt in all {total} held-out comparisons"
    elif helps and hurts:
        head = f"Mixed: it helped in {helps} and hurt in {hurts} of {total} held-out comparisons"
    elif helps:
        head = f"It helped in {helps} of {total} held-out comparisons; in the others no difference was shown"
    elif hurts:
        head = f"No: it hurt in {hurts} of {total} held-out comparisons, and no gain was shown in the others"
    else:
        head = "No difference shown"
    lead = f"Over {_count(len(ones), 'held-out comparison')}, {_span(ones)} from the arm “{baseline}”, case by case."
    if 0 < total < len(ones):
        lead += f" {len(ones) - total} of them had too few patients to be tested."
    return head, lead


def claim(result: Result) -> str:
    """A paired difference in a sentence to be quoted, with its interval over patients and replicates and its n."""
    one, found = result.difference, result.verdict
    counts = f"n = {_count(one.n_patients, 'patient')}, {_count(one.n_replicates, 'replicate')}"
    size = (
        f"{100 * abs(one.mean):.1f} Dice points" if found.word in ("helps", "hurts") else f"{points(one.mean)} points"
    )
    limits = "" if one.both is None else f", 95 % interval {interval(one.both, points)}"
    if found.word in ("helps", "hurts"):
        return f"{found.word} by {size}{limits}, {counts}"
    if found.word == "too few":
        return f"{found.text} ({size}, {counts})"
    return f"no evidence: {size}{limits}, {counts}; {points(found.detectable)[1:]} would have been found"


def advice(results: Sequence[Result], baseline: str, worths: Sequence[Worth] = ()) -> list[tuple[str, int, str]]:
    """(segmenter, labels, sentence): which synthetic arm to use with so many labels, from held-out results.

    The smallest ratio that helps in every cohort, and what it is worth in real labels where it helps and there is a
    learning curve; the baseline where none is shown to help.
    """
    known = {(one.cohort, one.segmenter, one.labels, one.arm): one for one in worths}
    groups: dict[tuple[str, int], dict[str, list[Result]]] = {}
    for one in asked(results):
        groups.setdefault((one.segmenter, one.labels), {}).setdefault(one.arm, []).append(one)
    return [(*key, _advise(arms, baseline, known)) for key, arms in groups.items()]


def _advise(arms: Mapping[str, Sequence[Result]], baseline: str, worths: Mapping[tuple, Worth]) -> str:
    def words(arm):
        return [one.verdict.word for one in arms[arm]]

    def gains(arm):
        return ", ".join(_gain(one, worths) for one in arms[arm])

    by_ratio = sorted(arms, key=lambda arm: arms[arm][0].spec.ratio)
    best = max(arms, key=lambda arm: np.mean([one.difference.mean for one in arms[arm]]))
    for arm in by_ratio:
        if set(words(arm)) == {"helps"}:
            return f"use “{arm}” ({describe(arms[arm][0].spec)}): {gains(arm)}"
    if all(set(words(arm)) == {"too few"} for arm in arms):
        return f"{arms[best][0].verdict.text}; the highest mean is that of “{best}”, {gains(best)}"
    for arm in by_ratio:
        if "helps" in words(arm) and "hurts" not in words(arm):
            where = ", ".join(one.cohort for one in arms[arm] if one.verdict.word == "helps")
            return f"“{arm}” helps on {where} only: {gains(arm)}"
    return f"stay with “{baseline}”: no ratio is shown to help; the highest mean is that of “{best}”, {gains(best)}"


def _gain(result: Result, worths: Mapping[tuple, Worth]) -> str:
    found = worths.get((result.cohort, result.segmenter, result.labels, result.arm))
    worth = ""
    if found is not None and result.verdict.word == "helps" and found.low > result.labels:
        value, low, high = (in_labels(number, found.ends) for number in (found.value, found.low, found.high))
        worth = f", worth {value} labels ({low} to {high})"
    return f"{points(result.difference.mean)} points on {result.cohort}{worth}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def controls(results: Sequence[Result]) -> list[tuple[bool, str]]:
    """(as it should be, sentence) for every kind of control in the held-out results."""
    sentences = []
    shuffled = [one for one in results if one.spec.shuffled and one.difference is not None]
    if shuffled:
        lost = all(_below_zero(one.difference) for one in shuffled)
        sentences.append(
            (
                lost,
                f"Control, synthetic images with shuffled masks: {_span(shuffled)}. "
                + (
                    "It must lose, and it did."
                    if lost
                    else "It must lose, and not everywhere did its interval lie below zero: treat gains with suspicion."
                ),
            )
        )
    cheap = {
        words: [one for one in results if one.spec.extra == kind and one.difference is not None]
        for kind, words in WITHOUT_GENERATOR.items()
    }
    if any(cheap.values()):
        parts = (f"{words}, {_span(those)}" for words, those in cheap.items() if those)
        credit = "A synthetic arm has to beat them before diffusion deserves the credit."
        sentences.append((True, f"Controls without any diffusion: {'; '.join(parts)}. {credit}"))
    return sentences


def _below_zero(difference: Estimate) -> bool:
    limits = difference.both or difference.patients
    return limits is not None and limits.side < 0


def _span(results: Sequence[Result]) -> str:
    values = sorted(one.difference.mean for one in results)
    if len(values) == 1:
        return f"Dice changed by {points(values[0])} points"
    return f"Dice changed by {points(values[0])} to {points(values[-1])} points"
