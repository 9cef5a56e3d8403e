"""Geometry of an augmented batch: which side is which."""

import math

import pytest
import torch

from pipeline.imaging.affine import random_affine

LIMITS = {"rotate_deg": 180, "scale": 0.2, "shift": 0.05}


def corners(count=64):
    """Masks of three squares, 1, 2 and 3, that lie clockwise around the centre."""
    masks = torch.zeros(count, 96, 96, dtype=torch.long)
    for value, degrees in enumerate((0, 120, 240), start=1):
        x, y = (round(48 + 20 * f(math.radians(degrees))) for f in (math.cos, math.sin))
        masks[:, y - 4 : y + 4, x - 4 : x + 4] = value
    return masks


def turns(masks):
    """Bool [B]: whether the squares still lie clockwise."""
    at = torch.stack([torch.stack([(one == k).nonzero().float().mean(0) for k in (1, 2, 3)]) for one in masks])
    (y1, x1), (y2, x2) = (at[:, 1] - at[:, 0]).T, (at[:, 2] - at[:, 0]).T
    return x1 * y2 - y1 * x2 > 0


@pytest.mark.parametrize("flip", [False, True])
def test_without_flips_no_draw_mirrors(flip):
    """The angle of progression is not that of the mirror image; turning by any angle keeps it."""
    masks = corners()
    images = masks[:, None].float() / 3 * 2 - 1
    _, moved = random_affine(images, masks, torch.Generator().manual_seed(0), flip=flip, **LIMITS)
    kept = turns(moved).float().mean().item()
    assert kept == 1 if not flip else 0.2 < kept < 0.8
    assert not torch.equal(moved, masks)
