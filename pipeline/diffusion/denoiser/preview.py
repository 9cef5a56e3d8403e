"""Pictures of a generator in training: the same masks, sectors and noise every time."""

from collections.abc import Sequence

import numpy as np
import torch

from pipeline.diffusion.denoiser.generator import MaskToImagePipeline
from pipeline.diffusion.training_set import TrainingSet
from pipeline.imaging.contact_sheet import contact_sheet, with_contour

COLUMNS, HEIGHT, STEPS = 8, 144, 12


def preview_sheet(pipeline: MaskToImagePipeline, data: TrainingSet) -> np.ndarray:
    """RGB uint8 sheet: labelled training images above images generated from their masks."""
    chosen = slice(0, min(COLUMNS, data.labelled))
    masks = data.masks[chosen]
    generators = [torch.Generator().manual_seed(i) for i in range(len(masks))]
    options = {"num_inference_steps": STEPS, "generator": generators, "output_type": "np"}
    generated = pipeline(masks, data.sectors[chosen], **options).images

    def tiles(images: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [with_contour(image, mask, HEIGHT) for image, mask in zip(images, masks.numpy(), strict=True)]

    return contact_sheet(tiles(data.images[chosen].numpy()) + tiles(generated), len(masks))
