"""SAM's prompt encoder and mask decoder on EfficientNet-Lite0, a light convolutional image encoder.

The architecture of EdgeSAM (Zhou et al. 2023, arXiv 2312.06660) and of NanoSAM, without their distillation: the encoder
starts from ImageNet's weights, the rest from random ones. It is not Meta's SAM and shares no weight with it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.sam.configuration_sam import SamConfig
from transformers.models.sam.modeling_sam import SamLayerNorm, SamModel

from pipeline.config.canvas import Canvas
from pipeline.config.segmenters import Lite0Base
from pipeline.imaging.canvas import sides
from pipeline.networks.lite0 import NAME, lite0_state
from pipeline.networks.sam.compact import initialise, small_decoder
from pipeline.networks.sam.detail import DetailHead
from pipeline.networks.sam.model import Sam

STRIDE = 16
"""Pixels along a cell of the embedding."""
FINE = (16, 24, 40)
"""Channels of Lite0's levels at strides 2, 4 and 8."""
COARSE = (112, 320)
"""Those of its levels at strides 16 and 32."""
_FINE_STAGES, _STRIDE_16_STAGES = 3, 5


class Lite0Sam(Sam):
    """SAM's decoder on Lite0: its levels at strides 8, 16 and 32 make the embedding, those at 2, 4 and 8 are the mask
    head's details, so masks are computed at half the input's size and enlarged.

    What :meth:`embed` gives, and a store keeps, is what a frozen Lite0 knows: its two coarse levels. The neck that
    fuses them is trained with the decoder.

    Args:
        sam: its vision encoder is replaced by Lite0.
        size: of the input.

    Raises:
        InputError: more structures than mask tokens.
    """

    head_alone = True

    def __init__(self, sam: SamModel, n_structures: int, decoder_size: int, size: Canvas):
        import timm

        super().__init__(sam, n_structures, size=size)
        sam.vision_encoder = timm.create_model(NAME, pretrained=False, features_only=True)
        self.neck = Neck(decoder_size)
        self.detail = DetailHead(FINE, decoder_size)

    @property
    def mask_head(self) -> list[nn.Module]:
        return [self.neck, self.detail]

    def details(self, images: Tensor) -> list[Tensor]:
        """float [B, 1, H, W] in [-1, 1] → Lite0's levels [B, 16, H/2, W/2], [B, 24, H/4, W/4] and [B, 40, H/8, W/8].

        The grey value stands in all three channels; with Lite0's mean of 0.5 and standard deviation of 0.5 the range
        [-1, 1] is the normalised one.
        """
        lite0 = self.sam.vision_encoder
        x, levels = lite0.bn1(lite0.conv_stem(images.expand(-1, 3, -1, -1))), []
        for stage in lite0.blocks[:_FINE_STAGES]:
            levels.append(x := stage(x))
        return levels

    def embed(self, images: Tensor, details: Sequence[Tensor] | None = None) -> Tensor:
        """float [B, 1, H, W] → Lite0's levels at strides 16 and 32, the latter enlarged: [B, 432, H/16, W/16]."""
        stages = self.sam.vision_encoder.blocks
        x = (self.details(images) if details is None else details)[-1]
        middle = stages[_FINE_STAGES:_STRIDE_16_STAGES](x)
        coarse = stages[_STRIDE_16_STAGES:](middle)
        return torch.cat([middle, functional.interpolate(coarse, scale_factor=2, mode="bilinear")], dim=1)

    def masks(self, embeddings: Tensor, details: Sequence[Tensor], prompt: Tensor | None = None) -> tuple[Tensor, ...]:
        return super().masks(self.neck(embeddings, details[-1]), details, prompt)

    def train(self, mode: bool = True) -> "Lite0Sam":
        """Lite0's batch statistics stay ImageNet's: a batch trains as its cases do, in however many processes."""
        super().train(mode)
        self.sam.vision_encoder.eval()
        return self


class Neck(nn.Module):
    """Lite0's levels at strides 8, 16 and 32 as one embedding [B, decoder_size, H/16, W/16]: lateral 1x1 convolutions,
    summed as in a feature pyramid (Lin et al. 2017), then a 3x3 convolution between layer norms as in SAM's neck.
    """

    def __init__(self, decoder_size: int):
        super().__init__()
        self.fine = nn.Conv2d(FINE[-1], decoder_size, 1, bias=False)
        # One 1x1 convolution of both coarse levels is the sum of one of each.
        self.coarse = nn.Conv2d(sum(COARSE), decoder_size, 1)
        self.norms = nn.ModuleList(SamLayerNorm(decoder_size, data_format="channels_first") for _ in range(2))
        self.smooth = nn.Conv2d(decoder_size, decoder_size, 3, padding=1, bias=False)

    def forward(self, embeddings: Tensor, fine: Tensor) -> Tensor:
        x = self.coarse(embeddings) + self.fine(functional.avg_pool2d(fine, 2))
        return self.norms[1](self.smooth(self.norms[0](x)))


def build_lite0_sam(base: Lite0Base, n_structures: int) -> Lite0Sam:
    """SAM's decoder on Lite0, all of it with random weights drawn from torch's global generator.

    Raises:
        InputError: too many structures.
    """
    size, channels = max(sides(base.image_size)), base.decoder_size
    cells = {"image_size": size, "patch_size": STRIDE}
    # The transformer that every SamModel comes with is replaced. Of its settings the grid and what is embedded count.
    placeholder = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "window_size": 0}
    placeholder |= {"use_rel_pos": False, "global_attn_indexes": [0]}
    sam = SamModel(
        SamConfig(
            vision_config=cells | placeholder | {"output_channels": sum(COARSE), "num_pos_feats": channels // 2},
            prompt_encoder_config=cells | {"hidden_size": channels},
            mask_decoder_config=small_decoder(channels),
        )
    )
    initialise(sam)
    return Lite0Sam(sam, n_structures, channels, base.image_size).to(memory_format=torch.channels_last)


def load_imagenet(network: Lite0Sam) -> None:
    """Give the image encoder Lite0's ImageNet weights; its classifier is left out.

    Raises:
        InputError: the package that carries them is not installed, or another one is.
    """
    encoder, stored = network.sam.vision_encoder, lite0_state()
    counters = {name: value for name, value in encoder.state_dict().items() if name.endswith("num_batches_tracked")}
    kept = encoder.state_dict().keys() - counters.keys()
    encoder.load_state_dict({name: stored[name] for name in kept} | counters)
