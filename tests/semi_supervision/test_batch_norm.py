"""Whose statistics a network with batch norms keeps, where labelled and unlabelled images go through it."""

from dataclasses import replace

import pytest
import torch

from pipeline.learning.loop import train
from pipeline.semi_supervision.batch_norm import in_turn
from tests.interrupted import equal
from tests.semi_supervision.made import CPU, METHODS, RAMPED, RECIPE, batch_at, objective_of
from tests.semi_supervision.tiny import Normed, labelled


def statistics(network):
    return {name: value.clone() for name, value in network.named_buffers()}


def seen(network, *batches):
    """The running statistics of a network that has seen these batches in training."""
    network.train()
    for images in batches:
        network(images)
    return statistics(network)


def after_a_loss(name, step=11, **changes):
    """The objective whose loss of a step was taken, and that step's batch."""
    objective = objective_of(name, network=Normed, **changes)
    batch = batch_at(objective, step)
    objective.network.train()
    objective.loss(objective.network, *batch).backward()
    return objective, batch


@pytest.mark.parametrize("name", METHODS)
def test_apart_the_running_statistics_are_those_of_labelled_images_alone(name):
    objective, (images, *_) = after_a_loss(name, batch_norm="apart")
    assert equal(statistics(objective.labelled.network), seen(Normed(0), images))
    if name in ("cross_pseudo", "as_published"):
        assert equal(statistics(objective.network.networks[1]), seen(Normed(1), images))
    assert all(
        norm.track_running_stats for norm in (objective.labelled.network.within, objective.labelled.network.after)
    )


@pytest.mark.parametrize(("name", "place"), [("pseudo", 3), ("mean_teacher", 4), ("cross_pseudo", 3)])
def test_joint_they_are_those_of_all_images_as_one_batch(name, place):
    objective, batch = after_a_loss(name, batch_norm="joint")
    assert equal(statistics(objective.labelled.network), seen(Normed(0), torch.cat([batch[0], batch[place]])))


def test_dropped_features_are_in_no_running_statistic():
    """Joint too: those of the encoder are of all images, those behind dropped features of labelled ones."""
    found = {}
    for share in (0, 1):
        objective, batch = after_a_loss("unimatch", batch_norm="joint", feature_dropout=share)
        assert (batch[-1] >= 0).all() == bool(share)
        found[share] = statistics(objective.labelled.network)
    assert equal(found[0], found[1])
    encoder = Normed(0).train()
    encoder.encode(torch.cat([batch[0], batch[6], batch[8]]))
    assert equal({name: found[0][name] for name in found[0] if name.startswith("within")},
                 {name: value for name, value in statistics(encoder).items() if name.startswith("within")})  # fmt: skip


def test_apart_each_batch_is_normalised_by_itself():
    network = Normed(0).train()
    images, others = torch.rand(4, 1, 16, 16), 5 * torch.rand(6, 1, 16, 16)
    first, second = in_turn(network, network, (images, others), joint=False)
    torch.testing.assert_close(first, network(images))
    torch.testing.assert_close(second, network(others))
    (together,) = in_turn(network, network, (images, others), joint=True)
    assert not torch.allclose(together[:4], first)


@pytest.mark.parametrize("name", RAMPED)
@pytest.mark.parametrize("batch_norm", ["joint", "apart"])
def test_a_warm_up_over_all_steps_is_the_supervised_training(name, batch_norm):
    """Bit for bit, running statistics too; of two networks none clips the other's gradient."""
    objective = objective_of(name, network=Normed, warmup=0.9, ramp=0.0, batch_norm=batch_norm)
    recipe = replace(RECIPE, steps=10)
    train(objective, recipe, seed=0, device=CPU)
    alone = train(labelled(Normed(0)), recipe, seed=0, device=CPU)
    assert equal(objective.labelled.network.state_dict(), alone.state_dict())
    assert all(norm.num_batches_tracked == 10 for norm in (alone.within, alone.after))


def test_after_the_warm_up_it_is_another_training():
    objective = objective_of("mean_teacher", network=Normed, warmup=0.5, ramp=0.0)
    train(objective, RECIPE, seed=0, device=CPU)
    assert not equal(objective.labelled.network.state_dict(),
                     train(labelled(Normed(0)), RECIPE, seed=0, device=CPU).state_dict())  # fmt: skip


def test_a_teacher_averages_running_statistics_as_it_does_weights():
    objective, wanted = objective_of("mean_teacher", network=Normed, ema_decay=0.6), None
    network, teacher = objective.labelled.network, objective.teacher.module
    for step, value in enumerate([1.0, 3.0, 0.0, 2.0, 5.0]):
        network.after.running_mean.fill_(value)
        network.after.num_batches_tracked.fill_(step)
        objective.teacher.update_parameters(network)
        alpha = min(0.6, 1 - 1 / (1 + step))
        wanted = value if step == 0 else alpha * wanted + (1 - alpha) * value
        torch.testing.assert_close(teacher.after.running_mean, torch.full((8,), wanted))
        assert teacher.after.num_batches_tracked == step


@pytest.mark.parametrize("name", RAMPED)
def test_apart_is_the_default_of_methods_with_a_ramp(name):
    assert objective_of(name).method.batch_norm == "apart"
