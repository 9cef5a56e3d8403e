"""Class maps from logits, in model space or back at native resolution."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from pipeline.config.section import Outputs
from pipeline.data.case import Case
from pipeline.data.stacking import stack_images
from pipeline.imaging.letterbox import Letterbox
from pipeline.imaging.overlap import overlap
from pipeline.networks.outputs import outputs_of, structure_probabilities

BATCH = 32
Encoded = Callable[[np.ndarray], np.ndarray]


@torch.inference_mode()
def probabilities(network: nn.Module, images: np.ndarray, device, embeddings: np.ndarray | None = None) -> np.ndarray:
    """float32 (N, 1, H, W) in [-1, 1] → float32 (N, n_structures, H, W) in [0, 1].

    Args:
        embeddings: (N, C, h, w), what a SAM's encoder made of the images, where that is known.
    """
    outputs = []
    for start in range(0, len(images), BATCH):
        part = slice(start, start + BATCH)
        x = torch.from_numpy(images[part]).to(device, memory_format=torch.channels_last)
        known = [] if embeddings is None else [torch.from_numpy(embeddings[part]).float().to(device)]
        outputs.append(structure_probabilities(network(x, *known), outputs_of(network)).float().cpu().numpy())
    return np.concatenate(outputs)


def class_map(probability: np.ndarray, outputs: Outputs = "independent") -> np.ndarray:
    """float (n_structures, H, W) → uint8 (H, W): the likeliest structure where it is at least as likely as background.

    Of independent structures that is from 0.5 on; of exclusive ones the background has what they leave of 1.
    """
    background = 0.5 if outputs == "independent" else 1 - probability.sum(axis=0)
    winner = probability.argmax(axis=0)
    return np.where(probability.max(axis=0) >= background, winner + 1, 0).astype(np.uint8)


def predict_native(
    network: nn.Module,
    cases: Sequence[Case],
    size: int | Sequence[int],
    device,
    encoded: Encoded | None = None,
) -> list[np.ndarray]:
    """uint8 class maps at each case's native resolution, from its image alone.

    Args:
        size: of what the network sees: the edge of a square, or height and width.
        encoded: float32 images (N, 1, H, W) in [-1, 1] → what the network's frozen encoder makes of them, where that is
            stored.
    """
    maps = []
    for start in range(0, len(cases), BATCH):
        chunk = cases[start : start + BATCH]
        images = stack_images(chunk, size)
        found = probabilities(network, images, device, None if encoded is None else encoded(images))
        for case, probability in zip(chunk, found, strict=True):
            box = Letterbox.fit(case.image.shape, size)
            maps.append(class_map(np.stack([box.restore(plane) for plane in probability]), outputs_of(network)))
    return maps


def dice(a: np.ndarray, b: np.ndarray, n_structures: int) -> np.ndarray:
    """Dice of two class maps per structure, float (n_structures,); 1 where a structure is absent from both."""
    return np.array([overlap(a == k, b == k)[0] for k in range(1, n_structures + 1)])


def mean_dice(network: nn.Module, images: np.ndarray, masks: np.ndarray, n_structures: int, device) -> np.ndarray:
    """Dice of each image, mean over structures, at model resolution: float (N,)."""
    maps = (class_map(p, outputs_of(network)) for p in probabilities(network, images, device))
    return np.array([dice(a, b, n_structures).mean() for a, b in zip(maps, masks, strict=True)])
