"""The dataset card of a scored set: the card that sampling wrote, with the answers and the numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import yaml

from pipeline.data.card import dataset_card
from pipeline.quality.measures import QUESTIONS, Measure, short

HEADING = "## What it is worth"


def set_card(index: dict, verdicts: Mapping[str, Mapping[str, str]], measures: Sequence[Measure]) -> str:
    """Markdown text with YAML front matter, from the content of ``dataset.json``, the verdicts and the measures.

    The front matter holds the words under ``verdicts`` and the records of the measures under ``measures``.
    """
    _, front, body = dataset_card(index).split("---\n", 2)
    keys = yaml.safe_load(front) | {
        "verdicts": {question: answer["word"] for question, answer in verdicts.items()},
        "measures": [
            {key: value for key, value in asdict(measure).items() if value is not None} for measure in measures
        ],
    }
    lines = [HEADING, ""]
    for question, answer in verdicts.items():
        lines.append(f"- **{QUESTIONS[question]}** {answer['word'].capitalize()}. {answer['text']}")
    lines += [
        "",
        "Each number stands between the best that could be expected and a worst reference; intervals are 95 % over "
        "images. Mask agreement saturates and never says that images look real.",
        "",
        "| measure | value | interval | best | worst reference | n |",
        "|---|---|---|---|---|---|",
        *(_row(measure) for measure in measures),
        "",
    ]
    return (
        "---\n" + yaml.safe_dump(keys, sort_keys=False, allow_unicode=True) + "---\n" + body + "\n" + "\n".join(lines)
    )


def _row(measure: Measure) -> str:
    view = f" ({measure.view})" if measure.view else ""
    interval = "" if measure.low is None else f"{short(measure.low)} to {short(measure.high)}"
    best, worst = (
        "" if value is None else f"{short(value)}, {what}"
        for value, what in ((measure.best, measure.best_is), (measure.worst, measure.worst_is))
    )
    return f"| {measure.title}{view} | {short(measure.value)} | {interval} | {best} | {worst} | {measure.n} |"
