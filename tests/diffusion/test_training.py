import math
import os
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.structures import Structure
from pipeline.diffusion.denoiser.augmentation import N_CHANGES, apply_changes, draw_changes
from pipeline.diffusion.denoiser.generator import MaskToImagePipeline
from pipeline.diffusion.denoiser.objective import Denoising
from pipeline.diffusion.training import train_generator
from pipeline.diffusion.training_set import build_training_set
from pipeline.diffusion.views import open_views, save_views
from pipeline.run import seeds
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch
from tests.diffusion.encoded import encoded
from tests.interrupted import Killed, kill_at

CPU = torch.device("cpu")
STRUCTURES = (Structure("head", "head"),)


@pytest.fixture(scope="module")
def cases(ring):
    return [ring(i) for i in range(6)]


@pytest.fixture(scope="module")
def data(cases):
    unlabelled = [replace(case, mask=None, mask_source=None) for case in cases[4:]]
    return build_training_set(cases[:4], unlabelled, STRUCTURES, 32)


@pytest.fixture(scope="module")
def settings(smoke_config):
    """Of the views, with the network told nothing of the augmentation."""
    return told(smoke_config.views, False)


@pytest.fixture
def params(smoke_config):
    return smoke_config.diffusion


@pytest.fixture(scope="module")
def folder(data, settings, tmp_path_factory):
    """A folder of views of ``data``."""
    return saved(data, settings, tmp_path_factory.mktemp("views"))


def told(settings, conditioned=True):
    return settings.model_copy(update={"augment": settings.augment.model_copy(update={"conditioned": conditioned})})


def saved(data, settings, folder):
    save_views(encoded(data, settings, folder / "chunks"), folder)
    return folder


Batch = namedtuple("Batch", "codes channels noise sigma")


def batch_of(data, views, params, step=0, share=slice(None)):
    generator = seeds.torch_generator(0, "batch", step)
    return Batch(*Denoising(data, views, params, 0).batch(step, params.batch, generator, share))


def still(settings, **changes):
    """The settings of views with nothing random done to images."""
    none = dict.fromkeys(("rotate_deg", "scale", "aspect", "shift", "brightness", "contrast", "gamma"), 0.0)
    augment = settings.augment.model_copy(update={**none, "flip": False, **changes})
    return settings.model_copy(update={"augment": augment})


def test_pool_keeps_labelled_cases_first_and_knows_which_masks_are_known(data):
    assert data.labelled == 4 and data.known.tolist() == [True] * 4 + [False] * 2
    assert data.images.dtype == torch.uint8 and not data.masks[4:].any() and data.masks[:4].any()
    assert len(data.polygons()) == 4 and data.n_structures == 1
    assert len(data.with_masks()) == 4


def test_batches_are_functions_of_seed_and_step(data, folder, params):
    views = open_views(folder)
    first, again, other = (batch_of(data, views, params, step) for step in (5, 5, 6))
    assert torch.equal(first.codes, again.codes) and torch.equal(first.channels, again.channels)
    assert not torch.equal(first.noise, other.noise)


def test_parts_of_a_batch_are_the_batch(data, folder, params):
    views = open_views(folder)
    whole = batch_of(data, views, params, 3)
    for rank in (0, 1):
        share = slice(rank, None, 2)
        for values, part in zip(whole, batch_of(data, views, params, 3, share), strict=True):
            assert torch.equal(part, values[share])


def test_noise_levels_follow_the_log_normal(data, folder, params):
    params, views = params.model_copy(update={"batch": 64}), open_views(folder)
    logs = torch.cat([batch_of(data, views, params, step).sigma for step in range(20)]).log()
    assert logs.mean() == pytest.approx(params.p_mean, abs=0.03)
    assert logs.std() == pytest.approx(params.p_std, abs=0.04)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_channels_count_as_their_spread_to_a_power(data, folder, params, power):
    views = open_views(folder)
    objective = Denoising(data, views, params.model_copy(update={"emphasis": power}), 0)
    assert objective.emphasis.mean() == pytest.approx(1)
    ratio = objective.emphasis[0] / objective.emphasis[-1]
    assert ratio == pytest.approx(float(views.code.spread[0] / views.code.spread[-1]) ** power, rel=1e-4)
    batch = batch_of(data, views, params)
    loss = objective.loss(lambda x, t: type("Output", (), {"sample": 0 * x[:, :12]}), *batch)
    assert loss > 0 and loss.isfinite()


def unknown_of(batch, parts=4):
    return (batch.channels[:, parts : 3 * parts] == 0).all(dim=(1, 2, 3))


def test_mask_dropout_keeps_its_share(data, folder, params):
    params = params.model_copy(update={"batch": 64, "mask_dropout": 0.25, "unlabelled_share": 0.0})
    views = open_views(folder)
    dropped = torch.cat([unknown_of(batch_of(data, views, params, step)) for step in range(10)]).float().mean().item()
    assert dropped == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 640))


def test_unlabelled_images_take_their_share_and_are_never_given_a_mask(cases, data, folder, settings, params, tmp_path):
    params = params.model_copy(update={"batch": 8, "mask_dropout": 0.0, "unlabelled_share": 0.25})
    assert unknown_of(batch_of(data, open_views(folder), params)).sum() == 2
    pseudo = build_training_set(cases[:4], cases[4:], STRUCTURES, 32)
    assert not unknown_of(batch_of(pseudo, encoded(pseudo, settings, tmp_path / "a"), params)).any()
    alone = build_training_set(cases[:4], [], STRUCTURES, 32)
    views = encoded(alone, settings, tmp_path / "b")
    assert len(batch_of(alone, views, params).codes) == 8, "without unlabelled images the batch is labelled"


def test_the_network_is_told_what_was_done_and_what_the_image_looks_like(data, settings, params, tmp_path):
    moved = told(still(settings, shift=0.25, probability=1.0))
    views = encoded(data, moved, tmp_path)
    plain, seen = (views.numbers(appearance) for appearance in (False, True))
    assert (plain[:, 3:5] != 0).all() and not plain[:, [0, 1, 2, 5, 6, 7]].any()
    torch.testing.assert_close(seen[:, :8], plain)
    assert seen.shape[1] == 15 and (seen[:, 8:] != 0).any(dim=0).all()
    channels = batch_of(data, views, params).channels
    assert channels.shape[1] == 12 + 15 and (channels[:, 12:].amax((2, 3)) == channels[:, 12:].amin((2, 3))).all()
    unconditioned = replace(views, conditioned=False)
    assert unconditioned.numbers(False).shape == (len(views.codes), 0)


def test_each_kind_of_change_has_its_probability(settings):
    augment = settings.augment.model_copy(
        update={"probability": 0.3, "aspect": 0.1, "brightness": 0.1, "contrast": 0.1, "gamma": 0.1}
    )
    changes, flips = draw_changes(4000, augment, torch.Generator().manual_seed(0))
    assert changes.abs().max() <= 1
    assert ((changes != 0).float().mean(dim=0) - 0.3).abs().max() < 0.03
    assert ((changes[:, 3] != 0) == (changes[:, 4] != 0)).all(), "both shifts are one kind"
    assert flips.float().mean().item() == pytest.approx(0.5, abs=0.04)


def test_changes_move_image_and_mask_together(settings):
    augment = settings.augment.model_copy(update={"shift": 0.25, "flip": False})
    image = torch.full((1, 1, 32, 32), -1.0)
    image[0, 0, 8:16, 8:16] = 1
    mask = (image[:, 0] > 0).to(torch.int16)
    changes = torch.zeros(1, N_CHANGES)
    changes[0, 3], changes[0, 4] = -0.5, 1.0
    moved, moved_mask = apply_changes(image, mask, changes, torch.tensor([False]), augment)
    assert (moved[0, 0] > 0).equal(moved_mask[0] > 0)
    # The sampling point moves by the shift, so the content moves against it: 4 px down, 8 px left.
    assert moved_mask[0, 12:20, 0:8].all() and moved_mask.sum() == 64


def test_zero_changes_change_nothing(data, settings):
    images = data.images[:, None].float() / 127.5 - 1
    same, masks = apply_changes(
        images, data.masks.short(), torch.zeros(len(images), N_CHANGES), torch.zeros(len(images)) > 0, settings.augment
    )
    torch.testing.assert_close(same, images, atol=1e-5, rtol=1e-5)
    assert torch.equal(masks, data.masks.short())


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


def launch(repo: Path, *command: str) -> str:
    """Run a stage in two CPU processes; what it said."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", *command]
    result = subprocess.run(start, cwd=repo, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return result.stderr


def test_two_processes_sample_what_one_does(root, ring, tmp_path, monkeypatch):
    from pipeline import encode_views, sample, train_diffusion
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

    alone(encode_views, train="train", unlabelled="unlabelled", out="views")
    alone(train_diffusion, views="views", out="one", live="live_one")
    sampling = {"train": "train", "diffusion": "one", "masks": "masks"}
    alone(sample, **sampling, out="a", variety="va")
    assert "2 processes share 3 chunks" in together(sample, **sampling, out="b", variety="vb")
    for path in Path("a").iterdir():
        assert path.read_bytes() == (Path("b") / path.name).read_bytes(), path.name
    assert not list(Path(".scratch").glob("sample-*")), "the scratch folder is removed"
