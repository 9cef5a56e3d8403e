"""The objective of an adapted Stable Diffusion: LoRA on the U-Net, and a ControlNet for the mask; all else is frozen.

The loss is the base model's own: the mean squared error of the noise (or velocity) its scheduler asks for, in latent
space.
"""

import numpy as np
import torch
from diffusers import ControlNetModel
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config.diffusion import StableDiffusion
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.stable_diffusion.base import LATENT_SCALE, Base
from pipeline.diffusion.stable_diffusion.contours import check_structures, draw_contours
from pipeline.diffusion.stable_diffusion.generator import StableDiffusionGenerator, predict
from pipeline.diffusion.training_set import TrainingSet, parted
from pipeline.imaging.affine import random_affine
from pipeline.imaging.letterbox import to_uint8, to_unit_range
from pipeline.learning.objective import Batch
from pipeline.run import seeds

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
"""The projections of every attention layer of the U-Net that LoRA (Hu et al. 2021, arXiv 2106.09685) adapts."""


class Adapted(nn.Module):
    """What is trained, as one module: the U-Net with LoRA and, in the variant 'controlnet', its ControlNet."""

    def __init__(self, unet, controlnet):
        super().__init__()
        self.unet, self.controlnet = unet, controlnet

    def forward(self, latents: Tensor, times: Tensor, planes: Tensor | None, text: Tensor) -> Tensor:
        return predict(self.unet, self.controlnet, latents, times, planes, text)


class StableDiffusionTuning:
    """network: the base U-Net with LoRA layers put in and, in the variant 'controlnet', its encoder's copy beside it.

    Raises:
        InputError: too many structures for the variant 'reference'.
    """

    def __init__(self, data: TrainingSet, base: Base, params: StableDiffusion, seed: int):
        self.data, self.base, self.params = data, base, params
        self.condition = Condition(data.n_structures)
        self.text = base.embed(params.prompt)
        torch.manual_seed(seeds.derive(seed, "init"))
        controlnet = None
        if params.variant == "reference":
            check_structures(data.n_structures)
        else:
            controlnet = ControlNetModel.from_unet(base.unet, conditioning_channels=self.condition.n_planes)
        rank = params.lora_rank
        base.unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=ATTENTION, init_lora_weights=True))
        self.network = Adapted(base.unet, controlnet)

    def batch(self, step: int, count: int, generator: torch.Generator, share: slice) -> Batch:
        """Of B images of size S, latents of C channels and size s = S/8:

        pixels float32 [B, 3, S, S] in [-1, 1]; planes float32 [B, P, S, S], None in the variant 'reference'; spread and
        noise float32 [B, C, s, s], standard normal: the VAE's posterior and the diffusion; times integer [B].
        """
        data, params = self.data, self.params
        chosen = data.choose(count, params.unlabelled_share, generator)
        geometry = {key: getattr(params, key) for key in ("flip", "rotate_deg", "scale", "shift")}
        grey, coded = random_affine(*data.pixels(chosen), generator, **geometry)
        unknown = ~data.known[chosen]
        if params.variant == "controlnet":
            unknown |= torch.rand(count, generator=generator) < params.mask_dropout
        size = grey.shape[-1] // LATENT_SCALE
        shape = (count, self.base.vae.config.latent_channels, size, size)
        spread, noise = (torch.randn(shape, generator=generator) for _ in range(2))
        times = torch.randint(self.base.scheduler.config.num_train_timesteps, (count,), generator=generator)

        grey, coded, unknown = grey[share], coded[share], unknown[share]
        labels, inside = parted(coded)
        if params.variant == "controlnet":
            planes = self.condition.planes(labels, inside)
            planes[unknown] = self.condition.without_mask(planes[unknown])
            pixels = grey.expand(-1, 3, -1, -1)
        else:
            planes = None
            joint = [
                draw_contours(image, mask, data.n_structures)
                for image, mask in zip(to_uint8(grey[:, 0].numpy()), labels.numpy(), strict=True)
            ]
            pixels = torch.from_numpy(to_unit_range(np.stack(joint)).transpose(0, 3, 1, 2).copy())
        return pixels, planes, spread[share], noise[share], times[share]

    def loss(
        self, model: nn.Module, pixels: Tensor, planes: Tensor | None, spread: Tensor, noise: Tensor, times: Tensor
    ) -> Tensor:
        """Mean squared error of what the scheduler's ``prediction_type`` asks for (Ho et al. 2020, eq. 14)."""
        vae, scheduler = self.base.vae, self.base.scheduler
        with torch.no_grad():
            posterior = vae.encode(pixels).latent_dist
            latents = (posterior.mean + posterior.std * spread) * vae.config.scaling_factor
        noisy = scheduler.add_noise(latents, noise, times)
        target = noise
        if scheduler.config.prediction_type == "v_prediction":
            target = scheduler.get_velocity(latents, noise, times)
        return functional.mse_loss(model(noisy, times, planes, self.text).float(), target)

    def generator(self) -> StableDiffusionGenerator:
        """The trained generator. The LoRA weights are added to the U-Net's own, which leaves a plain U-Net."""
        lora = convert_state_dict_to_diffusers(get_peft_model_state_dict(self.network.unet))
        lora = {name: weight.detach().cpu().clone() for name, weight in lora.items()}
        self.network.unet.fuse_lora()
        self.network.unet.unload_lora()
        self.network.requires_grad_(False).eval()
        params, data = self.params, self.data
        return StableDiffusionGenerator(
            self.base, self.network.controlnet, lora, data.structures, data.image_size, params.prompt, data.polygons()
        )
