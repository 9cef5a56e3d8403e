"""Arms with unlabelled images, with synthetic cases and with both, in sentences."""

from pipeline.comparison.budgets import Budget
from pipeline.comparison.report.numbers import Display
from pipeline.comparison.statistics.pairs import Rivals


def standing(rivals: Rivals) -> str:
    """Which arm has the best mean, and which of the others it is shown to be better than, as a sentence."""
    best, baseline = rivals.best, rivals.results[0].arm
    display = Display(best.metric)
    pairs = [rivals.between(best.arm, one.arm) for one in rivals.results if one is not best]
    size = "" if best.arm == baseline else display.difference(rivals.between(best.arm, baseline).difference.mean)
    head = f"The best mean is that of “{best.arm}”, {display.value(best.score.mean)}"
    head += f" ({display.with_unit(size)} from “{baseline}”)" if size else ""
    words = [pair.verdict.word for pair in pairs]
    if set(words) == {"too few"}:
        return f"{head}; {pairs[0].verdict.text}."
    beaten = words.count("helps")
    if beaten == len(pairs):
        return f"{head}; it is better than each of the others."
    equal = ", ".join(f"“{pair.second}”" for pair in pairs if pair.verdict.word != "helps")
    told = f"it is better than {beaten} of {len(pairs)} others, and" if beaten else "it is"
    return f"{head}; {told} not shown to be better than {equal}."


def notes(budget: Budget) -> list[str]:
    """Of the structures that all but vanished from the pseudo-labels of an arm: in how many of its trainings."""
    total = len(budget.records)
    return [
        f"vanishing: {name}, in {count} of {total} replicate{'s' * (total > 1)}"
        for name, count in budget.vanishing.items()
    ]
