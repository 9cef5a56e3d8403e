"""A mask-to-image pipeline of random weights, and how masks for it are warped."""

import torch
from diffusers import EDMDPMSolverMultistepScheduler

from pipeline.config.augmentation import Warp
from pipeline.data.structures import Structure, to_json
from pipeline.diffusion.codes.pixel import PixelCode
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.denoiser.generator import MaskToImagePipeline
from pipeline.diffusion.denoiser.preconditioning import build_unet

WARP = Warp(rotate_deg=5, scale=0.05, aspect=0.05, shift=0.02, elastic=0.0)
WHOLE = [[(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)]]
STRUCTURES = (Structure("head", "head"),)
BANK = torch.randn(5, 7, generator=torch.Generator().manual_seed(3)).tolist()


def random_generator(params, patch=2, bank=BANK, **changes) -> MaskToImagePipeline:
    """Of images with a mean of -0.7 and a standard deviation of 0.3 in pixels."""
    params = params.model_copy(update=changes)
    torch.manual_seed(0)
    code = PixelCode(patch)
    code.mean.fill_(-0.7)
    code.scale.fill_(0.5 / 0.3)
    code.sigma_data.fill_(0.5)
    condition = Condition(1, patch, 7 if bank else 0)
    unet = build_unet(32 // patch, patch**2, condition.n_channels, params.channels, params.layers)
    with torch.no_grad():
        for weight in unet.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    scheduler = EDMDPMSolverMultistepScheduler(sigma_data=0.5, solver_order=2, final_sigmas_type="zero")
    config = {"structures": to_json(STRUCTURES), "image_size": 32, "sectors": WHOLE, "appearances": bank}
    return MaskToImagePipeline(unet.eval(), scheduler, code, **config)
