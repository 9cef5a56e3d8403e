from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from pipeline.config.augmentation import Augment
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.imaging.augment import augment
from pipeline.learning import segmentation
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import ImagePool, dice_loss, extra_first, fit, mean_loss, one_hot
from pipeline.networks.parameters import trained_state
from pipeline.networks.sam import checkpoint
from pipeline.networks.sam.tuning import STRATEGIES
from pipeline.networks.small_unet import build_unet
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch
from pipeline.tasks.segmentation.inference import class_map, dice, predict_native
from tests.interrupted import Killed, copied, equal, kill_at
from tests.tiny_sam import sam_settings

CPU = torch.device("cpu")
STILL = Augment(flip=False, rotate_deg=0, scale=0, shift=0, brightness=0, contrast=0, gamma=0)
PROMPTS = ("none", "whole_box", "predicted_box")


@pytest.fixture(scope="module")
def rings(ring):
    return [ring(i) for i in range(24)]


@pytest.fixture(scope="module")
def pool(rings, smoke_config):
    return image_pool(rings, smoke_config)


def image_pool(cases, params):
    return ImagePool(stack_images(cases, 32), stack_masks(cases, 32), params.augment)


def unet(channels=(8, 8, 8, 8, 8)):
    torch.manual_seed(0)
    return build_unet(channels, 1)


def segmenter(base, params, n_structures=1, seed=0, **settings):
    """A SAM ready for fine-tuning, and the settings that say how."""
    torch.manual_seed(seed)
    folder, of_base = base
    settings = sam_settings(of_base, **settings)
    return checkpoint.build(folder, settings, n_structures), settings


def fit_pool(network, pool, steps, *, n_structures=1, batch=4, learning_rate=3e-3, every=100, **options):
    recipe = Recipe(steps, batch, learning_rate, warmup_steps=2, checkpoint_every=every)
    return fit(network, pool, recipe, n_structures=n_structures, seed=0, device=CPU, **options)


def test_a_unet_learns_rings_and_predicts_at_native_size(rings, smoke_config):
    pool = image_pool(rings[:16], smoke_config)
    network = fit_pool(unet((8, 8, 16, 16, 16)), pool, 60, batch=8)
    maps = predict_native(network, rings[16:], 32, CPU)
    assert all(predicted.shape == case.mask.shape for predicted, case in zip(maps, rings[16:], strict=True))
    assert np.mean([dice(m, c.mask, 1) for m, c in zip(maps, rings[16:], strict=True)]) > 0.85


@pytest.mark.parametrize("kind", ["unet", "decoder"])
def test_training_repeats_and_resumes_bit_for_bit(pool, bases, smoke_config, tmp_path, kind):
    def network():
        return unet() if kind == "unet" else segmenter(bases["compact"], smoke_config, train=kind)[0]

    scratch, seen = Scratch(tmp_path, "fit", []), []
    whole = fit_pool(network(), pool, 7)
    with pytest.raises(Killed):
        fit_pool(network(), pool, 7, scratch=scratch, every=4, on_step=kill_at(5))
    assert scratch.load()["step"] == 4
    resumed = fit_pool(network(), pool, 7, scratch=scratch, every=4, on_step=lambda step, loss: seen.append(step))
    # The first four steps repeated those of the first run, the others went on from the disk.
    assert equal(whole.state_dict(), resumed.state_dict())
    assert seen == list(range(7)), "the loss curve of a resumed run is whole"


def test_the_state_of_an_unfinished_run_leaves_out_what_is_frozen(pool, bases, smoke_config, tmp_path):
    network, _ = segmenter(bases["compact"], smoke_config, train="decoder")
    scratch = Scratch(tmp_path, "fit", [])
    fit_pool(network, pool, 2, scratch=scratch, every=1)
    assert scratch.load()["network"].keys() == trained_state(network).keys()


@pytest.mark.parametrize(("base", "n_structures"), [("compact", 1), ("compact", 2), ("official", 2)])
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_frozen_stays_and_all_else_learns(pool, bases, smoke_config, base, strategy, prompt, n_structures):
    """Several processes need it too: they wait for the gradient of every weight that asks for one."""
    network, _ = segmenter(bases[base], smoke_config, n_structures, train=strategy, prompt=prompt)
    before = copied(network)
    # The adapters and a silent mask head pass nothing on in the first step.
    fit_pool(network, pool, 2, n_structures=n_structures)
    learned = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    frozen = before.keys() - learned.keys()
    assert all(torch.equal(before[name], network.state_dict()[name]) for name in frozen)
    assert [name for name, weight in learned.items() if weight.grad is None] == []
    # A bias can have no effect: softmax does not see a shift of all keys.
    matrices = {name: weight for name, weight in learned.items() if weight.ndim > 1}
    assert [name for name, weight in matrices.items() if not weight.grad.any()] == []
    assert [name for name, weight in matrices.items() if torch.equal(weight, before[name])] == []
    encoder = {name for name in before if name.startswith(("sam.vision_encoder", "patches"))}
    adapters = {name for name in encoder if "lora" in name}
    assert encoder & learned.keys() == {"decoder": set(), "lora": adapters, "full": encoder}[strategy]
    assert bool(adapters) == (strategy == "lora")


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(pool, tmp_path, monkeypatch):
    seen, real = [], segmentation.mean_loss
    poisoned = lambda *args: real(*args) * (float("nan") if len(seen) == 3 else 1)  # noqa: E731
    monkeypatch.setattr(segmentation, "mean_loss", poisoned)
    scratch = Scratch(tmp_path, "fit", [])
    with pytest.raises(InputError, match=r"loss is nan at step 3; lower learning_rate \(0.003\) \(state kept in"):
        fit_pool(unet(), pool, 6, scratch=scratch, every=2, on_step=lambda step, loss: seen.append(loss))
    state = scratch.load()
    assert state["step"] == 2 and all(value.isfinite().all() for value in state["network"].values())


@pytest.mark.parametrize("strategy", ["lora", "full"])
@pytest.mark.parametrize("base", ["compact", "official"])
def test_checkpointing_changes_nothing_but_memory(pool, bases, smoke_config, base, strategy):
    images, masks = torch.from_numpy(pool.images[:3]), torch.from_numpy(pool.masks[:3])

    def step(checkpointing):
        network, _ = segmenter(bases[base], smoke_config, train=strategy, checkpointing=checkpointing)
        calls = []
        encoder = network.train().sam.vision_encoder
        encoder.layers[0].attn.register_forward_hook(lambda *_: calls.append(1))
        loss = mean_loss(network(images), one_hot(masks, 1))
        loss.backward()
        return len(calls), loss.detach(), {n: w.grad for n, w in network.named_parameters() if w.requires_grad}

    calls, loss, gradients = step(False)
    calls_again, loss_again, gradients_again = step(True)
    assert (calls, calls_again) == (1, 2), "the layer runs once more in the backward pass"
    torch.testing.assert_close(loss_again, loss)
    torch.testing.assert_close(gradients_again, gradients)


def test_pretraining_takes_the_extra_cases_first_and_then_the_real_ones():
    assert {extra_first(4, 24, 10, 0)(step) for step in range(10)} == {range(24)}
    cases = extra_first(4, 24, 10, 0.7)
    assert [cases(step) for step in range(10)] == [range(4, 24)] * 7 + [range(4)] * 3
    # Both get a step, however small or large the share.
    for share, before in ((0.001, 1), (0.999, 9)):
        assert [extra_first(4, 24, 10, share)(step) for step in (before - 1, before)] == [range(4, 24), range(4)]


def test_pretraining_is_one_schedule_with_new_random_numbers_at_every_step(pool):
    """One optimiser and one warm-up: a pre-trained arm is compared with others that have the same schedule."""
    drawn = []

    class Watched(ImagePool):
        def batch(self, chosen, generator):
            drawn.append((chosen.tolist(), generator.get_state()))
            return super().batch(chosen, generator)

    watched = Watched(pool.images, pool.masks, pool.augmentation)
    together = fit_pool(unet(), watched, 6, batch=8, cases=extra_first(4, len(pool), 6, 0.5))
    assert [min(chosen) >= 4 for chosen, _ in drawn] == [True] * 3 + [False] * 3
    assert all(max(chosen) < 4 for chosen, _ in drawn[3:])
    assert len({bytes(state) for _, state in drawn}) == 6, "no step repeats the random numbers of another"
    # The same cases in every step, so that only what is around them differs: nothing is.
    alike = replace(pool, images=pool.images[:1].repeat(24, 0), masks=pool.masks[:1].repeat(24, 0), augmentation=STILL)
    plain, phased = (fit_pool(unet(), alike, 6, cases=cases) for cases in (None, extra_first(4, 24, 6, 0.5)))
    assert equal(plain.state_dict(), phased.state_dict())
    assert not equal(together.state_dict(), plain.state_dict())


def test_augmentation_moves_mask_with_image_and_keeps_black_black(rings):
    params = Augment(flip=True, rotate_deg=20, scale=0.2, shift=0.1, brightness=0.3, contrast=0.3, gamma=0.3)
    masks = torch.from_numpy(stack_masks(rings, 32))
    images = masks[:, None].float() * 1.6 - 1
    moved, labels = augment(images, masks, params, torch.Generator().manual_seed(0))
    assert ((moved[:, 0] > -0.5) == (labels > 0)).float().mean() > 0.97
    assert moved.min() == -1 and moved.max() <= 1
    # Half a pixel inside the interpolated edge, the background stays exactly black.
    assert (moved[:, 0][functional.max_pool2d((labels > 0).float()[:, None], 5, 1, 2)[:, 0] == 0] == -1).all()


def random_logits(seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 2, 9, 9, generator=generator)
    target = (torch.rand(3, 2, 9, 9, generator=generator) > 0.6).float()
    target[1, 0] = 0
    return logits, target


def test_dice_loss_is_monais():
    """The number is of ``monai.losses.DiceLoss(sigmoid=True)``, whose import takes ten seconds."""
    assert dice_loss(*random_logits()).item() == pytest.approx(0.6186354, rel=1e-6)


def test_the_loss_is_dice_and_cross_entropy_mean_over_the_outputs():
    (a, target), (b, _) = random_logits(0), random_logits(1)
    expected = [
        dice_loss(one, target) - (target * one.sigmoid().log() + (1 - target) * (-one).sigmoid().log()).mean()
        for one in (a, b)
    ]
    torch.testing.assert_close(mean_loss(a, target), expected[0])
    torch.testing.assert_close(mean_loss((a, b), target), (expected[0] + expected[1]) / 2)


def test_the_schedule_is_that_of_the_optimizer(pool):
    """Without a warm-up the first step of AdamW moves a weight by the learning rate, whatever its gradient."""

    def moved(rate, warmup):
        network = unet()
        before = network.head.weight.detach().clone()
        fit(network, pool, Recipe(1, 4, rate, 0.0, warmup), n_structures=1, seed=0, device=CPU)
        return (network.head.weight - before).abs().median().item()

    assert moved(1e-3, 0) == pytest.approx(1e-3, rel=0.01)
    assert moved(1e-3, 4) == pytest.approx(1e-3 / 4, rel=0.01)


def test_one_hot_leaves_out_the_background():
    planes = one_hot(torch.tensor([[[0, 1], [2, 1]]]), 2)
    assert planes.tolist() == [[[[0, 1], [0, 1]], [[0, 0], [1, 0]]]]


def test_class_map_takes_the_likeliest_above_a_half():
    probability = np.array([[[0.9, 0.2, 0.6]], [[0.3, 0.4, 0.7]]])
    assert class_map(probability).tolist() == [[1, 0, 2]]


def test_dice_closed_forms():
    a, b = np.array([[1, 1, 0, 0]]), np.array([[0, 1, 1, 0]])
    assert dice(a, b, 1).tolist() == [0.5]
    assert dice(a, a, 2).tolist() == [1.0, 1.0]
