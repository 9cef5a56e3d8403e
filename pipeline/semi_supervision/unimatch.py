"""UniMatch: confident pseudo-labels of a weak view for two strong ones, with CutMix and complementary feature dropout.

Yang et al., "Revisiting Weak-to-Strong Consistency in Semi-Supervised Semantic Segmentation", CVPR 2023; "UniMatch V2",
TPAMI 2025, whose teacher is an average of past weights, and whose two strong views lose complementary channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.semi_supervision.batch_norm import untracked
from pipeline.semi_supervision.targets import confidence, hard_labels, joined, pseudo_label_loss, sliced
from pipeline.semi_supervision.teacher import Taught
from pipeline.semi_supervision.views import rectangles


class UniMatch(Taught):
    """Keeps the teacher."""

    PASSES = (3, 2)

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.network = Student(self.labelled.network, self.method.batch_norm == "joint")

    def views(self, count: int, generator: torch.Generator) -> Sequence[Tensor]:
        """Weak views and those of other images to be pasted in, rectangles and strong views with them, twice; masks of
        simulated images; and for each image a number that its dropped channels are a function of, -1 for none."""
        _, weak, truth = self.unlabelled.draw(count, generator)
        _, pasted, _ = self.unlabelled.draw(count, generator)
        views = [weak, pasted]
        for _ in range(2):
            within = rectangles(count, weak.shape[-2:], self.method.cutmix, generator)
            mixed = [self.unlabelled.strengthen(images, generator) for images in (weak, pasted)]
            views += [within[:, None], torch.where(within[:, None], mixed[1], mixed[0])]
        seeds = torch.randint(2**31, (count,), generator=generator)
        spared = torch.rand(count, generator=generator) >= self.method.feature_dropout
        return *views, truth, torch.where(spared, -1, seeds)

    def beside(
        self, model: nn.Module, images: Tensor, masks: Tensor, ramp: Tensor,
        weak: Tensor, pasted: Tensor, within_a: Tensor, strong_a: Tensor, within_b: Tensor, strong_b: Tensor,
        truth: Tensor, drop: Tensor,
    ) -> Tensor:  # fmt: skip
        count = len(images)
        with torch.no_grad():
            found = [self.taught(view) for view in (weak, pasted)]
        outputs, unlabelled = model(images, strong_a, strong_b, drop), []
        for place, within in ((1, within_a), (2, within_b)):
            probability = torch.where(within, found[1], found[0])
            kept = (confidence(probability, self.outputs) >= self.method.confidence).float()
            own, target = sliced(outputs, slice(place * count, (place + 1) * count)), self._hard(probability)
            unlabelled.append(pseudo_label_loss(own, target, self.outputs, kept=kept, weights=self.loss_weights))
        sure = confidence(found[0], self.outputs)
        self.note(masks, self._hard(found[0]), (sure >= self.method.confidence).float(), sure, truth)
        labelled = self.labelled.loss_of(sliced(outputs, slice(count)), masks)
        return labelled + ramp.mean() * self.method.weight * torch.stack(unlabelled).mean()

    def _hard(self, probability: Tensor) -> Tensor:
        return hard_labels(probability, self.outputs)


class Student(nn.Module):
    """A segmenter on labelled images and two strong views, whose features are dropped.

    Joint: all are encoded as one batch, whose running statistics are kept; dropped features are decoded by themselves.
    Else labelled images go first, whose statistics are kept, and the views then. No dropped feature is in a running
    statistic.
    """

    def __init__(self, network: nn.Module, joint: bool):
        super().__init__()
        self.inner, self.joint = network, joint

    def forward(self, images: Tensor, first: Tensor | None = None, second: Tensor | None = None, drop=None):
        """Outputs of the three as of one batch; of labelled images alone where there are no others.

        Args:
            drop: int64 [B], a seed for each unlabelled image, or -1 to keep all its channels.
        """
        if first is None:
            return self.inner(images)
        count, views = len(images), torch.cat([first, second])
        if self.joint:
            features = self.inner.encode(torch.cat([images, views]))
            labelled = self.inner.decode([level[:count] for level in features])
            features = [level[count:] for level in features]
        else:
            labelled = self.inner(images)
            with untracked(self.inner):
                features = self.inner.encode(views)
        with untracked(self.inner):
            return joined([labelled, self.inner.decode([_dropped(one, drop, i) for i, one in enumerate(features)])])


def _dropped(features: Tensor, drop: Tensor, level: int) -> Tensor:
    """Features [2 B, C, h, w] with channels dropped: a random half of each of the first B images, the other half of
    each of the second B, what stays doubled."""
    channels = features.shape[1]
    if not channels:
        return features
    kept = [
        torch.ones(channels)
        if seed < 0
        else 2 * (torch.rand(channels, generator=torch.Generator().manual_seed(seed + level)) < 0.5).float()
        for seed in drop.tolist()
    ]
    kept = torch.stack(kept)
    # A channel that is not kept in one view is in the other; where none is dropped, both keep all.
    other = torch.where(drop.cpu()[:, None] < 0, kept, 2 - kept)
    scale = torch.cat([kept, other]).to(features)
    return features * scale[:, :, None, None]
