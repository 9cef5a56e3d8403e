"""The card of a synthetic dataset: a README with YAML front matter, as Hugging Face reads it."""

import json

import yaml


def dataset_card(index: dict) -> str:
    """Markdown text of a card, from the content of ``dataset.json``."""
    count = sum(index["counts"].values())
    made_from = index["provenance"]
    front = {
        "pretty_name": f"Synthetic {', '.join(index['classes'][1:])} ultrasound, made from {made_from.get('cohort')}",
        "license": "other",
        "license_name": "that-of-the-training-cohort",
        "task_categories": ["image-segmentation"],
        "tags": ["medical", "ultrasound", "synthetic", "diffusion"],
        "size_categories": [_size_category(count)],
        "configs": [{"config_name": "default", "data_files": "part-*.parquet"}],
    }
    curated = made_from.get("curated")
    lines = [
        f"# {front['pretty_name']}",
        "",
        f"{count} pairs of an image and its mask, made by a diffusion model. Generated images may resemble "
        "those it was trained on (see the distance to training images), and are not meant for diagnosis.",
        "",
        f"- Masks: class indices, {', '.join(f'{i} {name}' for i, name in enumerate(index['classes']))}.",
        f"- The generator saw {len(index['labels'])} labelled images of the cohort {made_from.get('cohort')}"
        + (f" and {n} unlabelled ones" if (n := made_from.get("unlabelled")) else "")
        + (f", and {n} more labels to select its weights" if (n := made_from.get("selected_on")) else "")
        + ". Their ids are in `dataset.json` under `labels`.",
        "- Columns: see the contract in the project's `data/README.md`; `parent` is the case whose mask was changed.",
        "- Whoever shares these images keeps to the licence of that cohort and cites it.",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'pairs = load_dataset("parquet", data_files="<this folder>/part-*.parquet", split="train")',
        "```",
        "",
    ]
    if curated:
        lines += [_curation(curated), ""]
    lines += ["Sampled with:", "", "```json", json.dumps(made_from.get("sample", {}), indent=2), "```", ""]
    return "---\n" + yaml.safe_dump(front, sort_keys=False) + "---\n\n" + "\n".join(lines)


def _curation(curated: dict) -> str:
    limits = curated["thresholds"]
    words = {
        "mask_agreement": "networks trained on the same labels agree with its mask (Dice of at least {:.3f})",
        "plausibility": "it lies near those labels in the networks' features (at most {:.3f} standard deviations)",
        "training_distance": "it lies off every image the generator was shown (at least {:.3f})",
    }
    rules = [words[name].format(limit) for name, limit in limits.items() if limit is not None]
    kept = f"Curated: {curated['kept']} of {curated['of']} samples"
    text = f"{kept}, each kept because {' and '.join(rules)}." if rules else f"{kept}, by no criterion."
    if curated.get("hardness"):
        text += f" Those harder for the networks occur up to {1 + curated['hardness']} times: {curated['rows']} rows."
    return text


def _size_category(count: int) -> str:
    bounds = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    return next((name for bound, name in bounds.items() if count < bound), "n>1M")
