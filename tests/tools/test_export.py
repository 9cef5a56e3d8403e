import shutil

import pytest
import torch
from safetensors.torch import save_file
from segment_anything import SamPredictor, sam_model_registry

from pipeline.config.segmenters import PretrainedBase
from pipeline.data.structures import Structure
from pipeline.networks.parameters import trained_state
from pipeline.networks.sam import checkpoint
from pipeline.networks.sam.official import to_official, to_transformers
from pipeline.networks.sam.tuning import STRATEGIES
from pipeline.networks.segmenter import save_segmenter
from pipeline.networks.weights import read_tensors
from pipeline.run.errors import InputError
from pipeline.tools import command, export
from tests.tiny_sam import HIDDEN, SIZE, official_sam, pictures, sam_settings


@pytest.fixture
def tiny_registry(monkeypatch):
    """The tiny architecture in the place of ViT-B."""
    monkeypatch.setattr(export, "REGISTRY", {HIDDEN: "tiny"})
    monkeypatch.setattr(export, "OFFICIAL_SIZE", SIZE)


def save_pretrained(folder, weights):
    sam = PretrainedBase(weights=str(weights), image_size=SIZE, window=None, detail=())
    checkpoint.save_base(folder, sam_settings(sam), 0)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    torch.save(official_sam().state_dict(), folder / "tiny.pth")
    save_pretrained(folder / "sam", folder / "tiny.pth")
    return folder / "sam"


@torch.no_grad()
def fine_tuned(folder, base, config, strategy, *, image_size=SIZE, detail=(), n_structures=1, prompt="none"):
    """Saved as after training, which moves every trained tensor."""
    sam = PretrainedBase(weights="tiny.pth", image_size=image_size, window=None, detail=detail)
    settings = sam_settings(sam, strategy, prompt=prompt)
    network = checkpoint.build(base, settings, n_structures)
    torch.manual_seed(1)
    for weight in trained_state(network).values():
        weight.add_(torch.randn_like(weight) * 0.1)
    structures = (Structure("head", "head"), Structure("skull"))[:n_structures]
    save_segmenter(checkpoint, folder, network, structures, name="sam", base=base, settings=settings, trained_on={})
    return network


def predicted(official, grey):
    """What an annotation tool does; logits [S, S]."""
    predictor = SamPredictor(official)
    predictor.set_image(grey[..., None].repeat(1, 1, 3).numpy())
    return torch.from_numpy(predictor.predict(multimask_output=False, return_logits=True)[0][0])


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.usefixtures("tiny_registry")
def test_an_annotation_tool_draws_the_same_masks(tmp_path, base, smoke_config, strategy):
    ours = fine_tuned(tmp_path / "model", base, smoke_config, strategy, n_structures=2).eval()
    assert export.export_official(tmp_path / "model", tmp_path / "out.pth", base) == "tiny"
    official = official_sam()
    images = pictures()
    grey = ((images[1, 0] + 1) * 127.5).round().to(torch.uint8)
    before = predicted(official, grey)
    official.load_state_dict(torch.load(tmp_path / "out.pth", weights_only=True))
    after = predicted(official, grey)
    torch.testing.assert_close(after, ours(images)[1, 0], rtol=0, atol=1e-4)
    assert (after - before).abs().max() > 0.05


@pytest.mark.parametrize("strategy", ["decoder", "lora"])
@pytest.mark.usefixtures("tiny_registry")
def test_positions_that_were_not_trained_are_those_of_the_base(tmp_path, base, smoke_config, strategy, caplog):
    """Interpolating them to the size of fine-tuning and back would blur them."""
    fine_tuned(tmp_path / "model", base, smoke_config, strategy, image_size=96)
    export.export_official(tmp_path / "model", tmp_path / "out.pth", base)
    written, original = torch.load(tmp_path / "out.pth", weights_only=True), official_sam().state_dict()
    positions = [key for key in original if "pos" in key]
    assert len(positions) == 8
    assert all(torch.equal(written[key], original[key]) for key in positions)
    official_sam().load_state_dict(written)
    assert "fine-tuned at 96 px; SamPredictor works at 64 px" in caplog.text


@pytest.mark.usefixtures("tiny_registry")
def test_trained_positions_are_interpolated_back(tmp_path, base, smoke_config):
    network = fine_tuned(tmp_path / "model", base, smoke_config, "full", image_size=96)
    fixed = network.sam.shared_image_embedding.positional_embedding
    state = read_tensors(tmp_path / "model/segmenter.safetensors", "")
    trained = [key for key in state if "pos" in key]
    # What interpolation does to a constant is known.
    levels = {key: float(i) for i, key in enumerate(trained)}
    state |= {key: torch.full_like(state[key], level) for key, level in levels.items()}
    save_file(state, tmp_path / "model" / "segmenter.safetensors")
    export.export_official(tmp_path / "model", tmp_path / "out.pth", base)
    written, original = torch.load(tmp_path / "out.pth", weights_only=True), official_sam().state_dict()
    assert len(trained) == 7
    for key, level in levels.items():
        name = to_official(key.removeprefix("sam."))
        torch.testing.assert_close(written[name], torch.full_like(original[name], level))
    assert torch.equal(written[to_official("shared_image_embedding.positional_embedding")], fixed)
    official_sam().load_state_dict(written)


@pytest.mark.usefixtures("tiny_registry")
def test_the_finer_mask_head_stays_behind(tmp_path, base, smoke_config, caplog):
    fine_tuned(tmp_path / "model", base, smoke_config, "decoder", detail=(8, 12, 16))
    export.export_official(tmp_path / "model", tmp_path / "out.pth", base)
    official_sam().load_state_dict(torch.load(tmp_path / "out.pth", weights_only=True))
    assert "finer mask head stays behind" in caplog.text
    assert "fine-tuned at" not in caplog.text


def test_a_compact_sam_is_refused(tmp_path, smoke_config):
    checkpoint.save_base(tmp_path / "sam", smoke_config.segmenters["sam"], 0)
    with pytest.raises(InputError, match="compact SAM, which segment_anything cannot build"):
        export.export_official(tmp_path / "model", tmp_path / "out.pth", tmp_path / "sam")


def test_an_unpublished_architecture_is_refused(tmp_path, base, smoke_config):
    fine_tuned(tmp_path / "model", base, smoke_config, "decoder")
    with pytest.raises(InputError, match="48 channels at 64 px is no ViT-B, -L or -H"):
        export.export_official(tmp_path / "model", tmp_path / "out.pth", base)


def test_a_segmenter_that_needs_a_box_says_so(tmp_path, base, smoke_config, tiny_registry, caplog):
    fine_tuned(tmp_path / "model", base, smoke_config, "decoder", prompt="whole_box")
    export.export_official(tmp_path / "model", tmp_path / "out.pth", base)
    assert "fine-tuned with prompt whole_box: give SamPredictor a box around the whole image" in caplog.text


def test_the_command_explains_itself(tmp_path, base, caplog):
    arguments = ["--model", tmp_path / "absent", "--base", base, "--out", tmp_path / "out.pth"]
    with pytest.raises(SystemExit) as caught:
        command.main(export.add_arguments, export.run, list(map(str, arguments)))
    assert caught.value.code == 2
    assert "absent" in caplog.text


@pytest.fixture
def roomy(tmp_path):
    """pytest keeps the folders of its last runs; these would be 1 GB each."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_a_fine_tuned_vit_b_loads_as_vit_b(roomy, smoke_config):
    torch.manual_seed(0)
    official = sam_model_registry["vit_b"]().state_dict()
    torch.save(official, roomy / "vit_b.pth")
    save_pretrained(roomy / "sam", roomy / "vit_b.pth")
    network = fine_tuned(roomy / "model", roomy / "sam", smoke_config, "decoder", image_size=256)
    name = export.export_official(roomy / "model", roomy / "out.pth", roomy / "sam")
    written = sam_model_registry[name](checkpoint=roomy / "out.pth").state_dict()
    trained = {key.removeprefix("sam."): weight for key, weight in trained_state(network).items()}
    for key, value in official.items():
        expected = trained.get(to_transformers(key), value)
        assert torch.equal(written[key], expected), key
