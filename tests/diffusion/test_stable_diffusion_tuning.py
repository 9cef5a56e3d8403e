"""Fine-tuning of Stable Diffusion: batches, the loss, which weights move, precision, and refusals."""

from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.structures import Structure
from pipeline.diffusion.stable_diffusion.base import load_base
from pipeline.diffusion.stable_diffusion.contours import decode_contours
from pipeline.diffusion.stable_diffusion.objective import StableDiffusionTuning
from pipeline.learning.loop import train as train_objective
from pipeline.learning.recipe import Recipe
from pipeline.run import seeds
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch
from tests.diffusion.tuning import CPU, VARIANTS, eight_steps, ellipses, train


@pytest.fixture(scope="module")
def pool():
    return ellipses()


@pytest.fixture
def params(tiny_model):
    return eight_steps(tiny_model)


def objective_of(pool, params):
    return StableDiffusionTuning(pool, load_base(Path(params.weights), "cpu"), params, 0)


Batch = namedtuple("Batch", "pixels planes spread noise times")


def batch_of(objective, step=0, share=slice(None)):
    generator = seeds.torch_generator(3, "batch", step)
    return Batch(*objective.batch(step, objective.params.batch, generator, share))


@pytest.mark.parametrize("flip", [False, True])
def test_images_are_flipped_only_where_declared(pool, params, monkeypatch, flip):
    from pipeline.diffusion.stable_diffusion import objective

    asked = []
    affine = objective.random_affine
    monkeypatch.setattr(
        objective, "random_affine", lambda *args, **how: asked.append(how["flip"]) or affine(*args, **how)
    )
    batch_of(objective_of(pool, params.model_copy(update={"flip": flip})))
    assert asked == [flip]


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_lora_and_controlnet_are_trained(variant, pool, params):
    params = params.model_copy(update={"variant": variant, "steps": 2})
    objective, untouched = objective_of(pool, params), load_base(Path(params.weights), "cpu")
    base, network = objective.base, objective.network
    start = {name: weight.detach().clone() for name, weight in network.named_parameters() if weight.requires_grad}
    assert all("lora" in name or name.startswith("controlnet.") for name in start)
    train_objective(objective, Recipe.of(params), seed=0, device=CPU)
    after = dict(network.named_parameters())
    for part in ("unet.", "controlnet.")[: 1 + (variant == "controlnet")]:
        assert any(name.startswith(part) and not torch.equal(start[name], after[name]) for name in start)
    layers = {key.replace("base_layer.", ""): value for key, value in base.unet.state_dict().items()}
    for name in ("vae", "unet", "text_encoder"):
        weights = layers if name == "unet" else getattr(base, name).state_dict()
        for key, weight in getattr(untouched, name).state_dict().items():
            assert torch.equal(weight, weights[key]), f"{name} {key} is frozen"
    for network in (base.vae, base.text_encoder, base.unet):
        assert all("lora" in name for name, weight in network.named_parameters() if weight.grad is not None)
    assert set(objective.generator().lora) and not any("lora" in key for key in base.unet.state_dict())


def test_batches_are_functions_of_seed_and_step_and_processes_share_them(pool, params):
    objective = objective_of(pool, params)
    first, again, other = (batch_of(objective, step) for step in (5, 5, 6))
    second_half = batch_of(objective, 5, slice(1, None, 2))
    for values, same, half in zip(first, again, second_half, strict=True):
        assert torch.equal(values, same) and torch.equal(values[1:], half)
    assert not torch.equal(first.noise, other.noise)
    assert first.pixels.shape == (2, 3, 64, 64) and first.planes.shape == (2, 3, 64, 64)
    assert first.noise.shape == first.spread.shape == (2, 4, 8, 8)


def test_mask_dropout_keeps_its_share(pool, params):
    objective = objective_of(pool, params.model_copy(update={"batch": 64}))
    planes = torch.cat([batch_of(objective, step).planes for step in range(4)])
    assert (planes[:, 1] == 0).all(dim=(1, 2)).float().mean().item() == pytest.approx(0.25, abs=0.1)


def test_a_reference_batch_holds_image_and_contour(pool, params):
    batch = batch_of(objective_of(pool, params.model_copy(update={"variant": "reference"})))
    assert batch.planes is None and torch.equal(batch.pixels[:, 0], batch.pixels[:, 1])
    joint = np.rint((batch.pixels[0].permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.uint8)
    assert decode_contours(joint, 1)[1].mean() == pytest.approx(pool.masks.float().mean().item(), rel=0.6)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_perfect_prediction_has_no_loss(prediction, pool, params):
    objective = objective_of(pool, params)
    base, batch = objective.base, batch_of(objective)
    base.scheduler.register_to_config(prediction_type=prediction)
    alpha = base.scheduler.alphas_cumprod[batch.times][:, None, None, None]
    with torch.no_grad():
        posterior = base.vae.encode(batch.pixels).latent_dist
    clean = (posterior.mean + posterior.std * batch.spread) * base.vae.config.scaling_factor

    def oracle(noisy, times, planes, text):
        torch.testing.assert_close(noisy, alpha.sqrt() * clean + (1 - alpha).sqrt() * batch.noise)
        if prediction == "epsilon":
            return batch.noise
        return alpha.sqrt() * batch.noise - (1 - alpha).sqrt() * clean

    assert objective.loss(oracle, *batch).item() == pytest.approx(0, abs=1e-10)


def test_half_precision_trains(pool, params, tmp_path):
    from accelerate.state import AcceleratorState

    # Accelerate keeps one precision per process; a stage has only one.
    AcceleratorState._reset_state(reset_partial_state=True)
    losses = []
    try:
        half = params.model_copy(update={"mixed_precision": "bf16", "steps": 2})
        generator = train(pool, half, Scratch(tmp_path, "d", []), lambda step, loss: losses.append(loss))
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    assert np.isfinite(losses).all()
    assert {weight.dtype for weight in generator.base.unet.parameters()} == {torch.float32}


def test_a_loss_that_is_no_number_names_the_step_and_keeps_the_state(pool, params, tmp_path, monkeypatch):
    count, real = iter(range(100)), StableDiffusionTuning.loss

    def broken(*arguments):
        return real(*arguments) * (float("nan") if next(count) == 4 else 1)

    monkeypatch.setattr(StableDiffusionTuning, "loss", broken)
    scratch = Scratch(tmp_path, "d", [])
    with pytest.raises(InputError, match=r"the loss is nan at step 4; lower diffusion.learning_rate"):
        train(pool, params, scratch)
    assert scratch.load()["step"] == 3


def test_the_reference_refuses_three_structures(pool, params, tmp_path):
    reference = params.model_copy(update={"variant": "reference"})
    with pytest.raises(InputError, match="at most 2 structures"):
        train(replace(pool, structures=tuple(map(Structure, "abc"))), reference, Scratch(tmp_path, "d", []))
