"""How many cases, labels and samples the stages need, held against the parameters and (by check_cohorts) the cohorts.

Nothing is then trained in vain for a set that is too small for what comes after.
"""

from collections.abc import Iterator, Mapping

from pipeline.config.quality import MIN_REAL, least_images


def too_few(config) -> Iterator[str]:
    """A sentence for everything that is too little as far as the parameters tell."""
    grid, score, count, folds = config.grid, config.score, config.sample.count, config.filter.folds
    if count < (least := least_images(score.neighbours)):
        yield f"sample.count is {count}, {_scores_need(least, score)}; raise it"
    if folds > (fewest := min(grid.labels)):
        yield f"filter.folds is {folds}, and grid.labels holds {fewest}, which are of no more patients; lower the folds"
    for name in grid.arms:
        arm = config.arms[name]
        for n in grid.labels:
            for key, share in (("ratio", arm.ratio), ("real", arm.real)):
                if share and round(share * n) == 0:
                    yield f"arm '{name}': {key} {share:g} of {n} labels is not one case; raise it"
            wanted = round(arm.ratio * n)
            if arm.extra == "synthetic" and not arm.curated and wanted > count:
                yield (
                    f"arm '{name}': ratio {arm.ratio:g} of {n} labels asks for {wanted} synthetic cases, "
                    f"sample.count is {count}; raise it or lower the ratio"
                )
        train = config.cohorts.get(grid.train)
        if arm.validated and train and train.splits and not train.splits.val:
            yield f"arm '{name}' is validated, and cohorts.{grid.train}.splits.val is 0; give it a share"


def shortages(config, cohort: str, counts: Mapping[str, int]) -> Iterator[str]:
    """A sentence for everything that a cohort holds too little of for what the parameters ask of it.

    Args:
        counts: its cases by split.
    """
    grid, least = config.grid, least_images(config.score.neighbours)
    sets: dict[str, tuple[int, int, str]] = {}
    if cohort == grid.train:
        train, most = counts.get("train", 0), max(grid.labels)
        if train < most:
            yield (
                f"grid.labels asks for {most} labelled cases, the train split of '{cohort}' has {train}; lower it, or "
                f"raise cohorts.{cohort}.splits.train"
            )
        unseen = counts.get("val", 0) + counts.get("test", 0)
        change = f"change cohorts.{cohort}.splits"
        sets["in its train split"] = train, max(least, MIN_REAL), change
        sets["in its splits val and test"] = unseen, least, change
    if cohort == grid.foreign:
        sets["in all"] = sum(counts.values()), least, "name another under grid.foreign"
    for name, (held, needed, remedy) in sets.items():
        if held < needed:
            few = f"cohort '{cohort}' has {held} images {name}, {_scores_need(needed, config.score)}"
            yield f"{few}; add images, {remedy}, or lower score.neighbours"


def too_few_patients(config, patients: Mapping[tuple[int, int], int]) -> Iterator[str]:
    """A sentence for every label subset of fewer patients than the folds of the label-budget filter.

    Args:
        patients: of a label subset's cases, by (number of labels, replicate).
    """
    folds = config.filter.folds
    for (n, replicate), count in patients.items():
        if count < folds:
            yield (
                f"filter.folds is {folds}, and the {n} labels of replicate {replicate} are of {count} "
                f"patient{'' if count == 1 else 's'} of cohort '{config.grid.train}'; lower filter.folds, or raise the "
                "least of grid.labels"
            )


def _scores_need(least: int, score) -> str:
    return f"and the scores of a synthetic set need {least} (score.neighbours is {score.neighbours})"
