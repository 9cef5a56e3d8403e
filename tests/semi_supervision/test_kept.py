"""What is kept of a training comes back from its file, whatever kind of segmenter it is."""

from dataclasses import replace

import pytest
import torch
from pydantic import TypeAdapter

from pipeline.config.semi_supervised import UnlabelledUse
from pipeline.data.structures import Structure
from pipeline.learning.loop import train
from pipeline.learning.recipe import Recipe
from pipeline.networks.kinds import kind_named
from pipeline.networks.segmenter import load_segmenter, save_segmenter
from pipeline.semi_supervision.choice import semi_supervised
from tests.semi_supervision.tiny import labelled, unlabelled

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["sam", "unet"])
def test_a_teacher_comes_back_from_its_file(smoke_config, tmp_path, name):
    """A SAM's file holds what was trained alone."""
    settings, size = smoke_config.segmenters[name], 32
    kind, base = kind_named(settings.kind), tmp_path / "base"
    kind.save_base(base, settings, *([0] if name == "sam" else []))
    torch.manual_seed(0)
    objective = semi_supervised(
        labelled(kind.build(base, settings, 1), size=size), unlabelled(size=size),
        TypeAdapter(UnlabelledUse).validate_python({"method": "mean_teacher", "warmup": 0, "ema_decay": 0.5}),
        steps=3, names=["disc"], key="", partner=lambda: None,
    )  # fmt: skip
    train(objective, replace(Recipe.of(settings), steps=3), seed=0, device=CPU)
    images = torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        wanted, last = objective.teacher(images), objective.labelled.network(images)
    about = {"name": name, "base": base, "settings": settings, "trained_on": {}}
    save_segmenter(kind, tmp_path / "out", objective.segmenter(), [Structure("disc", "disc")], **about)
    found, said = load_segmenter(kind, tmp_path / "out", CPU, base)
    assert torch.equal(found(images), wanted) and not torch.allclose(wanted, last)
    assert said["trainable_parameters"] > 0.8 * said["parameters"]
