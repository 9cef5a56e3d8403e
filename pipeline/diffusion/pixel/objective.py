"""The objective of the denoiser: its loss on images of the training set, augmented, at random noise levels."""

import torch
from torch import Tensor, nn

from pipeline.config.diffusion import Pixel
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.pixel.augmentation import N_CHANGES, apply_changes, draw_changes
from pipeline.diffusion.pixel.denoiser import Edm, build_unet, denoising_loss
from pipeline.diffusion.training_set import TrainingSet, parted
from pipeline.learning.objective import Batch
from pipeline.run import seeds


class Denoising:
    """network: a U-Net with random weights under ``seed``. condition: the planes it is told."""

    def __init__(self, data: TrainingSet, params: Pixel, seed: int):
        self.data, self.params, self.grey = data, params, data.grey
        self.condition = Condition(data.n_structures, N_CHANGES if params.augment.conditioned else 0)
        torch.manual_seed(seeds.derive(seed, "init"))
        unet = build_unet(params.image_size, params.channels, params.layers, params.patch, self.condition.n_planes)
        self.network = unet.to(memory_format=torch.channels_last)

    def batch(self, step: int, count: int, generator: torch.Generator, share: slice) -> Batch:
        """Images float [B, 1, S, S], standardised to sigma_data, planes [B, P, S, S], noise as images, and σ [B]."""
        data, params, size = self.data, self.params, self.params.image_size
        chosen = data.choose(count, params.unlabelled_share, generator)
        changes, flips = draw_changes(count, params.augment, generator)
        unknown = torch.rand(count, generator=generator) < params.mask_dropout
        # Numbers nobody needs any more; without them the noise would be another than in earlier versions.
        torch.rand(count, generator=generator)
        noise = torch.randn(count, 1, size, size, generator=generator)
        sigma = _noise_levels(count, params, generator)

        chosen, changes, flips, unknown = (drawn[share] for drawn in (chosen, changes, flips, unknown))
        images, coded = apply_changes(*data.pixels(chosen), changes, flips, params.augment)
        planes = self.condition.planes(*parted(coded), changes)
        unknown |= ~data.known[chosen]
        planes[unknown] = self.condition.without_mask(planes[unknown])
        mean, std = self.grey
        return (images - mean) / std * params.sigma_data, planes, noise[share], sigma[share]

    def loss(self, model: nn.Module, images: Tensor, planes: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        return denoising_loss(model, images, planes, noise, sigma, self.params.patch, Edm(self.params.sigma_data))


def _noise_levels(count: int, params: Pixel, generator: torch.Generator) -> Tensor:
    """σ [count], log-normal (p_mean, p_std), stratified over the batch: less variance between steps."""
    quantile = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
    return (params.p_mean + params.p_std * torch.special.ndtri(quantile.clamp(1e-4, 1 - 1e-4))).exp()
