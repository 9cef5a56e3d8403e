import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from pipeline.config.augmentation import Augment
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.data.structures import Structure, to_json
from pipeline.imaging.augment import augment
from pipeline.learning import segmentation
from pipeline.learning.loop import made_ahead, train
from pipeline.learning.recipe import Recipe, cosine, trapezoid
from pipeline.learning.segmentation import ImagePool, dice_loss, extra_first, fit, mean_loss, one_hot
from pipeline.networks.parameters import trained_state
from pipeline.networks.sam import checkpoint
from pipeline.networks.sam.tuning import STRATEGIES
from pipeline.networks.segmenter import load_segmenter, save_segmenter
from pipeline.networks.small_unet import bottleneck, build_unet, load_unet, save_unet
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch
from pipeline.tasks.segmentation.inference import class_map, dice, predict_native, probabilities
from tests.tiny_sam import sam_settings

CPU = torch.device("cpu")
STRUCTURES = (Structure("head", "head"),)
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


def copied(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def test_a_unet_learns_rings_and_predicts_at_native_size(rings, smoke_config):
    pool = image_pool(rings[:16], smoke_config)
    network = fit_pool(unet((8, 8, 16, 16, 16)), pool, 60, batch=8)
    maps = predict_native(network, rings[16:], 32, CPU)
    assert all(predicted.shape == case.mask.shape for predicted, case in zip(maps, rings[16:], strict=True))
    assert np.mean([dice(m, c.mask, 1) for m, c in zip(maps, rings[16:], strict=True)]) > 0.85


class Killed(Exception):
    pass


def kill_at(last):
    def on_step(step, loss):
        if step == last:
            raise Killed

    return on_step


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


def test_the_best_weights_are_kept_not_the_last(pool):
    scores, seen = iter([0.1, 0.7, 0.3, 0.7, 0.2, 0.6, 0.1, 0.1, 0.1, 0.2]), []

    def validate(network):
        assert not network.training
        seen.append(copied(network))
        return next(scores)

    modes = []
    network = unet()
    chosen = fit_pool(network, pool, 20, validate=validate, on_step=lambda step, loss: modes.append(network.training))
    assert len(seen) == 10 and all(modes)
    assert equal(chosen.state_dict(), seen[1]), "of equal scores the first counts"
    assert not equal(seen[1], seen[-1]) and not equal(seen[1], seen[3])


def test_looking_leaves_training_alone(pool):
    """Scores that rise keep the last weights, which are those of a run that nobody looked at."""
    rising = iter(range(10))
    watched = fit_pool(unet(), pool, 10, validate=lambda network: float(next(rising)))
    assert equal(watched.state_dict(), fit_pool(unet(), pool, 10).state_dict())


@pytest.mark.parametrize("steps", [3, 10, 25, 40])
def test_there_are_ten_looks_the_last_one_at_the_end(pool, steps):
    done, looks = [], []
    fit_pool(
        unet(),
        pool,
        steps,
        batch=1,
        validate=lambda network: looks.append(len(done)) or 0.0,
        on_step=lambda step, loss: done.append(step),
    )
    assert len(looks) == min(10, steps) and looks[-1] == steps


def test_a_validated_run_resumes(pool, tmp_path):
    """The best score, a numpy number as ``mean_dice`` gives it, and its weights come back from the disk."""

    def script():
        scores = iter([0.1, 0.9, *[0.2] * 8])
        return lambda network: np.float64(next(scores))

    scratch = Scratch(tmp_path, "fit", [])
    whole = fit_pool(unet(), pool, 10, validate=script())
    with pytest.raises(Killed):
        fit_pool(unet(), pool, 10, validate=script(), scratch=scratch, every=4, on_step=kill_at(6))
    resumed = fit_pool(unet(), pool, 10, validate=lambda network: np.float64(0.3), scratch=scratch)
    assert equal(whole.state_dict(), resumed.state_dict())


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


class Line:
    """An objective of a dozen lines: w x + b on noisy points of a line; it remembers the steps it was asked for."""

    def __init__(self):
        torch.manual_seed(0)
        self.network, self.steps = torch.nn.Linear(1, 1), []

    def batch(self, step, count, generator, share):
        self.steps.append(step)
        x, noise = torch.randn(2, count, 1, generator=generator)
        return x[share], (3 * x - 1 + 0.01 * noise)[share]

    def loss(self, model, x, y):
        return ((model(x) - y) ** 2).mean()


LINE = Recipe(40, 8, 0.2, weight_decay=0.0, warmup_steps=0, schedule=trapezoid, key="line", checkpoint_every=16)


def train_line(objective=None, changes=(), **options):
    return train(objective or Line(), replace(LINE, **dict(changes)), seed=0, device=CPU, **options)


def test_another_objective_costs_one_small_class():
    losses = []
    network = train_line(on_step=lambda step, loss: losses.append(loss))
    assert losses[-1] < 0.01 * losses[0] and not network.training
    assert network.weight.item() == pytest.approx(3, abs=0.3) and network.bias.item() == pytest.approx(-1, abs=0.3)


@pytest.mark.parametrize("ema_decay", [None, 0.9])
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("validated", [False, True])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, ema_decay, accumulate, validated):
    changes = {"ema_decay": ema_decay, "accumulate": accumulate}
    options = {"validate": lambda network: -abs(network.weight.item() - 2)} if validated else {}
    whole = train_line(changes=changes, **options)
    scratch, resumed = Scratch(tmp_path, "line", []), Line()
    with pytest.raises(Killed):
        train_line(changes=changes, scratch=scratch, on_step=kill_at(37), **options)
    assert equal(whole.state_dict(), train_line(resumed, changes, scratch=scratch, **options).state_dict())
    assert resumed.steps == list(range(32, 40))


def test_parts_of_a_batch_give_the_gradient_of_the_whole():
    whole, parts = (train_line(changes={"accumulate": count}) for count in (1, 4))
    torch.testing.assert_close(whole.state_dict(), parts.state_dict(), rtol=1e-4, atol=1e-5)


def test_an_average_lies_behind_the_weights_and_is_what_is_looked_at():
    seen = {}
    averaged = train_line(changes={"ema_decay": 0.9, "preview_every": 20}, on_preview=lambda step, network: seen.update(
        {step: copied(network)}))  # fmt: skip
    assert sorted(seen) == [20, 40] and equal(seen[40], averaged.state_dict())
    assert equal(averaged.state_dict(), train_line(changes={"ema_decay": 0.9}).state_dict()), "looking changes nothing"
    last = train_line()
    assert not equal(averaged.state_dict(), last.state_dict())
    torch.testing.assert_close(averaged.state_dict(), last.state_dict(), rtol=0.1, atol=0.1)


def test_what_is_wrong_names_the_key_to_change():
    with pytest.raises(InputError, match=r"key 'line.batch' is 8, .* make it a multiple of 3"):
        train_line(changes={"accumulate": 3})
    with pytest.raises(InputError, match=r"lower line.learning_rate \(1e\+30\)$"):
        train_line(changes={"learning_rate": 1e30, "fused": False})
    message = str(replace(LINE, mixed_precision="fp16").diverged(float("inf"), 3, "folder"))
    assert (
        "loss is inf at step 3" in message and "or set line.mixed_precision to 'no' (state kept in folder)" in message
    )


def test_batches_made_ahead_are_the_batches():
    assert list(made_ahead(str, range(3, 9), ahead=True)) == list(made_ahead(str, range(3, 9), ahead=False))
    assert list(made_ahead(str, range(0), ahead=True)) == []


def test_mixed_precision_ends_with_training(pool):
    dtypes = []

    class Watched(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = torch.nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, images):
            logits = self.convolution(images)
            dtypes.append(logits.dtype)
            return logits

    from accelerate.state import AcceleratorState

    recipe = Recipe(2, 4, 1e-3, mixed_precision="bf16")
    AcceleratorState._reset_state(True)
    try:
        network = fit(Watched(), pool, recipe, n_structures=1, seed=0, device=CPU)
    finally:
        AcceleratorState._reset_state(True)
    assert network(torch.zeros(1, 1, 32, 32)).dtype == torch.float32
    assert dtypes == [torch.bfloat16, torch.bfloat16, torch.float32]


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
    from monai.losses import DiceLoss

    logits, target = random_logits()
    torch.testing.assert_close(dice_loss(logits, target), DiceLoss(sigmoid=True)(logits, target))


def test_the_loss_is_dice_and_cross_entropy_mean_over_the_outputs():
    (a, target), (b, _) = random_logits(0), random_logits(1)
    expected = [
        dice_loss(one, target) - (target * one.sigmoid().log() + (1 - target) * (-one).sigmoid().log()).mean()
        for one in (a, b)
    ]
    torch.testing.assert_close(mean_loss(a, target), expected[0])
    torch.testing.assert_close(mean_loss((a, b), target), (expected[0] + expected[1]) / 2)


def test_schedule_warms_up_and_ends_at_zero():
    rates = [cosine(step, 100, 10) for step in range(101)]
    assert (
        rates[0] == pytest.approx(0.1)
        and rates[9] == 1
        and rates[55] == pytest.approx(0.5, abs=0.01)
        and rates[100] == 0
    )


def test_the_other_schedule_warms_up_stays_and_falls():
    rates = [trapezoid(step, 100, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[10:80] == [1] * 70 and rates[-1] == pytest.approx(0.1)
    assert trapezoid(0, 100, 0) == 1


def test_the_schedule_is_that_of_the_optimizer(pool):
    """Without a warm-up the first step of AdamW moves a weight by the learning rate, whatever its gradient."""

    def moved(rate, warmup):
        network = unet()
        before = network.head.weight.detach().clone()
        fit(network, pool, Recipe(1, 4, rate, 0.0, warmup), n_structures=1, seed=0, device=CPU)
        return (network.head.weight - before).abs().median().item()

    assert moved(1e-3, 0) == pytest.approx(1e-3, rel=0.01)
    assert moved(1e-3, 4) == pytest.approx(1e-3 / 4, rel=0.01)


def test_a_recipe_takes_from_a_section_what_it_says(smoke_config):
    settings = smoke_config.segmenters["sam"]
    recipe = Recipe.of(settings, "segmenters.sam", fused=False)
    assert not recipe.fused and recipe.key == "segmenters.sam"
    assert (recipe.steps, recipe.weight_decay, recipe.warmup_steps) == (20, settings.weight_decay, 5)
    assert Recipe.of(smoke_config.instrument).warmup_steps == 20


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


def test_unet_round_trip_and_features(tmp_path, smoke_config):
    network = build_unet(smoke_config.instrument.channels, 1)
    save_unet(tmp_path, "instrument", network, smoke_config.instrument, STRUCTURES, {})
    loaded, config = load_unet(tmp_path, "instrument", CPU)
    images = torch.randn(3, 1, 32, 32)
    torch.testing.assert_close(loaded(images), network.eval()(images))
    assert bottleneck(loaded, images).shape == (3, 2 * config["channels"][-1])


def test_unet_of_another_architecture_is_refused(tmp_path, smoke_config):
    save_unet(tmp_path, "instrument", unet(), smoke_config.instrument, STRUCTURES, {})
    with pytest.raises(InputError, match=r"instrument\.safetensors: weights of another architecture"):
        load_unet(tmp_path, "instrument", CPU)


def saved(folder, network, base, settings, structures=STRUCTURES):
    save_segmenter(checkpoint, folder, network, structures, name="sam", base=base[0], settings=settings, trained_on={})


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("base", ["compact", "official"])
def test_segmenter_round_trip(pool, bases, smoke_config, tmp_path, base, strategy):
    base = bases[base]
    network, settings = segmenter(base, smoke_config, 2, train=strategy, prompt="predicted_box", checkpointing=True)
    images = pool.images[:3]
    started = probabilities(network.eval(), images, CPU)
    fit_pool(network, pool, 6, n_structures=2)
    saved(tmp_path, network, base, settings, (*STRUCTURES, Structure("symphysis")))
    assert load_file(tmp_path / "segmenter.safetensors").keys() == trained_state(network).keys()

    state = torch.get_rng_state()
    loaded, config = load_segmenter(checkpoint, tmp_path, CPU, base[0])
    assert torch.equal(torch.get_rng_state(), state), "building the adapters draws nothing from others' numbers"
    found = probabilities(loaded, images, CPU)
    np.testing.assert_allclose(found, probabilities(network, images, CPU), rtol=0, atol=1e-5)
    assert np.abs(found - started).max() > 0.01
    assert not loaded.training and not trained_state(loaded)
    assert not [name for name in loaded.state_dict() if "lora" in name], "adapters are folded in"
    assert config["image_size"] == 32 and config["structures"][1] == {"name": "symphysis", "role": None}
    assert config["trainable_parameters"] == sum(weight.numel() for weight in trained_state(network).values())


def test_another_base_is_refused(bases, smoke_config, tmp_path):
    network, settings = segmenter(bases["compact"], smoke_config, train="decoder")
    saved(tmp_path, network, bases["compact"], settings)
    with pytest.raises(InputError, match=r"was fine-tuned from base \w{32}, .*official is \w{32}; give the SAM"):
        load_segmenter(checkpoint, tmp_path, CPU, bases["official"][0])


def test_a_compact_sam_of_other_sizes_is_refused(bases, smoke_config):
    folder, settings = bases["compact"]
    compact = settings.compact.model_copy(update={"layers": settings.compact.layers + 1})
    other = settings.model_copy(update={"compact": compact})
    with pytest.raises(InputError, match=rf"with layers {settings.compact.layers}, .*dvc repro base_sam"):
        segmenter((folder, other), smoke_config)


def test_a_segmenter_of_an_earlier_version_is_refused(tmp_path, bases):
    about = {"architecture": "SAM, promptless", "sam": {}, "image_size": 32, "structures": to_json(STRUCTURES)}
    (tmp_path / "segmenter.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=r"segmenter\.json: .*fine-tune again"):
        load_segmenter(checkpoint, tmp_path, CPU, bases["compact"][0])


def test_no_segmenter_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match="run the stage that trains this network"):
        load_segmenter(checkpoint, tmp_path, CPU)


def test_truncated_weights_are_named(bases, smoke_config, tmp_path):
    network, settings = segmenter(bases["compact"], smoke_config)
    saved(tmp_path, network, bases["compact"], settings)
    path = tmp_path / "segmenter.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"segmenter\.safetensors: not a safetensors file"):
        load_segmenter(checkpoint, tmp_path, CPU, bases["compact"][0])


def test_weights_of_another_strategy_are_refused(bases, smoke_config, tmp_path):
    network, settings = segmenter(bases["compact"], smoke_config, train="decoder")
    saved(tmp_path, network, bases["compact"], sam_settings(settings.base))
    with pytest.raises(InputError, match=r"weights of another architecture \(.* is missing\)"):
        load_segmenter(checkpoint, tmp_path, CPU, bases["compact"][0])


@pytest.mark.parametrize("strategy", ["full", "decoder"])
def test_the_initialisation_of_a_compact_sam_belongs_to_the_replicate(bases, smoke_config, tmp_path, strategy):
    folder, base = bases["compact"]
    settings = sam_settings(base, strategy)
    started = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        started.append(checkpoint.build(folder, settings, 1).eval())
    images = np.random.default_rng(0).uniform(-1, 1, (2, 1, 32, 32)).astype(np.float32)
    first, again, other = (probabilities(network, images, CPU) for network in started)
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == (strategy == "decoder")
    saved(tmp_path, started[2], (folder, base), settings)
    loaded, _ = load_segmenter(checkpoint, tmp_path, CPU, folder)
    np.testing.assert_allclose(probabilities(loaded, images, CPU), other, atol=1e-6)
