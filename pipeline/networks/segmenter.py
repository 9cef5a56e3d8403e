"""What a SAM and a U-Net have in common as segmenters: one interface, and one kind of file after fine-tuning.

A kind is a module: ``networks.sam.checkpoint`` or ``networks.unet.checkpoint``. Who knows the kind names it, so that a
stage of U-Nets depends on no SAM; ``networks.kinds`` finds that of a folder.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter
from torch import Tensor, nn

from pipeline.config.segmenters import Segmenter
from pipeline.data.structures import Structure, to_json
from pipeline.networks.parameters import count_parameters
from pipeline.networks.weights import read_config, save_tensors
from pipeline.run.errors import InputError

BASES = Path("models/base")


class Kind(Protocol):
    """A kind of segmenter."""

    ARCHITECTURE: str

    def build(self, base: Path, settings, n_structures: int) -> nn.Module:
        """The network an arm starts from, its trained parameters chosen; what no file holds is drawn from torch's
        global generator."""

    def saved(self, network: nn.Module, base: Path) -> tuple[dict[str, Tensor], dict]:
        """The tensors a fine-tuned network is saved with, and what its file says beside what all kinds say."""

    def load(self, folder: Path, about: dict, settings, base: Path) -> nn.Module:
        """The fine-tuned network that ``saved`` described."""


def save_segmenter(
    kind: Kind,
    folder: Path,
    network: nn.Module,
    structures: Sequence[Structure],
    *,
    name: str,
    base: Path,
    settings,
    trained_on: dict,
) -> None:
    """The network and how to build it.

    Args:
        name: of the segmenter in the parameters; its base lies in the folder of that name.
    """
    plain = settings.model_dump(mode="json")
    if plain["base"]["weights"] is not None:
        # Where weights came from is a machine's own affair.
        plain["base"]["weights"] = Path(plain["base"]["weights"]).name
    tensors, facts = kind.saved(network, base)
    about = {
        "architecture": kind.ARCHITECTURE,
        "name": name,
        "settings": plain,
        "image_size": plain["base"]["image_size"],
        "structures": to_json(structures),
        **count_parameters(network),
        "trained_on": trained_on,
        "licence": "Apache-2.0; see the licence of the training data and of the initial weights",
    }
    save_tensors(folder, "segmenter", tensors, about | facts)


def load_segmenter(kind: Kind, folder: Path, device, base: Path | None = None) -> tuple[nn.Module, dict]:
    """The network in evaluation mode, and its configuration.

    Args:
        base: the folder of the SAM it started from; None for ``models/base/<name>``. A U-Net needs none.

    Raises:
        InputError: no segmenter there or one of an earlier version, another base than it was trained from, or weights
            of another architecture.
    """
    import torch

    about = read_config(folder, "segmenter")
    settings = read_settings(folder, about)
    # Building draws random weights, which the saved ones then replace.
    with torch.random.fork_rng(devices=[]):
        network = kind.load(folder, about, settings, base or BASES / about["name"])
    return network.requires_grad_(False).to(device).eval(), about


def read_settings(folder: Path, about: dict):
    """The section a segmenter was fine-tuned with, from its file.

    Raises:
        InputError: the file is of another version.
    """
    try:
        about["name"], about["structures"], about["image_size"]
        return TypeAdapter(Segmenter).validate_python(about["settings"], strict=False)
    except (KeyError, ValueError):
        raise InputError(f"{folder / 'segmenter.json'}: is of another version; fine-tune again") from None
