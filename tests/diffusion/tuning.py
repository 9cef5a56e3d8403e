"""A short fine-tuning of the tiny Stable Diffusion on four ellipses."""

from pathlib import Path

import numpy as np
import torch

from pipeline.config.diffusion import StableDiffusion
from pipeline.data.structures import Structure
from pipeline.diffusion.training import train_generator
from pipeline.diffusion.training_set import TrainingSet

VARIANTS = ["controlnet", "reference"]
STRUCTURES = (Structure("head", "head"),)
CPU = torch.device("cpu")


def ellipses() -> TrainingSet:
    """Four images of 64 px, each of a dark ellipse, with their masks."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    radii = [np.hypot((rows - 32) / (18 + i), (columns - 32) / (12 + i)) for i in range(4)]
    masks = np.stack([radius < 1 for radius in radii]).astype(np.uint8)
    grey = np.where(masks, 60, 150) + rng.normal(0, 10, masks.shape)
    return TrainingSet(
        images=torch.from_numpy(np.clip(grey, 0, 255).astype(np.uint8)),
        masks=torch.from_numpy(masks),
        sectors=torch.ones(masks.shape, dtype=torch.bool),
        known=torch.ones(4, dtype=torch.bool),
        labelled=4,
        structures=STRUCTURES,
    )


def eight_steps(weights: Path) -> StableDiffusion:
    """At a learning rate that moves a ControlNet's zero convolutions."""
    return StableDiffusion(
        backend="stable_diffusion",
        unlabelled_share=0.0,
        accumulate=1,
        weights=str(weights),
        variant="controlnet",
        lora_rank=2,
        prompt="a head",
        steps=8,
        batch=2,
        learning_rate=0.02,
        warmup_steps=0,
        mask_dropout=0.25,
        flip=True,
        rotate_deg=8,
        scale=0.08,
        shift=0.04,
        mixed_precision="no",
        checkpoint_every=3,
    )


def train(pool, params, scratch, on_step=lambda step, loss: None):
    return train_generator(pool, Path("views"), params, 0, scratch, CPU, on_step)
