import json
import pickle

import numpy as np
import pytest
import torch

from pipeline.features import extraction
from pipeline.features.extraction import domain_extractor, extract
from pipeline.features.extractors import open_published
from pipeline.run.errors import InputError

# As the models were trained: ImageNet's, and CLIP's own (Oquab et al. 2023; Radford et al. 2021).
NORMALISATION = {
    "dinov2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}


def images(count=9, size=40, seed=0):
    return list(np.random.default_rng(seed).integers(0, 255, (count, size, size)).astype(np.uint8))


def test_domain_features_are_those_of_the_network_in_any_batch(monkeypatch):
    extractor = domain_extractor(lambda x: torch.stack([x.mean((1, 2, 3)), x.amax((1, 2, 3))], dim=1))
    source = images()
    found = extract(extractor, source, "cpu")
    expected = [[image.mean() / 127.5 - 1, image.max() / 127.5 - 1] for image in source]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    monkeypatch.setattr(extraction, "BATCH", 2)
    np.testing.assert_allclose(extract(extractor, source, "cpu"), found, atol=1e-6)


def test_images_are_opened_in_turn_and_not_kept(monkeypatch):
    monkeypatch.setattr(extraction, "BATCH", 2)
    opened = []

    def features(x):
        assert len(opened) == x[-1].mean().round() + 1, "no image before its batch"
        return x.mean((2, 3))

    def source():
        for i in range(6):
            opened.append(i)
            yield np.full((8, 8), i, np.uint8)

    extract(lambda x: features(x.float()), source(), "cpu")
    with pytest.raises(InputError, match="no images"):
        extract(lambda x: x, [], "cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tiny random models in the folders transformers writes; ``whole`` is a CLIPModel with its text tower."""
    from transformers import (
        CLIPConfig,
        CLIPModel,
        CLIPTextConfig,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
        Dinov2Config,
        Dinov2Model,
    )

    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    seen = small | {"image_size": 28, "patch_size": 14}
    vision = CLIPVisionConfig(**seen, intermediate_size=32, projection_dim=12)
    text = CLIPTextConfig(**small, intermediate_size=32, vocab_size=20, bos_token_id=0, eos_token_id=1)
    models = {
        "dinov2": Dinov2Model(Dinov2Config(**seen)),
        "clip": CLIPVisionModelWithProjection(vision),
        "whole": CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=10)),
    }
    for name, model in models.items():
        model.eval().save_pretrained(root / name)
    return root, models


@pytest.mark.parametrize(
    ("name", "folder", "width"), [("dinov2", "dinov2", 16), ("clip", "clip", 12), ("clip", "whole", 10)]
)
def test_a_folder_of_the_users_gives_what_its_model_gives(folders, name, folder, width):
    root, models = folders
    # At the model's own size nothing is resized, and the normalisation alone stands between.
    source = images(size=28)
    extractor = open_published(name, root / folder, "cpu")
    found = extract(extractor, source, "cpu")
    assert found.shape == (9, width)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in NORMALISATION[name])
    pixels = (torch.from_numpy(np.stack(source))[:, None].expand(-1, 3, -1, -1) / 255 - mean) / std
    model = models[folder]
    with torch.no_grad():
        if folder == "whole":
            expected = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
        else:
            output = model(pixel_values=pixels)
            expected = output.pooler_output if name == "dinov2" else output.image_embeds
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert extract(extractor, images(size=50), "cpu").shape == (9, width), "images of another size are resized"


def refused(name, folder, message):
    with pytest.raises(InputError, match=rf"score\.extractors\.{name}.*{message}"):
        open_published(name, folder, "cpu")


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_a_folder_that_is_not_there_or_of_another_model_names_its_key(folders, tmp_path, name):
    refused(name, tmp_path / "nothing", "no folder")
    refused(name, folders[0] / {"dinov2": "clip", "clip": "dinov2"}[name], "holds a model of type")


def test_other_folders_are_refused(folders, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dinov2"}))
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(print))
    refused("dinov2", tmp_path, r"no model\.safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"hello")
    (tmp_path / "config.json").write_bytes((folders[0] / "clip/config.json").read_bytes())
    refused("clip", tmp_path, "cannot be loaded")
    (tmp_path / "config.json").write_text("{")
    refused("clip", tmp_path, "cannot be loaded")
    (tmp_path / "config.json").unlink()
    refused("clip", tmp_path, "cannot be loaded")


@pytest.mark.parametrize("name", ["dinov2", "clip"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"hidden_size": 32},
            r"weights of other shapes than its config.json says .*Size\(\[.*16\]\).*Size\(\[.*32\]\)",
        ),
        ({"hidden_size": "large"}, "cannot be loaded .*hidden_size"),
        ({"model_type": "dinov9"}, "holds a model of type 'dinov9'"),
        ({"image_size": [28, 28]}, "image_size is .28, 28.|cannot be loaded"),
        (None, "cannot be loaded .*config.json: no such file"),
    ],
)
def test_a_configuration_of_another_model_is_refused(folders, tmp_path, name, changes, words):
    for path in (folders[0] / name).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = tmp_path / "config.json"
    if changes is None:
        config.unlink()
    else:
        config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    refused(name, tmp_path, words)


def test_a_folder_without_all_weights_is_refused(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    state = load_file(folders[0] / "clip/model.safetensors")
    save_file(dict(sorted(state.items())[1:]), tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_bytes((folders[0] / "clip/config.json").read_bytes())
    refused("clip", tmp_path, "lacks 1 weights")


def test_other_files_of_inception_are_refused_unread(tmp_path):
    path = tmp_path / "inception.pth"
    refused("inception", path, "no file")
    for content in (b"hello", pickle.dumps(print)):
        path.write_bytes(content)
        refused("inception", path, "not a file of weights")
    torch.save({"conv.weight": torch.zeros(3)}, path)
    refused("inception", path, "holds another network")


def test_wrapped_weights_of_inception(tmp_path, monkeypatch):
    from torch_fidelity import feature_extractor_inceptionv3 as published

    network = published.FeatureExtractorInceptionV3
    with monkeypatch.context() as without_weights:
        without_weights.setattr(published, "load_state_dict_from_url", lambda *_, **__: {})
        without_weights.setattr(network, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        plain = network("plain", ["2048"])
    state = {f"module.{name}": value for name, value in plain.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "inception.pth")
    x = torch.from_numpy(images(1)[0])[None, None].expand(1, 3, -1, -1)
    assert torch.equal(open_published("inception", tmp_path / "inception.pth", "cpu")(x), plain(x)[0])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<html>", "a web page"),
    ],
)
def test_what_lies_in_the_place_of_weights_is_named(folders, tmp_path, content, words):
    (tmp_path / "config.json").write_bytes((folders[0] / "clip/config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(content)
    refused("clip", tmp_path, f"model.safetensors is {words}")
    refused("inception", tmp_path / "model.safetensors", f"not a file of weights .{words}")
    refused("dinov2", tmp_path / "model.safetensors", "a file, not a folder")
    (tmp_path / "model.safetensors").rename(tmp_path / "._model.safetensors")
    refused("clip", tmp_path, r"no model.safetensors among its files .config\.json.")


def test_half_precision_files_of_a_folder_open(folders, tmp_path):
    folders[1]["dinov2"].save_pretrained(tmp_path, variant="fp16")
    source = images(2, 28)
    found, expected = (
        extract(open_published("dinov2", f, "cpu"), source, "cpu") for f in (tmp_path, folders[0] / "dinov2")
    )
    assert torch.equal(found, expected)
