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


def read_config(folder: Path, name: str) -> dict:
    return files.read_json(folder / f"{name}.json", "run the stage that trains this network, or `dvc pull`")


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
    """The tensors of a ``.safetensors``, ``.npz`` or PyTorch file; nothing is unpickled but tensors.

    Raises:
        InputError: no such file, one that cannot be read, or one that holds something else.
    """
    import numpy as np
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".npz":
            with np.load(path) as archive:
                state = {name: torch.from_numpy(archive[name]) for name in archive.files}
        elif path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such weights; {remedy}") from None
    except Exception as error:  # a file can be damaged in many ways
        raise InputError(f"{path}: no weights can be read from it ({in_one_line(error)}); {remedy}") from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path}: holds no state dict of tensors; {remedy}")
    return state


def check_tensors(path: Path, state: Mapping, wanted: Mapping, remedy: str) -> None:
    """Hold the tensors of a file against those of a network, by name and shape.

    Raises:
        InputError: they differ.
    """
    complaints = [
        *(f"{key} is missing" for key in wanted.keys() - state.keys()),
        *(f"{key} is unknown" for key in state.keys() - wanted.keys()),
        *(
            f"{key} is {list(state[key].shape)}, not {list(wanted[key].shape)}"
            for key in wanted.keys() & state.keys()
            if state[key].shape != wanted[key].shape
        ),
    ]
    if complaints:
        raise InputError(f"{path}: weights of another architecture ({', '.join(sorted(complaints)[:3])}); {remedy}")
