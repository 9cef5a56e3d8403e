"""A fine-tuned Stable Diffusion: its images, its folder, and the training that made it, whole or resumed."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.data.structures import to_json
from pipeline.diffusion.stable_diffusion.contours import draw_contours
from pipeline.diffusion.stable_diffusion.generator import load_stable_diffusion
from pipeline.imaging.letterbox import to_unit_range
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch
from tests.diffusion.tuning import STRUCTURES, VARIANTS, eight_steps, ellipses, train
from tests.interrupted import Killed, kill_at


@pytest.fixture(scope="module")
def pool():
    return ellipses()


@pytest.fixture
def params(tiny_model):
    return eight_steps(tiny_model)


@pytest.fixture(scope="module")
def saved(pool, tiny_model, tmp_path_factory):
    """Per variant a trained generator, its losses, and the folder it was saved in."""
    made = {}

    def make(variant, params):
        if variant not in made:
            folder, losses = tmp_path_factory.mktemp(variant), []
            changed = params.model_copy(update={"variant": variant})
            generator = train(pool, changed, Scratch(folder, "d", []), lambda step, loss: losses.append(loss))
            generator.save(folder / "model")
            made[variant] = generator, losses, folder / "model"
        return made[variant]

    return make


def render(generator, masks, noise_seeds, guidance=1.5):
    draws = [SimpleNamespace(mask=mask, sector=np.ones(mask.shape, bool)) for mask in masks]
    return generator.render(draws, noise_seeds, SimpleNamespace(steps=3, guidance=guidance))


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_has_a_finite_loss_at_every_step(variant, saved, params):
    generator, losses, _ = saved(variant, params)
    assert len(losses) == params.steps and np.isfinite(losses).all()
    assert generator.variant == variant and generator.structures == STRUCTURES and generator.image_size == 64


@pytest.mark.parametrize("variant", VARIANTS)
def test_saved_and_loaded_renders_the_same_bytes(variant, saved, params, pool):
    generator, _, folder = saved(variant, params)
    before, after = (
        render(g, pool.masks[:2].numpy(), [5, 6]) for g in (generator, load_stable_diffusion(folder, "cpu"))
    )
    assert before[0].shape == (2, 64, 64) and before[0].dtype == np.uint8
    np.testing.assert_array_equal(before[0], after[0])
    for a, b in zip(before[1], after[1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_image_depends_on_mask_and_seed(saved, params, pool):
    generator, *_ = saved("controlnet", params)
    masks = pool.masks[:2].numpy()
    base, given = render(generator, masks, [5, 6])
    assert (base != render(generator, np.roll(masks, 9, axis=2), [5, 6])[0]).any(axis=(1, 2)).all()
    assert (base != render(generator, masks, [7, 8])[0]).any(axis=(1, 2)).all()
    assert (base != render(generator, masks, [5, 6], guidance=4)[0]).any(axis=(1, 2)).all()
    np.testing.assert_array_equal(np.stack(given), masks)


def test_the_reference_ignores_the_mask_and_decodes_its_own(saved, params, pool, monkeypatch):
    generator, *_ = saved("reference", params)
    masks = pool.masks[:2].numpy()
    base, made = render(generator, masks, [5, 6])
    np.testing.assert_array_equal(base, render(generator, masks * 0, [5, 6])[0])
    assert (base != render(generator, masks, [5, 6], guidance=4)[0]).any()
    assert all(mask is None or mask.shape == (64, 64) for mask in made)
    grey = np.full((64, 64), 90, np.uint8)
    open_line = draw_contours(grey, masks[1], 1)
    open_line[28:36, 32:, 2] = 0
    joint = np.stack([draw_contours(grey, masks[0], 1), open_line])
    monkeypatch.setattr(type(generator), "_decode", lambda *_: to_unit_range(joint).transpose(0, 3, 1, 2))
    images, decoded = render(generator, masks, [5, 6])
    assert (images == 90).all() and decoded[1] is None
    np.testing.assert_array_equal(decoded[0], masks[0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_plain_diffusers_opens_the_folder(variant, saved, params):
    from diffusers import StableDiffusionControlNetPipeline, StableDiffusionPipeline

    generator, _, folder = saved(variant, params)
    kind = {"controlnet": StableDiffusionControlNetPipeline, "reference": StableDiffusionPipeline}[variant]
    pipeline = kind.from_pretrained(folder, safety_checker=None)
    for name in ("unet", "vae", "text_encoder") + (("controlnet",) if variant == "controlnet" else ()):
        ours = generator.controlnet if name == "controlnet" else getattr(generator.base, name)
        for key, weight in getattr(pipeline, name).state_dict().items():
            assert torch.equal(weight, ours.state_dict()[key])
    described = json.loads((folder / "stable_diffusion.json").read_text())
    assert described.pop("sectors") == [list(map(list, outline)) for outline in generator.sectors]
    assert described == {"variant": variant, "structures": to_json(STRUCTURES), "image_size": 64, "prompt": "a head"}
    suffixes = {file.suffix for file in folder.rglob("*") if file.is_file()}
    assert not suffixes & {".bin", ".pt", ".ckpt", ".pkl"}
    configured = "".join(file.read_text() for file in folder.rglob("*.json"))
    assert str(folder.parent) not in configured and params.weights not in configured, "no paths of this machine"
    if variant == "reference":
        image = pipeline("a head", height=64, width=64, num_inference_steps=2, output_type="np").images[0]
        assert image.shape == (64, 64, 3)


def test_the_lora_alone_turns_the_base_into_the_fused_network(saved, params, tiny_model):
    from diffusers import StableDiffusionPipeline

    generator, _, folder = saved("reference", params)
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_model, safety_checker=None)
    before = {key: weight.clone() for key, weight in pipeline.unet.state_dict().items()}
    pipeline.load_lora_weights(folder / "lora")
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    fused = generator.base.unet.state_dict()
    assert any(not torch.equal(before[key], fused[key]) for key in before)
    for key, weight in pipeline.unet.state_dict().items():
        torch.testing.assert_close(weight, fused[key])


@pytest.mark.parametrize("variant", VARIANTS)
def test_interrupted_and_resumed_equals_uninterrupted(variant, saved, pool, params, tmp_path):
    whole, losses, _ = saved(variant, params)
    params = params.model_copy(update={"variant": variant})

    scratch, seen = Scratch(tmp_path, "d", []), []
    with pytest.raises(Killed):
        train(pool, params, scratch, kill_at(4))
    assert scratch.load()["step"] == 3
    resumed = train(pool, params, scratch, lambda step, loss: seen.append(loss))
    assert seen == losses, "the loss curve of a resumed run is whole"
    for network in ("unet", "controlnet")[: 1 + (variant == "controlnet")]:
        one, other = (g.controlnet if network == "controlnet" else g.base.unet for g in (whole, resumed))
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
            assert torch.equal(a, b)
    assert all(torch.equal(weight, resumed.lora[name]) for name, weight in whole.lora.items())


def test_no_generator_says_what_to_run(tmp_path, saved, params):
    with pytest.raises(InputError, match="run the stage train_diffusion"):
        load_stable_diffusion(tmp_path, "cpu")
    shutil.copytree(saved("reference", params)[2], tmp_path / "model")
    index = tmp_path / "model/stable_diffusion.json"
    index.write_text(index.read_text().replace("reference", "other"))
    with pytest.raises(InputError, match="damaged latent diffusion model"):
        load_stable_diffusion(tmp_path / "model", "cpu")
