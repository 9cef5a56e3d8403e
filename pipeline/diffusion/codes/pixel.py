"""The identity: pixels, those of a patch as channels."""

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor
from torch.nn import functional

from pipeline.diffusion.codes.code import HEADROOM, SIGMA_DATA, Code


class PixelCode(Code, ModelMixin, ConfigMixin):
    """Patches of ``patch`` × ``patch`` pixels."""

    config_name = "config.json"
    headroom = HEADROOM

    @register_to_config
    def __init__(self, patch: int):
        super().__init__()
        self._channels(patch**2, patch)

    def raw(self, images: Tensor) -> Tensor:
        return functional.pixel_unshuffle(images, self.factor)

    def images(self, raw: Tensor) -> Tensor:
        return functional.pixel_shuffle(raw, self.factor)

    def standardise(self, images: Tensor, whitening: float) -> None:
        """As one channel: the pixels of a patch differ by chance only."""
        super().standardise(images, 0.0)
        self.mean.fill_(self.mean.mean())
        self.sigma_data.fill_(SIGMA_DATA)
        self.spread.fill_(1.0)
