"""Where the report's numbers come from: parameters, versions of packages, and fingerprints of what was read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.run import files

PACKAGES = """accelerate diffusers matplotlib numpy peft scikit-image scipy segmentation-models-pytorch torch
torch-fidelity torchvision transformers"""
"""Those that the numbers depend on."""


def provenance(params, inputs: Mapping[str, Sequence[Path]]) -> dict:
    """What the page prints: the parameters as YAML, versions, and a digest of every input."""
    import platform
    from importlib import metadata

    import yaml

    versions = {name: metadata.version(name) for name in PACKAGES.split()}
    return {
        "versions": {"python": platform.python_version(), **versions},
        "parameters": yaml.safe_dump(without_paths(params.as_dict()), sort_keys=False),
        "digests": {name: files.digest(paths) for name, paths in inputs.items()},
    }


def without_paths(params: dict) -> dict:
    """Parameters without the folders of raw data, and weights by the names of their files alone: whole paths may name
    a machine's own places. Segmenters that the grid does not list are left out.
    """
    cohorts = {name: {key: v for key, v in one.items() if key != "raw"} for name, one in params["cohorts"].items()}
    segmenters = {name: one for name, one in params["segmenters"].items() if name in params["grid"]["segmenters"]}
    for one in segmenters.values():
        if one["base"]["weights"]:
            one["base"]["weights"] = Path(one["base"]["weights"]).name
    return {**params, "cohorts": cohorts, "segmenters": segmenters}
