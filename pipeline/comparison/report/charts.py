"""Charts of the report as inline SVG whose bytes repeat."""

from collections.abc import Sequence

import numpy as np

from pipeline.comparison.report.drawing import INK, figure_of, inline_svg
from pipeline.comparison.report.numbers import Display
from pipeline.comparison.report.series import GREY, series
from pipeline.comparison.statistics.summary import Result
from pipeline.tasks.metrics import Metric

_COLUMNS = 3
"""Panels side by side in a chart: more would be too small to read."""
_CURVES = 5
_DASHES = ("-", (0, (5, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)), (0, (1, 1)))


def charts_of(results: Sequence[Result], baseline: str) -> dict[str, str]:
    """The SVG charts of one cohort: ratio; difference where there is any; curve from two numbers of labels."""
    charts = {"ratio": score_against_ratio(results, baseline)}
    if any(one.difference for one in results):
        charts["difference"] = differences(results, baseline)
    if len({one.labels for one in results}) > 1:
        charts["curve"] = learning_curves(results, baseline)
    return charts


def score_against_ratio(results: Sequence[Result], baseline: str) -> str:
    """Mean score of one cohort's arms over the ratio, one panel per segmenter and number of labels, as inline SVG.

    Bars are the intervals over patients, small dots the replicates; controls stand beside the line of synthetic arms.
    The axis is made for the other arms: where the shuffled control lies beyond it, its number stands at the edge.
    """
    panels: dict[tuple[str, int], list[Result]] = {}
    for one in results:
        panels.setdefault((one.segmenter, one.labels), []).append(one)
    columns, metric = min(_COLUMNS, len(panels)), results[0].metric
    others = [one for one in results if not one.spec.shuffled]
    values = [value for one in others for value in (one.score.mean, *one.of_replicates)]
    limits = _limits(values, [one.score.patients for one in others], 0.08, metric)
    rows = -(-len(panels) // columns)
    with figure_of(1.7 + 3.4 * columns, 3.3 * rows) as figure:
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        grid[0, 0].set_ylim(*limits)
        for panel, ((segmenter, labels), own) in zip(grid.flat, panels.items(), strict=False):
            _ratio_panel(panel, own, baseline, limits)
            panel.set_title(f"{segmenter}, " * _several(results) + f"{labels} labelled cases", loc="left")
            panel.set_xlabel("extra cases per labelled case (ratio)")
        for panel in grid.flat[len(panels) :]:
            panel.remove()
        for panel in grid[:, 0]:
            panel.set_ylabel(_axis_title(metric))
        return inline_svg(figure, results[0].cohort, "ratio", f"Mean {metric.title} against ratio")


def _several(results: Sequence[Result]) -> bool:
    """Whether the results are of more than one segmenter, which then has to be named."""
    return len({one.segmenter for one in results}) > 1


def _axis_title(metric: Metric) -> str:
    return f"mean {Display(metric).heading}" + "\nlower is better" * (metric.better == "lower")


def _limits(values: Sequence[float], intervals: Sequence, share: float, metric: Metric) -> tuple[float, float]:
    """Axis limits, in the unit shown, that hold every value and interval and a margin, a share of their range."""
    ends = [*values, *(end for one in intervals if one for end in (one.low, one.high))]
    low, high = metric.factor * min(ends), metric.factor * max(ends)
    # At least two units of the last digit shown.
    margin = max(share * (high - low), 2 * 10**-metric.digits)
    return low - margin, high + margin


def _ratio_panel(panel, results: Sequence[Result], baseline: str, axis: tuple[float, float]) -> None:
    display, factor = Display(results[0].metric), results[0].metric.factor
    step = 0.045 * max(1.0, *(one.spec.ratio for one in results))
    beside = _beside_each_other(results, step)
    base, (low, high) = next(one for one in results if one.arm == baseline), axis
    lines: dict[str, list[tuple[float, float]]] = {}
    for one in sorted(results, key=lambda one: one.spec.ratio):
        _, colour, marker = series(one.spec)
        x, y = beside[one.arm], factor * one.score.mean
        if not low <= y <= high:
            sign, edge, side = ("▼", low, "bottom") if y < low else ("▲", high, "top")
            panel.text(x, edge, f"{sign} {display.value(one.score.mean)}", color=colour, ha="center", va=side)
            continue
        panel.plot(x, y, marker, color=colour, ms=6, zorder=3)
        if limits := one.score.patients:
            panel.vlines(x, factor * limits.low, factor * limits.high, color=colour, lw=1.4, zorder=3)
        if len(one.of_replicates) > 1:
            dots = factor * np.array(one.of_replicates)
            panel.scatter(np.full(len(dots), x + step / 2), dots, s=8, color=colour, alpha=0.55, lw=0, zorder=4)
        if one.asked and base.spec.extra == "none":
            lines.setdefault(colour, [(beside[baseline], factor * base.score.mean)]).append((x, y))
    for colour, points in lines.items():
        panel.plot(*zip(*points, strict=True), color=colour, lw=1.6, zorder=2)
    panel.axhline(factor * base.score.mean, color=GREY, lw=0.9, ls=(0, (4, 3)), zorder=1)
    panel.grid(axis="y")
    panel.set_xticks(sorted({one.spec.ratio for one in results}))
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.margins(x=0.12)


def _beside_each_other(results: Sequence[Result], step: float) -> dict[str, float]:
    """x of every arm: its ratio, and arms of one ratio side by side, for they would hide each other's bars."""
    places = {}
    for ratio in {one.spec.ratio for one in results}:
        arms = [one.arm for one in results if one.spec.ratio == ratio]
        places |= {arm: ratio + step * (place - (len(arms) - 1) / 2) for place, arm in enumerate(arms)}
    return places


def differences(results: Sequence[Result], baseline: str) -> str:
    """Paired differences of one cohort's arms from the baseline as a forest plot, inline SVG.

    The thick bar is the interval over patients, the thin one over replicates. The axis is made for the other arms:
    where the shuffled control lies beyond it, its number stands at the edge.
    """
    rows, metric = [one for one in results if one.difference is not None], results[0].metric
    display, factor = Display(metric), metric.factor
    # The shuffled control counts only when it is alone.
    shown = [one.difference for one in rows if not one.spec.shuffled] or [one.difference for one in rows]
    intervals = [interval for one in shown for interval in (one.patients, one.replicates)]
    low, high = _limits([0.0, *(one.mean for one in shown)], intervals, 0.12, metric)
    with figure_of(5.1, 1.15 + 0.34 * len(rows)) as figure:
        panel = figure.subplots()
        panel.set_xlim(low, high)
        for y, one in enumerate(rows):
            _, colour, marker = series(one.spec)
            mean, text = factor * one.difference.mean, display.difference(one.difference.mean)
            if not low < mean < high:
                text, edge, side = (f"◀ {text}", low, "left") if mean < low else (f"{text} ▶", high, "right")
                panel.text(edge, y, text, color=colour, ha=side, va="center")
                continue
            for limits, width, alpha in ((one.difference.replicates, 1.3, 1), (one.difference.patients, 6, 0.35)):
                if limits:
                    panel.hlines(y, factor * limits.low, factor * limits.high, color=colour, lw=width, alpha=alpha)
            panel.plot(mean, y, marker, color=colour, ms=6, zorder=3)
        names = [f"{one.segmenter} · " * _several(results) + f"{one.arm} · {one.labels}" for one in rows]
        panel.axvline(0, color=INK, lw=1)
        panel.set_yticks(range(len(rows)), names)
        panel.set_ylim(len(rows) - 0.5, -0.5)
        panel.tick_params(axis="y", length=0)
        lower = f", {display.better_side}" * (metric.better == "lower")
        panel.set_xlabel(f"difference in {metric.title}, {display.unit_of_differences}".rstrip(", ") + lower)
        panel.grid(axis="x")
        return inline_svg(figure, results[0].cohort, "difference", f"{metric.title} differences from {baseline}")


def learning_curves(results: Sequence[Result], baseline: str) -> str:
    """Mean score of one cohort's arms over the number of labels, one panel per segmenter, as inline SVG.

    The baseline with its interval over patients (and replicates, where there are several) as a band, and the arms with
    synthetic data or unlabelled images; of more than ``_CURVES`` those with the best means, of each kind one at first.
    """
    metric, segmenters = results[0].metric, list(dict.fromkeys(one.segmenter for one in results))
    with figure_of(1.7 + 3.6 * len(segmenters), 3.5) as figure:
        panels = figure.subplots(1, len(segmenters), sharey=True, squeeze=False)[0]
        for panel, segmenter in zip(panels, segmenters, strict=True):
            _curves_panel(panel, [one for one in results if one.segmenter == segmenter], baseline)
            panel.set_title(segmenter * _several(results), loc="left")
        panels[0].set_ylabel(_axis_title(metric))
        return inline_svg(figure, results[0].cohort, "curve", f"{metric.title} over number of labels")


def _curves_panel(panel, results: Sequence[Result], baseline: str) -> None:
    factor, arms = results[0].metric.factor, {}
    for one in sorted(results, key=lambda one: one.labels):
        if one.synthetic or one.spec.unlabelled or one.arm == baseline:
            arms.setdefault(one.arm, []).append(one)
    others = [arm for arm in arms if arm != baseline]
    best = sorted(others, key=lambda arm: -np.mean([one.better * one.score.mean for one in arms[arm]]))
    # The best of each kind before the second best of any, and what is asked before all.
    kinds = {arm: series(arms[arm][0].spec) for arm in best}
    first = {kind: arm for arm, kind in reversed(kinds.items())}
    best = sorted(best, key=lambda arm: (first[kinds[arm]] != arm, not arms[arm][0].asked))[:_CURVES]
    for place, arm in enumerate([baseline, *(arm for arm in others if arm in best)]):
        _, colour, marker = series(arms[arm][0].spec)
        xs, ys = [one.labels for one in arms[arm]], [factor * one.score.mean for one in arms[arm]]
        style = _DASHES[place % len(_DASHES)]
        panel.plot(xs, ys, ls=style, color=colour, marker=marker, ms=5, lw=1.6, label=arm, zorder=3)
        limits = [one.score.both or one.score.patients for one in arms[arm]]
        if arm == baseline and all(limits):
            low, high = ([factor * getattr(limit, end) for limit in limits] for end in ("low", "high"))
            panel.fill_between(xs, low, high, color=colour, alpha=0.15, lw=0, zorder=1)
    labels = sorted({one.labels for one in results})
    panel.set_xscale("log")
    panel.set_xticks(labels, [str(n) for n in labels])
    panel.minorticks_off()
    panel.set_xlabel("labelled cases")
    panel.grid(axis="y")
    panel.legend(loc="best", fontsize=8)
