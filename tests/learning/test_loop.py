"""The training loop, on an objective of a dozen lines."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.learning.loop import made_ahead, train
from pipeline.learning.recipe import Recipe, cosine, trapezoid
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch
from tests.interrupted import Killed, copied, equal, kill_at

CPU = torch.device("cpu")


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


LINE = Recipe(40, 8, 0.2, weight_decay=0.0, warmup_steps=0, schedule=trapezoid, key="line.", checkpoint_every=16)


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


def test_networks_trained_together_are_clipped_each_by_itself():
    """A partner with a gradient a million times as large changes nothing."""

    class Two(Line):
        def __init__(self):
            super().__init__()
            own = self.network
            self.network = nn.ModuleList([own, nn.Linear(1, 1)])
            self.clipped = list(self.network)

        def loss(self, model, x, y):
            return ((model[0](x) - y) ** 2).mean() + 1e6 * ((model[1](x) - y) ** 2).mean()

    assert equal(train_line(Two())[0].state_dict(), train_line().state_dict())


def test_an_average_lies_behind_the_weights_and_is_what_is_looked_at():
    seen = {}
    averaged = train_line(changes={"ema_decay": 0.9, "preview_every": 20}, on_preview=lambda step, network: seen.update(
        {step: copied(network)}))  # fmt: skip
    assert sorted(seen) == [20, 40] and equal(seen[40], averaged.state_dict())
    assert equal(averaged.state_dict(), train_line(changes={"ema_decay": 0.9}).state_dict()), "looking changes nothing"
    last = train_line()
    assert not equal(averaged.state_dict(), last.state_dict())
    torch.testing.assert_close(averaged.state_dict(), last.state_dict(), rtol=0.1, atol=0.1)


class Dropping(Line):
    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5))


def test_dropout_is_a_function_of_seed_and_step(tmp_path):
    """So that a resumed training is exact, and what is drawn before and after it does not matter."""
    whole, scratch = train_line(Dropping()), Scratch(tmp_path, "line", [])
    with pytest.raises(Killed):
        train_line(Dropping(), scratch=scratch, on_step=kill_at(37))
    start = Dropping()
    torch.manual_seed(5)
    resumed = train_line(start, scratch=scratch)
    assert equal(whole.state_dict(), resumed.state_dict())
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(5)))
    assert not equal(whole.state_dict(), train(Dropping(), LINE, seed=1, device=CPU).state_dict())


class Normed(Line):
    """The same on points of which a batch norm takes the mean and the spread."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))


def test_running_statistics_are_averaged_with_the_weights(tmp_path):
    """By hand, also after an interruption; counts of batches are the last ones."""
    changes, seen, objective = {"ema_decay": 0.7, "ema_power": 1.0}, [], Normed()
    train_line(objective, changes, on_step=lambda step, loss: seen.append(copied(objective.network)))
    wanted = seen[0]
    for step, state in enumerate(seen):
        new = 1 - min(0.7, 1 - 1 / (1 + step))
        wanted = {name: value + new * (state[name] - value) for name, value in wanted.items()}
    wanted["0.num_batches_tracked"] = torch.tensor(40)
    found = objective.network.state_dict()
    torch.testing.assert_close(dict(found), wanted)
    assert not torch.allclose(found["0.running_mean"], seen[-1]["0.running_mean"])
    scratch = Scratch(tmp_path, "line", [])
    with pytest.raises(Killed):
        train_line(Normed(), changes, scratch=scratch, on_step=kill_at(37))
    assert equal(found, train_line(Normed(), changes, scratch=scratch).state_dict())


def test_the_average_is_that_of_diffusers_bit_for_bit():
    from diffusers.training_utils import EMAModel

    from pipeline.learning.average import Average

    network = Line().network
    ours, theirs = Average(network, 0.9, 2 / 3), EMAModel(network.parameters(), decay=0.9, use_ema_warmup=True)
    for step in range(60):
        with torch.no_grad():
            network.weight.add_(0.1 * step)
        ours.step()
        theirs.step(network.parameters())
    theirs.copy_to(network.parameters())
    assert equal(network.state_dict(), ours.averages)


def test_the_best_weights_are_kept_not_the_last():
    scores, seen, modes, objective = iter([0.1, 0.7, 0.3, 0.7, 0.2, 0.6, 0.1, 0.1, 0.1, 0.2]), [], [], Line()

    def validate(network):
        assert not network.training
        seen.append(copied(network))
        return next(scores)

    watch = lambda step, loss: modes.append(objective.network.training)  # noqa: E731
    chosen = train_line(objective, validate=validate, on_step=watch)
    assert len(seen) == 10 and all(modes)
    assert equal(chosen.state_dict(), seen[1]), "of equal scores the first counts"
    assert not equal(seen[1], seen[-1]) and not equal(seen[1], seen[3])


def test_looking_leaves_training_alone():
    """Scores that rise keep the last weights, which are those of a run that nobody looked at."""
    rising = iter(range(10))
    watched = train_line(validate=lambda network: float(next(rising)))
    assert equal(watched.state_dict(), train_line().state_dict())


@pytest.mark.parametrize("steps", [3, 10, 25, 40])
def test_there_are_ten_looks_the_last_one_at_the_end(steps):
    done, looks = [], []
    options = {"validate": lambda network: looks.append(len(done)) or 0.0}
    train_line(changes={"steps": steps}, on_step=lambda step, loss: done.append(step), **options)
    assert len(looks) == min(10, steps) and looks[-1] == steps


def test_a_validated_run_resumes(tmp_path):
    """The best score, a numpy number as ``mean_dice`` gives it, and its weights come back from the disk."""

    def script():
        scores = iter([0.1, 0.9, *[0.2] * 8])
        return lambda network: np.float64(next(scores))

    scratch = Scratch(tmp_path, "line", [])
    whole = train_line(validate=script())
    with pytest.raises(Killed):
        train_line(validate=script(), scratch=scratch, on_step=kill_at(33))
    resumed = train_line(validate=lambda network: np.float64(0.3), scratch=scratch)
    assert equal(whole.state_dict(), resumed.state_dict())


def test_mixed_precision_ends_with_training():
    from accelerate.state import AcceleratorState

    objective, dtypes = Line(), []
    watch = lambda module, inputs, output: dtypes.append(output.dtype)  # noqa: E731
    objective.network = nn.Sequential(nn.Linear(1, 1), nn.Identity())
    objective.network[1].register_forward_hook(watch)
    AcceleratorState._reset_state(True)
    try:
        network = train_line(objective, {"steps": 2, "mixed_precision": "bf16"})
    finally:
        AcceleratorState._reset_state(True)
    assert network(torch.zeros(4, 1)).dtype == torch.float32
    assert dtypes == [torch.bfloat16, torch.bfloat16, torch.float32]


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


def test_a_recipe_takes_from_a_section_what_it_says(smoke_config):
    settings = smoke_config.segmenters["unet"]
    recipe = Recipe.of(settings, "segmenters.unet", fused=False)
    assert not recipe.fused and recipe.key == "segmenters.unet."
    assert (recipe.steps, recipe.weight_decay) == (settings.steps, settings.weight_decay)
    assert recipe.warmup_steps == settings.warmup_steps
    assert Recipe.of(smoke_config.evaluation_network).warmup_steps == 20


@pytest.mark.parametrize(
    ("error", "key", "words"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
            "line.",
            "lower line.batch, or lower",
        ),
        (
            RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
            "diffusion.",
            "raise diffusion.accumulate, or",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "line.",
            "a batch of 8; lower line.batch",
        ),
    ],
)
def test_too_little_memory_says_what_to_lower(error, key, words):
    class Large(Line):
        def loss(self, model, x, y):
            raise error

    with pytest.raises(InputError, match=f"the memory is too small for .*{words}"):
        train_line(Large(), {"key": key})


def test_other_errors_of_torch_are_not_taken_for_it():
    class Wrong(Line):
        def loss(self, model, x, y):
            return model(x) @ y

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        train_line(Wrong())
