"""SAMs on disk: the base that arms start from, at the size it was trained at, and what fine-tuning changed of it.

A fine-tuned segmenter holds the trained tensors only (a decoder is 14 MB of ViT-B's 375), so it is read together with
its base, whose digest it knows.
"""

from pathlib import Path

import torch
from torch import Tensor
from transformers.models.sam.configuration_sam import SamConfig

from pipeline.config.segmenters import LITE0, CompactBase, Lite0Base, PretrainedBase
from pipeline.config.segmenters import Sam as Settings
from pipeline.networks import lite0
from pipeline.networks.parameters import trained_state
from pipeline.networks.sam.compact import build_compact_sam
from pipeline.networks.sam.lite0 import Lite0Sam, build_lite0_sam, load_imagenet
from pipeline.networks.sam.model import Sam
from pipeline.networks.sam.pretrained import at_resolution, read_pretrained
from pipeline.networks.sam.tuning import choose_trained, merge
from pipeline.networks.weights import load_weights, read_config, read_tensors, save_tensors
from pipeline.run import files
from pipeline.run.errors import InputError

ARCHITECTURE = "SAM: the tensors that were trained"
COMPACT = "compact SAM"
ON_LITE0 = "SAM decoder on EfficientNet-Lite0"
OFFICIAL = "segment-anything"
LICENCE = "that of the weights; Apache-2.0 for those of segment-anything"


def save_base(folder: Path, settings: Settings, seed: int) -> None:
    """What every arm starts from: pretrained weights under transformers' names at the size they were trained at, or a
    compact SAM or a SAM decoder on Lite0 drawn with ``seed``, the latter's encoder with ImageNet weights.

    Raises:
        InputError: no such weights, or ``settings`` that do not go with them.
    """
    base = settings.base
    architecture = _architecture(base)
    if architecture == COMPACT:
        torch.manual_seed(seed)
        state = build_compact_sam(base.compact, base.image_size, 1).state_dict()
        about = {"architecture": architecture, "compact": base.compact.model_dump(mode="json")}
        origin = {"image_size": base.image_size, "trained_on": "nothing: random weights", "licence": "Apache-2.0"}
    elif architecture == ON_LITE0:
        torch.manual_seed(seed)
        network = build_lite0_sam(base, 1)
        load_imagenet(network)
        state = network.state_dict()
        about = {"architecture": architecture, "decoder_size": base.decoder_size, "encoder_sha256": lite0.SHA256}
        trained_on = "its encoder on ImageNet; the rest on nothing: random weights"
        origin = {"image_size": base.image_size, "trained_on": trained_on, "licence": lite0.LICENCE}
    else:
        config, state = read_pretrained(Path(base.weights))
        # What does not go together is refused here, before anything is trained.
        Sam(at_resolution(config, state, base.image_size, base.window), 1, detail=base.detail)
        about = {"architecture": architecture, "sam": _without_versions(config.to_diff_dict())}
        origin = {"image_size": config.vision_config.image_size, "licence": LICENCE}
    save_tensors(folder, "sam", state, about | origin)


def _without_versions(config: dict) -> dict:
    """Equal weights are to have equal digests, whatever release of transformers wrote them down."""
    kept = {key: value for key, value in config.items() if key not in ("transformers_version", "dtype", "torch_dtype")}
    return {key: _without_versions(value) if isinstance(value, dict) else value for key, value in kept.items()}


def base_digest(folder: Path) -> str:
    """What a fine-tuned segmenter and a store of embeddings know their base by."""
    return files.digest([folder])[:32]


def load_base(folder: Path, settings: CompactBase | Lite0Base | PretrainedBase, n_structures: int) -> Sam:
    """The base at ``settings.image_size``, its positions interpolated where it was trained at another size.

    A finer mask head that the base lacks is drawn from torch's global generator and starts silent.

    Raises:
        InputError: no base there, or one of another architecture than ``settings`` describe.
    """
    about, again = read_config(folder, "sam", "architecture"), "run `dvc repro base_sam`"
    if about["architecture"] != (architecture := _architecture(settings)):
        raise InputError(f"{folder}: a {about['architecture']}, unlike the segmenter's base; {again}")
    if architecture != OFFICIAL:
        plain = settings.model_dump(mode="json")
        found = about.get("compact", about) | {"image_size": about["image_size"]}
        own = settings.compact if architecture == COMPACT else settings
        wanted = own.model_dump(mode="json", exclude={"weights"}) | {"image_size": plain["image_size"]}
        if differs := [f"{key} {found.get(key)}" for key in wanted if wanted[key] != found.get(key)]:
            what = f"{folder}: a {architecture} with {', '.join(differs)}"
            raise InputError(f"{what}, unlike the segmenter's base; {again}")
        network = _drawn(settings, n_structures)
        load_weights(folder, "sam", network)
        return network
    state = read_tensors(folder / "sam.safetensors", again)
    sam = at_resolution(SamConfig.from_dict(about["sam"]), state, settings.image_size, settings.window)
    return Sam(sam, n_structures, detail=settings.detail)


def _architecture(base: CompactBase | Lite0Base | PretrainedBase) -> str:
    return COMPACT if base.weights is None else ON_LITE0 if base.weights == LITE0 else OFFICIAL


def _drawn(base: CompactBase | Lite0Base, n_structures: int) -> Sam:
    """A SAM of random weights from torch's global generator."""
    if _architecture(base) == COMPACT:
        return build_compact_sam(base.compact, base.image_size, n_structures)
    return build_lite0_sam(base, n_structures)


def build(base: Path, settings: Settings, n_structures: int) -> Sam:
    """The base with everything set for fine-tuning as ``settings`` say.

    A compact SAM trained in full, and all that is trained on a Lite0 encoder, starts from random weights of its own,
    drawn from torch's global generator, because the initialisation is part of a replicate.
    """
    network = load_base(base, settings.base, n_structures)
    network.prompt, network.outputs = settings.prompt, settings.outputs
    choose_trained(network, settings.train, getattr(settings, "lora_rank", None))
    architecture = _architecture(settings.base)
    if architecture == ON_LITE0 or (architecture == COMPACT and settings.train == "full"):
        drawn = _drawn(settings.base, n_structures).state_dict()
        kept = "sam.vision_encoder." if architecture == ON_LITE0 else ()
        fresh = {name: drawn[name] for name in trained_state(network) if not name.startswith(kept)}
        network.load_state_dict(fresh, strict=False)
    if settings.train != "decoder" and settings.checkpointing:
        network.sam.vision_encoder.gradient_checkpointing_enable({"use_reentrant": False})
    return network


def saved(network: Sam, base: Path) -> tuple[dict[str, Tensor], dict]:
    """The tensors that were trained, and the digest of the base they belong to."""
    own = {"architecture": f"{ON_LITE0}: the tensors that were trained"} if isinstance(network, Lite0Sam) else {}
    return trained_state(network), {"base": base_digest(base)} | own


def load(folder: Path, about: dict, settings: Settings, base: Path) -> Sam:
    """A fine-tuned SAM whose file says ``about``, adapters folded in.

    Raises:
        InputError: another base than it was trained from, or weights of another architecture.
    """
    if (found := base_digest(base)) != (wanted := about.get("base")):
        raise InputError(
            f"{folder}: was fine-tuned from base {wanted}, {base} is {found}; give the SAM it started from, or "
            "fine-tune again"
        )
    network = build(base, settings, len(about["structures"]))
    load_weights(folder, "segmenter", network, trained_state(network))
    if settings.train == "lora":
        merge(network)
    return network
