"""Pictures of a generator in training: the same masks, sectors and noise every time."""

import numpy as np
import torch

from pipeline.diffusion.pixel.generator import MaskToImagePipeline
from pipeline.diffusion.pool import Pool
from pipeline.imaging.contact_sheet import contact_sheet, with_contour

COLUMNS, HEIGHT, STEPS = 8, 144, 12


def preview_sheet(pipeline: MaskToImagePipeline, pool: Pool) -> np.ndarray:
    """RGB uint8 sheet: labelled training images above images generated from their masks."""
    chosen = slice(0, min(COLUMNS, pool.labelled))
    masks = pool.masks[chosen]
    generated = pipeline(
        masks,
        pool.sectors[chosen],
        num_inference_steps=STEPS,
        pixel_mm=pool.pixel_mm[chosen],
        devices=pool.devices[chosen],
        generator=[torch.Generator().manual_seed(i) for i in range(len(masks))],
        output_type="np",
    ).images
    rows = (pool.images[chosen].numpy(), generated)
    return contact_sheet(
        [[with_contour(i, m, HEIGHT) for i, m in zip(row, masks.numpy(), strict=True)] for row in rows]
    )
