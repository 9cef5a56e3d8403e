"""Figures in the report's style, as inline SVG whose bytes repeat."""

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INK = "#33414b"
STYLE = Path(__file__).with_name("charts.mplstyle")


@contextmanager
def figure_of(width: float, height: float) -> Iterator:
    """A figure of that size in inches, to be drawn and saved in the report's style."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(fname=STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def inline_svg(figure, cohort: str, kind: str, title: str) -> str:
    """Inline SVG with ids of its own, an accessible name, and nothing that points outside the page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    text = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{kind}-{cohort}-", text)
    text = re.sub(r'(width|height)="[\d.]+pt"', "", text, count=2)
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', text).group(1))
    name = html.escape(f"{title}, cohort {cohort}")
    return text.replace("<svg", f'<svg role="img" aria-label="{name}" style="max-width:{width * 1.4:.0f}px"', 1)
