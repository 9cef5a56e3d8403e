"""Every pair of the arms that differ from the baseline in what takes the place of labels alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from pipeline.comparison.scores import ScoreTable, direction
from pipeline.comparison.statistics.estimates import Estimate, Verdict, paired_difference, verdicts
from pipeline.comparison.statistics.resampling import Interval, Patients
from pipeline.comparison.statistics.summary import Result
from pipeline.config.arms import Arm

IN_PLACE_OF_LABELS = ("extra", "ratio", "curated", "unlabelled")
"""The keys of an arm that say what takes the place of labels; a new source of them is one more key here."""
WORDS = {1: "better", -1: "worse"}
_OPPOSITE = {"helps": "hurts", "hurts": "helps", "better": "worse", "worse": "better"}


@dataclass(frozen=True)
class Pair:
    """Two arms of one segmenter and number of labels on one cohort.

    difference: paired, the first minus the second. verdict: of the first, ``helps`` where it is better.
    """

    first: str
    second: str
    difference: Estimate
    verdict: Verdict

    @property
    def mirrored(self) -> "Pair":
        """The same of the second arm."""
        one, found = self.difference, self.verdict
        flipped = replace(
            one,
            mean=-one.mean,
            patients=_mirrored(one.patients),
            replicates=_mirrored(one.replicates),
            crossed=one.crossed and replace(one.crossed, mean=-one.crossed.mean),
        )
        word, text = (_OPPOSITE.get(value, value) for value in (found.word, found.text))
        return Pair(self.second, self.first, flipped, replace(found, word=word, text=text))


@dataclass(frozen=True)
class Rivals:
    """The arms of one cohort, segmenter and number of labels, the baseline first, and every pair of them.

    Two families, each corrected for its own number: the arms against the baseline, which is what the table asks, and
    all other pairs.
    """

    results: Sequence[Result]
    pairs: Sequence[Pair]

    @property
    def family_sizes(self) -> tuple[int, int]:
        """How many pairs are with the baseline, and how many others there are."""
        with_baseline = len(self.results) - 1
        return with_baseline, len(self.pairs) - with_baseline

    def between(self, first: str, second: str) -> Pair:
        """The pair of two arms, in this order.

        Raises:
            KeyError: no such arm, or the same one twice.
        """
        for pair in self.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair
            if (pair.second, pair.first) == (first, second):
                return pair.mirrored
        raise KeyError((first, second))

    @property
    def best(self) -> Result:
        """Of the best mean."""
        return max(self.results, key=lambda one: one.better * one.score.mean)


def rivals_of(arms: Mapping[str, Arm], baseline: str) -> list[str]:
    """The arms that differ from the baseline in what takes the place of labels alone, the baseline first.

    What replaces labels is synthetic cases with their own masks, unlabelled images, or both. None where no arm treats
    unlabelled images otherwise than the baseline: what is asked then is the question about synthetic cases.
    """
    base, others = arms[baseline], set(Arm.model_fields) - set(IN_PLACE_OF_LABELS)
    found = [
        name
        for name, spec in arms.items()
        if spec.extra in (base.extra, "synthetic") and all(getattr(spec, key) == getattr(base, key) for key in others)
    ]
    if all(arms[name].unlabelled == base.unlabelled for name in found):
        return []
    return [baseline, *(name for name in found if name != baseline)]


def compare_pairs(
    scores: ScoreTable, results: Sequence[Result], arms: Sequence[str], patients: Mapping[str, Patients]
) -> list[Rivals]:
    """Every pair of these arms, for each cohort, segmenter and number of labels; nothing of fewer than two arms."""
    groups: dict[tuple[str, str, int], dict[str, Result]] = {}
    for one in results:
        if one.arm in arms:
            groups.setdefault((one.cohort, one.segmenter, one.labels), {})[one.arm] = one
    if len(arms) < 2:
        return []
    return [
        Rivals([own[arm] for arm in arms], _pairs(scores, where, arms, patients[where[0]]))
        for where, own in groups.items()
    ]


def _pairs(scores: ScoreTable, where: tuple[str, str, int], arms: Sequence[str], patients: Patients) -> list[Pair]:
    # The baseline is the first: later arms minus earlier ones, so that a gain over it is positive.
    names = [(later, earlier) for earlier, later in combinations(arms, 2)]
    primary = {arm: scores[*where, arm].primary for arm in arms}
    differences = [paired_difference(primary[first], primary[second], patients) for first, second in names]
    better, found = direction(scores[*where, arms[0]].metric), {}
    for family in (True, False):
        places = [place for place, pair in enumerate(names) if (arms[0] in pair) == family]
        of_family = verdicts([differences[place] for place in places], better, WORDS)
        found |= dict(zip(places, of_family, strict=True))
    return [Pair(*pair, differences[place], found[place]) for place, pair in enumerate(names)]


def _mirrored(value: Interval | None) -> Interval | None:
    return value and Interval(-value.high, -value.low, value.n)
