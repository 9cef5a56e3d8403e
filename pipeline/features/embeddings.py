"""Image embeddings on disk: a frozen encoder sees each image once, however many arms and steps use it.

A store is a folder with ``index.json`` and, for every array, shards ``<array>-NNNNN.npy`` of at most 64 rows. A row is
one view of one case; view 0 is the image as it is. Rows are read one by one from the files, so that the memory of a
training run does not grow with the number of images.
"""

import logging
import re
import shutil
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.config.augmentation import Augment
from pipeline.data.case import Case
from pipeline.data.stacking import stack_images
from pipeline.imaging.augment import augment
from pipeline.imaging.letterbox import to_uint8, to_unit_range
from pipeline.networks.sam.checkpoint import base_digest
from pipeline.networks.sam.model import Sam
from pipeline.run import files, seeds
from pipeline.run.errors import InputError
from pipeline.run.processes import is_main, wait_for_all
from pipeline.run.resume import Scratch

ROWS = 64
BATCH = 8
REMEDY = "run `dvc repro`, which encodes again, or `dvc pull`"
_REPEATED = re.compile(r"-x\d+$")
log = logging.getLogger("pipeline.segmentation")


def augmented_view(
    image: np.ndarray, mask: np.ndarray | None, view: int, augmentation: Augment, seed: int, case_id: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """A view of an image and its mask: number 0 as they are, any other a function of (seed, id, number).

    Args:
        image: float32 (1, S, S) in [-1, 1].
        mask: uint8 (S, S), or None; the image's view is the same with one.
    """
    if view == 0:
        return image, mask
    generator = seeds.torch_generator(seed, "view", case_id, view)
    planes = np.zeros(image.shape[1:], np.uint8) if mask is None else mask
    x, y = augment(torch.from_numpy(image)[None], torch.from_numpy(planes)[None], augmentation, generator)
    return x[0].numpy(), None if mask is None else y[0].numpy()


def bytes_needed(network: Sam, count: int, views: int, dtype=np.float16) -> int:
    """What a store of ``count`` images takes on disk."""
    shapes = _shapes(network)
    row = int(np.prod(shapes["embedding"])) * np.dtype(dtype).itemsize
    return count * views * (row + int(np.prod(shapes.get("image", (0,)))))


@torch.inference_mode()
def encode(
    network: Sam,
    examples: Iterable[tuple[str, np.ndarray]],
    count: int,
    out: Path,
    *,
    base: str,
    views: int,
    augmentation: Augment,
    seed: int,
    device: torch.device,
    dtype=np.float16,
    on_image: Callable[[int, float], None] = lambda number, loss: None,
) -> None:
    """Write a store of the embeddings of every example, after saying what it will take.

    Where there is a finer mask head, which looks at pixels, the views themselves are kept too (uint8).

    Args:
        examples: (id, float32 image (1, S, S) in [-1, 1]), ``count`` of them, ids unique.
        on_image: called like a step of training, without a loss.
        base: digest of the encoder's weights, so that no others are used with this store.

    Raises:
        InputError: too little room on the disk.
    """
    need, free = bytes_needed(network, count, views, dtype), shutil.disk_usage(_existing(out)).free
    log.info("%s: %d images, %d view(s): %.2f GB, %.0f GB free", out.name, count, views, need / 1e9, free / 1e9)
    if need > free:
        raise InputError(
            f"{out}: embeddings of {count} images need {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; lower "
            "the segmenter's base.views or base.image_size, or train 'lora'"
        )
    network = network.to(device).eval()
    shapes = _shapes(network)
    out.mkdir(parents=True, exist_ok=True)
    ids, shard, number = [], {name: [] for name in shapes}, 0
    waiting: list[np.ndarray] = []

    def flush() -> None:
        nonlocal number
        x = torch.from_numpy(np.stack(waiting)).to(device)
        shard["embedding"] += list(network.embed(x).float().cpu().numpy().astype(dtype))
        if "image" in shapes:
            shard["image"] += [to_uint8(one[0]) for one in waiting]
        waiting.clear()
        if len(shard["embedding"]) == ROWS:
            write()

    def write() -> None:
        nonlocal number
        for name, rows in shard.items():
            np.save(out / f"{name}-{number:05d}.npy", np.stack(rows))
            rows.clear()
        number += 1

    for case_id, image in examples:
        ids.append(case_id)
        for view in range(views):
            waiting.append(augmented_view(image, None, view, augmentation, seed, case_id)[0])
            if len(waiting) == BATCH:
                flush()
        on_image(len(ids) - 1, 0.0)
    if waiting:
        flush()
    if shard["embedding"]:
        write()
    arrays = {"embedding": {"dtype": np.dtype(dtype).name, "shape": list(shapes["embedding"])}}
    if "image" in shapes:
        arrays["image"] = {"dtype": "uint8", "shape": list(shapes["image"])}
    files.write_json(out / "index.json", {"base": base, "views": views, "rows": ROWS, "arrays": arrays, "ids": ids})


def _shapes(network: Sam) -> dict[str, tuple[int, ...]]:
    vision = network.sam.config.vision_config
    grid = vision.image_size // vision.patch_size
    shapes = {"embedding": (vision.output_channels, grid, grid)}
    if network.detail is not None:
        shapes["image"] = (vision.image_size, vision.image_size)
    return shapes


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


class Embeddings:
    """An opened store.

    Raises:
        InputError: no store there, a damaged one, or embeddings of other weights than ``base``.
    """

    def __init__(self, folder: Path, base: str):
        index = files.read_json(folder / "index.json", REMEDY)
        if index["base"] != base:
            raise InputError(f"{folder}: embeddings of other weights than these; {REMEDY}")
        self.folder, self.views, self._rows, self._arrays = folder, index["views"], index["rows"], index["arrays"]
        self._place = {case_id: i for i, case_id in enumerate(index["ids"])}

    def __contains__(self, case_id: str) -> bool:
        return case_id in self._place

    def read(self, name: str, case_id: str, view: int = 0) -> np.ndarray:
        """One row of an array, ``embedding`` (C, h, w) or ``image`` (S, S).

        Raises:
            InputError: the store lacks the case or the view, or a shard is missing or cut short.
        """
        if case_id not in self._place:
            raise InputError(f"{self.folder}: no embedding of case '{case_id}'; {REMEDY}")
        if not 0 <= view < self.views:
            raise InputError(f"{self.folder}: {self.views} view(s) of each image, none with number {view}; {REMEDY}")
        row = self._place[case_id] * self.views + view
        about = self._arrays[name]
        shape, dtype = tuple(about["shape"]), np.dtype(about["dtype"])
        path = self.folder / f"{name}-{row // self._rows:05d}.npy"
        count = int(np.prod(shape))
        try:
            with path.open("rb") as file:
                np.lib.format.read_magic(file)
                np.lib.format.read_array_header_1_0(file)
                file.seek(row % self._rows * count * dtype.itemsize, 1)
                values = np.fromfile(file, dtype, count)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}); {REMEDY}") from None
        if values.size != count:
            raise InputError(f"{path}: cut short; {REMEDY}")
        return values.reshape(shape)


@dataclass(frozen=True)
class EmbeddingPool:
    """What a decoder is trained on: rows of stores, and masks (a few kilobytes each, compressed).

    stores: the stores the ids are looked up in, in this order.
    masks: for every id its views' masks, uint8 (S, S), compressed by zlib: 1 MB becomes a few KB.
    size: the model's input size in pixels.
    """

    stores: Sequence[Embeddings]
    ids: Sequence[str]
    masks: Sequence[Sequence[bytes]]
    size: int
    with_images: bool

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, chosen: Tensor, generator: torch.Generator) -> tuple[tuple[Tensor | None, Tensor], Tensor]:
        views = torch.randint(len(self.masks[0]), chosen.shape, generator=generator).tolist()
        rows = list(zip(chosen.tolist(), views, strict=True))
        embeddings = np.stack([self._read("embedding", i, view) for i, view in rows])
        images = None
        if self.with_images:
            images = torch.from_numpy(to_unit_range(np.stack([self._read("image", i, view) for i, view in rows])))
            images = images[:, None].to(memory_format=torch.channels_last)
        masks = [np.frombuffer(zlib.decompress(self.masks[i][view]), np.uint8) for i, view in rows]
        masks = torch.from_numpy(np.stack(masks).reshape(-1, self.size, self.size))
        return (images, torch.from_numpy(embeddings).float()), masks

    def _read(self, name: str, i: int, view: int) -> np.ndarray:
        holder = next((store for store in self.stores if self.ids[i] in store), self.stores[-1])
        return holder.read(name, self.ids[i], view)


def embedding_pool(
    network: Sam,
    arm_pool,
    stores: Sequence[Path],
    base: Path,
    views: int,
    augmentation: Augment,
    seed: int,
    scratch: Scratch,
) -> EmbeddingPool:
    """What an arm's decoder is trained on; what no store holds, derived examples, is encoded into ``scratch``.

    Args:
        arm_pool: see ``arms.pool.Pool``: ``examples()``, ``derived_examples()``, ``derived`` and ``mask_of``.
    """
    digest = base_digest(base)
    opened = [Embeddings(path, digest) for path in stores]
    size, device = network.image_size, next(network.parameters()).device
    if arm_pool.derived:
        own = scratch.folder / "embeddings"
        if is_main() and not (own / "index.json").exists():
            images = ((case_id, image) for case_id, image, _ in arm_pool.derived_examples())
            encode(network, images, arm_pool.derived, own, base=digest, views=views, augmentation=augmentation,
                   seed=seed, device=device)  # fmt: skip
        wait_for_all(cpu=device.type == "cpu")
        opened.append(Embeddings(own, digest))
    ids, masks = [], []
    for case_id, image, mask in arm_pool.examples():
        case_id = stored_id(case_id, opened)
        ids.append(case_id)
        shown = (augmented_view(image, mask, view, augmentation, seed, case_id)[1] for view in range(views))
        masks.append([packed(one) for one in shown])
    return EmbeddingPool(opened, ids, [masks[i] for i in arm_pool.mask_of], size, network.detail is not None)


def packed(mask: np.ndarray) -> bytes:
    """A uint8 mask (S, S) as :class:`EmbeddingPool` keeps it."""
    return zlib.compress(np.ascontiguousarray(mask).tobytes(), 1)


def stored_id(case_id: str, stores: Sequence[Embeddings]) -> str:
    """The id a case is stored under: curation repeats hard samples as ``a-x2`` …, with the pixels of ``a``."""
    return case_id if any(case_id in store for store in stores) else _REPEATED.sub("", case_id)


def examples_of(cases: Iterable[Case], size: int) -> Iterable[tuple[str, np.ndarray]]:
    """(id, letter-boxed float32 image (1, size, size) in [-1, 1]) of each case."""
    for case in cases:
        yield case.id, stack_images([case], size)[0]
