"""The answers of the report in words: did it help, by how much, which ratio to use, did the controls behave."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from pipeline.comparison.report.numbers import Display, in_labels, interval
from pipeline.comparison.report.series import METHODS, WITHOUT_GENERATOR, arm_in_words
from pipeline.comparison.statistics.estimates import MIN_REPLICATES
from pipeline.comparison.statistics.learning_curve import Worth
from pipeline.comparison.statistics.summary import Result
from pipeline.tasks.metrics import PAIR

_FAILED = {
    "aop_error_deg": "a prediction that cannot be measured counts with an error of 180°",
    "aop_official_error_deg": "a prediction that cannot be measured counts with an angle of 0°, as in the challenge",
    "hsd_error_px": "a prediction that cannot be measured counts with the image diagonal",
    "hsd_error_mm": "a prediction that cannot be measured counts with the image diagonal",
    "challenge_score": "a missing structure counts with Dice 0, distances of 100 px and an angle of 0°",
}
"""What failure costs, by the metrics of the pair that may decide."""


def asked(results: Sequence[Result]) -> list[Result]:
    """The results the question is about, with their difference from the baseline."""
    return [one for one in results if one.asked and one.difference is not None]


def answer(results: Sequence[Result], baseline: str, own_split: str | None = None) -> tuple[str, str]:
    """The headline and one sentence below it, from the results in question.

    Args:
        own_split: of a run without a held-out cohort, what it is asked on instead: ``the test split of psfhs``.
    """
    ones = asked(results)
    if not ones:
        lead = f"It takes an arm with synthetic data that is in all else like the arm “{baseline}”."
        return "Not asked in this run", lead
    kind, where = ("held-out comparison", "") if own_split is None else ("comparison", f" on {own_split}")
    words = [one.verdict.word for one in ones if one.verdict.word != "too few"]
    total, helps, hurts = len(words), words.count("helps"), words.count("hurts")
    if not words:
        head = "Too few replicates to say" if ones[0].score.n_replicates < MIN_REPLICATES else "Too few patients to say"
    elif helps == total:
        head = f"Yes, on {own_split or 'the held-out cohort'}" if total == 1 else f"Yes, in all {total} {kind}s{where}"
    elif hurts == total:
        head = f"No: it hurt{where}" if total == 1 else f"No: it hurt in all {total} {kind}s{where}"
    elif helps and hurts:
        head = f"Mixed: it helped in {helps} and hurt in {hurts} of {total} {kind}s{where}"
    elif helps:
        head = f"It helped in {helps} of {total} {kind}s{where}; in the others no difference was shown"
    elif hurts:
        head = f"No: it hurt in {hurts} of {total} {kind}s{where}, and no gain was shown in the others"
    else:
        head = f"No difference shown{where}"
    lead = f"Over {_count(len(ones), kind)}{where}, {_span(ones)} from the arm “{baseline}”, case by case."
    if 0 < total < len(ones):
        lead += f" {len(ones) - total} of them had too few patients to be tested."
    return head, lead


def claim(result: Result) -> str:
    """A paired difference in a sentence to be quoted, with its interval over patients and replicates and its n."""
    one, found, display = result.difference, result.verdict, Display(result.metric)
    counts = f"n = {_count(one.n_patients, 'patient')}, {_count(one.n_replicates, 'replicate')}"
    size = f"{result.metric.title} {_difference(result)}"
    if found.word == "too few":
        return f"{found.text} ({size}, {counts})"
    limits = "" if one.both is None else f", 95 % interval {interval(one.both, display.difference)}"
    if found.word in ("helps", "hurts"):
        return f"{found.word}: {size}{limits}, {counts}"
    detectable = display.with_unit(display.size(found.detectable))
    return f"no evidence: {size}{limits}, {counts}; smallest detectable difference {detectable}"


def advice(results: Sequence[Result], baseline: str, worths: Sequence[Worth] = ()) -> list[tuple[str, int, str]]:
    """(segmenter, labels, sentence): which synthetic arm to use with so many labels, from the results in question.

    The smallest ratio that helps in every cohort, and what it is worth in labels where it helps and there is a learning
    curve; the baseline where none is shown to help.
    """
    groups: dict[tuple[str, int], dict[str, list[Result]]] = {}
    for one in asked(results):
        groups.setdefault((one.segmenter, one.labels), {}).setdefault(one.arm, []).append(one)
    return [(*key, _advise(arms, baseline, worths)) for key, arms in groups.items()]


def _advise(arms: Mapping[str, Sequence[Result]], baseline: str, worths: Sequence[Worth]) -> str:
    words = {arm: [one.verdict.word for one in ones] for arm, ones in arms.items()}

    def gains(arm):
        return ", ".join(_gain(one, worths) for one in arms[arm])

    by_ratio = sorted(arms, key=lambda arm: arms[arm][0].spec.ratio)
    best = max(arms, key=lambda arm: np.mean([one.gain for one in arms[arm]]))
    for arm in by_ratio:
        if set(words[arm]) == {"helps"}:
            return f"use “{arm}” ({arm_in_words(arms[arm][0].spec)}): {gains(arm)}"
    if all(set(those) == {"too few"} for those in words.values()):
        return f"{arms[best][0].verdict.text}; the best mean is that of “{best}”, {gains(best)}"
    for arm in by_ratio:
        if "helps" in words[arm] and "hurts" not in words[arm]:
            where = ", ".join(one.cohort for one in arms[arm] if one.verdict.word == "helps")
            return f"“{arm}” helps on {where} only: {gains(arm)}"
    return f"stay with “{baseline}”: no ratio is shown to help; the best mean is that of “{best}”, {gains(best)}"


def _gain(result: Result, worths: Sequence[Worth]) -> str:
    worth, found = "", next((one for one in worths if one.result is result), None)
    if found is not None and result.verdict.word == "helps" and found.low > result.labels:
        value, low, high = (in_labels(number, found.ends) for number in (found.value, found.low, found.high))
        worth = f", worth {value} labels" + (f" ({low} to {high})" if low != high else "")
    return f"{_difference(result)} on {result.cohort}{worth}"


def _difference(result: Result) -> str:
    """``+2.00 points``."""
    display = Display(result.metric)
    return display.with_unit(display.difference(result.difference.mean))


def counted(result: Result, structures: Collection[str]) -> str:
    """How a case comes by its one value of the primary, as a sentence."""
    metric = result.metric
    own = [name for name, values in result.regions.items() if metric.name in values and name in (*structures, PAIR)]
    if own == [PAIR]:
        return f"A case has one value, measured between symphysis and head; {_FAILED[metric.name]}."
    if len(own) < len(structures):
        return f"A case counts with the value of {', '.join(own)}."
    listed = f" ({', '.join(structures)})" if len(structures) > 1 else ""
    return f"A case counts with its mean over structures{listed}."


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def controls(results: Sequence[Result]) -> list[tuple[bool, str]]:
    """(as it should be, sentence) for every kind of control in these results."""
    base = next((one.spec.unlabelled for one in results if one.difference is None), None)
    sentences, compared = [], [one for one in results if one.difference is not None]
    alike = [one for one in compared if one.spec.unlabelled == base]
    others = [one for one in compared if one.spec.unlabelled not in (None, base) and one.spec.extra == "none"]
    shuffled = [one for one in alike if one.spec.shuffled]
    if shuffled:
        limits = [(one.better, one.difference.both or one.difference.patients) for one in shuffled]
        lost = all(found is not None and better * found.side < 0 for better, found in limits)
        found = "and it is" if lost else "but not every interval excludes zero: treat gains with suspicion"
        text = f"Control, synthetic images with shuffled masks: {_span(shuffled)}. It has to be worse, {found}."
        sentences.append((lost, text))
    kinds = {of[0]: [one for one in alike if one.spec.extra == kind] for kind, of in WITHOUT_GENERATOR.items()}
    for method, (words, *_) in METHODS.items():
        kinds[f"unlabelled images by {words}"] = [one for one in others if one.spec.unlabelled.method == method]
    if parts := [f"{words}, {_span(those)}" for words, those in kinds.items() if those]:
        credit = "Diffusion adds something only where a synthetic arm is better than these."
        sentences.append((True, f"Controls without a generator: {'; '.join(parts)}. {credit}"))
    return sentences


def _span(results: Sequence[Result]) -> str:
    ordered = sorted(results, key=lambda one: one.difference.mean)
    display = Display(ordered[0].metric)
    ends = dict.fromkeys(display.difference(one.difference.mean) for one in (ordered[0], ordered[-1]))
    return f"{ordered[0].metric.title} changed by {display.with_unit(' to '.join(ends))}"
