"""The autoencoder of a Stable Diffusion as a code: the mean of its posterior, channels at an eighth of the size."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor

from pipeline.diffusion.codes.code import Code
from pipeline.networks.diffusers_folder import load_network
from pipeline.run.errors import InputError

_REMEDY = "key 'views.code.weights' names the folder of an AutoencoderKL in diffusers form"


class VaeCode(Code, ModelMixin, ConfigMixin):
    """``vae``: the configuration of an AutoencoderKL, whose weights :func:`open_vae` or ``from_pretrained`` sets."""

    config_name = "config.json"

    @register_to_config
    def __init__(self, vae: dict):
        super().__init__()
        self.autoencoder = AutoencoderKL.from_config(vae)
        factor = 2 ** (len(self.autoencoder.config.block_out_channels) - 1)
        self._channels(self.autoencoder.config.latent_channels, factor)

    def raw(self, images: Tensor) -> Tensor:
        return self.autoencoder.encode(images.expand(-1, 3, -1, -1)).latent_dist.mean

    def images(self, raw: Tensor) -> Tensor:
        # One at a time: the decoder takes far more memory per image than the denoiser.
        return torch.cat([self.autoencoder.decode(one).sample.mean(dim=1, keepdim=True) for one in raw.split(1)])


def open_vae(folder: Path) -> VaeCode:
    """The autoencoder of a folder.

    Raises:
        InputError: nothing there, weights that are no safetensors or another network's, or one of another reduction.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; {_REMEDY}")
    network = load_network(folder, AutoencoderKL, _REMEDY)
    code = VaeCode(dict(network.config))
    if code.factor != 8:
        raise InputError(f"{folder}: this autoencoder reduces by {code.factor}, not by 8; {_REMEDY}")
    code.autoencoder.load_state_dict(network.state_dict())
    return code.requires_grad_(False).eval()
