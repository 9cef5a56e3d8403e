"""The objective of the denoiser: its loss on views of the training images, at random noise levels."""

import torch
from torch import Tensor, nn

from pipeline.config.diffusion import Denoiser
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.denoiser.preconditioning import Preconditioning, build_unet, denoising_loss
from pipeline.diffusion.training_set import TrainingSet
from pipeline.diffusion.views import ViewSet
from pipeline.learning.objective import Batch
from pipeline.run import seeds


class Denoising:
    """network: a U-Net with random weights under ``seed``. condition: what it is told.

    emphasis: float [C], mean 1, what the error of each channel counts: its spread to the power ``params.emphasis``. The
    fine channels of a linear code are many and hold little; counted alike they leave the coarse ones unlearnt.
    """

    def __init__(self, data: TrainingSet, views: ViewSet, params: Denoiser, seed: int):
        self.data, self.views, self.params = data, views, params
        self.numbers = views.numbers(params.appearance)
        self.condition = Condition(data.n_structures, views.code.factor, self.numbers.shape[1])
        self.preconditioning = Preconditioning(views.code.sigma_data, params.prediction)
        emphasis = views.code.spread**params.emphasis
        self.emphasis = emphasis / emphasis.mean()
        torch.manual_seed(seeds.derive(seed, "init"))
        n_codes, grid = views.codes.shape[1:3]
        unet = build_unet(grid, n_codes, self.condition.n_channels, params.channels, params.layers)
        self.network = unet.to(memory_format=torch.channels_last)

    def batch(self, step: int, count: int, generator: torch.Generator, share: slice) -> Batch:
        """Codes float [B, C, s, s], condition [B, P, s, s], noise as codes, and σ [B]."""
        data, params, views = self.data, self.params, self.views
        cases = data.choose(count, params.unlabelled_share, generator)
        chosen = views.of(cases, generator)
        unknown = torch.rand(count, generator=generator) < params.mask_dropout
        noise = torch.randn(count, *views.codes.shape[1:], generator=generator)
        sigma = _noise_levels(count, params, generator)

        cases, chosen, unknown = (drawn[share] for drawn in (cases, chosen, unknown))
        channels = self.condition.channels(views.planes_of(chosen), self.numbers[chosen])
        unknown |= ~data.known[cases]
        channels[unknown] = self.condition.without_mask(channels[unknown])
        return views.codes[chosen].float(), channels, noise[share], sigma[share]

    def loss(self, model: nn.Module, codes: Tensor, channels: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        edm = self.preconditioning.to(codes.device)
        return denoising_loss(model, codes, channels, noise, sigma, edm, self.emphasis.to(codes.device))


def _noise_levels(count: int, params: Denoiser, generator: torch.Generator) -> Tensor:
    """σ [count], log-normal (p_mean, p_std), stratified over the batch: less variance between steps."""
    quantile = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
    return (params.p_mean + params.p_std * torch.special.ndtri(quantile.clamp(1e-4, 1 - 1e-4))).exp()
