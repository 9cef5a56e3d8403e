"""Where the report's numbers come from: parameters, versions of packages, and fingerprints of what was read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.run import files

PACKAGES = """accelerate diffusers matplotlib monai numpy peft scikit-image scipy segmentation-models-pytorch torch
torch-fidelity torchvision transformers"""


def versions() -> dict[str, str]:
    """Versions of the packages the numbers depend on, as far as they are installed."""
    import platform
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in PACKAGES.split():
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def provenance(params, inputs: Mapping[str, Sequence[Path]]) -> dict:
    """What the page prints: the parameters as YAML, versions, and a digest of every input."""
    import yaml

    return {
        "versions": versions(),
        "parameters": yaml.safe_dump(without_paths(params.as_dict()), sort_keys=False),
        "digests": {name: files.digest(paths) for name, paths in inputs.items()},
    }


def without_paths(params: Mapping) -> dict:
    """Parameters without the folders of raw data, and weights by the names of their files alone: whole paths may name
    a machine's own places. Segmenters that the grid does not list are left out.
    """
    cohorts = {name: {key: v for key, v in one.items() if key != "raw"} for name, one in params["cohorts"].items()}
    segmenters = {
        name: one | {"base": one["base"] | {"weights": _file_name(one["base"]["weights"])}}
        for name, one in params["segmenters"].items()
        if name in params["grid"]["segmenters"]
    }
    return {**params, "cohorts": cohorts, "segmenters": segmenters}


def _file_name(weights: str | None) -> str | None:
    return None if weights is None else Path(weights).name
