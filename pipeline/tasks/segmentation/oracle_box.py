"""Scores with a box drawn from the reference mask, beside those of the ellipse in that box."""

import numpy as np
import torch

from pipeline.data.case import Case
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.learning.segmentation import one_hot
from pipeline.networks.sam.model import Sam
from pipeline.networks.sam.prompts import boxes_around, ellipse_in_box, jitter
from pipeline.tasks.segmentation.scores import overlap


@torch.inference_mode()
def segment_with_oracle(
    network: Sam, case: Case, size: int, share: float, generator: torch.Generator, device
) -> tuple[np.ndarray, np.ndarray]:
    """Dice per structure of SAM and of the ellipse, at model resolution, nan where the structure is absent.

    Args:
        share: spread of each side of the box, as a share of the box (see :func:`prompts.jitter`).
    """
    images = torch.from_numpy(stack_images([case], size)).to(device)
    masks = one_hot(torch.from_numpy(stack_masks([case], size)), network.n_structures) > 0
    boxes = jitter(boxes_around(masks), share, generator)
    found = network.segment(images, boxes.to(device))[0].cpu().numpy() >= 0
    sam, ellipse = [], []
    for k, reference in enumerate(masks[0].numpy()):
        control = ellipse_in_box(boxes[0, k].numpy(), reference.shape)
        present = reference.any()
        sam.append(overlap(found[k], reference)[0] if present else np.nan)
        ellipse.append(overlap(control, reference)[0] if present else np.nan)
    return np.array(sam), np.array(ellipse)
