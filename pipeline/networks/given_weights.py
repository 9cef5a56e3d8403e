"""Weights that a user gives: read by what a file holds, whatever its name, and freed of what training scripts wrap
around them. Nothing is unpickled but tensors and plain values.
"""

import logging
import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from pipeline.run import files
from pipeline.run.errors import InputError, in_one_line
from pipeline.run.listing import is_wanted

log = logging.getLogger("pipeline.weights")
_STARTS = {
    b"version https://git-lfs": "a Git LFS pointer to them; fetch them with `git lfs pull`",
    b"outs:": "a DVC pointer to them; fetch them with `dvc pull`",
    b"<": "a web page; download the file itself",
    b"{": "a JSON text; name the file of weights beside it",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"\x89HDF": "an HDF5 file, as Keras writes them; give PyTorch's weights",
}
"""How files begin that lie under the name of weights, and what they are."""
_FAMILIES = {
    "sam_mask_decoder.": "a SAM 2",
    "mask_decoder.": "a SAM",
    "lora_": "LoRA adapters alone",
    "diffusion_model.": "a Stable Diffusion in one file",
    "down_blocks.": "a U-Net or VAE of diffusers",
    "segmentation_head.": "a U-Net of segmentation-models-pytorch",
    "text_model.": "a CLIP",
    ".attn.qkv.": "a vision transformer",
    "layer4.": "a ResNet",
    "conv_stem.": "an EfficientNet or MobileNet of timm",
    "features.": "a MobileNet, EfficientNet, DenseNet or VGG of torchvision",
}
"""What a name in a state dict tells of its network; the first that occurs counts."""
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.")


def open_weights(
    path: Path,
    names: Collection[str],
    faults: Callable[[dict], list[str]],
    remedy: str,
    other: str = "weights of another architecture",
    renamed: Callable[[str], str] = str,
) -> dict:
    """The one state dict of a file that is wanted; see :func:`fitting`.

    Args:
        other: what a file of other weights is called in the message.
        renamed: the spelling of ``names`` of a name in the file.

    Raises:
        InputError: no such file, one that holds no weights, those of another network, or several that would do.
    """
    try:
        found = {renamed(name): value for name, value in contents(path).items()}
    except FileNotFoundError:
        raise InputError(f"{path}: no such weights; {remedy}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no weights can be read from it ({error}); {remedy}") from None
    try:
        return fitting(found, names, faults)
    except ValueError as error:
        whole = "it is one of several shards, give their folder; " if _SHARD.search(path.name) else ""
        raise InputError(f"{path}: {other} ({error}); {whole}{remedy}") from None


def contents(path: Path) -> dict:
    """Tensors of a PyTorch, safetensors or ``.npz`` file by name; keys of nested mappings are joined with dots.

    Raises:
        OSError, ValueError: no such file; what it is instead, and what to do about it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.is_dir():
        raise ValueError("a folder; name the file of weights in it")
    if what := impostor(path):
        raise ValueError(what)
    with path.open("rb") as file:
        start = file.read(9)
    try:
        if start.startswith(b"PK"):
            found = _unzipped(path)
        elif _is_safetensors(start):
            found = load_file(path)
        elif start.startswith(b"\x80"):
            found = _unpickled(path)
        else:
            raise ValueError("neither a PyTorch, a safetensors nor an .npz file")
        flat = dict(_flattened(found))
    except (OSError, ValueError):
        raise
    except SafetensorError as error:
        raise ValueError(f"a safetensors file that is cut short or damaged: {error}") from None
    except pickle.UnpicklingError as error:
        if more := re.search(r"GLOBAL (\S+)", str(error)):
            raise ValueError(
                f"it holds more than tensors, {more[1]}, and unpickling that can run code; save the state dict alone, "
                "with `torch.save(model.state_dict(), path)`"
            ) from None
        raise ValueError("a pickle that is cut short, damaged or not of `torch.save`") from None
    except Exception as error:  # a file can be damaged in many ways
        raise ValueError(f"cut short or damaged: {in_one_line(error)}") from None
    if not flat:
        raise ValueError(f"no tensors under names, but {type(found).__name__}; save a state dict")
    return flat


def impostor(path: Path) -> str | None:
    """What a file is that cannot be one of weights, by its first bytes.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        return "an empty file; download it again"
    if _is_safetensors(start):
        return None
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((what for begins, what in _STARTS.items() if text.startswith(begins)), None)


def _is_safetensors(start: bytes) -> bool:
    """The length of a JSON header in eight bytes, then the header."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 32


def _unzipped(path: Path):
    """What a zip archive of ``torch.save`` or numpy holds; both libraries read damaged bytes without a word."""
    import numpy as np
    import torch

    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if (damaged := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"{damaged} differs from its checksum")
    if any(name.endswith("constants.pkl") for name in names):
        raise ValueError("a TorchScript archive; save the state dict of its model instead")
    if any(name.endswith("data.pkl") for name in names):
        return _unpickled(path)
    if not any(name.endswith(".npy") for name in names):
        raise ValueError("a zip archive of other files; unpack it")
    with np.load(path, allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


def _unpickled(path: Path):
    import torch

    # Not by its path: torch takes the name for the format.
    with path.open("rb") as file:
        return torch.load(file, map_location="cpu", weights_only=True)


def _flattened(value, name: str = "") -> Iterator[tuple[str, object]]:
    import torch

    if isinstance(value, torch.Tensor) and name:
        yield name, value.detach().to_dense() if value.is_sparse else value.detach()
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flattened(inner, f"{name}.{key}" if name else str(key))


def fitting(found: Mapping, names: Collection[str], faults: Callable[[dict], list[str]]) -> dict:
    """The tensors among ``found`` that are wanted, by the wanted names; numbers with a fraction in float32.

    What stands before the names, ``state_dict``, ``model``, ``module``, ``backbone`` and the like, alone or together,
    is taken away where the rest then fits, and what lies beside is left out, with a word in the log.

    Args:
        found: from :func:`contents`.
        names: that a state dict that fits has, among others.
        faults: what is wrong with a state dict, in words; nothing of one that fits.

    Raises:
        ValueError: nothing fits, with what was found; or several state dicts do.
    """
    names = set(names)
    counts = Counter(key[: len(key) - len(ending)] for key in found for ending in _endings(key) if ending in names)
    complete = [before for before, count in counts.items() if count == len(names)]
    if "" in complete:
        complete = [""]
    tried = {before: _behind(found, before) for before in complete or [one for one, _ in counts.most_common(1)]}
    wrong = {before: faults(state) for before, state in tried.items()}
    fits = [before for before in tried if not wrong[before]]
    if len(fits) > 1:
        raise ValueError(f"several would do, behind {' and '.join(map(repr, fits))}; save the one you want alone")
    if not fits:
        missing = [f"{name} is missing" for name in sorted(names)]
        lacks = ", ".join(min(wrong.values(), key=len, default=missing)[:3])
        raise ValueError(f"{lacks}; {_described(found)}")
    (before,) = fits
    if before:
        beside = len(found) - len(tried[before])
        log.info("weights are read from behind '%s'%s", before, f"; {beside} other tensors are not" if beside else "")
    return tried[before]


def _endings(key: str) -> Iterator[str]:
    parts = key.split(".")
    return (".".join(parts[i:]) for i in range(len(parts)))


def _behind(found: Mapping, before: str) -> dict:
    """The tensors whose names begin so, by the rest of their names."""
    inside = {key[len(before) :]: value for key, value in found.items() if key.startswith(before)}
    return {key: value.float() if value.is_floating_point() else value for key, value in inside.items()}


def _described(found: Mapping) -> str:
    family = next((what for part, what in _FAMILIES.items() if any(part in key for key in found)), None)
    return f"it holds {len(found)} tensors, the first '{next(iter(found))}'" + (f", as of {family}" if family else "")


def weight_files(folder: Path, stem: str = "model") -> list[Path]:
    """The safetensors of a Hugging Face folder: one file, or all shards of its index.

    Args:
        stem: how their names begin; half precision under ``<stem>.fp16`` will do.

    Raises:
        ValueError: no such folder, no safetensors, one that is no such file, or a shard is missing.
    """
    if not folder.is_dir():
        raise ValueError("a file, not a folder" if folder.exists() else "no such folder")
    index = folder / f"{stem}.safetensors.index.json"
    single = [path for name in (stem, f"{stem}.fp16") if (path := folder / f"{name}.safetensors").is_file()]
    if single:
        shards = single[:1]
    elif index.is_file():
        listed = files.read_json(index, "get the folder again").get("weight_map")
        if not isinstance(listed, dict) or not listed:
            raise ValueError(f"{index.name} lists no shards")
        shards = [folder / str(name) for name in sorted(set(listed.values()))]
    else:
        there = ", ".join(sorted(path.name for path in folder.iterdir() if is_wanted(path.name))) or "nothing"
        raise ValueError(f"no {stem}.safetensors among its files ({there}): it is missing")
    for shard in shards:
        if not shard.is_file():
            raise ValueError(f"the shard {shard.name} is missing")
        if what := impostor(shard):
            raise ValueError(f"{shard.name} is {what}")
    return shards


def variant_of(shards: list[Path]) -> str | None:
    """What transformers and diffusers call the variant of a folder's files: ``fp16``, or None for the usual names."""
    return "fp16" if ".fp16." in shards[0].name else None
