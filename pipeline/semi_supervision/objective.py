"""What the objectives have in common: a labelled batch, a batch without labels, and when the latter counts."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline.config.section import Outputs
from pipeline.learning.objective import Batch
from pipeline.learning.segmentation import Segmentation, one_hot, soft_dice
from pipeline.networks.outputs import outputs_of
from pipeline.semi_supervision.batch_norm import in_turn
from pipeline.semi_supervision.monitor import Monitor
from pipeline.semi_supervision.schedule import ramped
from pipeline.semi_supervision.targets import joined
from pipeline.semi_supervision.views import UnlabelledImages


class SemiSupervised:
    """An objective on a labelled batch and an unlabelled one of equal size.

    Labelled cases are drawn and augmented as by :class:`Segmentation` alone, with the same random numbers. While
    unlabelled images do not count, none is drawn: a step is then the supervised one.

    Args:
        labelled: the objective of the same segmenter without unlabelled images.
        unlabelled: the images.
        method: the arm's section ``unlabelled``.
        steps: of the whole training.
        names: of the structures.
        confidence_key: see :class:`Monitor`.
    """

    averages = False
    """Whether what is kept is an average of past weights already."""
    PASSES = (2, 0)
    """Images through a network for each labelled one, with a gradient and without, in a step with unlabelled ones."""
    PASSES_ALONE = (1, 0)
    """The same in a step on labels alone."""

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
        """Labelled images and masks; where unlabelled ones count, :meth:`share` for every image, float [B], and what
        :meth:`views` makes."""
        images, masks = self.labelled.batch(step, count, generator, share)
        if not self.share(step):
            return images, masks
        ramp = torch.full((count,), self.share(step))
        return images, masks, *(values[share] for values in (ramp, *self.views(count, generator)))

    def views(self, count: int, generator: torch.Generator) -> Sequence[Tensor]:
        """Tensors [B, ...] of ``count`` unlabelled images."""
        raise NotImplementedError

    def loss(self, model: nn.Module, images: Tensor, masks: Tensor, *others: Tensor) -> Tensor:
        """The labelled loss, and where there are ``others`` the unlabelled one beside it."""
        if others:
            return self.beside(model, images, masks, *others)
        self.found = self.monitor.look(one_hot(masks, self.n_structures))
        return self.alone(model, images, masks)

    def alone(self, model: nn.Module, images: Tensor, masks: Tensor) -> Tensor:
        """The loss of a labelled batch [B, 1, H, W], [B, H, W] alone."""
        return self.labelled.loss_of(model(images), masks)

    def beside(self, model: nn.Module, images: Tensor, masks: Tensor, ramp: Tensor, *others: Tensor) -> Tensor:
        """The loss of a labelled batch and of what :meth:`views` made."""
        raise NotImplementedError

    @property
    def outputs(self) -> Outputs:
        """What the segmenter's logits stand for."""
        return outputs_of(self.labelled.network)

    @property
    def loss_weights(self) -> list[float] | None:
        """Of a segmenter's outputs in training."""
        return self.labelled.loss_weights

    def note(
        self, masks: Tensor, pseudo: Tensor, kept: Tensor, sure: Tensor, truth: Tensor, partner: Tensor | None = None,
        **others: Tensor,
    ) -> None:  # fmt: skip
        """Keep what the monitor and the curves are told of this batch.

        Args:
            masks: integer [B, H, W], labelled. pseudo: float [B, K, H, W], what the segmenter learns from.
            kept, sure: float [B, 1, H, W].
            partner: float [B, K, H, W], what its partner learns from.
            truth: integer [B, H, W], of simulated images; else anything.
            others: scalars that are curves of their own.
        """
        every = torch.stack([pseudo] if partner is None else [pseudo, partner])
        self.found = self.monitor.look(one_hot(masks, self.n_structures), every, kept, sure)
        if self.unlabelled.masks is not None:
            wanted = one_hot(truth, self.n_structures)
            others["pseudo_label_correctness"] = soft_dice(pseudo, wanted).mean()
        self.found |= {name: value.detach() for name, value in others.items()}

    def after_step(self, step: int) -> Mapping[str, float]:
        """The curves of the step; see :class:`pipeline.learning.objective.Following`."""
        watched = Monitor.WATCHED
        curves = self.monitor.after_step(step, {name: self.found[name] for name in watched if name in self.found})
        curves |= {name: float(value) for name, value in self.found.items() if name not in watched}
        return curves | {"unlabelled_weight": self.share(step) * self.method.weight}

    def segmenter(self) -> nn.Module:
        """What is kept after training."""
        return self.labelled.network

    def vanishing(self) -> dict[str, int]:
        """How often each structure all but vanished from the pseudo-labels, see :class:`Monitor`."""
        return self.monitor.counted()

    def passes(self, steps: Iterable[int], batch: int) -> dict[str, int]:
        """Images through a network in these steps, with a gradient and without."""
        each = [self.PASSES if self.share(step) else self.PASSES_ALONE for step in steps]
        counts = (batch * sum(kind) for kind in zip(*each, strict=True))
        return dict(zip(("with_gradient", "without_gradient"), counts, strict=True))


class Parts(nn.Module):
    """A network on a labelled batch and others, in one call: normalised as one batch (joint), or each by itself, with
    the running statistics of the labelled one.

    ``forward`` gives the outputs of all parts as of one batch.
    """

    def __init__(self, network: nn.Module, joint: bool):
        super().__init__()
        self.inner, self.joint = network, joint

    def forward(self, *parts: Tensor):
        return joined(in_turn(self.inner, self.inner, parts, self.joint))
