"""SAM without prompts: the segmenter of every arm, on transformers' ``SamModel``.

Kirillov et al., "Segment Anything", ICCV 2023. A prompt made from the reference mask would hold most of the answer, so
the network sees the image alone: no points, no boxes, no masks.
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.sam.configuration_sam import (
    SamConfig,
    SamMaskDecoderConfig,
    SamPromptEncoderConfig,
    SamVisionConfig,
)
from transformers.models.sam.modeling_sam import SamMaskDecoder, SamModel

from pipeline.core.errors import InputError

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
MLP_RATIO = 4.0
HEAD_SIZE = 8


class SmallSam(Protocol):
    """What :func:`build_small_sam` reads; the parameter section ``segmenter`` has these."""

    patch_size: int
    hidden_size: int
    layers: int
    heads: int
    decoder_size: int


class PromptlessSam(nn.Module):
    """Structure k (0-based) is read from SAM's mask token k, so there can be as many structures as mask tokens (4).

    Raises:
        InputError: more structures than mask tokens.
    """

    def __init__(self, sam: SamModel, n_structures: int):
        super().__init__()
        tokens = sam.mask_decoder.num_mask_tokens
        if not 1 <= n_structures <= tokens:
            raise InputError(f"SAM has {tokens} mask tokens but {n_structures} structures are asked for; merge classes")
        self.sam = sam
        self.n_structures = n_structures
        # A random projection that is never trained: a buffer in the official code, a Parameter in transformers.
        # transformers also ties it to the prompt encoder's; a copy lets safetensors write the state dict as it is.
        positions = sam.shared_image_embedding.positional_embedding.requires_grad_(False)
        sam.prompt_encoder.shared_embedding.positional_embedding = nn.Parameter(positions.clone(), requires_grad=False)
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(PIXEL_STD)[:, None, None], persistent=False)

    @property
    def image_size(self) -> int:
        return self.sam.config.vision_config.image_size

    def forward(self, images: Tensor) -> Tensor:
        """float [B, 1, S, S] in [-1, 1], S the model's input size → logits [B, n_structures, S, S]."""
        embeddings = self.embed(images)
        masks = decode(self.sam, embeddings, self.n_structures)
        if masks.shape[-2:] == images.shape[-2:]:
            return masks
        return functional.interpolate(masks, size=images.shape[-2:], mode="bilinear", align_corners=False)

    def embed(self, images: Tensor) -> Tensor:
        """float [B, 1, S, S] in [-1, 1] → image embeddings [B, C, S / patch, S / patch]."""
        # The three channel weights see the same grey value, normalised as SAM's training images were.
        pixels = ((images + 1) * 127.5 - self.mean) / self.std
        return self.sam.vision_encoder(pixels).last_hidden_state


def decode(sam: SamModel, embeddings: Tensor, n_masks: int) -> Tensor:
    """Masks of the first ``n_masks`` mask tokens, unprompted, the whole batch at once.

    ``SamMaskDecoder.forward`` returns token 0 or tokens 1 to 3, never all; this is its computation for any of them,
    without the mask-quality head. Only the learned "no mask" embedding stands for the prompt.

    Args:
        embeddings: float [B, C, h, w] from the image encoder.

    Returns:
        Logits [B, n_masks, 4h, 4w].
    """
    decoder: SamMaskDecoder = sam.mask_decoder
    batch, channels, height, width = embeddings.shape
    tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(batch, 1, -1, -1)
    _, no_mask = sam.prompt_encoder(None, None, None, None)
    positions = sam.get_image_wide_positional_embeddings().expand(batch, -1, -1, -1)
    queries, keys = decoder.transformer(
        point_embeddings=tokens,
        image_embeddings=embeddings + no_mask,
        image_positional_embeddings=positions,
        attention_similarity=None,
    )
    grid = keys.squeeze(1).transpose(1, 2).reshape(batch, channels, height, width)
    grid = decoder.activation(decoder.upscale_layer_norm(decoder.upscale_conv1(grid)))
    grid = decoder.activation(decoder.upscale_conv2(grid))
    # Token 0 of the queries predicts mask quality; the mask tokens follow.
    weights = [decoder.output_hypernetworks_mlps[k](queries[:, 0, 1 + k]) for k in range(n_masks)]
    return torch.einsum("bkc,bchw->bkhw", torch.stack(weights, dim=1), grid)


def build_small_sam(config: SmallSam, image_size: int, n_structures: int) -> PromptlessSam:
    """A small SAM with random weights drawn from torch's global generator; nothing is downloaded.

    Raises:
        InputError: ``image_size`` is no multiple of the patch, or too many structures.
    """
    if image_size % config.patch_size:
        raise InputError(f"segmenter.image_size {image_size} is not a multiple of patch_size {config.patch_size}")
    sam = SamModel(
        SamConfig(
            vision_config=SamVisionConfig(
                hidden_size=config.hidden_size,
                output_channels=config.decoder_size,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                image_size=image_size,
                patch_size=config.patch_size,
                mlp_ratio=MLP_RATIO,
                # Grids are at most a few hundred tokens: attention is global and positions are absolute.
                use_rel_pos=False,
                window_size=0,
                global_attn_indexes=list(range(config.layers)),
                num_pos_feats=config.decoder_size // 2,
            ),
            prompt_encoder_config=SamPromptEncoderConfig(
                hidden_size=config.decoder_size, image_size=image_size, patch_size=config.patch_size
            ),
            mask_decoder_config=SamMaskDecoderConfig(
                hidden_size=config.decoder_size,
                mlp_dim=2 * config.decoder_size,
                num_attention_heads=config.decoder_size // (2 * HEAD_SIZE),
                iou_head_hidden_dim=config.decoder_size,
            ),
        )
    )
    initialise(sam)
    return PromptlessSam(sam, n_structures)


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
