"""What a mask decoder on a frozen encoder is trained on: stored embeddings of a few views of each case, and masks."""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.config.augmentation import Augment
from pipeline.data.case import Case
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.features.embeddings import EmbeddingStore
from pipeline.learning.segmentation import augmented
from pipeline.run import seeds
from pipeline.run.processes import is_main, wait_for_all


@dataclass
class EmbeddingPool:
    """Rows of a store, and masks (a few kilobytes each, compressed), whatever the number of cases.

    names: of every case its views' names in the store. masks: the same views' masks, uint8 (H, W), compressed by zlib.
    """

    store: EmbeddingStore
    names: list[list[str]] = field(default_factory=list)
    masks: list[list[bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, store: EmbeddingStore, cases: Iterable[Case], views: int, augmentation: Augment, seed: int):
        """Encode what the store lacks: of every case its image as it is, and ``views - 1`` augmented ones.

        A view is a function of (seed, case, number). Of several processes the main one encodes.
        """
        pool, size = cls(store), store.network.shape
        for case in cases:
            shown = [view(case, number, size, augmentation, seed) for number in range(views)]
            images = [image for image, _ in shown]
            pool.names.append(store.add(images) if is_main() else store.names(images))
            pool.masks.append([zlib.compress(np.ascontiguousarray(mask).tobytes(), 1) for _, mask in shown])
        wait_for_all(cpu=next(store.network.parameters()).device.type == "cpu")
        return pool

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, chosen: Tensor, generator: torch.Generator) -> tuple[tuple[Tensor | None, Tensor], Tensor]:
        """Of each chosen case a random view: images (where the network looks at them) and embeddings, and masks."""
        views = torch.randint(len(self.masks[0]), chosen.shape, generator=generator).tolist()
        rows = list(zip(chosen.tolist(), views, strict=True))
        names = [self.names[i][number] for i, number in rows]
        images = None
        if self.store.network.detail is not None:
            images = torch.from_numpy(np.stack([self.store.image(name) for name in names]))
            images = images.to(memory_format=torch.channels_last)
        embeddings = torch.from_numpy(np.stack([self.store.embedding(name) for name in names])).float()
        masks = [np.frombuffer(zlib.decompress(self.masks[i][number]), np.uint8) for i, number in rows]
        return (images, embeddings), torch.from_numpy(np.stack(masks).reshape(-1, *self.store.network.shape))


def embedding_pool(root: Path, base: Path, views: int, seed: int) -> Callable[..., EmbeddingPool]:
    """(network, cases, size, augmentation) → the pool of the cases; see :meth:`EmbeddingPool.of`."""
    return lambda network, cases, size, augmentation: EmbeddingPool.of(
        EmbeddingStore(root, base, network), cases, views, augmentation, seed
    )


def view(
    case: Case, number: int, size: tuple[int, int], augmentation: Augment, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Image float32 (1, H, W) in [-1, 1] and mask uint8 (H, W) of a view; number 0 is the case as it is."""
    images, masks = stack_images([case], size), stack_masks([case], size)
    if number:
        generator = seeds.torch_generator(seed, "view", case.id, number)
        x, y = augmented(torch.from_numpy(images), torch.from_numpy(masks), augmentation, generator)
        images, masks = x.numpy(), y.numpy()
    return images[0], masks[0]
