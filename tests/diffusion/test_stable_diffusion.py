import json
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.config.diffusion import StableDiffusion
from pipeline.data.structures import Structure, to_json
from pipeline.diffusion.stable_diffusion.base import load_base
from pipeline.diffusion.stable_diffusion.contours import decode_contours, draw_contours
from pipeline.diffusion.stable_diffusion.generator import load_stable_diffusion
from pipeline.diffusion.stable_diffusion.objective import StableDiffusionTuning
from pipeline.diffusion.training import train_generator
from pipeline.diffusion.training_set import TrainingSet
from pipeline.imaging.letterbox import to_unit_range
from pipeline.learning.loop import train as train_objective
from pipeline.learning.recipe import Recipe
from pipeline.run import seeds
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch
from tests.interrupted import Killed, kill_at

VARIANTS = ["controlnet", "reference"]
STRUCTURES = (Structure("head", "head"),)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pool():
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    radii = [np.hypot((rows - 32) / (18 + i), (columns - 32) / (12 + i)) for i in range(4)]
    masks = np.stack([radius < 1 for radius in radii]).astype(np.uint8)
    grey = np.where(masks, 60, 150) + rng.normal(0, 10, masks.shape)
    return TrainingSet(
        images=torch.from_numpy(np.clip(grey, 0, 255).astype(np.uint8)),
        masks=torch.from_numpy(masks),
        sectors=torch.ones(masks.shape, dtype=torch.bool),
        known=torch.ones(4, dtype=torch.bool),
        labelled=4,
        structures=STRUCTURES,
    )


@pytest.fixture
def params(tiny_model):
    """Eight steps at a learning rate that moves a ControlNet's zero convolutions."""
    return StableDiffusion(
        backend="stable_diffusion",
        unlabelled_share=0.0,
        accumulate=1,
        weights=str(tiny_model),
        variant="controlnet",
        lora_rank=2,
        prompt="a head",
        steps=8,
        batch=2,
        learning_rate=0.02,
        warmup_steps=0,
        mask_dropout=0.25,
        flip=True,
        rotate_deg=8,
        scale=0.08,
        shift=0.04,
        mixed_precision="no",
        checkpoint_every=3,
    )


def train(pool, params, scratch, on_step=lambda step, loss: None):
    return train_generator(pool, Path("views"), params, 0, scratch, CPU, on_step)


def objective_of(pool, params):
    return StableDiffusionTuning(pool, load_base(Path(params.weights), "cpu"), params, 0)


Batch = namedtuple("Batch", "pixels planes spread noise times")


def batch_of(objective, step=0, share=slice(None)):
    generator = seeds.torch_generator(3, "batch", step)
    return Batch(*objective.batch(step, objective.params.batch, generator, share))


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


def test_no_generator_says_what_to_run(tmp_path, saved, params):
    with pytest.raises(InputError, match="run the stage train_diffusion"):
        load_stable_diffusion(tmp_path, "cpu")
    shutil.copytree(saved("reference", params)[2], tmp_path / "model")
    index = tmp_path / "model/stable_diffusion.json"
    index.write_text(index.read_text().replace("reference", "other"))
    with pytest.raises(InputError, match="damaged latent diffusion model"):
        load_stable_diffusion(tmp_path / "model", "cpu")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_backend_runs_through_the_stages(variant, tiny_model, ring, tmp_path, monkeypatch, root):
    """train_diffusion and sample with a real folder's layout, labelled and unlabelled images."""
    import yaml

    from pipeline import encode_views, sample, train_diffusion
    from pipeline.config.params import View, load_params
    from pipeline.data.dataset import read_dataset
    from pipeline.data.writer import write_dataset
    from pipeline.diffusion.stable_diffusion import generator as latent
    from pipeline.run.stage import execute
    from pipeline.tools.preset import compose

    monkeypatch.chdir(tmp_path)
    changed = yaml.safe_load(compose(root / "presets", "stable_diffusion"))
    changed["compute"]["threads"] = 1
    changed["diffusion"] |= {"weights": str(tiny_model), "variant": variant, "steps": 2}
    unlabelled = "null_mask" if variant == "controlnet" else "pseudo_mask"
    changed["views"] |= {"image_size": 64, "unlabelled": unlabelled}
    changed["sample"] |= {"count": 8, "chunk_size": 4, "steps": 2, "variety": {"masks": 2, "images": 2}}
    changed["sample"]["masks"] = {"parent": 1.0, "shape_model": 0.0, "user": 0.0}
    Path("params.yaml").write_text(yaml.safe_dump(changed))
    params = load_params(Path("params.yaml"))
    classes = (Structure("head", "head"),)
    write_dataset(Path("train"), [ring(i) for i in range(8)], role="train", structures=classes)
    others = [replace(ring(i), mask=None, mask_source=None) for i in range(8, 12)]
    write_dataset(Path("unlabelled"), others, role="unlabelled", structures=classes)
    Path("masks").mkdir()

    def stage(module, **paths):
        arguments = {key: Path(value) for key, value in paths.items()} | {"labels": 8, "replicate": 0}
        execute(module.run, View(params, module.PARAMS), arguments)

    stage(encode_views, train="train", unlabelled="unlabelled", out="views")
    stage(train_diffusion, views="views", out="model", live="live")
    trained_on = json.loads(Path("model/training.json").read_text())["trained_on"]
    assert trained_on["unlabelled"] == (4 if variant == "controlnet" else 0)
    if variant == "reference":
        # Eight steps teach nobody to draw a contour: every other sample is given one.
        decoded = iter([None, np.pad(np.ones((20, 20), np.uint8), 22)] * 8)
        monkeypatch.setattr(latent, "decode_contours", lambda joint, n: (joint[..., 0], next(decoded)))
    stage(sample, train="train", diffusion="model", masks="masks", out="pairs", variety="variety")
    cases = read_dataset(Path("pairs")).cases
    assert len(cases) == (8 if variant == "controlnet" else 4), "a sample without a closed contour is left out"
    assert cases[0].image.shape == ((48, 64) if variant == "controlnet" else (64, 64))
    assert {case.mask_source for case in cases} == ({"parent"} if variant == "controlnet" else {"generated"})
