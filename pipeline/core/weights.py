"""Networks on disk: safetensors beside a JSON that says how to build the network and what it was trained on."""

from pathlib import Path

from pipeline.core import files
from pipeline.core.errors import InputError


def save_weights(folder: Path, name: str, network, config: dict) -> None:
    """``<name>.safetensors`` and ``<name>.json``. ``config`` says how to build the network, its data and licence."""
    from safetensors.torch import save

    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    files.write_bytes(folder / f"{name}.safetensors", save(state))
    files.write_json(folder / f"{name}.json", config)


def read_config(folder: Path, name: str) -> dict:
    return files.read_json(folder / f"{name}.json", "run the stage that trains this network, or `dvc pull`")


def load_weights(folder: Path, name: str, network) -> None:
    """Fill ``network`` strictly.

    Raises:
        InputError: missing or unreadable file, or a checkpoint of another architecture.
    """
    from safetensors.torch import load_file

    path = folder / f"{name}.safetensors"
    try:
        network.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such weights; run the stage that trains them, or `dvc pull`") from None
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise InputError(
            f"{path}: weights of another architecture ({first}); train again with these parameters"
        ) from None
    except Exception as error:
        raise InputError(f"{path}: not a safetensors file ({error}); train again, or `dvc pull`") from None
