"""A U-Net as a segmenter: its base on disk, its file, ONNX, and a folder of images."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.data.structures import Structure, to_json
from pipeline.networks.parameters import trained_state
from pipeline.networks.segmenter import load_segmenter, save_segmenter
from pipeline.networks.unet import checkpoint
from pipeline.networks.unet.strategies import STRATEGIES
from pipeline.run.errors import InputError
from pipeline.tools import command, export, segment
from pipeline.tools.export import export_onnx

CPU = torch.device("cpu")
STRUCTURES = (Structure("symphysis"), Structure("head", "head"))


@pytest.fixture
def settings(smoke_config):
    return smoke_config.segmenters["unet"]


def prepared(folder, settings):
    checkpoint.save_base(folder, settings)
    return folder


def tuned(tmp_path, settings, n_structures=2):
    """A U-Net with moved weights and statistics, on disk."""
    base = prepared(tmp_path / "base", settings)
    torch.manual_seed(0)
    network = checkpoint.build(base, settings, n_structures)
    network.train()(torch.rand(4, 1, 32, 32) * 2 - 1)
    with torch.no_grad():
        for weight in trained_state(network).values():
            weight.add_(0.1 * torch.randn_like(weight))
    about = {"name": "unet", "base": base, "settings": settings, "trained_on": {}}
    save_segmenter(checkpoint, tmp_path / "model", network, STRUCTURES[:n_structures], **about)
    return network.eval()


@pytest.mark.parametrize("deep_supervision", [False, True])
def test_round_trip_needs_no_base(tmp_path, settings, deep_supervision):
    network = tuned(tmp_path, settings.model_copy(update={"deep_supervision": deep_supervision}))
    loaded, about = load_segmenter(checkpoint, tmp_path / "model", CPU)
    x = torch.rand(2, 1, 32, 32) * 2 - 1
    assert torch.equal(loaded(x), network(x))
    assert not any(weight.requires_grad for weight in loaded.parameters())
    assert (about["name"], about["settings"]["kind"], about["structures"]) == ("unet", "unet", to_json(STRUCTURES))


def test_where_weights_came_from_stays_at_home(tmp_path, settings):
    path = tmp_path / "own" / "m.pth"
    path.parent.mkdir()
    torch.save(encoder_state(), path)
    own = settings.model_copy(update={"base": settings.base.model_copy(update={"weights": str(path)})})
    tuned(tmp_path, own)
    for file in (*tmp_path.glob("base/*.json"), *tmp_path.glob("model/*.json")):
        assert str(tmp_path) not in file.read_text()


def encoder_state():
    from torchvision.models import mobilenet_v2

    torch.manual_seed(3)
    return mobilenet_v2(weights=None).state_dict()


@pytest.mark.parametrize("train", ["all", "scratch"])
def test_the_base_holds_the_encoder(tmp_path, settings, train):
    torch.save(encoder_state(), tmp_path / "m.pth")
    base = settings.base.model_copy(update={"weights": str(tmp_path / "m.pth")})
    own = settings.model_copy(update={"base": base, "train": train})
    network = checkpoint.build(prepared(tmp_path / "base", own), own, 1)
    same = torch.equal(network.encoder.state_dict()["features.0.0.weight"], encoder_state()["features.0.0.weight"])
    assert same == (train != "scratch")


def test_replicates_draw_their_own_decoder(tmp_path, settings):
    base = prepared(tmp_path, settings)

    def drawn(seed):
        torch.manual_seed(seed)
        return checkpoint.build(base, settings, 1).unet.decoder.blocks[0].conv1[0].weight

    assert torch.equal(drawn(0), drawn(0)) and not torch.equal(drawn(0), drawn(1))


def test_the_base_of_another_backbone_is_refused(tmp_path, settings):
    base = prepared(tmp_path, settings)
    other = settings.base.model_copy(update={"backbone": "resnet18"})
    with pytest.raises(InputError, match="backbone mobilenet_v2, not resnet18; run `dvc repro base_unet`"):
        checkpoint.build(base, settings.model_copy(update={"base": other}), 1)


@pytest.mark.parametrize(
    ("base", "train", "words"),
    [
        ({"backbone": "tu-efficientformer_l1"}, "all", "does not work at base.image_size 32"),
        ({"backbone": "tu-resnet18"}, "bottleneck_decoder", "train 'bottleneck_decoder': .* does not tell its stages"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is(tmp_path, settings, base, train, words):
    own = settings.model_copy(update={"base": settings.base.model_copy(update=base), "train": train})
    with pytest.raises(InputError, match=words):
        checkpoint.save_base(tmp_path / "base", own)
    assert not (tmp_path / "base").exists()


def test_a_random_encoder_that_stays_is_said(tmp_path, settings, caplog):
    base = prepared(tmp_path, settings)
    for train in STRATEGIES:
        caplog.clear()
        checkpoint.build(base, settings.model_copy(update={"train": train}), 1)
        assert ("stays as it was drawn" in caplog.text) == (train in ("frozen_encoder", "decoder", "last_blocks"))


def test_onnx_computes_the_same_for_any_batch_or_is_not_written(tmp_path, settings, monkeypatch):
    import onnx
    import onnxruntime

    network = tuned(tmp_path, settings)
    export_onnx(tmp_path / "model", tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 5):
        x = torch.rand(count, 1, 32, 32) * 2 - 1
        (logits,) = session.run(None, {"image": x.numpy()})
        np.testing.assert_allclose(logits, network(x).detach(), atol=1e-3)
    about = session.get_modelmeta().custom_metadata_map
    assert about == {"structures": "symphysis,head", "image_size": "32", "outputs": "independent"}
    exported = SimpleNamespace(model_proto=onnx.load(tmp_path / "m.onnx"))
    monkeypatch.setattr("torch.onnx.export", lambda *arguments, **options: exported)
    monkeypatch.setattr("pipeline.tools.export.TOLERANCE", -1)
    with pytest.raises(InputError, match="nothing was written"):
        export_onnx(tmp_path / "model", tmp_path / "other.onnx")
    assert not (tmp_path / "other.onnx").exists()


def test_the_command_wants_the_right_suffix(tmp_path, settings, monkeypatch, caplog):
    tuned(tmp_path, settings)
    monkeypatch.setattr("pipeline.run.stage.prepare_environment", lambda threads: None)
    arguments = ["--model", str(tmp_path / "model"), "--out", str(tmp_path / "m.pth")]
    with pytest.raises(SystemExit) as stop:
        command.main(export.add_arguments, export.run, arguments)
    assert stop.value.code == 2
    assert "a segmenter of kind 'unet' is written as .onnx" in caplog.text


def test_a_folder_of_images(tmp_path, settings, monkeypatch):
    tuned(tmp_path, settings)
    (tmp_path / "images").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)).save(tmp_path / "images/a.png")
    monkeypatch.setattr("pipeline.run.stage.prepare_environment", lambda threads: None)
    arguments = ["--model", tmp_path / "model", "--images", tmp_path / "images", "--out", tmp_path / "out"]
    command.main(segment.add_arguments, segment.run, list(map(str, [*arguments, "--threads", "1"])))
    assert np.asarray(Image.open(tmp_path / "out/masks/a.png")).shape == (40, 50)
    with (tmp_path / "out/measurements.csv").open() as file:
        assert {row["structure"] for row in csv.DictReader(file)} == {"symphysis", "head"}
