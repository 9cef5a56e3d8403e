"""What one network's output says to another: class maps, where it is sure, and losses towards them."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.config.section import Outputs
from pipeline.learning.segmentation import soft_dice
from pipeline.networks.outputs import structure_probabilities, with_background


def hard_labels(probability: Tensor, outputs: Outputs) -> Tensor:
    """float [B, K, H, W] → float [B, K, H, W] of zeros and ones: the class map, as of a prediction."""
    best, winner = probability.max(dim=1, keepdim=True)
    structures = torch.arange(probability.shape[1], device=probability.device)[None, :, None, None]
    background = 0.5 if outputs == "independent" else 1 - probability.sum(dim=1, keepdim=True)
    return ((winner == structures) & (best >= background)).float()


def confidence(probability: Tensor, outputs: Outputs) -> Tensor:
    """float [B, K, H, W] → float [B, 1, H, W]: how sure a network is of what it says of a pixel.

    Independent: the least probability, over structures, of what :func:`hard_labels` say of each: from 0.5 on of one
    structure, and lower where two are likely and one of them is left out. Exclusive: the largest probability, the
    background's among them: from 1 / (K + 1) on.
    """
    if outputs == "independent":
        chosen = hard_labels(probability, outputs) > 0
        return torch.where(chosen, probability, 1 - probability).amin(dim=1, keepdim=True)
    background = 1 - probability.sum(dim=1, keepdim=True)
    return torch.maximum(probability.amax(dim=1, keepdim=True), background)


def pseudo_label_loss(
    logits: Tensor | tuple[Tensor, ...],
    target: Tensor,
    outputs: Outputs,
    *,
    kept: Tensor | None = None,
    weights: Sequence[float] | None = None,
) -> Tensor:
    """Dice + cross-entropy to pseudo-labels; of several outputs the mean, or the sum with ``weights``.

    An image whose pseudo-label lacks a structure says nothing by Dice about that structure, only by cross-entropy:
    a small structure that was missed is not driven to zero with the whole weight of an empty mask.

    Args:
        logits: float [B, K, H, W], or a tuple of such. outputs: what they stand for.
        target: float [B, K, H, W] of zeros and ones, without a gradient.
        kept: float [B, 1, H, W] of zeros and ones, the pixels that count; None for all.
    """
    every = logits if isinstance(logits, tuple) else (logits,)
    kept = torch.ones_like(target[:, :1]) if kept is None else kept
    losses = torch.stack([_pseudo_label_loss(one, target, kept, outputs) for one in every])
    return losses.mean() if weights is None else losses @ losses.new_tensor(weights)


def _pseudo_label_loss(logits: Tensor, target: Tensor, kept: Tensor, outputs: Outputs) -> Tensor:
    if outputs == "independent":
        crossed = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    else:
        whole = torch.cat([1 - target.sum(dim=1, keepdim=True), target], dim=1)
        crossed = functional.cross_entropy(with_background(logits), whole, reduction="none")[:, None]
    # Over all pixels, as in UniMatch: what little is kept counts little.
    entropy = (crossed * kept).mean()
    probability, target = structure_probabilities(logits, outputs) * kept, target * kept
    present = (target.sum(dim=(2, 3)) > 0).float()
    apart = (1 - soft_dice(probability, target)) * present
    return entropy + apart.sum() / present.numel()


def soft_dice_loss(logits: Tensor, target: Tensor, outputs: Outputs) -> Tensor:
    """One minus the soft Dice to probabilities, mean over images and structures.

    Args:
        logits, target: float [B, K, H, W]; ``target`` in [0, 1], without a gradient.
    """
    probability = structure_probabilities(logits, outputs)
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
