"""The tiny autoencoder of FLUX.2 (TAEF2, madebyollin/taesd, MIT) as a code: 32 channels at an eighth of the size.

The files of weights are the user's: encoder and decoder as their publisher gives them, plain sequences of modules whose
places the tensor names count.
"""

from pathlib import Path

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from pipeline.diffusion.codes.code import Code
from pipeline.networks.given_weights import open_weights
from pipeline.networks.weights import differences

CHANNELS, FACTOR, WIDTH = 32, 8, 64


class Taef2Code(Code, ModelMixin, ConfigMixin):
    """Random weights until :func:`open_taef2` loads those of the files, or ``from_pretrained`` saved ones."""

    config_name = "config.json"

    @register_to_config
    def __init__(self, width: int = WIDTH):
        super().__init__()
        self._channels(CHANNELS, FACTOR)
        self.encoder, self.decoder = _encoder(width), _decoder(width)

    def raw(self, images: Tensor) -> Tensor:
        return self.encoder(((images + 1) / 2).expand(-1, 3, -1, -1))

    def images(self, raw: Tensor) -> Tensor:
        return self.decoder(raw).mean(dim=1, keepdim=True) * 2 - 1


class _Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 3 * torch.tanh(x / 3)


class _Block(nn.Module):
    """A residual block of three convolutions; with ``pooled`` it adds a normalised bottleneck of 1 × 1 first."""

    def __init__(self, width: int, pooled: bool):
        super().__init__()
        convs = [nn.Conv2d(width, width, 3, padding=1) for _ in range(3)]
        self.conv = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])
        if pooled:
            inner, outer = nn.Conv2d(width, 4 * width, 1, bias=False), nn.Conv2d(4 * width, width, 1, bias=False)
            self.pool = nn.Sequential(inner, nn.GroupNorm(4, 4 * width), nn.ReLU(), outer)
        self.pooled = pooled

    def forward(self, x: Tensor) -> Tensor:
        if self.pooled:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


def _halved(width: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False)


def _doubled(width: int) -> list[nn.Module]:
    return [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1, bias=False)]


def _encoder(width: int) -> nn.Sequential:
    parts: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), _Block(width, False)]
    for pooled in (False, False, True):
        parts += [_halved(width), *(_Block(width, pooled) for _ in range(3))]
    return nn.Sequential(*parts, nn.Conv2d(width, CHANNELS, 3, padding=1))


def _decoder(width: int) -> nn.Sequential:
    parts: list[nn.Module] = [_Clamp(), nn.Conv2d(CHANNELS, width, 3, padding=1), nn.ReLU()]
    for pooled in (True, False, False):
        parts += [*(_Block(width, pooled) for _ in range(3)), *_doubled(width)]
    return nn.Sequential(*parts, _Block(width, False), nn.Conv2d(width, 3, 3, padding=1))


def open_taef2(encoder: Path, decoder: Path) -> Taef2Code:
    """The autoencoder of two files.

    Raises:
        InputError: a file that is missing, damaged or of another architecture.
    """
    code = Taef2Code()
    for path, part, name in ((encoder, code.encoder, "encoder"), (decoder, code.decoder, "decoder")):
        known = part.state_dict()
        remedy = f"key 'views.code.{name}' names the file taef2_{name}.pth of github.com/madebyollin/taesd"
        # The closure is called within this pass of the loop.
        state = open_weights(path, known, lambda found, known=known: differences(found, known), remedy)
        part.load_state_dict({key: value.float() for key, value in state.items() if key in known})
    return code.requires_grad_(False).eval()
