"""Scores with a box drawn from the reference mask, beside those of the ellipse in that box."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from pipeline.data.case import Case
from pipeline.data.dataset import open_dataset
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.data.structures import names
from pipeline.imaging.overlap import overlap
from pipeline.networks.sam.model import Sam
from pipeline.networks.sam.prompts import boxes_around, ellipse_in_box, jitter
from pipeline.run import seeds

COLUMNS = ("cohort", "structure", "id", "patient", "dice_oracle_box", "dice_ellipse_in_box")


def score_with_oracle(network: Sam, path: Path, size: int, share: float, seed: int, device) -> Iterator[dict]:
    """A row of ``COLUMNS`` for every structure of every test case of the dataset ``path`` that its mask shows."""
    dataset = open_dataset(path, splits=["test"])
    for case in dataset.cases:
        generator = seeds.torch_generator(seed, "oracle", path.name, case.id)
        scores = segment_with_oracle(network, case, size, share, generator, device)
        for structure, sam, ellipse in zip(names(dataset.structures), *scores, strict=True):
            if not np.isnan(sam):
                yield dict(zip(COLUMNS, (path.name, structure, case.id, case.patient, sam, ellipse), strict=True))


@torch.inference_mode()
def segment_with_oracle(
    network: Sam, case: Case, size: int, share: float, generator: torch.Generator, device
) -> tuple[np.ndarray, np.ndarray]:
    """Dice per structure of SAM and of the ellipse, at model resolution, nan where the structure is absent.

    Args:
        share: spread of each side of the box, as a share of the box (see :func:`prompts.jitter`).
    """
    images = torch.from_numpy(stack_images([case], size)).to(device)
    labels = torch.from_numpy(stack_masks([case], size))
    masks = torch.stack([labels == k + 1 for k in range(network.n_structures)], dim=1)
    boxes = jitter(boxes_around(masks), share, generator)
    found = network.segment(images, boxes.to(device))[0].cpu().numpy() >= 0
    pairs = [
        (overlap(found[k], reference)[0], overlap(ellipse_in_box(boxes[0, k].numpy(), reference.shape), reference)[0])
        if reference.any()
        else (np.nan, np.nan)
        for k, reference in enumerate(masks[0].numpy())
    ]
    return tuple(np.array(pairs).T)
