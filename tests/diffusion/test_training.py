import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.structures import Structure
from pipeline.diffusion.backends import train_backend
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.pixel.augmentation import N_CHANGES, apply_changes, draw_changes
from pipeline.diffusion.pixel.training import learning_rate, made_ahead, train_denoiser
from pipeline.diffusion.pool import build_pool, training_batch
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cases(ring):
    return [ring(i, pixel_mm=1.0 + i, device="a" if i % 2 else "b") for i in range(6)]


@pytest.fixture(scope="module")
def pool(cases):
    return build_pool(cases[:4], [replace(case, mask=None, mask_source=None) for case in cases[4:]], 32)


@pytest.fixture
def params(smoke_config):
    return smoke_config.diffusion


def batch_of(pool, params, step=0, condition=None, seed=0, **part):
    return training_batch(pool, condition or Condition(1), pool.grey, params, seed, step, **part)


def still(params, **changes):
    """The parameters with nothing random done to images."""
    none = dict.fromkeys(("rotate_deg", "scale", "aspect", "shift", "brightness", "contrast", "gamma"), 0.0)
    return params.model_copy(update={"augment": params.augment.model_copy(update={**none, "flip": False, **changes})})


def test_pool_keeps_labelled_cases_first_and_knows_which_masks_are_known(pool):
    assert pool.labelled == 4 and pool.known.tolist() == [True] * 4 + [False] * 2
    assert pool.images.dtype == torch.uint8 and not pool.masks[4:].any() and pool.masks[:4].any()
    assert pool.pixel_mm[1] == pytest.approx(2.0 * 64 / 32)


def test_batches_are_functions_of_seed_and_step(pool, params):
    first, again, other = (batch_of(pool, params, step) for step in (5, 5, 6))
    assert torch.equal(first.images, again.images) and torch.equal(first.planes, again.planes)
    assert not torch.equal(first.noise, other.noise)


def test_parts_of_a_batch_are_the_batch(pool, params):
    whole = batch_of(pool, params, 3)
    halves = [batch_of(pool, params, 3, part=part, parts=2) for part in (0, 1)]
    for name in ("images", "planes", "noise", "sigma"):
        assert torch.equal(torch.cat([getattr(half, name) for half in halves]), getattr(whole, name))


def test_images_are_standardised(pool, params):
    batch = batch_of(pool, still(params).model_copy(update={"batch": 256}))
    assert batch.images.mean().item() == pytest.approx(0, abs=0.06)
    assert batch.images.std().item() == pytest.approx(params.sigma_data, rel=0.1)


def test_noise_levels_follow_the_log_normal(pool, params):
    params = params.model_copy(update={"batch": 64})
    logs = torch.cat([batch_of(pool, params, step).sigma for step in range(20)]).log()
    assert logs.mean() == pytest.approx(params.p_mean, abs=0.03)
    assert logs.std() == pytest.approx(params.p_std, abs=0.04)


def test_mask_dropout_keeps_its_share(pool, params):
    params = params.model_copy(update={"batch": 64, "mask_dropout": 0.25, "unlabelled_share": 0.0})
    planes = torch.cat([batch_of(pool, params, step).planes for step in range(10)])
    dropped = (planes[:, 1] == 0).all(dim=(1, 2)).float().mean().item()
    assert dropped == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 640))


def test_unlabelled_images_take_their_share_and_are_never_given_a_mask(cases, pool, params):
    params = still(params).model_copy(update={"batch": 8, "mask_dropout": 0.0, "unlabelled_share": 0.25})
    batch = batch_of(pool, params)
    unknown = (batch.planes[:, 1:3] == 0).all(dim=(1, 2, 3))
    assert unknown.sum() == 2
    pseudo = build_pool(cases[:4], cases[4:], 32)
    assert not (batch_of(pseudo, params).planes[:, 1:3] == 0).all(dim=(1, 2, 3)).any()
    alone = build_pool(cases[:4], [], 32)
    assert batch_of(alone, params).images.shape[0] == 8, "without unlabelled images the batch is labelled"


def test_the_network_is_told_what_was_done_and_nothing_else(pool, params):
    params = still(params, shift=0.25, probability=1.0).model_copy(update={"mask_dropout": 0.0})
    condition = Condition(1, augmentation=N_CHANGES)
    planes = batch_of(pool, params, condition=condition).planes
    told = planes[:, 3:, 0, 0]
    assert (told[:, 3:5] != 0).all() and not told[:, [0, 1, 2, 5, 6, 7]].any()
    assert not batch_of(pool, still(params), condition=condition).planes[:, 3:].any()


def test_each_kind_of_change_has_its_probability(params):
    augment = params.augment.model_copy(
        update={"probability": 0.3, "aspect": 0.1, "brightness": 0.1, "contrast": 0.1, "gamma": 0.1}
    )
    changes, flips = draw_changes(4000, augment, torch.Generator().manual_seed(0))
    assert changes.abs().max() <= 1
    assert ((changes != 0).float().mean(dim=0) - 0.3).abs().max() < 0.03
    assert ((changes[:, 3] != 0) == (changes[:, 4] != 0)).all(), "both shifts are one kind"
    assert flips.float().mean().item() == pytest.approx(0.5, abs=0.04)


def test_changes_move_image_and_mask_together(params):
    augment = params.augment.model_copy(update={"shift": 0.25, "flip": False})
    image = torch.full((1, 1, 32, 32), -1.0)
    image[0, 0, 8:16, 8:16] = 1
    mask = (image[:, 0] > 0).to(torch.int16)
    changes = torch.zeros(1, N_CHANGES)
    changes[0, 3], changes[0, 4] = -0.5, 1.0
    moved, moved_mask = apply_changes(image, mask, changes, torch.tensor([False]), augment)
    assert (moved[0, 0] > 0).equal(moved_mask[0] > 0)
    # The sampling point moves by the shift, so the content moves against it: 4 px down, 8 px left.
    assert moved_mask[0, 12:20, 0:8].all() and moved_mask.sum() == 64


def test_zero_changes_change_nothing(pool, params):
    images = pool.images[:, None].float() / 127.5 - 1
    same, masks = apply_changes(
        images, pool.masks.short(), torch.zeros(len(images), N_CHANGES), torch.zeros(len(images)) > 0, params.augment
    )
    torch.testing.assert_close(same, images, atol=1e-5, rtol=1e-5)
    assert torch.equal(masks, pool.masks.short())


def test_pixel_size_follows_the_magnification(pool, params):
    params = still(params, scale=0.3, probability=1.0)
    condition = Condition(1, augmentation=N_CHANGES, pixel_size=True)
    plain = {round(math.log(mm / 2.5), 3) for mm in pool.pixel_mm}
    planes = batch_of(pool, params, condition=condition).planes
    told, log_mm, known = (planes[:, 3 + i, 0, 0] for i in (1, N_CHANGES, N_CHANGES + 1))
    assert set(known.tolist()) <= {0.0, 1.0} and known.any()
    for change, value in zip(told[known > 0], log_mm[known > 0], strict=True):
        assert round(float(value + 0.3 * change), 3) in plain


def test_batches_made_ahead_are_the_batches():
    assert list(made_ahead(str, range(3, 9), ahead=True)) == list(made_ahead(str, range(3, 9), ahead=False))
    assert list(made_ahead(str, range(0), ahead=True)) == []


@pytest.mark.parametrize("change", [{"formulation": "flow"}, {"weighting": "soft_min_snr"}])
def test_every_formulation_and_weighting_learns(pool, params, tmp_path, change):
    losses = []
    params = params.model_copy(update={**change, "steps": 60, "learning_rate": 2e-3, "preview_every": 100})
    train(pool, params, Scratch(tmp_path, "d", []), lambda step, loss: losses.append(loss))
    assert np.mean(losses[-15:]) < 0.8 * np.mean(losses[:5])


def test_learning_rate_warms_up_and_falls(params):
    params = params.model_copy(update={"steps": 100, "warmup_steps": 10})
    rates = [learning_rate(step, params) / params.learning_rate for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[50] == 1 and rates[-1] == pytest.approx(0.1)


class Killed(Exception):
    pass


def train(pool, params, scratch, on_step=lambda step, loss: None, **options):
    return train_denoiser(pool, Condition(1), params, 0, scratch, CPU, on_step, **options)


def equal(a, b) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("profile", ["warmup", "power"])
@pytest.mark.parametrize("select", ["last", "validation"])
def test_interrupted_and_resumed_equals_uninterrupted(pool, params, tmp_path, profile, select):
    ema = params.ema.model_copy(update={"profile": profile})
    params = params.model_copy(update={"steps": 12, "checkpoint_every": 5, "preview_every": 4, "ema": ema})
    options = {"validation": pool} if select == "validation" else {}

    def kill(step, loss):
        if step == 7:
            raise Killed

    whole = train(pool, params, Scratch(tmp_path / "a", "d", []), **options)
    scratch, seen = Scratch(tmp_path / "b", "d", []), []
    with pytest.raises(Killed):
        train(pool, params, scratch, kill, **options)
    assert scratch.load()["step"] == 5
    resumed = train(pool, params, scratch, lambda step, loss: seen.append(step), **options)
    assert seen == list(range(12)), "the loss curve of a resumed run is whole"
    assert equal(whole, resumed)


def test_previews_are_of_the_average_and_leave_training_alone(pool, params, tmp_path):
    params = params.model_copy(update={"steps": 8, "preview_every": 4})
    seen = {}

    def look(step, network):
        assert not network.training
        seen[step] = {name: value.clone() for name, value in network.state_dict().items()}

    watched = train(pool, params, Scratch(tmp_path / "a", "d", []), on_preview=look)
    assert sorted(seen) == [4, 8]
    assert all(torch.equal(value, seen[8][name]) for name, value in watched.state_dict().items())
    assert equal(watched, train(pool, params, Scratch(tmp_path / "b", "d", [])))


def test_the_best_validation_loss_is_returned(pool, params, tmp_path, monkeypatch):
    from pipeline.diffusion.pixel import training

    params = params.model_copy(update={"steps": 9, "preview_every": 3})
    losses, seen = iter([2.0, 1.0, 3.0]), {}
    monkeypatch.setattr(training, "_validation_loss", lambda *args: next(losses))

    def look(step, network):
        seen[step] = {name: value.clone() for name, value in network.state_dict().items()}

    chosen = train(pool, params, Scratch(tmp_path, "d", []), validation=pool, on_preview=look)
    assert all(torch.equal(value, seen[6][name]) for name, value in chosen.state_dict().items())


def test_accumulated_gradients_are_those_of_the_whole_batch(pool, params, tmp_path):
    params = params.model_copy(update={"steps": 3})
    whole = train(pool, params, Scratch(tmp_path / "a", "d", []))
    parts = train(pool, params.model_copy(update={"accumulate": 4}), Scratch(tmp_path / "b", "d", []))
    for a, b in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=2e-3)


def test_a_batch_that_cannot_be_shared_is_refused(pool, params, tmp_path):
    with pytest.raises(InputError, match=r"diffusion.batch.*multiple of 3"):
        train(pool, params.model_copy(update={"accumulate": 3}), Scratch(tmp_path, "d", []))


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(pool, params, tmp_path, monkeypatch):
    from pipeline.diffusion.pixel import training

    params = params.model_copy(update={"steps": 12, "checkpoint_every": 5})
    scratch, real = Scratch(tmp_path, "d", []), training.denoising_loss

    def poisoned(*args):
        loss = real(*args)
        return loss * float("nan") if len(seen) == 7 else loss

    seen: list[int] = []
    monkeypatch.setattr(training, "denoising_loss", poisoned)
    with pytest.raises(InputError, match=r"loss is nan at step 7; lower diffusion.learning_rate"):
        train(pool, params, scratch, lambda step, loss: seen.append(step))
    state = scratch.load()
    assert state["step"] == 5 and all(torch.isfinite(weight).all() for weight in state["unet"].values())


@pytest.mark.parametrize("mixed_precision", ["bf16"])
def test_mixed_precision_trains(pool, params, tmp_path, mixed_precision):
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(True)
    losses = []
    params = params.model_copy(update={"steps": 3, "mixed_precision": mixed_precision})
    try:
        unet = train(pool, params, Scratch(tmp_path, "d", []), lambda step, loss: losses.append(loss))
    finally:
        AcceleratorState._reset_state(True)
    assert np.isfinite(losses).all() and next(unet.parameters()).dtype == torch.float32


@pytest.mark.parametrize("backend", ["pixel", "latent"])
def test_half_floats_need_a_gpu(pool, params, tmp_path, backend):
    latent = params.latent.model_copy(update={"mixed_precision": "fp16"})
    params = params.model_copy(update={"backend": backend, "mixed_precision": "fp16", "latent": latent})
    with pytest.raises(InputError, match="mixed_precision' is 'fp16', which needs a GPU"):
        train_backend(pool, (Structure("head", "head"),), params, 0, Scratch(tmp_path, "d", []), CPU, print)


def test_a_network_that_is_told_much_trains_through_the_stages(root, ring, tmp_path, monkeypatch):
    """Device, pixel size, told augmentation and weights chosen on the val split: train_diffusion, then sample."""
    import json

    import yaml

    from pipeline import sample, train_diffusion
    from pipeline.config.params import View, load_params
    from pipeline.data.dataset import read_dataset
    from pipeline.data.writer import write_dataset
    from pipeline.diffusion.pixel.generator import load_generator
    from pipeline.run.stage import execute
    from pipeline.tools.preset import compose

    monkeypatch.chdir(tmp_path)
    changed = yaml.safe_load(compose(root / "presets", "smoke"))
    changed["diffusion"] |= {"device": True, "pixel_size": True, "select": "validation", "steps": 6, "preview_every": 3}
    changed["sample"] |= {"count": 4, "chunk_size": 4}
    Path("params.yaml").write_text(yaml.safe_dump(changed))
    params = load_params(Path("params.yaml"))
    told = {"pixel_mm": 0.4}
    cases = [ring(i, device="ab"[i % 2], split="val" if i >= 8 else "train", **told) for i in range(12)]
    write_dataset(Path("train"), cases, role="train", structures=(Structure("head", "head"),))
    write_dataset(Path("unlabelled"), [], role="unlabelled", structures=(Structure("head", "head"),))
    Path("masks").mkdir()

    def stage(module, **paths):
        arguments = {key: Path(value) for key, value in paths.items()} | {"labels": 8, "replicate": 0}
        execute(module.run, View(params, module.PARAMS), arguments)

    stage(train_diffusion, train="train", unlabelled="unlabelled", out="model", live="live")
    stage(sample, train="train", diffusion="model", masks="masks", out="pairs", variety="variety")
    trained_on = json.loads(Path("model/training.json").read_text())["trained_on"]
    assert len(trained_on["labels"]) == 8 and len(trained_on["selected_on"]) == 4
    assert read_dataset(Path("pairs")).provenance["selected_on"] == 4
    condition = load_generator(Path("model"), "cpu").condition
    assert condition == Condition(1, N_CHANGES, True, ("a", "b"))


def test_the_head_follows_the_mask(params, tmp_path, ring):
    """Trained for a few seconds: where the mask moves the bright ring moves, and elsewhere little changes."""
    from pipeline.diffusion.pixel.generator import build_generator

    cases = [ring(i) for i in range(12)]
    pool = build_pool(cases, [], 32)
    params = params.model_copy(update={"steps": 250, "batch": 8, "learning_rate": 2e-3, "preview_every": 1000})
    unet = train(pool, params, Scratch(tmp_path, "d", []))
    pipeline = build_generator(unet, params, (Structure("head", "head"),), pool.grey, Condition(1), [])
    masks = pool.masks[:6]
    moved = torch.roll(masks, 5, dims=2)
    sectors = pool.sectors[:6]

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


def launch(repo: Path, *command: str) -> str:
    """Run a stage in two CPU processes; what it said."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", *command]
    result = subprocess.run(start, cwd=repo, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return result.stderr


def test_two_processes_train_and_sample_what_one_does(root, ring, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    from pipeline import sample, train_diffusion
    from pipeline.config.params import View, load_params
    from pipeline.data.writer import write_dataset
    from pipeline.run.stage import execute
    from pipeline.tools.preset import compose

    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(compose(root / "presets", "smoke"))
    Path("masks").mkdir()
    write_dataset(Path("train"), [ring(i) for i in range(10)], role="train", structures=(Structure("head", "head"),))
    write_dataset(Path("unlabelled"), [], role="unlabelled", structures=(Structure("head", "head"),))
    params = load_params(Path("params.yaml"))
    cell = {"labels": 8, "replicate": 0}

    def alone(stage, **paths):
        execute(stage.run, View(params, stage.PARAMS), {**{k: Path(v) for k, v in paths.items()}, **cell})

    def together(stage, **paths):
        options = [part for key, value in {**paths, **cell}.items() for part in (f"--{key}", str(value))]
        return launch(tmp_path, stage.__name__, *options)

    training = {"train": "train", "unlabelled": "unlabelled"}
    alone(train_diffusion, **training, out="one", live="live_one")
    said = together(train_diffusion, **training, out="two", live="live_two")
    assert "2 processes share each batch" in said
    one, two = (load_file(f"{name}/unet/diffusion_pytorch_model.safetensors") for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=1e-3, rtol=1e-2)
    one, two = (
        np.loadtxt(f"live_{name}/plots/metrics/loss.tsv", skiprows=1, usecols=1, delimiter="\t", ndmin=1)
        for name in ("one", "two")
    )
    np.testing.assert_allclose(one, two, rtol=1e-4)

    sampling = {"train": "train", "diffusion": "one", "masks": "masks"}
    alone(sample, **sampling, out="a", variety="va")
    assert "2 processes share 3 chunks" in together(sample, **sampling, out="b", variety="vb")
    for path in Path("a").iterdir():
        assert path.read_bytes() == (Path("b") / path.name).read_bytes(), path.name
    assert not list(Path(".scratch").glob("sample-*")), "the scratch folder is removed"
