"""The card of a synthetic dataset: a README with YAML front matter, as Hugging Face reads it."""

import json
from pathlib import Path

from pipeline.data.structures import from_json, legend, names

_RULES = {
    "mask_agreement": "networks trained on the same labels agree with its mask (Dice of at least {:.3f})",
    "plausibility": "it lies near those labels in the networks' features (at most {:.3f} standard deviations)",
    "training_distance": "it lies off every image the generator was shown (at least {:.3f})",
}
_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


def dataset_card(index: dict) -> str:
    """Markdown text of a card, from the content of ``dataset.json``."""
    from jinja2 import Template

    structures, made_from = from_json(index["structures"]), index["provenance"]
    count = sum(index["counts"].values())
    limits = (made_from.get("curated") or {}).get("thresholds", {})
    text = (Path(__file__).parent / "card.md.j2").read_text()
    template = Template(text, trim_blocks=True, keep_trailing_newline=True)
    return template.render(
        title=f"Synthetic {', '.join(names(structures))} ultrasound, made from {made_from.get('cohort')}",
        count=count,
        size=next((name for bound, name in _SIZES.items() if count < bound), "n>1M"),
        legend=legend(structures),
        labels=len(index["labels"]),
        made_from=made_from,
        rules=[_RULES[name].format(limit) for name, limit in limits.items() if limit is not None],
        sample=json.dumps(made_from.get("sample", {}), indent=2),
    )
