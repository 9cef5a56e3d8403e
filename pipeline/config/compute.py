"""The section ``compute`` of ``params.yaml``: the device, and how many threads."""

from typing import Literal

from pipeline.config.section import Positive, Section


class Compute(Section):
    device: Literal["auto", "cpu", "cuda", "mps"]
    threads: Positive
