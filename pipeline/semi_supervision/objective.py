"""What the objectives have in common: a labelled batch, a batch without labels, and when the latter counts."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline.config.section import Outputs
from pipeline.learning.objective import Batch
from pipeline.learning.segmentation import Segmentation, one_hot, soft_dice
from pipeline.networks.outputs import outputs_of
from pipeline.semi_supervision.monitor import Monitor
from pipeline.semi_supervision.schedule import ramped
from pipeline.semi_supervision.targets import joined
from pipeline.semi_supervision.views import UnlabelledImages


class SemiSupervised:
    """An objective on a labelled batch and an unlabelled one of equal size.

    Labelled cases are drawn and augmented as by :class:`Segmentation` alone, with the same random numbers.

    Args:
        labelled: the objective of the same segmenter without unlabelled images.
        unlabelled: the images.
        method: the arm's section ``unlabelled``.
        steps: of the whole training.
        names: of the structures.
        confidence_key: see :class:`Monitor`.
    """

    def __init__(
        self,
        labelled: Segmentation,
        unlabelled: UnlabelledImages,
        method,
        steps: int,
        names: Sequence[str],
        confidence_key: str | None = None,
    ):
        self.labelled, self.unlabelled, self.method, self.steps = labelled, unlabelled, method, steps
        self.network: nn.Module = labelled.network
        self.monitor = Monitor(tuple(names), confidence_key)
        self.memory: nn.Module = nn.ModuleDict({"monitor": self.monitor})
        self.found: dict[str, Tensor] = {}

    @property
    def n_structures(self) -> int:
        return self.labelled.n_structures

    def share(self, step: int) -> float:
        """What share of its full weight the unlabelled loss has at a step."""
        return ramped(step, self.steps, self.method.warmup, self.method.ramp)

    def batch(self, step: int, count: int, generator: torch.Generator, share: slice) -> Batch:
        """Labelled images and masks; :meth:`share` for every image, float [B]; then what :meth:`views` makes."""
        images, masks = self.labelled.batch(step, count, generator, share)
        ramp = torch.full((count,), self.share(step))
        return images, masks, *(values[share] for values in (ramp, *self.views(count, generator)))

    def views(self, count: int, generator: torch.Generator) -> Sequence[Tensor]:
        """Tensors [B, ...] of ``count`` unlabelled images."""
        raise NotImplementedError

    @property
    def outputs(self) -> Outputs:
        """What the segmenter's logits stand for."""
        return outputs_of(self.labelled.network)

    @property
    def loss_weights(self) -> list[float] | None:
        """Of a segmenter's outputs in training."""
        return self.labelled.loss_weights

    def note(self, masks: Tensor, pseudo: Tensor, kept: Tensor, sure: Tensor, truth: Tensor, **others: Tensor) -> None:
        """Keep what the monitor and the curves are told of this batch.

        Args:
            masks: integer [B, H, W], labelled. pseudo: float [B, K, H, W]. kept, sure: float [B, 1, H, W].
            truth: integer [B, H, W], of simulated images; else anything.
            others: scalars that are curves of their own.
        """
        self.found = self.monitor.look(one_hot(masks, self.n_structures), pseudo, kept, sure)
        if self.unlabelled.masks is not None:
            wanted = one_hot(truth, self.n_structures)
            others["pseudo_label_correctness"] = soft_dice(pseudo, wanted).mean()
        self.found |= {name: value.detach() for name, value in others.items()}

    def after_step(self, step: int) -> Mapping[str, float]:
        """The curves of the step; see :class:`pipeline.learning.objective.Following`."""
        share, watched = self.share(step), Monitor.WATCHED
        curves = self.monitor.after_step(step, {name: self.found[name] for name in watched}, share > 0)
        curves |= {name: float(value) for name, value in self.found.items() if name not in watched}
        return curves | {"unlabelled_weight": share * self.method.weight}

    def segmenter(self) -> nn.Module:
        """What is kept after training."""
        return self.labelled.network

    def vanishing(self) -> dict[str, int]:
        """How often each structure all but vanished from the pseudo-labels, see :class:`Monitor`."""
        return self.monitor.counted()

    def passes(self, batch: int) -> dict[str, int]:
        """Images through a network in one step, with a gradient and without."""
        raise NotImplementedError


class Parts(nn.Module):
    """A network on batches one after the other, in one call: normalised as one batch (joint), or each by itself.

    ``forward`` gives the outputs of all parts as of one batch.
    """

    def __init__(self, network: nn.Module, joint: bool):
        super().__init__()
        self.inner, self.joint = network, joint

    def forward(self, *parts: Tensor):
        if self.joint:
            return self.inner(torch.cat(parts))
        return joined([self.inner(part) for part in parts])
