"""Tokens of images, from Lite0 of the package and models of timm with random weights that the tests save."""

import numpy as np
import pytest
import timm
import torch

from pipeline.features.extraction import extract
from pipeline.features.timm_models import open_lite0
from pipeline.features.token_store import load_store, save_store
from pipeline.features.tokens import encode_cases, feature_map, open_encoder
from pipeline.run.errors import InputError


def images(count, shape, seed=0):
    return list(np.random.default_rng(seed).integers(0, 255, (count, *shape)).astype(np.uint8))


@pytest.fixture(scope="module")
def encoder():
    return open_encoder("lite0")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small encoder of timm and the file of its weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    torch.save(timm.create_model("test_resnet", pretrained=False).state_dict(), path)
    return open_encoder("test_resnet", path, size=64, grid=(2, 2))


def test_the_mean_of_the_tokens_is_what_stands_before_the_classifier(encoder):
    """At 224 px nothing is letter-boxed, and the distances' features are the same."""
    image = images(1, (224, 224))[0]
    tokens, mean = encoder.encode(image)
    assert tokens.shape == (49, 1280) and tokens.dtype == np.float16 and mean.dtype == np.float32
    known = extract(open_lite0("cpu"), [image], "cpu")[0].numpy()
    np.testing.assert_allclose(mean, known, atol=1e-4)
    np.testing.assert_allclose(tokens.astype(np.float32).mean(axis=0), known, atol=2e-3)


def test_a_token_is_of_its_place(encoder):
    """What changes in one corner changes the tokens there more than those of the opposite corner."""
    plain = np.full((224, 224), 60, np.uint8)
    marked = plain.copy()
    marked[:32, :32] = images(1, (32, 32))[0]
    moved = np.abs(encoder.encode(marked)[0].astype(np.float32) - encoder.encode(plain)[0]).mean(axis=1).reshape(7, 7)
    assert moved[:2, :2].mean() > 20 * moved[-2:, -2:].mean()


def test_tokens_are_of_the_image_alone_and_fit_any_shape(small):
    source = images(3, (50, 90))
    alone = [small.encode(image)[0] for image in source]
    store = encode_cases(small, zip("abc", source, strict=True))
    np.testing.assert_array_equal(store.tokens, np.stack(alone))
    backwards = encode_cases(small, zip("cba", source[::-1], strict=True))
    np.testing.assert_array_equal(backwards.of("abc").tokens, store.tokens)
    assert store.tokens.shape[:2] == (3, 4)


def test_a_coarse_grid_is_the_mean_of_the_native_one(small):
    image = images(1, (64, 64))[0]
    native, coarse = (small.__class__(**(vars(small) | {"grid": grid})) for grid in (None, (1, 1)))
    np.testing.assert_allclose(native.encode(image)[0].mean(axis=0), coarse.encode(image)[0][0], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("model", ["test_vit", "test_convnext", "swin_tiny_patch4_window7_224"])
def test_other_families_give_a_map_whose_mean_is_theirs(model):
    torch.manual_seed(0)
    network = timm.create_model(model, pretrained=False, num_classes=0, global_pool="avg").eval()
    size = network.pretrained_cfg["input_size"]
    with torch.inference_mode():
        pixels = torch.randn(1, *size)
        found = feature_map(network, pixels)
        assert found.shape[1] == network.num_features and min(found.shape[2:]) > 1
        tokens = network.forward_features(pixels)
        flat = tokens[:, network.num_prefix_tokens :] if tokens.ndim == 3 else None
        if flat is not None:
            np.testing.assert_array_equal(found.flatten(2).transpose(1, 2), flat)
        elif model.startswith("swin"):
            np.testing.assert_allclose(found.mean(dim=(2, 3)), network(pixels), atol=1e-5)


def test_a_store_comes_back_and_its_bytes_repeat(small, tmp_path):
    store = encode_cases(small, zip("abc", images(3, (40, 40)), strict=True))
    for name in ("one", "two"):
        save_store(tmp_path / name, store)
    for file in ("tokens.safetensors", "tokens.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    found = load_store(tmp_path / "one")
    assert found.ids == store.ids and found.about == store.about == small.about
    assert found.about["size"] == [64, 64] and found.about["weights"] == "small.pth"
    np.testing.assert_array_equal(found.of("ca").tokens, store.tokens[[2, 0]])
    np.testing.assert_array_equal(found.means, store.means)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda p: open_encoder("resnet81", p / "w"), r"key 'deep_features\.timm\.model'.*or encoder lite0"),
        (
            lambda p: open_encoder("test_resnet"),
            r"key 'deep_features\.weights': .*has none; give a file of its weights",
        ),
        (lambda p: open_encoder("test_resnet", p / "w"), r"no such weights; key 'deep_features\.timm': give the file"),
        (lambda p: open_encoder("lite0", p / "w"), r"key 'deep_features\.weights': lite0 has the weights of its"),
        (lambda p: open_encoder("lite0", section="age").encode(np.zeros((4, 4))), r"an image of float64 \(4, 4\)"),
        (lambda p: open_encoder("lite0", size=64).encode(np.zeros((4, 4), np.uint8)), r"finer than the 2 x 2 features"),
        (lambda p: load_store(p), r"tokens\.json: no such file"),
        (lambda p: encode_cases(None, []), "no images to extract deep features from"),
    ],
)
def test_bad_input_is_named(tmp_path, call, told):
    with pytest.raises(InputError, match=told):
        call(tmp_path)


def test_bad_cases_are_named(small, tmp_path):
    grey = images(2, (20, 20))
    with pytest.raises(InputError, match="case 'a' comes twice"):
        encode_cases(small, [("a", grey[0]), ("a", grey[1])])
    with pytest.raises(InputError, match=r"case 'b': an image of uint8 \(20, 20, 1\)"):
        encode_cases(small, [("a", grey[0]), ("b", grey[1][..., None])])
    store = encode_cases(small, [("a", grey[0])])
    with pytest.raises(InputError, match="no deep features of case 'z' are stored"):
        store.of(["z"])
    save_store(tmp_path, store)
    (tmp_path / "tokens.json").write_text('{"encoder": {}, "ids": ["a", "b"]}')
    with pytest.raises(InputError, match=r"not of the 2 cases of tokens\.json; extract the features again"):
        load_store(tmp_path)
