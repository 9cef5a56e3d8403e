"""Networks on disk: what is written, and what is refused."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.data.structures import Structure, to_json
from pipeline.networks.parameters import trained_state
from pipeline.networks.sam import checkpoint
from pipeline.networks.sam.tuning import STRATEGIES
from pipeline.networks.segmenter import load_segmenter, save_segmenter
from pipeline.networks.small_unet import bottleneck, build_unet, load_unet, save_unet
from pipeline.run.errors import InputError
from pipeline.tasks.segmentation.inference import probabilities
from tests.tiny_sam import sam_settings

CPU = torch.device("cpu")
STRUCTURES = (Structure("head", "head"),)


def segmenter(base, params, n_structures=1, seed=0, **settings):
    """A SAM ready for fine-tuning, and the settings that say how."""
    torch.manual_seed(seed)
    folder, of_base = base
    settings = sam_settings(of_base, **settings)
    return checkpoint.build(folder, settings, n_structures), settings


def test_unet_round_trip_and_features(tmp_path, smoke_config):
    network = build_unet(smoke_config.evaluation_network.channels, 1)
    save_unet(tmp_path, "evaluation_network", network, smoke_config.evaluation_network, STRUCTURES, {})
    loaded, config = load_unet(tmp_path, "evaluation_network", CPU)
    images = torch.randn(3, 1, 32, 32)
    torch.testing.assert_close(loaded(images), network.eval()(images))
    assert bottleneck(loaded, images).shape == (3, 2 * config["channels"][-1])


def test_unet_of_another_architecture_is_refused(tmp_path, smoke_config):
    save_unet(
        tmp_path, "evaluation_network", build_unet((8, 8, 8, 8, 8), 1), smoke_config.evaluation_network, STRUCTURES, {}
    )
    with pytest.raises(InputError, match=r"evaluation_network\.safetensors: weights of another architecture"):
        load_unet(tmp_path, "evaluation_network", CPU)


def saved(folder, network, base, settings, structures=STRUCTURES):
    save_segmenter(checkpoint, folder, network, structures, name="sam", base=base[0], settings=settings, trained_on={})


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("base", ["compact", "official"])
def test_segmenter_round_trip(bases, smoke_config, tmp_path, base, strategy):
    base = bases[base]
    network, settings = segmenter(base, smoke_config, 2, train=strategy, prompt="predicted_box", checkpointing=True)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 1, 32, 32)).astype(np.float32)
    started = probabilities(network.eval(), images, CPU)
    with torch.no_grad():
        for weight in trained_state(network).values():
            weight.add_(0.05 * torch.randn_like(weight))
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
    assert config["structures"][1] == {"name": "symphysis", "role": None}
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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"detail": (8, 8)}, "base.detail has 2 widths"),
        ({"image_size": 36}, "36 is not a multiple of this SAM's patch"),
    ],
)
def test_what_does_not_go_with_the_weights_is_refused_with_the_base(bases, tmp_path, changes, words):
    """Before anything is trained."""
    base = bases["official"][1].model_copy(update=changes)
    with pytest.raises(InputError, match=words):
        checkpoint.save_base(tmp_path / "base", SimpleNamespace(base=base), 0)
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize("name", [".DS_Store", "._sam.safetensors", "Thumbs.db"])
def test_a_file_of_the_system_makes_no_other_base(bases, smoke_config, tmp_path, name):
    shutil.copytree(bases["compact"][0], tmp_path / "base")
    network, settings = segmenter(bases["compact"], smoke_config, train="decoder")
    saved(tmp_path / "model", network, bases["compact"], settings)
    (tmp_path / "base" / name).write_bytes(b"x")
    load_segmenter(checkpoint, tmp_path / "model", CPU, tmp_path / "base")


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
    with pytest.raises(InputError, match=r"segmenter\.safetensors: no weights can be read"):
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
