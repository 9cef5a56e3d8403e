"""A compact SAM for machines without Meta's weights: a small ViT on a convolutional pyramid, SAM's prompt encoder and
mask decoder, and a finer mask head. It is not Meta's SAM and shares no weight with it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers.models.sam.configuration_sam import SamConfig
from transformers.models.sam.modeling_sam import SamModel

from pipeline.config.canvas import Canvas
from pipeline.config.segmenters import CompactSam as Settings
from pipeline.imaging.canvas import sides
from pipeline.networks.sam.model import Sam

MLP_RATIO = 4.0
HEAD_SIZE = 8


class CompactSam(Sam):
    """SAM with a patch embedding that stands on a pyramid of convolutions (Xiao et al. 2021), instead of SAM's linear
    one; the mask head reads the same pyramid.

    Args:
        widths: of the pyramid's levels, the finest first.
        size: of the input.

    Raises:
        InputError: too many structures, or too few widths.
    """

    head_alone = True

    def __init__(self, sam: SamModel, n_structures: int, widths: Sequence[int], size: Canvas):
        super().__init__(sam, n_structures, size=size)
        self._add_pyramid(tuple(widths))
        sam.vision_encoder.patch_embed = nn.Identity()
        self.patches = nn.Conv2d(widths[-1], sam.config.vision_config.hidden_size, 3, stride=2, padding=1)

    @property
    def image_encoder(self) -> list[nn.Module]:
        return [self.sam.vision_encoder, self.pyramid, self.patches]

    @property
    def mask_head(self) -> list[nn.Module]:
        return [self.detail]

    def embed(self, images: Tensor, details: Sequence[Tensor] | None = None) -> Tensor:
        details = self.details(images) if details is None else details
        return self.sam.vision_encoder(self.patches(details[-1]).permute(0, 2, 3, 1)).last_hidden_state


def build_compact_sam(config: Settings, image_size: Canvas, n_structures: int) -> CompactSam:
    """A compact SAM with random weights drawn from torch's global generator.

    Args:
        image_size: multiples of the patch.

    Raises:
        InputError: too many structures, or too few widths.
    """
    sizes = {"image_size": max(sides(image_size)), "patch_size": config.patch_size}
    sam = SamModel(
        SamConfig(
            vision_config=sizes
            | {
                "hidden_size": config.hidden_size,
                "output_channels": config.decoder_size,
                "num_hidden_layers": config.layers,
                "num_attention_heads": config.heads,
                "mlp_ratio": MLP_RATIO,
                # Grids are at most a few hundred tokens: attention is global and positions are absolute.
                "use_rel_pos": False,
                "window_size": 0,
                "global_attn_indexes": list(range(config.layers)),
                "num_pos_feats": config.decoder_size // 2,
            },
            prompt_encoder_config=sizes | {"hidden_size": config.decoder_size},
            mask_decoder_config=small_decoder(config.decoder_size),
        )
    )
    initialise(sam)
    network = CompactSam(sam, n_structures, config.widths, image_size)
    return network.to(memory_format=torch.channels_last)


def small_decoder(channels: int) -> dict:
    """SAM's mask decoder at fewer channels, in the terms of its configuration."""
    return {
        "hidden_size": channels,
        "mlp_dim": 2 * channels,
        "num_attention_heads": channels // (2 * HEAD_SIZE),
        "iou_head_hidden_dim": channels,
    }


@torch.no_grad()
def initialise(sam: SamModel) -> None:
    """Draw weights as the official code does, which is what makes a small SAM learn from scratch.

    transformers only ever loads SAM, and its own initialisation shows it: encoder weights of 1e-10, and a decoder
    position code of hidden_size / 2 cycles per image (1 in the official code), in which neighbours look unrelated.
    """
    for module in sam.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding | nn.LayerNorm):
            module.reset_parameters()
    sam.shared_image_embedding.positional_embedding.normal_()
    encoder = sam.vision_encoder
    if encoder.pos_embed is not None:
        encoder.pos_embed.copy_(sine_positions(encoder.pos_embed.shape[1], encoder.pos_embed.shape[3]))


def sine_positions(grid: int, channels: int) -> Tensor:
    """Sines and cosines of row and column (Vaswani et al. 2017, in 2D): float [1, grid, grid, channels].

    The official code starts from zeros, but a few hundred steps are too few to learn where a patch is.
    """
    quarter = channels // 4
    frequencies = 1 / 10000 ** (torch.arange(quarter) / quarter)
    angles = torch.arange(grid)[:, None] * frequencies
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows = axis[:, None].expand(grid, grid, -1)
    columns = axis[None].expand(grid, grid, -1)
    return torch.cat([rows, columns], dim=2)[None]
