"""The fine-tuned U-Net: its parts by strategy, weights of a classifier, deep supervision."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from benchmarks.unfold_batch_norms import unfold
from pipeline.config.segmenters import LITE0_BACKBONE, UNetBase, UNetSegmenter
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import ImagePool, fit
from pipeline.networks.lite0 import lite0
from pipeline.networks.parameters import count_parameters, trained_state
from pipeline.networks.unet.encoder_weights import hub_file, is_folded, load_encoder
from pipeline.networks.unet.model import BackboneUNet, check_usable
from pipeline.networks.unet.strategies import STRATEGIES, choose_parts
from pipeline.run.errors import InputError
from pipeline.tasks.segmentation.inference import mean_dice
from tests.interrupted import copied

CPU = torch.device("cpu")
SMALL = (16, 16, 16, 8, 8)


def unet(backbone="mobilenet_v2", n_structures=1, seed=0, **options):
    torch.manual_seed(seed)
    size, channels = options.pop("image_size", 64), options.pop("input_channels", 3)
    base = SimpleNamespace(backbone=backbone, image_size=size, input_channels=channels)
    options = {"decoder_channels": SMALL, "deep_supervision": False, "outputs": "independent"} | options
    return BackboneUNet(SimpleNamespace(base=base, **options), n_structures)


@pytest.fixture(scope="module")
def pool(ring, smoke_config):
    rings = [ring(i) for i in range(16)]
    return ImagePool(stack_images(rings, 32), stack_masks(rings, 32), smoke_config.augment)


def fitted(network, pool, steps=3, n_structures=1):
    recipe = Recipe(steps, 8, 3e-3, warmup_steps=2)
    return fit(network, pool, recipe, n_structures=n_structures, seed=0, device=CPU)


def changed(before, network):
    return {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


def test_the_settings_build_it():
    base = UNetBase(weights=None, image_size=64, backbone="mobilenet_v2", input_channels=1)
    settings = UNetSegmenter(
        kind="unet", base=base, train="all", decoder_channels=SMALL, deep_supervision=True, mixed_precision="no",
        steps=1, batch=2, learning_rate=1e-3, weight_decay=0.0, warmup_steps=0,
    )  # fmt: skip
    network = BackboneUNet(settings, 2)
    assert [mask.shape for mask in network(torch.zeros(2, 1, 64, 64))] == [(2, 2, 64, 64)] * 3
    assert network.eval()(torch.zeros(2, 1, 64, 64)).shape == (2, 2, 64, 64)


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "resnet18", "mit_b0", "tu-mobilenetv3_small_100"])
@pytest.mark.parametrize("input_channels", [1, 3])
def test_backbones_by_name(backbone, input_channels):
    network = unet(backbone, 2, input_channels=input_channels).eval()
    assert network(torch.zeros(1, 1, 64, 64)).shape == (1, 2, 64, 64)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("mobilenetv2", "mobilenet_v2"),
        ("?", "resnet18"),
        ("convnext_atto", "is not known.*tu-convnext_atto"),
        ("tu-nothing", "makes no U-Net"),
        ("tu-resnet1", "is not known.*tu-resnet18"),
        ("tu-hf-hub:timm/resnet18", "is not known"),
        ("tu-resnet18.nonsense", "Invalid pretrained tag"),
        ("tu-vit_tiny_patch16_224", "makes no U-Net of five levels .*downsampling.*; name another"),
        ("tu-mixer_s16_224", "makes no U-Net of five levels"),
    ],
)
def test_an_unknown_backbone_is_refused(name, near):
    with pytest.raises(InputError, match=f"backbone '.*{near}"):
        unet(name)


@pytest.mark.parametrize("size", [32, 96])
@pytest.mark.parametrize(
    "backbone", ["tu-swin_tiny_patch4_window7_224", "tu-convnext_atto", "tu-hrnet_w18_small", "tu-vgg11", "xception"]
)
def test_encoders_of_other_shapes_work_at_any_size(backbone, size):
    """A fixed input size, four levels, channels last, a level at full resolution, no padding."""
    check_usable(unet(backbone, image_size=size), size)


def test_swin_trains(pool):
    network = unet("tu-swin_tiny_patch4_window7_224", image_size=32)
    before = copied(network)
    fitted(network, pool, steps=1)
    assert any(name.startswith("unet.encoder.model.layers_3.") for name in changed(before, network))


@pytest.mark.parametrize(
    ("backbone", "words"),
    [
        (
            "tu-efficientformer_l1",
            "does not work at base.image_size 64 .*; set base.image_size to 224, which it is made",
        ),
        ("mobilenet_v2", "does not work at base.image_size 64 .its masks have .*; raise base.image_size, or name"),
    ],
)
def test_an_encoder_that_does_not_work_at_the_size_is_refused(monkeypatch, backbone, words):
    network = unet(backbone)
    if backbone == "mobilenet_v2":
        monkeypatch.setattr(network, "forward", lambda images: images[..., ::2])
    with pytest.raises(InputError, match=words):
        check_usable(network, 64)


PARTS = {
    "scratch": ("unet.", None),
    "all": ("unet.", None),
    "frozen_encoder": ("unet.decoder.", "unet.encoder."),
    "decoder": ("unet.decoder.", "unet.encoder."),
    "encoder": ("unet.encoder.", "unet.decoder."),
    "bottleneck_decoder": ("unet.encoder.features.18.", "unet.encoder.features.13."),
    "last_blocks": ("unet.decoder.blocks.4.", "unet.decoder.blocks.2."),
    "batch_norm": ("unet.encoder.features.0.1.", "unet.encoder.features.0.0."),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_frozen_stays_bit_equal_and_the_rest_learns(pool, strategy):
    network = unet()
    choose_parts(network, strategy)
    before = copied(network)
    fitted(network, pool)
    moved = changed(before, network)
    weights = {name for name, _ in network.named_parameters()}
    assert moved & weights == set(trained_state(network))
    assert any(name.startswith("unet.segmentation_head.") for name in moved)
    learns, stays = PARTS[strategy]
    assert any(name.startswith(learns) for name in moved & weights)
    assert stays is None or not any(name.startswith(stays) for name in moved & weights)
    # Batch statistics: those of frozen parts stay, but for frozen_encoder.
    statistics = {name for name in moved - weights if name.startswith("unet.encoder.")}
    assert bool(statistics) == (strategy not in ("decoder", "last_blocks"))


def test_strategies_train_fewer_and_fewer():
    counts = {}
    for strategy in STRATEGIES:
        network = unet(decoder_channels=(256, 128, 64, 32, 16))
        choose_parts(network, strategy)
        counts[strategy] = count_parameters(network)["trainable_parameters"]
    assert counts["scratch"] == counts["all"] == 6_628_945
    # "Under 4.4 million" (arXiv 2307.09067): 85.8 % fewer than the 31.04 million of the classic U-Net.
    assert counts["decoder"] == counts["frozen_encoder"] == 4_405_073 and 1 - counts["decoder"] / 31.04e6 > 0.857
    assert counts["decoder"] < counts["bottleneck_decoder"] < counts["all"]
    assert counts["batch_norm"] < counts["last_blocks"] < counts["encoder"] < counts["decoder"]


def test_it_learns_rings(pool):
    network = fitted(unet(), pool, steps=40)
    assert mean_dice(network, pool.images, pool.masks, 1, CPU).mean() > 0.8


def test_deep_supervision_weighs_levels_as_nnunet_does():
    network = unet(deep_supervision=True)
    assert network.loss_weights == pytest.approx([1 / 7, 2 / 7, 4 / 7])
    assert unet().loss_weights == [1]
    network.train()
    torch.manual_seed(0)
    coarse, _, final = network(torch.randn(2, 1, 64, 64).clamp(-1, 1))
    assert coarse.shape == final.shape
    # A quarter of the resolution, enlarged: reduced again and enlarged it is nearly the same.
    again = functional.interpolate(functional.avg_pool2d(coarse, 4), size=(64, 64), mode="bilinear")
    assert (coarse - again).abs().mean() < 0.3 * coarse.std()


def test_deep_supervision_adds_nothing_to_what_is_predicted():
    torch.manual_seed(0)
    plain, deep = unet(seed=1).eval(), unet(seed=1, deep_supervision=True).eval()
    deep.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(1, 1, 64, 64)
    assert torch.equal(plain(x), deep(x))


# Weights of a classifier.


def classifier(seed=3):
    """A MobileNetV2 as torchvision has it, with statistics as after training."""
    from torchvision.models import mobilenet_v2

    torch.manual_seed(seed)
    network = mobilenet_v2(weights=None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("suffix", ["pth", "safetensors", "npz"])
def test_weights_of_a_file(tmp_path, suffix):
    state, path = classifier().state_dict(), tmp_path / f"mobilenet.{suffix}"
    if suffix == "pth":
        torch.save(state, path)
    elif suffix == "npz":
        np.savez(path, **{name: value.numpy() for name, value in state.items()})
    else:
        save_file(state, path)
    network = unet().eval()
    load_encoder(network, str(path))
    x = torch.rand(2, 1, 64, 64) * 2 - 1
    pixels = ((x + 1) / 2 - network.mean) / network.std
    torch.testing.assert_close(network.encoder(pixels)[-1], classifier().features(pixels))


def test_one_channel_has_the_sum_of_the_colours(tmp_path):
    torch.save(classifier().state_dict(), tmp_path / "m.pth")
    one, three = unet(input_channels=1).eval(), unet(input_channels=3).eval()
    for network in (one, three):
        load_encoder(network, str(tmp_path / "m.pth"))
    grey = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(one.encoder(grey)[1], three.encoder(grey.expand(-1, 3, -1, -1))[1])


def test_weights_of_another_backbone_are_refused(tmp_path):
    torch.save(classifier().state_dict(), tmp_path / "m.pth")
    with pytest.raises(InputError, match="m.pth: weights of another .* is missing.*; it is no file of a 'resnet18'"):
        load_encoder(unet("resnet18"), str(tmp_path / "m.pth"))
    torch.save(classifier().state_dict() | {"features.0.0.weight": torch.zeros(1)}, tmp_path / "n.pth")
    with pytest.raises(InputError, match=r"features.0.0.weight is \[1\], not "):
        load_encoder(unet(), str(tmp_path / "n.pth"))


@torch.no_grad()
def test_lite0_gives_all_of_its_encoder(caplog):
    """Every tensor, so that its levels are timm's own network's on its own normalisation: mean 0.5, deviation 0.5."""
    network = unet(LITE0_BACKBONE).eval()
    for value in network.encoder.state_dict().values():
        value.fill_(-1)
    load_encoder(network, "lite0")
    left = {name for name, value in network.encoder.state_dict().items() if (value == -1).all()}
    assert len(network.encoder.state_dict()) == 288 and all(name.endswith("num_batches_tracked") for name in left)
    x = torch.rand(2, 1, 64, 64) * 2 - 1
    pixels = ((x + 1) / 2 - network.mean) / network.std
    torch.testing.assert_close(pixels, x.expand(-1, 3, -1, -1))
    for found, wanted in zip(network.encoder(pixels)[1:], lite0().forward_intermediates(pixels)[1], strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("backbone", "mean", "deviation"),
    [
        (LITE0_BACKBONE, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("tu-resnet18", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("mobilenet_v2", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
)
def test_pixels_are_normalised_as_the_classifier_expects(backbone, mean, deviation):
    network = unet(backbone)
    torch.testing.assert_close(network.mean.flatten(), torch.tensor(mean))
    torch.testing.assert_close(network.std.flatten(), torch.tensor(deviation))


def test_damaged_and_absent_files_are_named(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    for name in ("bad.safetensors", "absent.pth", "absent.npz"):
        with pytest.raises(InputError, match=f"{name}: no (weights can be read|such weights)"):
            load_encoder(unet(), str(tmp_path / name))


def test_hub_weights_are_never_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="`hf download smp-hub/mobilenet_v2.imagenet --revision "):
        hub_file("mobilenet_v2")
    with pytest.raises(InputError, match="the library has none for the backbone 'tu-resnet18'"):
        hub_file("tu-resnet18")


def test_hub_weights_in_the_cache_are_used(tmp_path, monkeypatch):
    from segmentation_models_pytorch.encoders import encoders

    known = encoders["mobilenet_v2"]["pretrained_settings"]["imagenet"]
    folder = tmp_path / f"models--{known['repo_id'].replace('/', '--')}" / "snapshots" / known["revision"]
    folder.mkdir(parents=True)
    state = {name: value for name, value in classifier().state_dict().items() if name.startswith("features")}
    save_file(state, folder / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    network = unet()
    load_encoder(network, "imagenet")
    assert torch.equal(network.encoder.state_dict()["features.18.0.weight"], state["features.18.0.weight"])


def folded(network):
    """As a converter leaves it: the statistics gone into the convolutions, batch norms that only add."""
    state = network.state_dict()
    for name in [name for name in state if name.endswith("running_var")]:
        stem = name.removesuffix("running_var")
        front, place = stem[:-1].rsplit(".", 1)
        convolution = f"{front}.{int(place) - 1}.weight"
        gain = state[stem + "weight"] / (state[name] + 1e-5).sqrt()
        state[convolution] = state[convolution] * gain[:, None, None, None]
        state[stem + "bias"] = state[stem + "bias"] - state[stem + "running_mean"] * gain
        state[stem + "weight"], state[name] = torch.ones_like(gain), torch.ones_like(gain)
        state[stem + "running_mean"] = torch.zeros_like(gain)
    return state


def test_folded_batch_norms_are_unfolded_without_changing_a_mask(tmp_path, pool):
    torch.save(folded(classifier()), tmp_path / "folded.pth")
    network = unet().eval()
    load_encoder(network, str(tmp_path / "folded.pth"))
    assert is_folded(network.encoder)
    images = torch.from_numpy(pool.images)
    before = network(images)
    unfold(network, images)
    assert not is_folded(network.encoder)
    torch.testing.assert_close(network(images), before, rtol=1e-3, atol=1e-4)
    # In training, over all the images at once, the encoder computes the same too.
    pixels = ((images + 1) / 2 - network.mean) / network.std
    expected = network.encoder(pixels)[-1]
    torch.testing.assert_close(network.train().encoder(pixels)[-1], expected, rtol=1e-2, atol=1e-2)
