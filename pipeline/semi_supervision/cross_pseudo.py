"""Two networks that teach each other by pseudo-labels, and by contrast.

Chen et al., "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision", CVPR 2021; with a contrastive term
between the networks as in arXiv 2503.17057.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from pipeline.learning.objective import Batch
from pipeline.learning.segmentation import mean_loss, one_hot
from pipeline.networks.outputs import outputs_of, structure_probabilities
from pipeline.semi_supervision.batch_norm import in_turn
from pipeline.semi_supervision.contrast import Projection, info_nce
from pipeline.semi_supervision.objective import SemiSupervised
from pipeline.semi_supervision.targets import (
    confidence,
    hard_labels,
    joined,
    last,
    pseudo_label_loss,
    sliced,
    soft_dice_loss,
)


class CrossPseudo(SemiSupervised):
    """Keeps the segmenter of the cell, not its partner.

    ``alone`` trains both too, each on the labels.

    Args:
        partner: a network for the same inputs and structures.
    """

    PASSES, PASSES_ALONE = (4, 0), (2, 0)

    def __init__(self, *args, partner: nn.Module, **options):
        super().__init__(*args, **options)
        own, method = self.labelled.network, self.method
        self.network = Pair(own, partner, method.batch_norm == "joint", method.contrast and method.contrast.dimension)

    @property
    def clipped(self) -> list[nn.Module]:
        """Both networks, and the projections: the cell's own is trained as if alone, but for what it is taught."""
        heads = self.network.heads
        return [*self.network.networks, *([heads] if heads else [])]

    def views(self, count: int, generator: torch.Generator) -> Sequence[Tensor]:
        """Weak views, the numbers of their images, and the masks of simulated images."""
        numbers, weak, truth = self.unlabelled.draw(count, generator)
        return weak, numbers, truth

    def batch(self, step: int, count: int, generator: torch.Generator, share: slice) -> Batch:
        again = generator.clone_state()
        images, masks, *others = super().batch(step, count, generator, share)
        if not others:
            return images, masks
        # The labelled cases' numbers, below 0: none is an unlabelled image's.
        return images, masks, *others, -1 - self.labelled.chosen(step, count, again)[share]

    def alone(self, model: nn.Module, images: Tensor, masks: Tensor) -> Tensor:
        *outputs, representations = model(images)
        # Several processes wait for a gradient of every weight, those of the projections too.
        return self._labelled(outputs, masks) + 0 * sum(one.sum() for one in representations)

    def _labelled(self, outputs: Sequence[Tensor | tuple[Tensor, ...]], masks: Tensor) -> Tensor:
        """The sum of both networks' losses on labels; the first outputs are those of the labelled images."""
        wanted, part = one_hot(masks, self.n_structures), slice(len(masks))
        return sum(
            mean_loss(sliced(own, part), wanted, weights, outputs_of(network))
            for own, weights, network in zip(outputs, self.network.loss_weights, self.network.networks, strict=True)
        )

    def beside(
        self, model: nn.Module, images: Tensor, masks: Tensor, ramp: Tensor,
        other: Tensor, numbers: Tensor, truth: Tensor, labelled_numbers: Tensor,
    ) -> Tensor:  # fmt: skip
        count, method = len(images), self.method
        *outputs, representations = model(images, other)
        kinds = [outputs_of(network) for network in self.network.networks]
        found = [structure_probabilities(last(own).detach(), kind) for own, kind in zip(outputs, kinds, strict=True)]
        hard = [hard_labels(probability, kind) for probability, kind in zip(found, kinds, strict=True)]
        crossed = []
        for number, (own, kind, weights) in enumerate(zip(outputs, kinds, self.network.loss_weights, strict=True)):
            if method.targets == "hard":
                crossed.append(pseudo_label_loss(own, hard[1 - number], kind, weights=weights))
            else:
                crossed.append(soft_dice_loss(last(own), found[1 - number], kind))
        loss = self._labelled(outputs, masks) + ramp.mean() * method.weight * sum(crossed)
        others = {"disagreement": (hard[0] != hard[1]).float().mean()}
        if method.contrast:
            images = torch.cat([labelled_numbers, numbers])
            contrast = info_nce(*representations, images, method.contrast.temperature)
            loss = loss + ramp.mean() * method.contrast.weight * contrast
            others["contrast"] = contrast
        sure = confidence(found[1][count:], kinds[1])
        self.note(masks, hard[1][count:], torch.ones_like(sure), sure, truth, partner=hard[0][count:], **others)
        return loss


class Pair(nn.Module):
    """Two networks on the same images in one call, and projections of their coarsest features for contrast.

    Args:
        joint: see ``in_turn``.
        dimension: of the projections; None for none.
    """

    def __init__(self, own: nn.Module, partner: nn.Module, joint: bool, dimension: int | None):
        super().__init__()
        self.networks, self.joint = nn.ModuleList([own, partner]), joint
        heads = [] if dimension is None else [Projection(one.embedding_channels, dimension) for one in self.networks]
        self.heads = nn.ModuleList(heads)

    @property
    def loss_weights(self) -> list[list[float] | None]:
        """Of each network's outputs in training."""
        return [getattr(network, "loss_weights", None) for network in self.networks]

    def forward(self, *parts: Tensor):
        """Each network's outputs for all parts as of one batch, and a list of their unit vectors [B, D], if any."""
        outputs, vectors = [], []
        for number, network in enumerate(self.networks):
            found = in_turn(partial(_encoded_and_decoded, network), network, parts, self.joint)
            outputs.append(joined([decoded for _, decoded in found]))
            if self.heads:
                vectors.append(self.heads[number](torch.cat([coarsest for coarsest, _ in found])))
        return *outputs, vectors


def _encoded_and_decoded(network: nn.Module, images: Tensor):
    features = network.encode(images)
    return features[-1], network.decode(features)
