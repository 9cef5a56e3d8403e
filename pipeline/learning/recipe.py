"""How long, how fast and in what precision a network is trained."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from pipeline.run.errors import InputError


def cosine(step: int, steps: int, warmup_steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then half a cosine down to zero."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def trapezoid(step: int, steps: int, warmup_steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, constant, then a linear fall to a tenth over the last fifth."""
    warm = min(1.0, (step + 1) / max(1, warmup_steps))
    left = (steps - step) / (0.2 * steps)
    return warm * min(1.0, max(0.1, left))


@dataclass(frozen=True)
class Recipe:
    """AdamW for a fixed number of steps.

    batch: cases of a step, shared by all processes. accumulate: parts a process computes its share in, for less memory.
    schedule: (step, steps, warmup_steps) → share of ``learning_rate``. fused: AdamW in one kernel.
    ema_decay: largest decay of the weights' moving average, which is then what training returns; None or 0 for none.
    ema_power: how fast the decay rises to it, see :class:`pipeline.learning.average.Average`.
    preview_every: steps between previews, which come after the last step too; 0 for none.
    key: what stands before the names of options in messages: the section of ``params.yaml`` and a dot.
    """

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float = 1e-4
    warmup_steps: int = 20
    mixed_precision: str = "no"
    schedule: Callable[[int, int, int], float] = cosine
    accumulate: int = 1
    fused: bool = True
    compile: bool = False
    ema_decay: float | None = None
    ema_power: float = 2 / 3
    checkpoint_every: int = 100
    preview_every: int = 0
    key: str = ""

    @classmethod
    def of(cls, section, key: str = "", **others) -> "Recipe":
        """What a parameter section says, then ``others``; the rest as it is by default."""
        names = (field.name for field in fields(cls))
        said = {name: getattr(section, name) for name in names if hasattr(section, name)}
        return cls(**{**said, **others, "key": key and f"{key}."})

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self.learning_rate * self.schedule(step, self.steps, self.warmup_steps)

    def share(self, rank: int, world: int) -> slice:
        """The cases of a batch that process ``rank`` of ``world`` computes.

        Raises:
            InputError: processes and their parts cannot share a batch evenly.
        """
        if self.batch % (parts := world * self.accumulate):
            raise InputError(
                f"key '{self.key}batch' is {self.batch}, which {world} process(es) in {self.accumulate} part(s) "
                f"each cannot share evenly; make it a multiple of {parts}"
            )
        return slice(rank, None, world)

    @contextmanager
    def within_memory(self) -> Iterator[None]:
        """Raise InputError, with what to lower, where the device has too little memory for a batch."""
        try:
            yield
        except RuntimeError as error:
            if not any(words in str(error) for words in ("out of memory", "can't allocate memory")):
                raise
            parts = f", raise {self.key}accumulate" if self.key == "diffusion." else ""
            raise InputError(
                f"the memory is too small for a batch of {self.batch}; lower {self.key}batch{parts}, or lower the "
                "image_size"
            ) from None

    def diverged(self, loss: float, step: int, kept: str) -> InputError:
        """What to say of a loss that is not finite. ``kept``: where the last good state is, or nothing."""
        advice = f"lower {self.key}learning_rate ({self.learning_rate})"
        if self.mixed_precision != "no":
            advice += f", or set {self.key}mixed_precision to 'no'"
        return InputError(f"the loss is {loss} at step {step}; {advice}" + (f" (state kept in {kept})" if kept else ""))
