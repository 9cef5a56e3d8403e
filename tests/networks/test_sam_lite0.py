"""SAM's decoder on EfficientNet-Lite0: its parts, what is trained, its files, its prompts and what is refused."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from pydantic import ValidationError

from pipeline.config.augmentation import Augment
from pipeline.config.segmenters import Lite0Base
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.data.structures import Structure
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import ImagePool, fit
from pipeline.networks.lite0 import SHA256, lite0
from pipeline.networks.parameters import trained_state
from pipeline.networks.sam import checkpoint
from pipeline.networks.sam.lite0 import build_lite0_sam
from pipeline.networks.segmenter import load_segmenter, save_segmenter
from pipeline.run.errors import InputError
from pipeline.tasks.segmentation.inference import mean_dice
from pipeline.tools import command, export
from tests.tiny_sam import sam_settings

CPU = torch.device("cpu")
STILL = Augment(flip=False, rotate_deg=0, scale=0, shift=0, brightness=0, contrast=0, gamma=0)
STRUCTURES = (Structure("head", "head"), Structure("symphysis"))
PROMPTS = ("none", "whole_box", "predicted_box")
IMAGENET = "sam.vision_encoder."


def images(count=2, size=32):
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def built(bases, n_structures=1, train="full", seed=0, **settings):
    folder, base = bases["lite0"]
    torch.manual_seed(seed)
    return checkpoint.build(folder, sam_settings(base, train, **settings), n_structures)


@pytest.mark.parametrize("size", [32, 96])
def test_shapes(size):
    network = build_lite0_sam(Lite0Base(weights="lite0", image_size=size, decoder_size=64), 2).eval()
    x = images(3, size)
    levels = network.details(x)
    assert [tuple(level.shape[1:]) for level in levels] == [
        (channels, size // stride, size // stride) for channels, stride in ((16, 2), (24, 4), (40, 8))
    ]
    assert network.embed(x).shape == (3, 432, size // 16, size // 16)
    assert network.neck(network.embed(x), levels[-1]).shape == (3, 64, size // 16, size // 16)
    logits = network(x)
    assert logits.shape == (3, 2, size, size) and logits.isfinite().all()


@torch.no_grad()
def test_the_encoder_is_lite0_with_its_weights_and_its_normalisation(bases):
    """Against timm's own network: grey values in [0, 1], mean 0.5 and standard deviation 0.5."""
    network, x = built(bases).eval(), images(size=64)
    grey = (x + 1) / 2
    expected = lite0().forward_intermediates((grey.expand(-1, 3, -1, -1) - 0.5) / 0.5, intermediates_only=True)
    for found, wanted in zip(network.details(x), expected, strict=False):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    coarse = network.embed(x)
    torch.testing.assert_close(coarse[:, :112], expected[3], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(coarse[:, 112:].mean(), expected[4].mean(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("train", ["full", "decoder"])
def test_every_weight_that_is_trained_learns_and_the_encoder_only_in_full(bases, train, prompt):
    network = built(bases, 2, train, prompt=prompt).train()
    sum(logits.sub(0.3).square().mean() for logits in network(images(4))).backward()
    trained = trained_state(network)
    assert not [name for name, weight in trained.items() if "k_proj.bias" not in name and not weight.grad.any()]
    assert any(name.startswith(IMAGENET) for name in trained) == (train == "full")
    assert {"neck.coarse.weight", "detail.weights.weight", "sam.mask_decoder.mask_tokens.weight"} <= trained.keys()
    assert not any(weight.grad is not None for weight in network.parameters() if not weight.requires_grad)


def test_training_moves_no_statistics_so_a_case_does_not_depend_on_its_batch(bases):
    network = built(bases).train()
    before = {name: value.clone() for name, value in network.named_buffers()}
    x = images(3)
    torch.testing.assert_close(network(x)[-1][:1], network(x[:1])[-1], rtol=1e-3, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


def test_replicates_share_the_encoder_and_draw_the_rest(bases):
    first, again, other = (built(bases, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    differs = {name for name in first if not torch.equal(first[name], other[name])}
    assert not any(name.startswith(IMAGENET) for name in differs)
    assert {"neck.smooth.weight", "detail.enter.weight", "sam.mask_decoder.iou_token.weight"} <= differs


@torch.no_grad()
def test_without_a_prompt_it_repeats_itself_and_a_box_changes_the_mask(bases):
    network, x = built(bases, 2).eval(), images()
    assert torch.equal(network(x), network(x))
    assert torch.equal(network(x), network(x, network.embed(x)))
    left, right = (torch.tensor(box).expand(2, 2, 4) for box in ([2.0, 2, 12, 29], [18.0, 2, 29, 29]))
    assert network.segment(x, left).shape == (2, 2, 32, 32)
    assert (network.segment(x, left) - network.segment(x, right)).abs().max() > 1e-4
    assert (network.segment(x, left) - network(x)).abs().max() > 1e-4


@torch.no_grad()
def test_saved_and_loaded_it_is_the_same(bases, tmp_path):
    (folder, base), train = bases["lite0"], "decoder"
    network = built(bases, 2, train, prompt="predicted_box")
    for weight in trained_state(network).values():
        weight.add_(0.02 * torch.randn_like(weight))
    about = {"name": "sam_lite0", "base": folder, "trained_on": {}}
    settings = sam_settings(base, train, prompt="predicted_box")
    save_segmenter(checkpoint, tmp_path, network, STRUCTURES, settings=settings, **about)
    loaded, config = load_segmenter(checkpoint, tmp_path, CPU, folder)
    torch.testing.assert_close(loaded(images()), network.eval()(images()), rtol=1e-4, atol=1e-5)
    assert config["architecture"].startswith("SAM decoder on EfficientNet-Lite0")
    assert config["settings"]["base"] == {"weights": "lite0", "image_size": 32, "decoder_size": 32}


def test_the_base_says_what_it_is(bases):
    folder, base = bases["lite0"]
    about = json.loads((folder / "sam.json").read_text())
    assert about["architecture"] == "SAM decoder on EfficientNet-Lite0"
    assert about["encoder_sha256"] == SHA256 and "ImageNet" in about["trained_on"]
    for changes, words in (({"decoder_size": 64}, "decoder_size 32"), ({"image_size": 64}, "image_size 32")):
        with pytest.raises(InputError, match=rf"on EfficientNet-Lite0 with {words}, .*dvc repro base_sam"):
            checkpoint.load_base(folder, base.model_copy(update=changes), 1)
    with pytest.raises(InputError, match="a SAM decoder on EfficientNet-Lite0, unlike the segmenter's base"):
        checkpoint.load_base(folder, bases["compact"][1], 1)


@pytest.mark.parametrize(
    ("base", "settings", "words"),
    [
        ({}, {"train": "lora"}, "train 'full', or 'decoder'"),
        ({}, {"checkpointing": True}, "checkpointing is for transformers"),
        ({"image_size": 48}, {}, "multiple of 32"),
        ({"decoder_size": 48}, {}, "multiple of 32"),
        ({"detail": [8, 16]}, {}, "detail"),
        ({"weights": "models/pretrained/lite0"}, {}, "Input should be 'lite0'"),
    ],
)
def test_what_does_not_apply_is_refused(base, settings, words):
    with pytest.raises(ValidationError, match=words):
        sam_settings({"weights": "lite0", "image_size": 64, "decoder_size": 64} | base, **settings)


def test_more_structures_than_mask_tokens_are_refused():
    with pytest.raises(InputError, match="4 mask tokens but 5"):
        build_lite0_sam(Lite0Base(weights="lite0", image_size=32, decoder_size=32), 5)


def test_it_learns_rings_in_a_few_steps(bases, ring):
    """A high Dice on cases that it was not trained on."""
    cases = [ring(i) for i in range(20)]
    x, y = stack_images(cases, 32), stack_masks(cases, 32)
    network = built(bases)
    fit(network, ImagePool(x[:16], y[:16], STILL), Recipe(60, 8, 2e-3), n_structures=1, seed=0, device=CPU)
    assert np.mean(mean_dice(network, x[16:], y[16:], 1, CPU)) > 0.9


def test_onnx_computes_the_same_for_any_batch(tmp_path, monkeypatch, caplog):
    """With a pass without a box and one with, on a canvas that is not square."""
    folder, base = tmp_path / "base", Lite0Base(weights="lite0", image_size=(32, 64), decoder_size=32)
    settings = sam_settings(base, prompt="predicted_box")
    checkpoint.save_base(folder, settings, 0)
    network = checkpoint.build(folder, settings, 2).eval()
    about = {"name": "sam_lite0", "base": folder, "settings": settings, "trained_on": {}}
    save_segmenter(checkpoint, tmp_path / "model", network, STRUCTURES, **about)
    export.export_onnx(tmp_path / "model", tmp_path / "m.onnx", folder)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["image_size"] == "32,64"
    x = torch.cat([images(5), images(5).flip(0)], dim=3)
    np.testing.assert_allclose(session.run(None, {"image": x.numpy()})[0], network(x).detach(), atol=1e-3)
    monkeypatch.setattr("pipeline.run.stage.prepare_environment", lambda threads: None)
    arguments = ["--model", tmp_path / "model", "--base", folder, "--out", tmp_path / "m.pth"]
    with pytest.raises(SystemExit):
        command.main(export.add_arguments, export.run, list(map(str, arguments)))
    assert "a segmenter of kind 'sam' on Lite0 is written as .onnx" in caplog.text
