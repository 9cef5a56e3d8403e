"""SAM or U-Net behind one interface: what arms start from, the network to fine-tune, and its file afterwards."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from pipeline.config.segmenters import Segmenter
from pipeline.data.structures import Structure, to_json
from pipeline.networks.parameters import count_parameters, trained_state
from pipeline.networks.weights import read_config, save_tensors
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch

BASES = Path("models/base")
KINDS = {"sam": "SAM: the tensors that were trained", "unet": "U-Net"}


def prepare_base(
    folder: Path,
    settings: Segmenter,
    seed: int,
    device: torch.device,
    scratch: Scratch,
    on_step: Callable[[int, float], None],
) -> None:
    """Write what every arm starts from: pretrained weights, or the compact SAM, which may be pre-trained here."""
    if settings.kind == "unet":
        from pipeline.networks.unet.checkpoint import save_unet_base

        save_unet_base(folder, settings.base)
        return
    from pipeline.learning.pretraining import pretrain_compact_sam
    from pipeline.networks.sam.checkpoint import save_compact_base, save_pretrained_base
    from pipeline.networks.sam.pretrained import read_pretrained

    if settings.base.weights is not None:
        save_pretrained_base(folder, *read_pretrained(Path(settings.base.weights)))
    else:
        network = pretrain_compact_sam(settings.base, seed, device, scratch, on_step)
        save_compact_base(folder, network, settings.base)


def build_segmenter(base: Path, settings: Segmenter, n_structures: int, images: Tensor) -> nn.Module:
    """The network an arm starts from, its trained parameters chosen; see ``build_sam`` and ``build_unet_segmenter``."""
    if settings.kind == "unet":
        from pipeline.networks.unet.checkpoint import build_unet_segmenter

        return build_unet_segmenter(base, settings, n_structures, images)
    from pipeline.networks.sam.checkpoint import build_sam

    return build_sam(base, settings, n_structures)


def save_segmenter(
    folder: Path,
    network: nn.Module,
    structures: Sequence[Structure],
    *,
    name: str,
    base: Path,
    settings: Segmenter,
    trained_on: dict,
) -> None:
    """The network and how to build it: of SAM what was trained, and the digest of its base; of a U-Net all.

    Args:
        name: of the segmenter in the parameters; its base lies in the folder of that name.
    """
    plain = settings.model_dump(mode="json")
    # Where weights came from is a machine's own affair.
    plain["base"]["weights"] = None
    about = {
        "architecture": KINDS[settings.kind],
        "name": name,
        "settings": plain,
        "image_size": settings.base.image_size,
        "structures": to_json(structures),
        **count_parameters(network),
        "trained_on": trained_on,
        "licence": "Apache-2.0; see the licence of the training data and of the initial weights",
    }
    if settings.kind == "sam":
        from pipeline.networks.sam.checkpoint import base_digest

        save_tensors(folder, "segmenter", trained_state(network), about | {"base": base_digest(base)})
    else:
        save_tensors(folder, "segmenter", network.state_dict(), about)


def read_settings(about: dict) -> Segmenter:
    """The section a segmenter was fine-tuned with, from its file."""
    return TypeAdapter(Segmenter).validate_python(about["settings"], strict=False)


def load_segmenter(folder: Path, device, base: Path | None = None) -> tuple[nn.Module, dict]:
    """The network in evaluation mode, and its configuration.

    Args:
        base: the folder of the SAM it started from; None for ``models/base/<name>``. A U-Net needs none.

    Raises:
        InputError: no segmenter there or one of an earlier version, another base than it was trained from, or weights
            of another architecture.
    """
    about = read_config(folder, "segmenter")
    if "settings" not in about:
        raise InputError(f"{folder / 'segmenter.json'}: is of an earlier version; fine-tune again")
    settings = read_settings(about)
    # Building draws random weights, which the saved ones then replace.
    with torch.random.fork_rng(devices=[]):
        if settings.kind == "unet":
            from pipeline.networks.unet.checkpoint import load_unet_segmenter

            network = load_unet_segmenter(folder, settings, len(about["structures"]))
        else:
            from pipeline.networks.sam.checkpoint import load_sam

            network = load_sam(folder, about, settings, base or BASES / about["name"])
    return network.requires_grad_(False).to(device).eval(), about
