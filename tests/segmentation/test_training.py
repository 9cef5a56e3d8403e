import numpy as np
import pytest
import torch

from pipeline.core.errors import InputError
from pipeline.core.geometry import stack_images, stack_masks
from pipeline.core.params import Augment
from pipeline.core.resume import Scratch
from pipeline.segmentation.augment import augment
from pipeline.segmentation.checkpoint import build_segmenter, load_segmenter, save_segmenter
from pipeline.segmentation.inference import class_map, dice, predict_native, probabilities
from pipeline.segmentation.training import cosine, dice_loss, fit, one_hot
from pipeline.segmentation.unet import bottleneck, build_unet, load_unet, save_unet

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def rings(ring):
    return [ring(i) for i in range(24)]


def fit_rings(cases, params, network, **options):
    settings = {
        "n_structures": 1,
        "steps": 40,
        "batch": 8,
        "learning_rate": 3e-3,
        "augmentation": params.augment,
        "seed": 0,
        "device": CPU,
    }
    return fit(network, stack_images(cases, 32), stack_masks(cases, 32), **(settings | options))


def test_a_unet_learns_rings_and_predicts_at_native_size(rings, smoke_config):
    torch.manual_seed(0)
    network = fit_rings(rings[:16], smoke_config, build_unet((8, 8, 16, 16, 16), 1), steps=60)
    maps = predict_native(network, rings[16:], 32, CPU)
    assert all(predicted.shape == case.mask.shape for predicted, case in zip(maps, rings[16:], strict=True))
    assert np.mean([dice(m, c.mask, 1) for m, c in zip(maps, rings[16:], strict=True)]) > 0.85


def test_training_repeats_and_resumes_bit_for_bit(rings, smoke_config, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.segmentation.training.CHECKPOINT_EVERY", 4)

    def network():
        torch.manual_seed(0)
        return build_unet((8, 8, 8, 8, 8), 1)

    options = {"steps": 9, "warmup_steps": 2}

    def stop(step, loss):
        if step == 6:
            raise KeyboardInterrupt

    whole = fit_rings(rings, smoke_config, network(), **options)
    scratch = Scratch(tmp_path, "fit", [])
    with pytest.raises(KeyboardInterrupt):
        fit_rings(rings, smoke_config, network(), **options, scratch=scratch, on_step=stop)
    resumed = fit_rings(rings, smoke_config, network(), **options, scratch=scratch)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_augmentation_moves_mask_with_image_and_keeps_black_black(rings):
    params = Augment(flip=True, rotate_deg=20, scale=0.2, shift=0.1, brightness=0.3, contrast=0.3, gamma=0.3)
    masks = torch.from_numpy(stack_masks(rings, 32))
    images = masks[:, None].float() * 1.6 - 1
    moved, labels = augment(images, masks, params, torch.Generator().manual_seed(0))
    assert ((moved[:, 0] > -0.5) == (labels > 0)).float().mean() > 0.97
    assert moved.min() == -1 and moved.max() <= 1
    # Half a pixel inside the interpolated edge, the background stays exactly black.
    assert (moved[:, 0][torch.nn.functional.max_pool2d((labels > 0).float()[:, None], 5, 1, 2)[:, 0] == 0] == -1).all()


def test_dice_loss_is_monais():
    from monai.losses import DiceLoss

    torch.manual_seed(0)
    logits, target = torch.randn(3, 2, 9, 9), (torch.rand(3, 2, 9, 9) > 0.6).float()
    target[1, 0] = 0
    torch.testing.assert_close(dice_loss(logits, target), DiceLoss(sigmoid=True)(logits, target))


def test_schedule_warms_up_and_ends_at_zero():
    rates = [cosine(step, 100, 10) for step in range(101)]
    assert (
        rates[0] == pytest.approx(0.1)
        and rates[9] == 1
        and rates[55] == pytest.approx(0.5, abs=0.01)
        and rates[100] == 0
    )


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
    save_unet(tmp_path, "instrument", network, smoke_config.instrument, ("background", "head"), {})
    loaded, config = load_unet(tmp_path, "instrument", CPU)
    images = torch.randn(3, 1, 32, 32)
    torch.testing.assert_close(loaded(images), network.eval()(images))
    assert bottleneck(loaded, images).shape == (3, 2 * config["channels"][-1])


def test_unet_of_another_architecture_is_refused(tmp_path, smoke_config):
    save_unet(
        tmp_path, "instrument", build_unet((8, 8, 8, 8, 8), 1), smoke_config.instrument, ("background", "head"), {}
    )
    with pytest.raises(InputError, match=r"instrument\.safetensors: weights of another architecture"):
        load_unet(tmp_path, "instrument", CPU)


def test_segmenter_round_trip(tmp_path, smoke_config):
    torch.manual_seed(0)
    network = build_segmenter(smoke_config.segmenter, 1).eval()
    save_segmenter(tmp_path, network, ("background", "head"), {"arm": "real"})
    loaded, config = load_segmenter(tmp_path, CPU)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 1, 32, 32)).astype(np.float32)
    np.testing.assert_allclose(probabilities(loaded, images, CPU), probabilities(network, images, CPU), atol=1e-6)
    assert config["image_size"] == 32


def test_no_segmenter_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match="run the stage that trains this network"):
        load_segmenter(tmp_path, CPU)


def test_truncated_weights_are_named(tmp_path, smoke_config):
    save_segmenter(tmp_path, build_segmenter(smoke_config.segmenter, 1), ("background", "head"), {})
    path = tmp_path / "segmenter.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"segmenter\.safetensors: not a safetensors file"):
        load_segmenter(tmp_path, CPU)
