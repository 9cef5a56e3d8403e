"""EfficientNet-Lite0 of the package, and models of timm with random weights that the tests save."""

from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from pipeline.features import extractors
from pipeline.features.extraction import extract
from pipeline.features.timm_models import open_lite0, open_timm
from pipeline.networks.lite0 import lite0
from pipeline.run.errors import InputError

MODEL = "test_resnet"


def images(count, size, seed=0):
    return list(np.random.default_rng(seed).integers(0, 255, (count, size, size)).astype(np.uint8))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return timm.create_model(MODEL, pretrained=False).eval()


def test_lite0_gives_what_stands_before_its_classifier():
    # At its own size nothing is resized, and the normalisation alone stands between.
    source = images(2, 224)
    pixels = torch.from_numpy(np.stack(source))[:, None].expand(-1, 3, -1, -1) / 127.5 - 1
    plain, found = lite0(), extract(open_lite0("cpu"), source, "cpu")
    assert found.shape == (2, 1280)
    with torch.inference_mode():
        np.testing.assert_allclose(plain.get_classifier()(found), plain(pixels), atol=1e-4)
    assert extract(open_lite0("cpu"), images(2, 64), "cpu").shape == (2, 1280), "images of another size are resized"


@pytest.mark.parametrize("wrapped", ["plain", "state_dict", "no head"])
def test_a_file_of_the_users_gives_what_its_model_gives(network, tmp_path, wrapped):
    path, state = tmp_path / "weights.bin", network.state_dict()
    if wrapped == "plain":
        save_file(state, path)
    elif wrapped == "state_dict":
        torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3}, path)
    else:
        torch.save({name: value for name, value in state.items() if not name.startswith("fc.")}, path)
    about = network.pretrained_cfg
    source = images(3, about["input_size"][-1])
    mean, std = (torch.tensor(about[name]).view(3, 1, 1) for name in ("mean", "std"))
    pixels = (torch.from_numpy(np.stack(source))[:, None].expand(-1, 3, -1, -1) / 255 - mean) / std
    with torch.no_grad():
        expected = network.forward_head(network.forward_features(pixels), pre_logits=True)
    np.testing.assert_allclose(extract(open_timm(MODEL, path, "cpu"), source, "cpu"), expected, atol=1e-5)


@pytest.mark.parametrize("model", ["test_vit", "test_convnext", "test_efficientnet", "test_nfnet"])
def test_other_families_leave_out_their_classifier(model, tmp_path):
    torch.save(timm.create_model(model, pretrained=False).state_dict(), tmp_path / "weights.pth")
    found = extract(open_timm(model, tmp_path / "weights.pth", "cpu"), images(2, 40), "cpu")
    assert found.ndim == 2 and found.isfinite().all()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("hf-hub:timm/resnet18.a1_in1k", "timm has no model"),
        ("local-dir:weights", "timm has no model"),
        ("resnet81", "a name that it lists, such as .*resnet18"),
        ("resnet18.a9_in1k", r"'resnet18\.a9_in1k' cannot be built .*another name, such as resnet18\."),
    ],
)
def test_a_name_that_timm_does_not_know_is_refused_by_its_key(tmp_path, model, words):
    with pytest.raises(InputError, match=rf"key 'score\.extractors\.timm\.model': .*{words}.*or null"):
        open_timm(model, tmp_path / "weights.pth", "cpu")


def test_other_files_are_refused_by_their_key(network, tmp_path):
    remedy = r"key 'score\.extractors\.timm': give the file of a 'test_resnet'"
    path = tmp_path / "weights.pth"
    with pytest.raises(InputError, match=rf"weights\.pth: no such weights; {remedy}"):
        open_timm(MODEL, path, "cpu")
    path.write_bytes(b"<html>")
    with pytest.raises(InputError, match=rf"weights\.pth: no weights .*a web page.*{remedy}"):
        open_timm(MODEL, path, "cpu")
    torch.save(timm.create_model("test_vit").state_dict(), path)
    with pytest.raises(InputError, match=rf"weights\.pth: weights of another architecture.*{remedy}"):
        open_timm(MODEL, path, "cpu")
    # A deeper network of the family has every name of this one, and more.
    deeper = network.state_dict() | {"layer4.1.conv1.weight": torch.zeros(2, 2, 3, 3)}
    torch.save(deeper, path)
    with pytest.raises(InputError, match=r"layer4\.1\.conv1\.weight is unknown"):
        open_timm(MODEL, path, "cpu")


def test_what_is_asked_for_is_opened_under_its_name(tmp_path):
    nothing = {"lite0": False, "timm": None, "inception": None, "dinov2": None, "clip": None}
    assert not list(extractors.chosen(SimpleNamespace(**nothing)))
    timm_model = SimpleNamespace(model=MODEL, weights=str(tmp_path / "nothing.pth"))
    paths = {"inception": str(tmp_path / "i"), "clip": str(tmp_path / "c")}
    every = dict(extractors.chosen(SimpleNamespace(**(nothing | {"lite0": True, "timm": timm_model} | paths))))
    assert list(every) == ["lite0", "timm_test_resnet", "inception", "clip"]
    for name in ("inception", "clip"):
        with pytest.raises(InputError, match=rf"score\.extractors\.{name}'"):
            every[name]("cpu")
