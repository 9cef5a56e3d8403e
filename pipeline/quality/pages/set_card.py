"""The dataset card of a scored set: the card that sampling wrote, with the answers and the numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import yaml

from pipeline.data.card import dataset_card
from pipeline.quality.measures import QUESTIONS, Measure
from pipeline.quality.pages.templates import environment


def set_card(index: dict, verdicts: Mapping[str, Mapping[str, str]], measures: Sequence[Measure]) -> str:
    """Markdown text with YAML front matter, from the content of ``dataset.json``, the verdicts and the measures.

    The front matter holds the words under ``verdicts`` and the records of the measures under ``measures``.
    """
    _, front, body = dataset_card(index).split("---\n", 2)
    keys = yaml.safe_load(front) | {
        "verdicts": {question: answer["word"] for question, answer in verdicts.items()},
        "measures": [{key: value for key, value in asdict(one).items() if value is not None} for one in measures],
    }
    front = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True)
    template = environment("pipeline.quality.pages").get_template("set_card.md.j2")
    return template.render(front=front, body=body, questions=QUESTIONS, verdicts=verdicts, measures=measures)
