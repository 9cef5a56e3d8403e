"""What the report says of gestational age: tables of models, a Bland-Altman plot, and what each model goes by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pipeline.comparison.records import read_record
from pipeline.comparison.report.agreement import agreement_panel
from pipeline.comparison.report.drawing import figure_of, inline_svg
from pipeline.comparison.report.numbers import fixed
from pipeline.comparison.report.series import BLUE, GREY
from pipeline.comparison.statistics.age_comparison import AgeComparison, AgeResult
from pipeline.comparison.statistics.estimates import mean_of_known
from pipeline.run.cells import cell_name

TASKS = {
    "baseline": "reads no image",
    "measured": "measured: circumference in mm, through the formula",
    "no_pixel_size": "no pixel size: image and predicted mask",
    "image_only": "image only",
}
"""In words, in the order in which less and less is given."""
KEYS = ("task", "labels", "extra", "val_labels", "val_mae_days", "interval_factor", "importance")
COLUMNS = 3


@dataclass(frozen=True)
class Fit:
    """What the fits of a model, number of labels and arm wrote, one record a replicate."""

    model: str
    labels: int
    arm: str
    records: tuple[dict, ...]

    @property
    def task(self) -> str:
        return self.records[0]["task"]

    def mean(self, key: str) -> float | None:
        return mean_of_known([record[key] for record in self.records])

    @property
    def importance(self) -> dict[str, float]:
        """Feature class → mean increase of the error on val in days when it is exchanged, the largest first."""
        found: dict[str, list[float]] = {}
        for record in self.records:
            for one in record["importance"]:
                found.setdefault(one["group"], []).append(one["increase_days"])
        means = {group: sum(values) / len(self.records) for group, values in found.items()}
        return dict(sorted(means.items(), key=lambda pair: -pair[1]))


def load_fits(folder: Path, grid, age) -> dict[tuple[str, int, str], Fit]:
    """(model, labels, arm) → what was written when it was fitted.

    Raises:
        InputError: a cell's file is missing or of another version of the code.
    """
    found = {}
    for model, labels, arm in product(age.models, grid.labels, age.arms):
        paths = [folder / f"{cell_name(model, labels, one, arm)}.json" for one in grid.replicates]
        records = tuple(read_record(path, "run `dvc repro fit_age`", *KEYS) for path in paths)
        found[model, labels, arm] = Fit(model, labels, arm, records)
    return found


def days(value: float) -> str:
    """A difference in days with its sign."""
    text = f"{abs(value):.1f}"
    return text if float(text) == 0 else ("−" if value < 0 else "+") + text


def age_plots(comparison: AgeComparison, fits: Mapping[tuple[str, int, str], Fit], baseline: str) -> dict[str, str]:
    """Cohort → the Bland-Altman plot of every model that reads images, on the baseline arm at the most labels."""
    drawn = {}
    for cohort in dict.fromkeys(one.cohort for one in comparison.results):
        own = [one for one in comparison.results if one.cohort == cohort and one.arm == baseline]
        most = max(one.labels for one in own)
        own = [one for one in own if one.labels == most]
        shown = [one for one in own if fits[one.model, one.labels, one.arm].task != "baseline"] or own
        drawn[cohort] = _plot(cohort, shown)
    return drawn


def _plot(cohort: str, results: Sequence[AgeResult]) -> str:
    columns = min(COLUMNS, len(results))
    rows = -(-len(results) // columns)
    with figure_of(1.2 + 3.6 * columns, 0.5 + 2.9 * rows) as figure:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        panels = list(grid.flat)
        for panel, one in zip(panels, results, strict=False):
            agreement_panel(panel, one.summary.agreement, BLUE if one.summary.agreement.n else GREY, "o", days)
            panel.set_title(f"{one.model}, {one.labels} labels", loc="left")
        for panel in panels[len(results) :]:
            panel.set_visible(False)
        for line in grid:
            line[0].set_ylabel("estimated − true, days")
        for panel in grid[-1]:
            panel.set_xlabel("mean of estimated and true, days")
        return inline_svg(figure, cohort, "ages", "Agreement of estimated and true age")


def groups(fits: Mapping[tuple[str, int, str], Fit], labels: int, baseline: str) -> tuple[list[Fit], list[str]]:
    """The fits of the baseline arm at so many labels that tell importances, and all feature classes they name."""
    own = [one for (_, n, arm), one in fits.items() if (n, arm) == (labels, baseline) and one.importance]
    return own, sorted({group for one in own for group in one.importance})


def in_days(value: float | None) -> str:
    return fixed(value, 1)
