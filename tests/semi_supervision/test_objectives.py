"""The objectives with unlabelled images: what carries a gradient, when it counts, and what is kept."""

from dataclasses import replace

import pytest
import torch

from pipeline.learning.loop import train
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch
from pipeline.semi_supervision import monitor
from pipeline.tasks.segmentation.finetuning import recipe_of
from tests.interrupted import Killed, copied, equal, kill_at
from tests.semi_supervision.made import CPU, METHODS, RAMPED, RECIPE, TAUGHT, batch_at, objective_of
from tests.semi_supervision.tiny import Normed, Tiny, labelled


def gradients(objective, step):
    """Of every parameter of the segmenter and its partner, the largest gradient of the loss of a step."""
    objective.network.zero_grad()
    objective.network.train()
    objective.loss(objective.network, *batch_at(objective, step)).backward()
    return {name: 0 if one.grad is None else one.grad.abs().max().item() for name, one in
            objective.network.named_parameters()}  # fmt: skip


@pytest.mark.parametrize("name", RAMPED)
def test_in_the_warm_up_the_loss_is_that_of_the_labels(name):
    objective = objective_of(name, steps=100, warmup=0.2, ramp=0.2)
    network = objective.labelled.network
    alone = labelled(network)
    wanted = alone.loss(network, *alone.batch(3, 4, torch.Generator().manual_seed(3), slice(None)))
    found = objective.loss(objective.network, *batch_at(objective, 3))
    if name in ("cross_pseudo", "as_published"):
        partner = objective.network.networks[1]
        wanted = wanted + alone.loss(partner, *alone.batch(3, 4, torch.Generator().manual_seed(3), slice(None)))
    torch.testing.assert_close(found, wanted)
    later = objective.loss(objective.network, *batch_at(objective, 90))
    assert float(later.detach()) > float(found.detach())


@pytest.mark.parametrize("name", METHODS)
def test_every_trained_weight_has_a_gradient_and_no_target_has_one(name):
    objective = objective_of(name)
    assert all(value > 0 for value in gradients(objective, 11).values())
    if hasattr(objective, "teacher"):
        assert all(not one.requires_grad for one in objective.teacher.parameters())


def test_the_contrast_can_be_switched_off_and_reaches_both_encoders_where_it_is_on():
    on, off = objective_of("cross_pseudo"), objective_of("cross_pseudo", contrast=None)
    assert len(on.network.heads) == 2 and len(off.network.heads) == 0
    batch = batch_at(on, 11)
    *_, vectors = on.network(batch[0], batch[3])
    from pipeline.semi_supervision.contrast import info_nce

    info_nce(*vectors, torch.arange(8), 0.1).backward()
    for network in on.network.networks:
        assert network.coarse.weight.grad.abs().max() > 0 and network.head.weight.grad is None


@pytest.mark.parametrize("name", METHODS)
def test_exclusive_outputs_are_trained_as_such(name):
    """Two structures, of one softmax: the loss is another, and every weight has its gradient."""
    losses = []
    for outputs in ("independent", "exclusive"):
        objective = objective_of(name, n_structures=2)
        objective.labelled.network.outputs = outputs
        losses.append(objective.loss(objective.network, *batch_at(objective, 11)).item())
        assert all(value > 0 for value in gradients(objective, 11).values())
    assert losses[0] != losses[1]


@pytest.mark.parametrize("name", METHODS)
def test_training_lowers_the_loss_and_keeps_the_cell_s_own_segmenter(name):
    losses, objective = [], objective_of(name, steps=40)
    train(objective, replace(RECIPE, steps=40), seed=0, device=CPU, on_step=lambda step, loss: losses.append(loss))
    assert sum(losses[-10:]) < sum(losses[:10])
    last = copied(objective.labelled.network)
    kept = objective.segmenter()
    assert kept is objective.labelled.network and not kept.training
    if name in TAUGHT:
        assert equal(kept.state_dict(), objective.teacher.module.state_dict()) and not equal(kept.state_dict(), last)
        torch.testing.assert_close(kept.state_dict(), last, rtol=0.5, atol=0.5)
    else:
        assert equal(kept.state_dict(), last)


@pytest.mark.parametrize("name", METHODS)
def test_interrupted_and_resumed_equals_uninterrupted(name, tmp_path):
    """Weights, teacher, counters and curves come back from the disk."""
    curves = {"whole": [], "killed": [], "resumed": []}

    def run(objective, which, **options):
        train(objective, RECIPE, seed=0, device=CPU, on_curves=lambda step, found: curves[which].append(found),
              **options)  # fmt: skip
        return objective

    whole = run(objective_of(name), "whole")
    scratch = Scratch(tmp_path, "semi", [])
    with pytest.raises(Killed):
        run(objective_of(name), "killed", scratch=scratch, on_step=kill_at(10))
    resumed = run(objective_of(name), "resumed", scratch=scratch)
    assert equal(whole.network.state_dict(), resumed.network.state_dict())
    assert equal(whole.memory.state_dict(), resumed.memory.state_dict())
    assert curves["resumed"] == curves["whole"] and len(curves["whole"]) == 12


def test_the_teacher_is_the_average_that_the_formula_says():
    """θ' after t steps, by hand: the first step copies, then α = min(decay, 1 - 1 / (1 + t))."""
    objective = objective_of("mean_teacher", ema_decay=0.6)
    network, wanted = objective.labelled.network, None
    for step, value in enumerate([1.0, 3.0, 0.0, 2.0, 5.0]):
        torch.nn.init.constant_(network.head.bias, value)
        objective.teacher.update_parameters(network)
        alpha = min(0.6, 1 - 1 / (1 + step))
        wanted = value if step == 0 else alpha * wanted + (1 - alpha) * value
        assert objective.teacher.module.head.bias.item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("name", TAUGHT)
def test_an_arm_on_labels_can_keep_the_average_that_a_teacher_is(name):
    """A teacher of a warm-up over all steps has seen labels alone; the segmenter's own average has its form."""
    recipe = replace(RECIPE, steps=10)
    objective = objective_of(name, network=Normed, warmup=0.9, ramp=0.0, ema_decay=0.8)
    train(objective, recipe, seed=0, device=CPU)
    alone = labelled(Normed(0))
    asked = recipe_of(replace(recipe, ema_decay=0.8), "segmenters.tiny", alone)
    kept = train(alone, asked, seed=0, device=CPU)
    torch.testing.assert_close(objective.segmenter().state_dict(), kept.state_dict())
    assert asked.ema_decay == 0.8 and recipe_of(asked, "segmenters.tiny", objective).ema_decay is None


def test_of_two_networks_the_average_of_the_cell_s_own_is_kept():
    averaged, last = objective_of("cross_pseudo"), objective_of("cross_pseudo")
    for objective, decay in ((averaged, 0.9), (last, None)):
        train(objective, replace(RECIPE, ema_decay=decay), seed=0, device=CPU)
    own, other = averaged.segmenter().state_dict(), last.segmenter().state_dict()
    assert not equal(own, other)
    torch.testing.assert_close(own, other, rtol=0.2, atol=0.2)


def test_simulated_images_have_a_curve_of_correctness_which_nothing_learns_from():
    with_truth, without = objective_of("mean_teacher", truth=True), objective_of("mean_teacher", truth=False)
    found = {}
    for objective in (with_truth, without):
        train(objective, RECIPE, seed=0, device=CPU, on_curves=lambda step, curves: found.update({step: curves}))
        found[objective] = found[11]
    assert equal(with_truth.network.state_dict(), without.network.state_dict())
    assert 0 <= found[with_truth]["pseudo_label_correctness"] <= 1
    assert "pseudo_label_correctness" not in found[without]
    assert {"pseudo_label_confidence", "pseudo_label_coverage", "unlabelled_weight"} <= found[without].keys()


def test_nothing_that_is_kept_is_in_double_precision():
    """Which there is not on every device."""
    for name in METHODS:
        objective = objective_of(name)
        state = {**objective.network.state_dict(), **objective.memory.state_dict()}
        assert not [key for key, value in state.items() if value.dtype == torch.float64]
        objective.loss(objective.network, *batch_at(objective, 11))
        objective.after_step(11)
        assert not [key for key, value in objective.found.items() if value.dtype == torch.float64]


def test_a_confidence_that_keeps_nothing_is_named_after_fifty_steps(monkeypatch):
    assert monitor.PATIENCE == 50
    monkeypatch.setattr(monitor, "PATIENCE", 10)
    objective = objective_of("unimatch", steps=20, warmup=0.1, confidence=0.99999)
    with pytest.raises(InputError, match=r"arms\.x\.unlabelled\.confidence.*no pixel.*10 steps \(step 11\).*lower it"):
        train(objective, replace(RECIPE, steps=20, learning_rate=1e-6), seed=0, device=CPU)


@pytest.mark.parametrize("lost", [(0,), (1,), (0, 1), ()])
def test_a_structure_that_vanishes_from_one_network_s_pseudo_labels_is_counted_and_told(caplog, monkeypatch, lost):
    """Of the cell's own network, of its partner, or of both."""
    monkeypatch.setattr(monitor, "PATIENCE", 10)
    objective = objective_of("cross_pseudo", steps=12, warmup=0.0, ramp=0.0)
    with torch.no_grad():
        for number, network in enumerate(objective.network.networks):
            network.head.bias.fill_(-50 if number in lost else 50)
    train(objective, replace(RECIPE, learning_rate=1e-9), seed=0, device=CPU)
    assert objective.vanishing() == {"structure_1": int(bool(lost))}
    assert ("structure_1" in caplog.text and "vanishing" in caplog.text) == bool(lost)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("joint", ["joint", "apart"])
def test_without_batch_norm_joint_and_apart_are_the_same(name, joint):
    outputs = objective_of(name, batch_norm=joint)
    reference = objective_of(name)
    for objective in (outputs, reference):
        objective.network.train()
    found, wanted = (one.loss(one.network, *batch_at(one, 8)) for one in (outputs, reference))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(("name", "passes"), [
    ("pseudo", (8, 0)), ("mean_teacher", (8, 4)), ("unimatch", (12, 8)), ("cross_pseudo", (16, 0)),
])  # fmt: skip
def test_forward_passes_are_counted_as_they_are_made(name, passes, monkeypatch):
    objective, seen = objective_of(name), {True: 0, False: 0}
    encode = Tiny.encode

    def counted(network, images):
        seen[torch.is_grad_enabled()] += len(images)
        return encode(network, images)

    monkeypatch.setattr(Tiny, "encode", counted)
    objective.loss(objective.network, *batch_at(objective, 11))
    assert (seen[True], seen[False]) == passes == tuple(objective.passes([11], 4).values())


@pytest.mark.parametrize("name", RAMPED)
def test_in_the_warm_up_no_unlabelled_image_goes_through_a_network(name, monkeypatch):
    objective, seen = objective_of(name, steps=20, warmup=0.5), []
    encode = Tiny.encode
    monkeypatch.setattr(Tiny, "encode", lambda network, images: seen.append(len(images)) or encode(network, images))
    monkeypatch.setattr(type(objective.unlabelled), "draw", None)
    objective.loss(objective.network, *batch_at(objective, 9))
    networks = 1 if name in TAUGHT else 2
    assert seen == [4] * networks and objective.passes([9], 4) == {"with_gradient": sum(seen), "without_gradient": 0}
    first, second = (objective.passes(steps, 4) for steps in (range(10), range(10, 20)))
    assert objective.passes(range(20), 4) == {kind: first[kind] + second[kind] for kind in first}
    assert objective.after_step(9) == {"unlabelled_weight": 0}, "no curve of pseudo-labels that there are not"
