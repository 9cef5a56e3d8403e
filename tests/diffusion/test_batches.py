"""Batches of the denoiser's training: which images and masks, how they are changed, what the network is told."""

import math
from collections import namedtuple
from dataclasses import replace

import pytest
import torch

from pipeline.diffusion.denoiser.augmentation import N_CHANGES, apply_changes, draw_changes
from pipeline.diffusion.denoiser.objective import Denoising
from pipeline.diffusion.training_set import build_training_set
from pipeline.diffusion.views import open_views
from pipeline.run import seeds
from tests.diffusion.encoded import STRUCTURES, encoded, told


@pytest.fixture
def params(smoke_config):
    return smoke_config.diffusion


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
