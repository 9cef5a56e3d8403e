"""Training of the denoiser: resumed, stopped, in other precisions, and that the image follows the mask."""

import numpy as np
import pytest
import torch

from pipeline.diffusion.denoiser.generator import MaskToImagePipeline
from pipeline.diffusion.training import train_generator
from pipeline.diffusion.training_set import build_training_set
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch
from tests.diffusion.encoded import STRUCTURES, saved
from tests.interrupted import Killed, kill_at

CPU = torch.device("cpu")


@pytest.fixture
def params(smoke_config):
    return smoke_config.diffusion


class Tick:
    """What a progress bar gets."""

    def __init__(self, on_step=lambda step, loss: None):
        self.on_step, self.pictures = on_step, []

    def __call__(self, step, loss):
        self.on_step(step, loss)

    def image(self, name, pixels):
        self.pictures.append(pixels)


@pytest.fixture
def train(data, folder):
    def run(params, scratch, on_step=lambda step, loss: None):
        tick = on_step if isinstance(on_step, Tick) else Tick(on_step)
        return train_generator(data, folder, params, 0, scratch, CPU, tick).unet

    return run


def equal(a, b) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_interrupted_and_resumed_equals_uninterrupted(train, params, tmp_path):
    params = params.model_copy(update={"steps": 12, "checkpoint_every": 5, "preview_every": 4})

    watched = Tick()
    whole = train(params, Scratch(tmp_path / "a", "d", []), watched)
    assert [picture.ndim for picture in watched.pictures] == [3] * 3
    scratch, seen = Scratch(tmp_path / "b", "d", []), []
    with pytest.raises(Killed):
        train(params, scratch, kill_at(7))
    assert scratch.load()["step"] == 5
    resumed = train(params, scratch, lambda step, loss: seen.append(step))
    assert seen == list(range(12)), "the loss curve of a resumed run is whole"
    assert equal(whole, resumed)
    unseen = train(params.model_copy(update={"preview_every": 100}), Scratch(tmp_path / "c", "d", []))
    assert equal(whole, unseen), "previews leave training alone"


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(train, params, tmp_path, monkeypatch):
    from pipeline.diffusion.denoiser import objective

    params = params.model_copy(update={"steps": 12, "checkpoint_every": 5})
    scratch, real = Scratch(tmp_path, "d", []), objective.denoising_loss

    def poisoned(*args):
        loss = real(*args)
        return loss * float("nan") if len(seen) == 7 else loss

    seen: list[int] = []
    monkeypatch.setattr(objective, "denoising_loss", poisoned)
    with pytest.raises(InputError, match=r"loss is nan at step 7; lower diffusion.learning_rate"):
        train(params, scratch, lambda step, loss: seen.append(step))
    state = scratch.load()
    assert state["step"] == 5 and all(torch.isfinite(weight).all() for weight in state["network"].values())


def test_mixed_precision_trains(train, params, tmp_path):
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(True)
    losses = []
    params = params.model_copy(update={"steps": 3, "mixed_precision": "bf16"})
    try:
        unet = train(params, Scratch(tmp_path, "d", []), lambda step, loss: losses.append(loss))
    finally:
        AcceleratorState._reset_state(True)
    assert np.isfinite(losses).all() and next(unet.parameters()).dtype == torch.float32


def test_half_floats_need_a_gpu(train, params, tmp_path):
    params = params.model_copy(update={"mixed_precision": "fp16"})
    with pytest.raises(InputError, match="'diffusion.mixed_precision' is 'fp16', which needs a GPU"):
        train(params, Scratch(tmp_path, "d", []))


@pytest.mark.parametrize(
    "code",
    [
        {"kind": "pixel", "patch": 2},
        {"kind": "linear", "block": 4, "components": 12, "lapped": True, "whitening": 0.5},
    ],
    ids=["pixel", "linear"],
)
def test_the_head_follows_the_mask(settings, params, tmp_path, ring, code):
    """Trained for a few seconds: where the mask moves the bright ring moves, and elsewhere little changes."""
    data = build_training_set([ring(i) for i in range(12)], [], STRUCTURES, 32)
    settings = type(settings).model_validate(settings.model_dump() | {"code": code, "count": 8})
    views = saved(data, settings, tmp_path)
    params = params.model_copy(update={"steps": 180, "batch": 8, "learning_rate": 2e-3, "preview_every": 1000})
    losses = []
    tick = Tick(lambda step, loss: losses.append(loss))
    pipeline = train_generator(data, views, params, 0, Scratch(tmp_path, "d", []), CPU, tick)
    assert np.mean(losses[-15:]) < 0.8 * np.mean(losses[:5])
    assert isinstance(pipeline, MaskToImagePipeline) and pipeline.condition.numbers == 7
    masks = data.masks[:6]
    moved = torch.roll(masks, 5, dims=2)
    sectors = data.sectors[:6]

    def images(chosen):
        generators = [torch.Generator().manual_seed(i) for i in range(6)]
        return pipeline(chosen, sectors, num_inference_steps=10, generator=generators, output_type="pt").images[:, 0]

    def contrast(made, chosen):
        """Grey level of the ring just inside the contour minus that of the dark inside."""
        inner = torch.from_numpy(np.stack([_eroded(mask, 4) for mask in chosen.numpy()]))
        ring_ = (chosen > 0) & ~torch.from_numpy(np.stack([_eroded(mask, 2) for mask in chosen.numpy()]))
        return float(made[ring_].mean() - made[inner].mean())

    here, there = images(masks), images(moved)
    assert contrast(here, masks) > 0.3 and contrast(there, moved) > 0.3
    assert contrast(there, masks) < 0.7 * contrast(there, moved), "the ring is where the mask is, not where it was"


def _eroded(mask, iterations):
    from scipy import ndimage

    return ndimage.binary_erosion(mask > 0, iterations=iterations)
