"""Changes of a preset's parameters for tests: each changes the mapping it is given."""

from pathlib import Path

import yaml

from pipeline.tools.preset import compose

PRESETS = Path(__file__).parents[2] / "presets"


def stable(params: dict, views: dict | None = None, **changes) -> None:
    """The backend 'stable_diffusion', as its preset has it."""
    preset = yaml.safe_load(compose(PRESETS, "stable_diffusion"))
    views = preset["views"] | (views or {})
    params.update(diffusion=preset["diffusion"] | changes, views=views, sample=preset["sample"])


def coded(params: dict, **code) -> None:
    params["views"]["code"] = code


def two_sided(params: dict, **flips: bool) -> None:
    """A task of symphysis and head; no augmentation flips but those that are named."""
    params["task"]["structures"] = {"pubic_symphysis": "symphysis", "fetal_head": "head"}
    sections = {"augment": params["augment"], "strong_augment": params["strong_augment"]}
    sections |= {"views": params["views"].get("augment", {}), "diffusion": params["diffusion"]}
    for name, section in sections.items():
        if "flip" in section:
            section["flip"] = flips.get(name, False)


def pasted(params: dict) -> None:
    """An arm that pastes structures."""
    params["arms"]["warped"]["extra"] = "copy_paste"


def angled(params: dict, **changes) -> None:
    """Shares of rare angles, or other keys of the masks to sample."""
    asked = {"below_90": 0.1, "from_140": 0.4}
    asked |= {key: value for key, value in changes.items() if "_" in key and key != "shape_model"}
    shares = {key: value for key, value in changes.items() if key not in asked}
    params["sample"]["masks"] = params["sample"]["masks"] | shares | {"angles": asked}


def generous(params: dict, labels: int) -> None:
    """An arm with the synthetic set of more labels than its own."""
    params["arms"]["synthetic"]["generous"] = True
    params["kinds"].update(generated=["shuffled"], generous=["synthetic"])
    params["assemble"]["generous_labels"] = labels


NETWORK = {
    "kind": "network", "variant": "deep", "width": 8, "heads": 2, "hidden": 8, "dropout": 0.0, "heteroscedastic": False,
    "steps": 5, "batch": 2, "learning_rate": 0.01, "weight_decay": 0.0, "warmup_steps": 1,
}  # fmt: skip
"""A section of ``age_models``."""


def asked(params, one=None, **changes):
    """Ask a model of gestational age, one that has no options by default."""
    if "models" not in changes:
        params["age_models"]["one"] = one or {"kind": "constant"}
    params["age"].update({"models": ["one"], "arms": ["real"], "segmenter": "unet"} | changes)


def simulated(params, raw):
    """An arm of simulated cases beside a training cohort in the folder ``raw``."""
    params["arms"]["simulated"] = {"extra": "simulated", "ratio": 2}
    params["cohorts"]["phantom_a"]["raw"] = raw
    params["grid"]["arms"] = [*params["grid"]["arms"], "simulated"]
    params["kinds"] |= {"simulated": ["simulated"], "supervised": [*params["kinds"]["supervised"], "simulated"]}
