"""Networks on disk: safetensors beside a JSON that says how to build the network and what it was trained on."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.run import files
from pipeline.run.errors import InputError


def save_weights(folder: Path, name: str, network, config: dict) -> None:
    """``<name>.safetensors`` and ``<name>.json``. ``config`` says how to build the network, its data and licence."""
    save_tensors(folder, name, network.state_dict(), config)


def save_tensors(folder: Path, name: str, state: Mapping, config: dict) -> None:
    """Like :func:`save_weights`, of some tensors of a network."""
    from safetensors.torch import save

    state = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    files.write_bytes(folder / f"{name}.safetensors", save(state))
    files.write_json(folder / f"{name}.json", config)


def read_config(folder: Path, name: str) -> dict:
    return files.read_json(folder / f"{name}.json", "run the stage that trains this network, or `dvc pull`")


def load_weights(folder: Path, name: str, network) -> None:
    """Fill ``network`` strictly.

    Raises:
        InputError: missing or unreadable file, or a checkpoint of another architecture.
    """
    network.load_state_dict(load_tensors(folder, name, {k: v.shape for k, v in network.state_dict().items()}))


def load_tensors(folder: Path, name: str, wanted: Mapping | None) -> dict:
    """The tensors of ``<name>.safetensors``.

    Args:
        wanted: the names there must be, each with its shape, or with None for any; None for whatever is there.

    Raises:
        InputError: missing or unreadable file, or other tensors than those wanted.
    """
    from safetensors.torch import load_file

    path = folder / f"{name}.safetensors"
    try:
        state = load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such weights; run the stage that trains them, or `dvc pull`") from None
    except Exception as error:
        raise InputError(f"{path}: not a safetensors file ({error}); train again, or `dvc pull`") from None
    if wanted is None:
        return state
    complaints = [
        *(f"{key} is missing" for key in wanted.keys() - state.keys()),
        *(f"{key} is unknown" for key in state.keys() - wanted.keys()),
        *(
            f"{key} is {list(state[key].shape)}, not {list(shape)}"
            for key, shape in wanted.items()
            if shape is not None and key in state and state[key].shape != shape
        ),
    ]
    if complaints:
        raise InputError(
            f"{path}: weights of another architecture ({min(complaints)}); train again with these parameters"
        )
    return state
