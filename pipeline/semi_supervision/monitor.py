"""What is watched while a network learns from its own or another's output: nothing kept, and collapse."""

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pipeline.run import processes
from pipeline.run.errors import InputError

PATIENCE = 50
"""Steps in a row after which nothing kept is an error, and a collapsed structure a warning."""
COLLAPSED = 0.2
"""Of a structure's share of the pixels in the labelled masks: pseudo-labels with less have lost it."""
log = logging.getLogger("pipeline.training")


class Monitor(nn.Module):
    """Counts steps in a row in which no pixel was kept, and in which a structure's share of the pixels in the
    pseudo-labels was far below that in the labelled masks. Its counters are buffers, so that they are resumed.

    Args:
        names: of the structures.
        key: of the arm's option that decides what is kept, for the message; None where everything is.
    """

    WATCHED = ("labelled_share", "share", "coverage", "confidence")

    def __init__(self, names: tuple[str, ...], key: str | None):
        super().__init__()
        self.names, self.key = names, key
        self.register_buffer("empty", torch.zeros((), dtype=torch.long))
        self.register_buffer("low", torch.zeros(len(names), dtype=torch.long))
        self.register_buffer("alarms", torch.zeros(len(names), dtype=torch.long))
        self.register_buffer("labelled", torch.zeros(len(names)))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def look(
        self, labels: Tensor, pseudo: Tensor | None = None, kept: Tensor | None = None, sure: Tensor | None = None
    ) -> dict[str, Tensor]:
        """What :meth:`after_step` is given of a batch, as means over the images of this process.

        Args:
            labels: float [B, K, H, W], labelled masks.
            pseudo: float [M, B, K, H, W], pseudo-labels of M networks; None in a step without, as are the others.
            kept: float [B, 1, H, W], the pixels that count. sure: float [B, 1, H, W], the confidence.
        """
        labelled = {"labelled_share": labels.mean(dim=(0, 2, 3))}
        if pseudo is None:
            return labelled
        return labelled | {
            "share": (pseudo * kept).mean(dim=(1, 3, 4)),
            "coverage": kept.mean(),
            "confidence": sure.mean(),
        }

    def after_step(self, step: int, found: Mapping[str, Tensor]) -> dict[str, float]:
        """Curves of a step, none of one without pseudo-labels; every process gives its own means and gets those of all.

        Args:
            found: what :meth:`look` gave.

        Raises:
            InputError: fifty steps in a row kept no pixel.
        """
        found = {name: processes.mean(value.detach().float()) for name, value in found.items()}
        if "share" in found:
            # A structure is lost where one of the networks has lost it: the others learn from that one.
            found["share"] = found["share"].amin(dim=0)
        self.seen += 1
        self.labelled += (found["labelled_share"] - self.labelled) / self.seen
        if "share" not in found:
            return {}
        curves = {"pseudo_label_coverage": float(found["coverage"])}
        curves["pseudo_label_confidence"] = float(found["confidence"])
        for name, share in zip(self.names, found["share"].tolist(), strict=True):
            curves[f"pseudo_label_share_{name}"] = share
        self._alarm(step, found)
        return curves

    def _alarm(self, step: int, found: Mapping[str, Tensor]) -> None:
        self.empty.copy_(self.empty + 1 if found["coverage"] == 0 else torch.zeros_like(self.empty))
        if self.key and self.empty >= PATIENCE:
            raise InputError(
                f"key '{self.key}' kept no pixel of any unlabelled image for {PATIENCE} steps (step {step}); lower it, "
                "or raise warmup, so that the network is surer before"
            )
        low = found["share"] < COLLAPSED * self.labelled * found["coverage"].clamp(min=1e-6)
        self.low.copy_(torch.where(low, self.low + 1, torch.zeros_like(self.low)))
        for k, name in enumerate(self.names):
            if self.low[k] == PATIENCE:
                self.alarms[k] += 1
                log.warning(
                    "step %d: for %d steps '%s' has had less than %d %% of its labelled share of the pixels in the "
                    "pseudo-labels: it is vanishing; lower the weight of the unlabelled loss, or raise warmup",
                    step, PATIENCE, name, round(100 * COLLAPSED),
                )  # fmt: skip

    def counted(self) -> dict[str, int]:
        """How often each structure was about to vanish."""
        return dict(zip(self.names, self.alarms.tolist(), strict=True))
