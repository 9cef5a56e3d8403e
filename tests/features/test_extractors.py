import json
import pickle

import numpy as np
import pytest
import torch

from pipeline.features.extractor import Images, extract, register_domain
from pipeline.run.errors import InputError

# As the models were trained: ImageNet's, and CLIP's own (Oquab et al. 2023; Radford et al. 2021).
NORMALISATION = {
    "dinov2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}


def images(count=9, size=40, seed=0):
    return list(np.random.default_rng(seed).integers(0, 255, (count, size, size)).astype(np.uint8))


def taken(source):
    return Images(source, lambda image: image)


def test_domain_features_are_those_of_the_registered_network():
    register_domain(lambda x: torch.stack([x.mean((1, 2, 3)), x.amax((1, 2, 3))], dim=1))
    source = images()
    found = extract("domain", taken(source), None, cuda=False)
    expected = [[image.mean() / 127.5 - 1, image.max() / 127.5 - 1] for image in source]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_registering_again_replaces_the_network():
    register_domain(lambda x: x.mean((2, 3)))
    extract("domain", taken(images()), None, cuda=False)
    register_domain(lambda x: x.flatten(1)[:, :5])
    assert extract("domain", taken(images()), None, cuda=False).shape == (9, 5)


def test_features_do_not_depend_on_the_batch():
    register_domain(lambda x: torch.nn.functional.avg_pool2d(x, 8).flatten(1))
    one, many = (extract("domain", taken(images()), None, cuda=False, batch=batch) for batch in (1, 32))
    np.testing.assert_allclose(one, many, atol=1e-6)


def test_images_are_opened_in_order_and_not_kept():
    register_domain(lambda x: x.mean((2, 3)))
    opened = []

    class Source:
        def __len__(self):
            return 6

        def __getitem__(self, index):
            opened.append(index)
            return np.full((8, 8), index, np.uint8)

    extract("domain", taken(Source()), None, cuda=False, batch=2)
    # torch-fidelity looks at the first one to see what it is.
    assert opened == [0, *range(6)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tiny random models in the folders transformers writes."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, Dinov2Config, Dinov2Model

    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    models = {
        "dinov2": Dinov2Model(Dinov2Config(**small)),
        "clip": CLIPVisionModelWithProjection(CLIPVisionConfig(**small, intermediate_size=32, projection_dim=12)),
    }
    for name, model in models.items():
        model.eval().save_pretrained(root / name)
    return root, models


@pytest.mark.parametrize(("name", "width"), [("dinov2", 16), ("clip", 12)])
def test_a_folder_of_the_users_gives_what_its_model_gives(folders, name, width):
    root, models = folders
    # At the model's own size nothing is resized, and the normalisation alone stands between.
    source = images(size=28)
    found = extract(name, taken(source), root / name, cuda=False)
    assert found.shape == (9, width)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in NORMALISATION[name])
    pixels = (torch.from_numpy(np.stack(source))[:, None].expand(-1, 3, -1, -1) / 255 - mean) / std
    with torch.no_grad():
        output = models[name](pixel_values=pixels)
    expected = output.pooler_output if name == "dinov2" else output.image_embeds
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_images_of_another_size_are_resized(folders):
    assert extract("dinov2", taken(images(size=50)), folders[0] / "dinov2", cuda=False).shape == (9, 16)


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_a_folder_that_is_not_there_or_of_another_model_names_its_key(folders, tmp_path, name):
    other = folders[0] / {"dinov2": "clip", "clip": "dinov2"}[name]
    cases = {tmp_path / "nothing": "no folder", other: "holds"}
    for folder, message in cases.items():
        with pytest.raises(InputError, match=rf"score\.extractors\.{name}.*{message}"):
            extract(name, taken(images()), folder, cuda=False)


def test_a_folder_without_safetensors_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dinov2"}))
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(print))
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        extract("dinov2", taken(images()), tmp_path, cuda=False)


def test_damaged_weights_are_refused(folders, tmp_path):
    (tmp_path / "config.json").write_bytes((folders[0] / "clip/config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"hello")
    with pytest.raises(InputError, match=r"score\.extractors\.clip.*cannot be loaded"):
        extract("clip", taken(images()), tmp_path, cuda=False)


def test_missing_inception_weights_name_the_key(tmp_path):
    with pytest.raises(InputError, match=r"score\.extractors\.inception.*no file"):
        extract("inception", taken(images()), tmp_path / "inception.pth", cuda=False)


def test_a_file_that_is_no_weights_is_refused_unread(tmp_path):
    path = tmp_path / "inception.pth"
    for content in (b"hello", pickle.dumps(print)):
        path.write_bytes(content)
        with pytest.raises(InputError, match="not a file of weights"):
            extract("inception", taken(images()), path, cuda=False)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "inception.pth"
    torch.save({"conv.weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match=r"score\.extractors\.inception.*holds another network"):
        extract("inception", taken(images()), path, cuda=False)
