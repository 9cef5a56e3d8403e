import pytest
import torch
from segment_anything import sam_model_registry
from transformers.models.sam.modeling_sam import SamModel

from pipeline.networks.sam import official as sam_official
from pipeline.networks.sam.model import Sam, decode, mask_logits
from pipeline.networks.sam.official import read_official, write_official
from pipeline.networks.sam.pretrained import at_resolution
from pipeline.run.errors import InputError
from tests.tiny_sam import SIZE, official_embeddings, official_masks, official_sam, pictures


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "tiny.pth"
    torch.save(official_sam().state_dict(), path)
    return path


@pytest.fixture
def ours(checkpoint):
    return Sam(at_resolution(*read_official(checkpoint), SIZE), 4).eval()


@torch.no_grad()
def test_agrees_with_the_official_implementation(ours):
    images, official = pictures(), official_sam()
    expected = official_embeddings(official, images)
    found = ours.embed(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    masks = official_masks(official, expected)
    torch.testing.assert_close(ours(images), masks, rtol=0, atol=1e-5)
    low = mask_logits(ours.sam, *decode(ours.sam, found, 4))
    torch.testing.assert_close(official.postprocess_masks(low, (SIZE, SIZE), (SIZE, SIZE)), masks, rtol=0, atol=1e-5)


@torch.no_grad()
def test_agrees_with_the_official_implementation_on_boxes(ours):
    images, official = pictures(), official_sam()
    embeddings = official_embeddings(official, images)
    boxes = torch.tensor([[3.0, 5, 30, 41], [0, 0, 63, 63], [20, 2, 22, 60], [31, 31, 31, 31]])
    expected = torch.stack(
        [official_masks(official, embeddings, box=box[None])[:, k] for k, box in enumerate(boxes)], 1
    )
    torch.testing.assert_close(ours.segment(images, boxes.expand(2, 4, 4)), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("label", [0, 1])
@torch.no_grad()
def test_agrees_with_the_official_implementation_on_a_point(ours, label):
    images, official = pictures(), official_sam()
    embeddings = official_embeddings(official, images)
    point, label = torch.tensor([[[11.0, 40.0]]]), torch.tensor([[label]])
    expected = official_masks(official, embeddings, points=(point, label))
    tokens, _ = ours.sam.prompt_encoder(point[None], label[None], None, None)
    masks = ours.masks(embeddings, (), tokens.expand(2, -1, -1, -1))[-1]
    torch.testing.assert_close(masks, expected, rtol=0, atol=1e-5)
    assert not torch.allclose(masks, ours(images), atol=1e-2)


def test_round_trip_is_bit_equal(checkpoint, tmp_path):
    config, state = read_official(checkpoint)
    write_official(state, tmp_path / "state.pth")
    write_official(at_resolution(config, state, SIZE).state_dict(), tmp_path / "model.pth")
    before = torch.load(checkpoint, weights_only=True)
    for name in ("state.pth", "model.pth"):
        after = torch.load(tmp_path / name, weights_only=True)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
        official_sam().load_state_dict(after)


def test_equal_weights_give_equal_bytes(checkpoint, tmp_path):
    _, state = read_official(checkpoint)
    write_official(state, tmp_path / "a.pth")
    write_official(dict(reversed(state.items())), tmp_path / "b.pth")
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


@pytest.mark.parametrize(("name", "count"), [("vit_b", 314), ("vit_l", 482), ("vit_h", 594)])
def test_published_architectures_map_one_to_one(name, count):
    with torch.device("meta"):
        state = sam_model_registry[name]().state_dict()
        config = sam_official.architecture(state)
        sam = SamModel(config)
    assert len(state) == count
    mapped = sam_official.official_state(sam.state_dict())
    assert {key: value.shape for key, value in mapped.items()} == {key: value.shape for key, value in state.items()}
    assert all(sam_official.to_official(sam_official.to_transformers(key)) == key for key in state)
    assert config.vision_config.num_attention_heads == {"vit_b": 12, "vit_l": 16, "vit_h": 16}[name]
    assert config.vision_config.window_size == 14


def test_position_code_is_frozen(ours):
    assert not ours.sam.shared_image_embedding.positional_embedding.requires_grad
    assert not ours.sam.prompt_encoder.shared_embedding.positional_embedding.requires_grad
    assert ours.sam.vision_encoder.pos_embed.requires_grad


def broken(state, **changes):
    return {key: value for key, value in (state | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"mask_decoder.iou_token.weight": None}, "mask_decoder.iou_token.weight is missing"),
        ({"extra.weight": torch.zeros(1)}, "extra.weight is unknown"),
        ({"image_encoder.neck.2.weight": torch.zeros(2, 2)}, "image_encoder.neck.2.weight is .*, not"),
        ({"image_encoder.pos_embed": None}, "image_encoder.pos_embed"),
        ({"image_encoder.blocks.0.attn.rel_pos_h": torch.zeros(7, 16)}, "window"),
    ],
)
def test_another_architecture_is_refused(checkpoint, changes, complaint):
    torch.save(broken(torch.load(checkpoint, weights_only=True), **changes), checkpoint)
    with pytest.raises(InputError, match=complaint) as caught:
        read_official(checkpoint)
    assert str(checkpoint) in str(caught.value)
    assert "sam_vit_b_01ec64.pth" in str(caught.value)


def test_other_files_are_refused(tmp_path, checkpoint):
    from torchvision.models import resnet18

    resnet, short, text = (tmp_path / name for name in ("resnet.pth", "short.pth", "text.pth"))
    torch.save(resnet18().state_dict(), resnet)
    short.write_bytes(checkpoint.read_bytes()[:5000])
    text.write_text("not a checkpoint")
    for path, complaint in (
        (resnet, "not a SAM checkpoint"),
        (short, "no weights can be read"),
        (text, "no weights can be read"),
        (tmp_path / "absent.pth", "no such weights"),
        (tmp_path, "no weights can be read"),
    ):
        with pytest.raises(InputError, match=complaint) as caught:
            read_official(path)
        assert "\n" not in str(caught.value)
