"""Networks on disk: safetensors beside a JSON that says how to build the network and what it was trained on."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.run import files
from pipeline.run.errors import InputError, in_one_line

TRAIN_AGAIN = "train again with these parameters, or `dvc pull`"


def save_tensors(folder: Path, name: str, state: Mapping, config: dict) -> None:
    """``<name>.safetensors`` and ``<name>.json``. ``config`` says how to build the network, its data and licence."""
    from safetensors.torch import save

    state = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    files.write_bytes(folder / f"{name}.safetensors", save(state))
    files.write_json(folder / f"{name}.json", config)


def read_config(folder: Path, name: str, *keys: str) -> dict:
    """What ``<name>.json`` says, which holds all of the keys.

    Raises:
        InputError: it does not, or there is no such file.
    """
    path, remedy = folder / f"{name}.json", "run the stage that trains this network, or `dvc pull`"
    config = files.read_json(path, remedy)
    if missing := [key for key in keys if key not in config]:
        raise InputError(f"{path}: key '{missing[0]}' is missing, so it is of another version; {remedy}")
    return config


def load_weights(folder: Path, name: str, network, wanted: Mapping | None = None) -> None:
    """Fill ``network`` from ``<name>.safetensors``: all of it, or the tensors ``wanted`` of it, and no others.

    Raises:
        InputError: missing or unreadable file, or a checkpoint of another architecture.
    """
    path = folder / f"{name}.safetensors"
    state = read_tensors(path, TRAIN_AGAIN)
    check_tensors(path, state, network.state_dict() if wanted is None else wanted, TRAIN_AGAIN)
    network.load_state_dict(state, strict=wanted is None)


def read_tensors(path: Path, remedy: str) -> dict:
    """The tensors of a ``.safetensors`` file of the project.

    Raises:
        InputError: no such file, or one that cannot be read.
    """
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such weights; {remedy}") from None
    except Exception as error:  # a file can be damaged in many ways
        raise InputError(f"{path}: no weights can be read from it ({in_one_line(error)}); {remedy}") from None


def check_tensors(path: Path, state: Mapping, wanted: Mapping, remedy: str) -> None:
    """Raise InputError where the tensors of a file are not those of a network; see :func:`differences`."""
    if complaints := differences(state, wanted):
        raise InputError(f"{path}: weights of another architecture ({', '.join(complaints[:3])}); {remedy}")


def differences(state: Mapping, wanted: Mapping) -> list[str]:
    """What keeps tensors from being those of a network, by name, shape, kind and value; nothing where they are."""
    return sorted(
        [
            *(f"{key} is missing" for key in wanted.keys() - state.keys()),
            *(f"{key} is unknown" for key in state.keys() - wanted.keys()),
            *(fault for key in wanted.keys() & state.keys() if (fault := _fault(key, state[key], wanted[key]))),
        ]
    )


def _fault(key: str, found, wanted) -> str | None:
    if found.shape != wanted.shape:
        return f"{key} is {list(found.shape)}, not {list(wanted.shape)}"
    if wanted.is_floating_point() and not found.is_floating_point():
        return f"{key} holds {found.dtype}, not numbers with a fraction"
    if found.is_floating_point() and not found.isfinite().all():
        return f"{key} holds nan or inf"
    return None
