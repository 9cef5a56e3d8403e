"""Where the report's numbers come from: parameters, versions of packages, and fingerprints of what was read."""

from collections.abc import Mapping

PACKAGES = ("diffusers", "matplotlib", "numpy", "scipy", "torch", "torch-fidelity", "transformers")


def versions() -> dict[str, str]:
    """Versions of the packages the numbers depend on, as far as they are installed."""
    import platform
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def without_paths(params: Mapping) -> dict:
    """Parameters without the folders of raw data and the files of weights, which may name a machine's own places.

    Segmenters that the grid does not list are left out.
    """
    cohorts = {name: {key: v for key, v in one.items() if key != "raw"} for name, one in params["cohorts"].items()}
    segmenters = {
        name: one | {"base": {key: v for key, v in one["base"].items() if key != "weights"}}
        for name, one in params["segmenters"].items()
        if name in params["grid"]["segmenters"]
    }
    return {**params, "cohorts": cohorts, "segmenters": segmenters}
