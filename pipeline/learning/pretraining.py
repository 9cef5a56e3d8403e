"""Promptable pre-training of the compact SAM: a point, a box or nothing in, the mask of one procedural object out.

Without a prompt the object that shows most of itself is meant. The loop is that of every segmenter.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.config.segmenters import SamBase
from pipeline.learning.procedural import procedural_batch
from pipeline.learning.training import Recipe, fit
from pipeline.networks.sam.compact import build_compact_sam
from pipeline.networks.sam.model import Sam
from pipeline.networks.sam.prompts import boxes_around, jitter
from pipeline.networks.sam.tuning import freeze_unused
from pipeline.run.resume import Scratch

OBJECTS = 2
BOX_JITTER = 0.05


def pretrain_compact_sam(
    settings: SamBase,
    seed: int,
    device: torch.device,
    scratch: Scratch,
    on_step: Callable[[int, float], None],
) -> Sam:
    """A compact SAM from random weights, drawn with ``seed``, trained for ``settings.pretraining.steps``."""
    torch.manual_seed(seed)
    network = build_compact_sam(settings.compact, settings.image_size, n_structures=1)
    promptable = Promptable(network)
    if settings.pretraining.steps:
        recipe = Recipe.of(settings.pretraining)
        fit(
            promptable,
            ProceduralPool(settings.image_size),
            recipe,
            n_structures=1,
            seed=seed,
            device=device,
            scratch=scratch,
            on_step=on_step,
        )
    _share_token(network)
    return network


class Promptable(nn.Module):
    """Masks for a point or a box per image, or for neither."""

    def __init__(self, network: Sam):
        super().__init__()
        self.network = network
        freeze_unused(network)

    def forward(self, images: Tensor, points: Tensor | None, boxes: Tensor | None) -> tuple[Tensor, ...]:
        """Logits [B, 1, S, S] of every supervised mask, the final one last.

        Args:
            images: float [B, 1, S, S] in [-1, 1].
            points: float [B, 1, 1, 2], x and y in pixels.
            boxes: float [B, 1, 4].
        """
        details = self.network.details(images)
        prompt = None
        if points is not None or boxes is not None:
            labels = None if points is None else torch.ones(points.shape[:3], dtype=torch.int, device=images.device)
            prompt, _ = self.network.sam.prompt_encoder(points, labels, boxes, None)
        return self.network.masks(self.network.embed(images, details), details, prompt)


@dataclass(frozen=True)
class ProceduralPool:
    """Endless: every batch is new, and one third of them goes without a prompt, with points, with boxes."""

    size: int

    def __len__(self) -> int:
        return 1

    def batch(
        self, chosen: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, Tensor | None, Tensor | None], Tensor]:
        images, labels = procedural_batch(len(chosen), self.size, OBJECTS, generator)
        images = images.to(memory_format=torch.channels_last)
        area = torch.stack([(labels == k).sum((1, 2)) for k in range(1, OBJECTS + 1)], dim=1)
        kind = int(torch.randint(3, (), generator=generator))
        if kind == 0:
            wanted = area.argmax(dim=1) + 1
        else:
            # Any object that shows; where none does, all that matters is that the draw is possible.
            wanted = torch.multinomial((area > self.size / 4).float() + 1e-9, 1, generator=generator)[:, 0] + 1
        masks = labels == wanted[:, None, None]
        points = point_in(masks, generator)[:, None, None] if kind == 1 else None
        boxes = jitter(boxes_around(masks[:, None]), BOX_JITTER, generator) if kind == 2 else None
        return (images, points, boxes), masks.long()


def point_in(masks: Tensor, generator: torch.Generator) -> Tensor:
    """x and y of a random pixel of each bool mask [B, S, S], of the image where it is empty: float [B, 2]."""
    size = masks.shape[-1]
    weight = masks.flatten(1).float() + 1e-9
    place = torch.multinomial(weight, 1, generator=generator)[:, 0]
    return torch.stack([place % size, place // size], dim=1).float()


@torch.no_grad()
def _share_token(network: Sam) -> None:
    """Only the first mask token was trained: the others, which further structures use, start as copies."""
    tokens = network.sam.mask_decoder.mask_tokens.weight
    tokens.copy_(tokens[:1].expand_as(tokens).clone())
