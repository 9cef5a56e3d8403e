"""Bland-Altman plots, predicted minus true over their mean: of the angle of progression here, panels for all."""

from collections.abc import Callable, Mapping, Sequence

from pipeline.comparison.report.drawing import INK, figure_of, inline_svg
from pipeline.comparison.report.numbers import Display
from pipeline.comparison.report.series import series
from pipeline.comparison.statistics.angles import Agreement, Angles
from pipeline.comparison.statistics.summary import Result
from pipeline.config.arms import Arm
from pipeline.tasks.metrics import METRICS

SYNTHETIC = 2
"""Arms with synthetic data beside the baseline, those with the best mean primary."""


def shown_arms(results: Sequence[Result], baseline: str) -> dict[str, list[str]]:
    """Segmenter → the arms of one cohort that are drawn, at the largest number of labels: the baseline first."""
    most, shown = max(one.labels for one in results), {}
    for segmenter in dict.fromkeys(one.segmenter for one in results):
        own = [one for one in results if (one.segmenter, one.labels) == (segmenter, most)]
        best = sorted((one for one in own if one.synthetic), key=lambda one: -one.better * one.score.mean)[:SYNTHETIC]
        shown[segmenter] = [baseline, *(one.arm for one in own if one in best)]
    return shown


def bland_altman(angles: Sequence[Angles], results: Sequence[Result], baseline: str, arms: Mapping[str, Arm]) -> str:
    """Of one cohort at the largest number of labels, a row of panels per segmenter, as inline SVG.

    Points are cases of the first replicate; the line is the bias over all replicates with its interval over patients as
    a band, dashes are the limits of agreement.
    """
    shown, most = shown_arms(results, baseline), max(one.labels for one in results)
    found = {(one.segmenter, one.arm): one for one in angles if one.labels == most}
    rows, columns = len(shown), max(map(len, shown.values()))
    written = Display(METRICS["aop_deg"]).difference
    with figure_of(1.2 + 3.6 * columns, 0.5 + 2.9 * rows) as figure:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for panels, (segmenter, names) in zip(grid, shown.items(), strict=True):
            for panel, arm in zip(panels, names, strict=False):
                _, colour, marker = series(arms[arm])
                agreement_panel(panel, found[segmenter, arm].agreement, colour, marker, written)
                panel.set_title(f"{segmenter}, " * (rows > 1) + f"{arm}, {most} labels", loc="left")
            for panel in panels[len(names) :]:
                panel.set_visible(False)
            panels[0].set_ylabel("predicted − true, °")
        for panel in grid[-1]:
            panel.set_xlabel("mean of predicted and true AoP, °")
        return inline_svg(figure, angles[0].cohort, "agreement", "Agreement of predicted and true angle of progression")


def agreement_panel(panel, own: Agreement, colour: str, marker: str, written: Callable[[float], str]) -> None:
    """Draw one agreement. ``written``: a difference as text."""
    panel.axhline(0, color=INK, lw=0.8, zorder=1)
    panel.grid(axis="y")
    panel.tick_params(labelbottom=True)
    panel.scatter(own.means, own.differences, s=22, marker=marker, color=colour, alpha=0.55, lw=0, zorder=2)
    if own.bias is None:
        panel.text(0.5, 0.5, "nothing could be measured", transform=panel.transAxes, ha="center", color=INK)
        return
    if own.patients:
        panel.axhspan(own.patients.low, own.patients.high, color=colour, alpha=0.2, lw=0, zorder=1)
    lines = [(own.bias, "-"), *((limit, (0, (5, 3))) for limit in own.limits or ())]
    beside = panel.get_yaxis_transform()
    for value, style in lines:
        panel.axhline(value, color=colour, lw=1.5, ls=style, zorder=3)
        panel.text(1.01, value, written(value), transform=beside, ha="left", va="center", color=INK, fontsize=9)
