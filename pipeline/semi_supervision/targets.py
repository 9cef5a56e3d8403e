"""What one network's output says to another: class maps, where it is sure, and losses towards them."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def hard_labels(probability: Tensor) -> Tensor:
    """float [B, K, S, S] → float [B, K, S, S] of zeros and ones: the likeliest structure where one reaches 0.5."""
    best, winner = probability.max(dim=1, keepdim=True)
    structures = torch.arange(probability.shape[1], device=probability.device)[None, :, None, None]
    return ((winner == structures) & (best >= 0.5)).float()


def confidence(probability: Tensor) -> Tensor:
    """float [B, K, S, S] → float [B, 1, S, S] in [0.5, 1]: of the structures' decisions at a pixel the least sure."""
    return torch.maximum(probability, 1 - probability).amin(dim=1, keepdim=True)


def pseudo_label_loss(
    outputs: Tensor | tuple[Tensor, ...],
    target: Tensor,
    kept: Tensor | None = None,
    weights: Sequence[float] | None = None,
) -> Tensor:
    """Dice + binary cross-entropy to pseudo-labels; of several outputs the mean, or the sum with ``weights``.

    An image whose pseudo-label lacks a structure says nothing by Dice about that structure, only by cross-entropy:
    a small structure that was missed is not driven to zero with the whole weight of an empty mask.

    Args:
        outputs: logits float [B, K, S, S], or a tuple of such.
        target: float [B, K, S, S] of zeros and ones, without a gradient.
        kept: float [B, 1, S, S] of zeros and ones, the pixels that count; None for all.
    """
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    kept = torch.ones_like(target[:, :1]) if kept is None else kept
    losses = torch.stack([_pseudo_label_loss(logits, target, kept) for logits in outputs])
    return losses.mean() if weights is None else losses @ losses.new_tensor(weights)


def _pseudo_label_loss(logits: Tensor, target: Tensor, kept: Tensor) -> Tensor:
    crossed = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # Over all pixels, as in UniMatch: what little is kept counts little.
    entropy = (crossed * kept).mean()
    probability, target = logits.sigmoid() * kept, target * kept
    overlap = (probability * target).sum(dim=(2, 3))
    total = probability.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
    present = (target.sum(dim=(2, 3)) > 0).float()
    apart = (1 - (2 * overlap + 1e-5) / (total + 1e-5)) * present
    return entropy + apart.sum() / present.numel()


def soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """One minus the soft Dice to probabilities, mean over images and structures.

    Args:
        logits, target: float [B, K, S, S]; ``target`` in [0, 1], without a gradient.
    """
    probability = logits.sigmoid()
    overlap = (probability * target).sum(dim=(2, 3))
    total = (probability**2).sum(dim=(2, 3)) + (target**2).sum(dim=(2, 3))
    return (1 - (2 * overlap + 1e-5) / (total + 1e-5)).mean()


def last(outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Of the outputs in training the final one."""
    return outputs[-1] if isinstance(outputs, tuple) else outputs


def joined(outputs: Sequence[Tensor | tuple[Tensor, ...]]) -> Tensor | tuple[Tensor, ...]:
    """The outputs of several batches as of one."""
    if isinstance(outputs[0], tuple):
        return tuple(torch.cat(level) for level in zip(*outputs, strict=True))
    return torch.cat(list(outputs))


def sliced(outputs: Tensor | tuple[Tensor, ...], part: slice) -> Tensor | tuple[Tensor, ...]:
    """The outputs of some images of the batch."""
    return tuple(one[part] for one in outputs) if isinstance(outputs, tuple) else outputs[part]
