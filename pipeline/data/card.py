"""The cards of datasets: a README; that of a synthetic one with YAML front matter, as Hugging Face reads it."""

import json
from collections import Counter
from pathlib import Path

from pipeline.data.ages import in_words
from pipeline.data.structures import from_json, legend, names

_RULES = {
    "mask_agreement": "networks trained on the same labels agree with its mask (Dice of at least {})",
    "plausibility": "it lies near those labels in the networks' features (at most {} standard deviations)",
    "training_distance": "it lies off every image the generator was shown (at least {})",
}
_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


def dataset_card(index: dict) -> str:
    """Markdown text of a card, from the content of ``dataset.json``."""
    structures, made_from = from_json(index["structures"]), index["provenance"]
    count = sum(index["counts"].values())
    limits = (made_from.get("curated") or {}).get("thresholds", {})
    return _template("card.md.j2").render(
        title=f"Synthetic {', '.join(names(structures))} ultrasound, made from {made_from.get('cohort')}",
        count=count,
        size=next((name for bound, name in _SIZES.items() if count < bound), "n>1M"),
        legend=legend(structures),
        labels=len(index["labels"]),
        made_from=made_from,
        rules=[_RULES[name].format(_in_words(limit)) for name, limit in limits.items() if limit is not None],
        sample=json.dumps(made_from.get("sample", {}), indent=2),
    )


def _in_words(limit: float | list[float]) -> str:
    """A threshold, or those of several structures in class order."""
    return " and ".join(f"{one:.3f}" for one in (limit if isinstance(limit, list) else [limit]))


def cohort_card(index: dict) -> str:
    """Markdown text of the card of a prepared cohort, from the content of ``dataset.json``."""
    sizes = sorted(Counter(map(len, index["source"]["near"]["groups"])).items())
    structures, total = legend(from_json(index["structures"])), sum(index["counts"].values())
    ages = [f"{count} {in_words(source)}" for source, count in index["source"].get("ages", {}).items()]
    return _template("cohort_card.md.j2").render(**index, total=total, legend=structures, sizes=sizes, ages=ages)


def _template(name: str):
    from jinja2 import Template

    text = (Path(__file__).parent / name).read_text()
    return Template(text, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
