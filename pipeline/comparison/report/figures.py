"""Charts of the report as inline SVG whose bytes repeat."""

import html
import io
import re
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.comparison.statistics.summary import Result
from pipeline.config.arms import Arm

_BLUE, _SKY, _ORANGE, _RED, _GREY, _GREEN = "#0b6fa4", "#56a8d8", "#d98200", "#b5403a", "#5b6770", "#3a7d44"
_VIOLET, _TEAL, _BROWN, _OLIVE, _PLUM = "#7b4fa3", "#11807c", "#8a5a2b", "#737a12", "#a0307a"
KINDS = {"copy_paste": "copy-paste", "repeated": "real again"}
"""Words for the kinds of extra cases whose names are not words."""

CONTROLS = {
    "warped": ("control: warped real", _ORANGE, "s"),
    "copy_paste": ("control: copy-paste", _BROWN, "^"),
    "rendered": ("control: rendered", _OLIVE, "<"),
    "repeated": ("control: real again", _GREY, "d"),
}
"""Series of the kinds made without a generator."""

_STYLE = {
    "svg.hashsalt": "fetal-head",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa5ad",
    "axes.labelcolor": "#33414b",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "xtick.color": "#55636d",
    "ytick.color": "#55636d",
    "grid.color": "#e6eaed",
    "legend.frameon": False,
}


def describe(spec: Arm) -> str:
    """An arm in a few words: ``synthetic ×4, curated``."""
    strong, chosen = spec.augment == "strong", ", weights chosen on val" * spec.validated
    if spec.extra == "none":
        return "real only" + ", strongly augmented" * strong + chosen
    words = f"{KINDS.get(spec.extra, spec.extra)} ×{spec.ratio:g}"
    if spec.real < 1:
        words += f", {spec.real:.0%} of the real ones" if spec.real else ", no real ones"
    words += ", curated" * spec.curated + ", shuffled masks" * spec.shuffled + ", strongly augmented" * strong
    words += ", generator of more labels" * spec.generous
    words += f", {spec.pretrain:.0%} of the steps before the real ones" * bool(spec.pretrain)
    return words + chosen


def series(spec: Arm) -> tuple[str, str, str]:
    """Name, colour and marker of the series an arm belongs to."""
    if spec.extra == "none":
        return ("real only, strongly augmented", _GREEN, "P") if spec.augment == "strong" else ("real only", _GREY, "o")
    if spec.extra in CONTROLS:
        return CONTROLS[spec.extra]
    if spec.shuffled:
        return "control: shuffled masks", _RED, "X"
    if spec.generous:
        return "synthetic, generator of more labels", _VIOLET, "v"
    if spec.augment == "strong":
        return "synthetic, strongly augmented", _GREEN, "h"
    if spec.pretrain:
        return "synthetic before real", _PLUM, ">"
    if spec.real < 1:
        return ("synthetic, fewer real", _TEAL, "p") if spec.real else ("synthetic alone", _TEAL, "*")
    return ("synthetic, curated", _BLUE, "o") if spec.curated else ("synthetic", _SKY, "D")


def legend(arms: Iterable[Arm]) -> list[tuple[str, str, str]]:
    """(name, colour, sign) of every series the arms belong to, in their order."""
    signs = {
        "o": "●",
        "s": "■",
        "X": "✖",
        "D": "◆",
        "P": "✚",
        "v": "▼",
        "p": "⬟",
        "*": "★",
        "^": "▲",
        "<": "◀",
        ">": "▶",
        "h": "⬢",
        "d": "♦",
    }
    return [(name, colour, signs[marker]) for name, colour, marker in dict.fromkeys(map(series, arms))]


_COLUMNS = 3
"""Panels side by side in a chart: more would be too small to read."""


def dice_against_ratio(results: Sequence[Result], baseline: str, name: str, title: str) -> str:
    """Mean Dice of one cohort's arms over the ratio, one panel per segmenter and number of labels, as inline SVG.

    Bars are the intervals over patients, small dots the replicates; controls stand beside the line of synthetic arms.
    The axis is made for the other arms: where the shuffled control lies beyond it, its number stands at the edge.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shown = list(dict.fromkeys((one.segmenter, one.labels) for one in results))
    several, columns = _several(results), min(_COLUMNS, len(shown))
    rows, limits = -(-len(shown) // columns), _dice_limits(results)
    with rc_context(_STYLE):
        figure = Figure(figsize=(1.7 + 3.4 * columns, 3.3 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for panel, (segmenter, labels) in zip(grid.flat, shown, strict=False):
            own = [one for one in results if (one.segmenter, one.labels) == (segmenter, labels)]
            _ratio_panel(panel, own, baseline, limits)
            panel.set_title(f"{segmenter}, " * several + f"{labels} labelled cases", loc="left")
            panel.set_xlabel("extra cases per real case (ratio)")
        for panel in grid.flat[len(shown) :]:
            panel.remove()
        for panel in grid[:, 0]:
            panel.set_ylabel("mean Dice (%)")
        grid[0, 0].set_ylim(*limits)
        return _svg(figure, name, title)


def _several(results: Sequence[Result]) -> bool:
    """Whether the results are of more than one segmenter, which then has to be named."""
    return len({one.segmenter for one in results}) > 1


def _ratio_panel(panel, results: Sequence[Result], baseline: str, axis: tuple[float, float]) -> None:
    groups: dict[tuple, list[Result]] = {}
    for one in results:
        groups.setdefault(series(one.spec), []).append(one)
    step = 0.045 * max(1.0, *(one.spec.ratio for one in results))
    beside = _beside_each_other([one for members in groups.values() for one in members], step)
    (base,), (low, high) = (one for one in results if one.arm == baseline), axis
    for (_, colour, marker), members in groups.items():
        for one in members:
            mean = 100 * one.dice.mean
            if not low <= mean <= high:
                sign, edge, side = ("▼", low, "bottom") if mean < low else ("▲", high, "top")
                panel.text(beside[one.arm], edge, f"{sign} {mean:.1f}", color=colour, ha="center", va=side)
        members = [one for one in members if low <= 100 * one.dice.mean <= high]
        members.sort(key=lambda one: one.spec.ratio)
        xs = [beside[one.arm] for one in members]
        ys = [100 * one.dice.mean for one in members]
        limits = [one.dice.patients for one in members]
        bars = [
            [100 * (one.dice.mean - limit.low) if limit else 0 for one, limit in zip(members, limits, strict=True)],
            [100 * (limit.high - one.dice.mean) if limit else 0 for one, limit in zip(members, limits, strict=True)],
        ]
        bars = np.maximum(bars, 0)
        panel.errorbar(xs, ys, bars, fmt=marker, color=colour, ms=6, lw=1.4, capsize=3, zorder=3)
        if members and base.spec.extra == "none" and all(one.asked and one.spec.real == 1 for one in members):
            panel.plot([beside[baseline], *xs], [100 * base.dice.mean, *ys], color=colour, lw=1.6, zorder=2)
        for x, one in zip(xs, members, strict=True):
            if len(one.dice_of_replicates) > 1:
                points = 100 * np.array(one.dice_of_replicates)
                panel.scatter(np.full(len(points), x + step / 2), points, s=8, color=colour, alpha=0.55, lw=0, zorder=4)
    panel.axhline(100 * base.dice.mean, color=_GREY, lw=0.9, ls=(0, (4, 3)), zorder=1)
    panel.grid(axis="y")
    panel.set_axisbelow(True)
    panel.set_xticks(sorted({one.spec.ratio for one in results}))
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.margins(x=0.12)


def _beside_each_other(results: Sequence[Result], step: float) -> dict[str, float]:
    """x of every arm: its ratio, and arms of one ratio side by side, for they would hide each other's bars."""
    of_ratio: dict[float, list[str]] = {}
    for one in results:
        of_ratio.setdefault(one.spec.ratio, []).append(one.arm)
    return {
        arm: ratio + step * (place - (len(arms) - 1) / 2)
        for ratio, arms in of_ratio.items()
        for place, arm in enumerate(arms)
    }


def _dice_limits(results: Sequence[Result]) -> tuple[float, float]:
    """Axis limits in percent that hold every mean, replicate and bar but the shuffled control's."""
    shown = [one for one in results if not one.spec.shuffled]
    values = [value for one in shown for value in (one.dice.mean, *one.dice_of_replicates)]
    bars = [one.dice.patients for one in shown if one.dice.patients]
    values += [value for bar in bars for value in (bar.low, bar.high)]
    margin = max(0.08 * (max(values) - min(values)), 0.002)
    return 100 * (min(values) - margin), 100 * (max(values) + margin)


def differences(results: Sequence[Result], name: str, title: str) -> str:
    """Paired differences of one cohort's arms from the baseline as a forest plot, inline SVG.

    The thick bar is the interval over patients, the thin one over replicates. The axis is made for the other arms:
    where the shuffled control lies beyond it, its number stands at the edge.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows, several = [one for one in results if one.difference is not None], _several(results)
    with rc_context(_STYLE):
        figure = Figure(figsize=(5.1, 1.15 + 0.34 * len(rows)), layout="constrained")
        panel = figure.subplots()
        low, high = _difference_limits(rows)
        panel.set_xlim(low, high)
        for y, one in enumerate(rows):
            _, colour, marker = series(one.spec)
            mean = 100 * one.difference.mean
            if not low < mean < high:
                text, side = (f"◀ {mean:.1f}", "left") if mean < low else (f"{mean:.1f} ▶", "right")
                panel.text(low if mean < low else high, y, text.replace("-", "−"), color=colour, ha=side, va="center")
                continue
            for interval, width, alpha in ((one.difference.replicates, 1.3, 1), (one.difference.patients, 6, 0.35)):
                if interval is not None:
                    panel.plot([100 * interval.low, 100 * interval.high], [y, y], color=colour, lw=width, alpha=alpha)
            panel.plot(mean, y, marker=marker, color=colour, ms=6, zorder=3)
        panel.axvline(0, color="#33414b", lw=1)
        panel.set_yticks(
            range(len(rows)), [f"{one.segmenter} · " * several + f"{one.arm} · {one.labels}" for one in rows]
        )
        panel.set_ylim(len(rows) - 0.5, -0.5)
        panel.tick_params(axis="y", length=0)
        panel.set_xlabel("difference in Dice, points")
        panel.grid(axis="x")
        panel.set_axisbelow(True)
        return _svg(figure, name, title)


def _difference_limits(results: Sequence[Result]) -> tuple[float, float]:
    """Axis limits in points that hold zero and every interval; the shuffled control counts only when it is alone."""
    shown = [one.difference for one in results if not one.spec.shuffled] or [one.difference for one in results]
    intervals = [interval for one in shown for interval in (one.patients, one.replicates) if interval]
    values = [0.0, *(one.mean for one in shown), *(limit for one in intervals for limit in (one.low, one.high))]
    margin = max(0.12 * (max(values) - min(values)), 0.002)
    return 100 * (min(values) - margin), 100 * (max(values) + margin)


def learning_curves(results: Sequence[Result], baseline: str, name: str, title: str) -> str:
    """Mean Dice of one cohort's arms over the number of labels, one panel per segmenter, as inline SVG.

    The baseline with its interval over patients (and replicates, where there are several) as a band, and the arms with
    synthetic data; of more than ``_CURVES`` those with the highest means.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    segmenters = list(dict.fromkeys(one.segmenter for one in results))
    with rc_context(_STYLE):
        figure = Figure(figsize=(1.7 + 3.6 * len(segmenters), 3.5), layout="constrained")
        panels = figure.subplots(1, len(segmenters), sharey=True, squeeze=False)[0]
        for panel, segmenter in zip(panels, segmenters, strict=True):
            _curves_panel(panel, [one for one in results if one.segmenter == segmenter], baseline)
            panel.set_title(segmenter if len(segmenters) > 1 else "", loc="left")
        panels[0].set_ylabel("mean Dice (%)")
        return _svg(figure, name, title)


_CURVES = 5
_DASHES = ("-", (0, (5, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)), (0, (1, 1)))


def _curves_panel(panel, results: Sequence[Result], baseline: str) -> None:
    arms: dict[str, list[Result]] = {}
    for one in sorted(results, key=lambda one: one.labels):
        if one.synthetic or one.arm == baseline:
            arms.setdefault(one.arm, []).append(one)
    others = [arm for arm in arms if arm != baseline]
    best = sorted(others, key=lambda arm: -np.mean([one.dice.mean for one in arms[arm]]))[:_CURVES]
    for place, arm in enumerate([baseline, *(arm for arm in others if arm in best)]):
        _, colour, marker = series(arms[arm][0].spec)
        xs, ys = [one.labels for one in arms[arm]], [100 * one.dice.mean for one in arms[arm]]
        style = _DASHES[place % len(_DASHES)]
        panel.plot(xs, ys, ls=style, color=colour, marker=marker, ms=5, lw=1.6, label=arm, zorder=3)
        limits = [one.dice.both or one.dice.patients for one in arms[arm]]
        if arm == baseline and all(limits):
            low, high = ([100 * getattr(limit, end) for limit in limits] for end in ("low", "high"))
            panel.fill_between(xs, low, high, color=colour, alpha=0.15, lw=0, zorder=1)
    labels = sorted({one.labels for one in results})
    panel.set_xscale("log")
    panel.set_xticks(labels, [str(n) for n in labels])
    panel.minorticks_off()
    panel.set_xlabel("labelled cases")
    panel.grid(axis="y")
    panel.set_axisbelow(True)
    panel.legend(loc="best", fontsize=8)


def _svg(figure, name: str, title: str) -> str:
    """Inline SVG with ids of its own, an accessible name, and nothing that points outside the page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    text = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r'width="[\d.]+pt"', "", re.sub(r'height="[\d.]+pt"', "", text, count=1), count=1)
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', text).group(1))
    return text.replace(
        "<svg", f'<svg role="img" aria-label="{html.escape(title)}" style="max-width:{width * 1.4:.0f}px"', 1
    )
