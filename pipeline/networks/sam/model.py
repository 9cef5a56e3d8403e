"""SAM as a segmenter of every structure at once, promptless unless told otherwise, on transformers' ``SamModel``.

Kirillov et al., "Segment Anything", ICCV 2023. A prompt made from the reference mask would hold most of the answer, so
the network sees the image alone: no points and no boxes, or boxes it finds itself.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.sam.modeling_sam import SamMaskDecoder, SamModel

from pipeline.config.section import Outputs
from pipeline.imaging.canvas import sides
from pipeline.networks.sam.detail import DetailHead, Pyramid
from pipeline.networks.sam.prompts import boxes_around, whole_boxes
from pipeline.run.errors import InputError

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


class Sam(nn.Module):
    """Structure k (0-based) is read from SAM's mask token k, so there can be as many structures as mask tokens (4).

    The image encoder is what a subclass replaces: :meth:`details`, :meth:`embed` and :attr:`image_encoder`. Here it is
    SAM's own, a vision transformer.

    Args:
        prompt: ``none``; ``whole_box``, a box around the whole input; or ``predicted_box``, a second pass with a box
            around what the first one, without a box, found of each structure.
        detail: widths of a pyramid for a finer mask head; empty for SAM's own masks, a quarter of the input's size
            with 16 px patches.
        size: of the input, where it is no square: height and width, the longer one the size that ``sam`` is made for.
            Positions are those of the upper left part of that square.

    Raises:
        InputError: more structures than mask tokens, or a pyramid that does not reach the decoder's grid.
    """

    head_alone = False
    """Whether the masks are those of the finer head alone, not added to the decoder's own: trained from random weights
    together with coarse masks it would add to, it learns outlines several times more slowly."""

    def __init__(
        self,
        sam: SamModel,
        n_structures: int,
        *,
        prompt: str = "none",
        detail: Sequence[int] = (),
        size: int | tuple[int, int] | None = None,
    ):
        super().__init__()
        tokens = sam.mask_decoder.num_mask_tokens
        if not 1 <= n_structures <= tokens:
            raise InputError(
                f"SAM has {tokens} mask tokens but {n_structures} structures are asked for; merge task.structures"
            )
        self.sam, self.n_structures, self.prompt = sam, n_structures, prompt
        vision = sam.config.vision_config
        self.shape = sides(size or vision.image_size)
        """Height and width of the input."""
        self.grid = tuple(side // vision.patch_size for side in self.shape)
        """Rows and columns of the embedding."""
        if self.grid[0] != self.grid[1] and (positions := sam.vision_encoder.pos_embed) is not None:
            rows, columns = self.grid
            sam.vision_encoder.pos_embed = nn.Parameter(positions.detach()[:, :rows, :columns].clone())
        self.outputs: Outputs = "independent"
        # A random projection that is never trained: a buffer in the official code, a Parameter in transformers.
        # transformers also ties it to the prompt encoder's; a copy lets safetensors write the state dict as it is.
        positions = sam.shared_image_embedding.positional_embedding.requires_grad_(False)
        sam.prompt_encoder.shared_embedding.positional_embedding = nn.Parameter(positions.clone(), requires_grad=False)
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(PIXEL_STD)[:, None, None], persistent=False)
        self.pyramid = self.detail = None
        if detail:
            self._add_pyramid(tuple(detail))
            self.detail.silence()

    def _add_pyramid(self, widths: tuple[int, ...]) -> None:
        vision = self.sam.config.vision_config
        # From the input down to two cells per patch, both counted.
        if len(widths) != (wanted := vision.patch_size.bit_length() - 1):
            raise InputError(f"base.detail has {len(widths)} widths; patches of {vision.patch_size} px need {wanted}")
        self.pyramid = Pyramid(widths)
        self.detail = DetailHead(widths, vision.output_channels)

    @property
    def image_encoder(self) -> list[nn.Module]:
        """What makes the embeddings: trained with ``full``, frozen with ``decoder``."""
        return [self.sam.vision_encoder]

    @property
    def mask_head(self) -> list[nn.Module]:
        """What is trained beside SAM's own decoder in every strategy."""
        return [part for part in (self.pyramid, self.detail) if part is not None]

    def forward(self, images: Tensor | None, embeddings: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        """Logits [B, n_structures, H, W]; in training every mask the loss is taken on, the final one last.

        Args:
            images: float [B, 1, H, W] in [-1, 1] of the model's input size; not read where ``embeddings`` are given
                and there is no finer mask head.
            embeddings: what :meth:`embed` made of them, where it is known already.
        """
        details = self.details(images)
        return self.decode([*details, self.embed(images, details) if embeddings is None else embeddings])

    @property
    def embedding_channels(self) -> int:
        """Channels of what :meth:`embed` gives."""
        return self.sam.config.vision_config.output_channels

    def encode(self, images: Tensor) -> list[Tensor]:
        """The finer features for the mask head, the finest first, then the image embeddings."""
        details = self.details(images)
        return [*details, self.embed(images, details)]

    def decode(self, features: Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
        """Masks as of :meth:`forward` of what :meth:`encode` made."""
        *details, embeddings = features
        if self.prompt == "whole_box":
            boxes = whole_boxes(embeddings.shape[0], self.n_structures, self.shape)
            masks = self.masks_in_boxes(embeddings, details, boxes.to(embeddings.device))
        else:
            masks = self.masks(embeddings, details)
        if self.prompt == "predicted_box":
            masks += self.masks_in_boxes(embeddings, details, boxes_around(masks[-1].detach() >= 0))
        return masks if self.training else masks[-1]

    def details(self, images: Tensor | None) -> list[Tensor]:
        """Finer features of images [B, 1, H, W] for the mask head, the finest first; none without such a head."""
        return [] if self.pyramid is None else self.pyramid(images)

    def embed(self, images: Tensor, details: Sequence[Tensor] | None = None) -> Tensor:
        """float [B, 1, H, W] in [-1, 1] → image embeddings [B, C, H / patch, W / patch].

        Args:
            details: the finer features of these images, where they are known already.
        """
        # The three channel weights see the same grey value, normalised as SAM's training images were.
        pixels = ((images + 1) * 127.5 - self.mean) / self.std
        return self.sam.vision_encoder(pixels).last_hidden_state

    def segment(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Logits [B, n_structures, H, W] for given boxes, float [B, n_structures, 4] (see ``prompts``)."""
        details = self.details(images)
        return self.masks_in_boxes(self.embed(images, details), details, boxes)[-1]

    def masks(self, embeddings: Tensor, details: Sequence[Tensor], prompt: Tensor | None = None) -> tuple[Tensor, ...]:
        """Logits [B, n_structures, H, W]: the decoder's own and, where there is a finer mask head, refined ones; with
        ``head_alone`` that head's.

        Args:
            prompt: tokens [B, 1, P, C] from SAM's prompt encoder; None for none.
        """
        features, tokens = decode(self.sam, embeddings, self.n_structures, prompt)
        if self.head_alone:
            return (self._at_input_size(self.detail(details, features, tokens)),)
        coarse = self._at_input_size(mask_logits(self.sam, features, tokens))
        return (coarse,) if self.detail is None else (coarse, coarse + self.detail(details, features, tokens))

    def _at_input_size(self, logits: Tensor) -> Tensor:
        if logits.shape[-2:] == self.shape:
            return logits
        return functional.interpolate(logits, size=self.shape, mode="bilinear", align_corners=False)

    def masks_in_boxes(self, embeddings: Tensor, details: Sequence[Tensor], boxes: Tensor) -> tuple[Tensor, ...]:
        """Like :meth:`masks`, every structure with a box of its own, float [B, n_structures, 4]."""
        count = self.n_structures
        prompt, _ = self.sam.prompt_encoder(None, None, boxes.reshape(-1, 1, 4), None)
        # Image b, structure k is row b * count + k, in which only mask k was prompted for.
        repeated = [one.repeat_interleave(count, 0) for one in (embeddings, *details)]
        own = torch.arange(count)
        every = self.masks(repeated[0], repeated[1:], prompt)
        return tuple(masks.unflatten(0, (-1, count))[:, own, own] for masks in every)


def decode(sam: SamModel, embeddings: Tensor, n_masks: int, prompt: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Image features and the first ``n_masks`` mask tokens after the two-way transformer, the whole batch at once.

    ``SamMaskDecoder.forward`` returns the mask of token 0 or those of tokens 1 to 3, never all; this is its computation
    for any of them, without the mask-quality head.

    Args:
        embeddings: float [B, C, h, w] from the image encoder.
        prompt: tokens [B, 1, P, C] from the prompt encoder; None for SAM's learned "no mask" embedding alone.

    Returns:
        Features [B, C, h, w] and tokens [B, n_masks, C].
    """
    decoder: SamMaskDecoder = sam.mask_decoder
    batch, channels, height, width = embeddings.shape
    tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(batch, 1, -1, -1)
    if prompt is not None:
        tokens = torch.cat([tokens, prompt], dim=2)
    _, no_mask = sam.prompt_encoder(None, None, None, None)
    positions = sam.get_image_wide_positional_embeddings()[:, :, :height, :width].expand(batch, -1, -1, -1)
    queries, keys = decoder.transformer(
        point_embeddings=tokens,
        image_embeddings=embeddings + no_mask[:, :, :height, :width],
        image_positional_embeddings=positions,
        attention_similarity=None,
    )
    features = keys.squeeze(1).transpose(1, 2).reshape(batch, channels, height, width)
    # Token 0 of the queries predicts mask quality; the mask tokens follow.
    return features, queries[:, 0, 1 : 1 + n_masks]


def mask_logits(sam: SamModel, features: Tensor, tokens: Tensor) -> Tensor:
    """Logits [B, n, 4h, 4w] of what :func:`decode` returns."""
    decoder = sam.mask_decoder
    grid = decoder.activation(decoder.upscale_layer_norm(decoder.upscale_conv1(features)))
    grid = decoder.activation(decoder.upscale_conv2(grid))
    heads = decoder.output_hypernetworks_mlps
    weights = torch.stack([heads[k](tokens[:, k]) for k in range(tokens.shape[1])], dim=1)
    return torch.einsum("bkc,bchw->bkhw", weights, grid)
