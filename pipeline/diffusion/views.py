"""Augmented views of the training images, in the denoiser's code, made once before it is trained.

A view is a function of (training set, parameters, seed, its number): view k of case i has number i · count + k. What
the network is told of it is stored beside its code, so that a training step reads and computes nothing else.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save, save_file
from torch import Tensor
from tqdm import tqdm

from pipeline.config.views import EncodedViews
from pipeline.data.structures import names
from pipeline.diffusion.appearance import AppearanceBank, measure_appearance
from pipeline.diffusion.codes.choice import CODES
from pipeline.diffusion.codes.code import Code, darkened
from pipeline.diffusion.conditioning import Condition, below_a_cell, check_cells
from pipeline.diffusion.denoiser.augmentation import apply_changes, draw_changes
from pipeline.diffusion.training_set import TrainingSet, parted
from pipeline.run import files, seeds
from pipeline.run.errors import InputError, in_one_line

CHUNK = 64
FILE = "views.safetensors"
_PLANE = 127
_AGAIN = "run the stage encode_views again, or `dvc pull`"
log = logging.getLogger("pipeline.views")


@dataclass(frozen=True)
class ViewSet:
    """V views, those of a case behind each other.

    codes: float16 [V, C, s, s], standardised. planes: int8 [V, P, s, s], those of ``Condition`` in 127ths.
    changes: float32 [V, 8], the augmentation. appearances: float32 [V, 7], standardised. bank: float32 [N, 7], the
    appearances of the images themselves. count: views of a case. conditioned: whether the network is told the changes.
    code: what the views are encoded in.
    """

    codes: Tensor
    planes: Tensor
    changes: Tensor
    appearances: Tensor
    bank: Tensor
    count: int
    conditioned: bool
    code: Code

    def numbers(self, appearance: bool) -> Tensor:
        """float32 [V, N], what is told of each view beside its planes: augmentation, and with ``appearance`` that."""
        told = [self.changes] * self.conditioned + [self.appearances] * appearance
        return torch.cat([self.changes[:, :0], *told], dim=1)

    def of(self, cases: Tensor, generator: torch.Generator) -> Tensor:
        """Numbers [B] of views: for each of the cases [B] a random one."""
        return cases * self.count + torch.randint(self.count, cases.shape, generator=generator)

    def planes_of(self, chosen: Tensor) -> Tensor:
        """float32 [B, P, s, s] in [-1, 1]."""
        return self.planes[chosen].float() / _PLANE


def fit_to_grid(data: TrainingSet, ids: Sequence[str], factor: int) -> TrainingSet:
    """The training set without pseudo-masks of structures that are smaller than a cell of ``factor``² pixels.

    Args:
        ids: of the cases, for messages.

    Raises:
        InputError: an annotated structure is.
    """
    remedy = "raise views.image_size, take a code of smaller cells (views.code), or leave the case out"
    for case, mask in zip(ids, data.masks[: data.labelled].numpy(), strict=False):
        check_cells(mask, names(data.structures), factor, f"case '{case}'", remedy)
    lost = torch.tensor([bool(below_a_cell(mask, data.n_structures, factor)) for mask in data.masks.numpy()])
    if lost.any():
        log.warning("%d pseudo-masks hold a structure smaller than a cell of the code: not used", int(lost.sum()))
    masks = torch.where(lost[:, None, None], torch.zeros_like(data.masks), data.masks)
    return replace(data, masks=masks, known=data.known & ~lost)


def encode_views(
    data: TrainingSet, code: Code, params: EncodedViews, seed: int, folder: Path, threads: int, device: torch.device
) -> ViewSet:
    """Make the views of all cases.

    Args:
        folder: finished chunks found there are kept.
        threads: views of a chunk measured side by side.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bank = torch.stack([_appearance(image, sector) for image, sector in zip(data.images, data.sectors, strict=True)])
    total, paths = len(data) * params.count, []
    chunks = [range(start, min(start + CHUNK, total)) for start in range(0, total, CHUNK)]
    code = code.to(device)
    with ThreadPoolExecutor(threads) as pool, tqdm(total=total, desc="views", mininterval=5, disable=None) as bar:
        for number, chunk in enumerate(chunks):
            path = folder / f"chunk-{number:05d}.safetensors"
            if not path.exists():
                _write(path, _encoded(data, code, params, seed, chunk, AppearanceBank(bank), pool, device))
            paths.append(path)
            bar.update(len(chunk))
    parts = [load_file(path) for path in paths]
    tensors = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    return ViewSet(**tensors, bank=bank, count=params.count, conditioned=params.augment.conditioned, code=code.cpu())


def _encoded(
    data: TrainingSet,
    code: Code,
    params: EncodedViews,
    seed: int,
    chunk: range,
    bank: AppearanceBank,
    pool: ThreadPoolExecutor,
    device: torch.device,
) -> dict[str, Tensor]:
    drawn = [draw_changes(1, params.augment, seeds.torch_generator(seed, "view", number)) for number in chunk]
    changes, flips = (torch.cat(parts) for parts in zip(*drawn, strict=True))
    cases = torch.tensor(chunk) // params.count
    images, coded = apply_changes(*data.pixels(cases), changes, flips, params.augment)
    masks, sectors = parted(coded)
    condition = Condition(data.n_structures, code.factor)
    # One case at a time, because distances take most of the time and no lock.
    planes = list(
        pool.map(lambda pair: condition.planes(pair[0][None], pair[1][None]), zip(masks, sectors, strict=True))
    )
    pixels = ((images[:, 0] + 1) * 127.5).round().to(torch.uint8)
    appearances = list(pool.map(lambda pair: _appearance(*pair), zip(pixels, sectors, strict=True)))
    darker = darkened(images, sectors, code.headroom)
    codes = [code.encode(part.to(device)).half().cpu() for part in darker.split(8)]
    return {
        "codes": torch.cat(codes),
        "planes": (torch.cat(planes) * _PLANE).round().to(torch.int8),
        "changes": changes,
        "appearances": bank.standardised(torch.stack(appearances)),
    }


def _appearance(image: Tensor, sector: Tensor) -> Tensor:
    return torch.from_numpy(measure_appearance(image.numpy(), sector.numpy()))


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    files.write_bytes(path, save({key: value.contiguous() for key, value in tensors.items()}))


def save_views(views: ViewSet, folder: Path) -> None:
    """Write ``views.safetensors``, ``views.json``, and the code as a diffusers model."""
    tensors = {key: value.contiguous() for key, value in vars(views).items() if isinstance(value, Tensor)}
    save_file(tensors, folder / FILE)
    views.code.save_pretrained(folder / "code")
    about = {"count": views.count, "conditioned": views.conditioned, "code": type(views.code).__name__}
    files.write_json(folder / "views.json", about)


def open_views(folder: Path) -> ViewSet:
    """What :func:`save_views` wrote.

    Raises:
        InputError: nothing there, a damaged file, or one of another version.
    """
    about = files.read_json(folder / "views.json", _AGAIN)
    try:
        code = CODES[about["code"]].from_pretrained(folder / "code", low_cpu_mem_usage=False, local_files_only=True)
        options = {"count": int(about["count"]), "conditioned": bool(about["conditioned"])}
        return ViewSet(**load_file(folder / FILE), **options, code=code.requires_grad_(False).eval())
    except Exception as error:  # a file can be damaged in many ways
        raise InputError(f"{folder}: no views can be read from it ({in_one_line(error)}); {_AGAIN}") from None
