import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers.models.sam.configuration_sam import SamConfig
from transformers.models.sam.modeling_sam import SamModel

from pipeline.networks.parameters import count_parameters, trained_state
from pipeline.networks.sam.checkpoint import load_base
from pipeline.networks.sam.compact import build_compact_sam
from pipeline.networks.sam.model import Sam
from pipeline.networks.sam.tuning import STRATEGIES, choose_trained, merge
from pipeline.tools.preset import compose

RANK = 4
ATTENTIONS = ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")
ADAPTED = {
    *(f"vision_encoder.layers.{i}.attn.qkv" for i in range(3)),
    *(
        f"mask_decoder.transformer.{attention}.{name}_proj"
        for attention in (*(f"layers.{i}.{one}" for i in range(2) for one in ATTENTIONS), "final_attn_token_to_image")
        for name in ("q", "k", "v", "out")
    ),
}


@pytest.fixture(scope="module")
def quick(root, tmp_path_factory):
    from pipeline.config.params import load_params

    path = tmp_path_factory.mktemp("params") / "params.yaml"
    path.write_text(compose(root / "presets", "quick"))
    return load_params(path)


@pytest.fixture
def official(bases):
    def load(n_structures=1, **settings):
        folder, base = bases["official"]
        return seeded((folder, base.model_copy(update=settings)), n_structures)

    return load


def adapters(network):
    return {name for name, module in network.sam.named_modules() if isinstance(module, BaseTunerLayer)}


def trainable(make, strategy, rank=RANK):
    network = make()
    choose_trained(network, strategy, rank)
    counts = count_parameters(network)
    assert counts["trainable_parameters"] == sum(weight.numel() for weight in trained_state(network).values())
    return counts["trainable_parameters"]


def test_adapters_train_least_and_full_nearly_everything(official, quick):
    """Holds for the presets' sizes; adapters of a rank near the width of an attention would exceed the decoder."""
    makers = [
        official,
        lambda: official(detail=()),
        lambda: build_compact_sam(quick.segmenters["sam"].base.compact, quick.segmenters["sam"].base.image_size, 1),
    ]
    for make in makers:
        lora, decoder, full = (trainable(make, strategy) for strategy in ("lora", "decoder", "full"))
        assert lora < decoder < full < count_parameters(make())["parameters"]
    assert trainable(official, "lora", 16) > trainable(official, "lora")


def test_sizes_of_the_published_vit_b():
    """Of 94 million weights the decoder trains 3.5 million, adapters and what makes masks 0.4 million."""

    def vit_b():
        with torch.device("meta"):
            return Sam(SamModel(SamConfig()), 1)

    assert count_parameters(vit_b())["parameters"] == pytest.approx(93.74e6, rel=1e-3)
    found = {strategy: trainable(vit_b, strategy) for strategy in STRATEGIES}
    assert found == pytest.approx({"decoder": 3.51e6, "lora": 0.41e6, "full": 93.18e6}, rel=0.01)
    network = vit_b()
    choose_trained(network, "lora", RANK)
    encoder = 12 * (768 + 3 * 768)
    # Self-attention of the decoder is as wide as a token, the other five attentions half as wide.
    decoder = 2 * 4 * (256 + 256) + 5 * 4 * (256 + 128)
    adapted = sum(weight.numel() for name, weight in trained_state(network).items() if "lora" in name)
    assert adapted == RANK * (encoder + decoder)


def test_adapters_sit_in_every_attention_and_nowhere_else(official):
    network = official()
    choose_trained(network, "lora", RANK)
    assert adapters(network) == ADAPTED
    attention = {
        name
        for name, module in official().sam.named_modules()
        if isinstance(module, torch.nn.Linear) and "attn" in name and not name.startswith("vision_encoder")
    }
    assert attention == {name for name in ADAPTED if name.startswith("mask_decoder")}


def never_trained(name, n_structures):
    unused = tuple(f"sam.mask_decoder.output_hypernetworks_mlps.{k}." for k in range(n_structures, 4))
    others = ("sam.prompt_encoder.not_a_point", "sam.prompt_encoder.mask_embed", "sam.prompt_encoder.point_embed.0")
    return "positional_embedding" in name or "iou_prediction_head" in name or name.startswith((*unused, *others))


@pytest.mark.parametrize("n_structures", [1, 3])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_has_no_part_in_the_masks_is_never_trained(official, strategy, n_structures):
    network = official(n_structures)
    choose_trained(network, strategy, RANK)
    assert not [name for name in trained_state(network) if never_trained(name, n_structures)]
    heads = {name.split(".")[3] for name in trained_state(network) if "output_hypernetworks_mlps" in name}
    assert heads == {str(k) for k in range(n_structures)}


@pytest.mark.parametrize(("prompt", "trained"), [("none", False), ("whole_box", True), ("predicted_box", True)])
def test_corners_of_a_box_are_trained_where_boxes_are_given(official, prompt, trained):
    network = official()
    network.prompt = prompt
    choose_trained(network, "full", RANK)
    corners = {f"sam.prompt_encoder.point_embed.{k}.weight" for k in (2, 3)}
    assert corners & trained_state(network).keys() == (corners if trained else set())


def test_under_a_convolutional_embedding_the_pyramid_belongs_to_the_encoder(bases):
    trained = {}
    for strategy in STRATEGIES:
        network = load_base(*bases["compact"], 1)
        choose_trained(network, strategy, RANK)
        trained[strategy] = {name.split(".")[0] for name in trained_state(network)}
    assert trained == {
        "decoder": {"sam", "detail"},
        "lora": {"sam", "detail", "pyramid"},
        "full": {"sam", "detail", "pyramid", "patches"},
    }


def seeded(base, n_structures=2):
    torch.manual_seed(0)
    return load_base(*base, n_structures)


@torch.no_grad()
def outputs(network, prompt):
    network.prompt = prompt
    return network.eval()(torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)))


def test_adapters_start_from_the_base(official):
    network = official(2)
    choose_trained(network, "lora", RANK)
    assert torch.equal(outputs(network, "none"), outputs(official(2), "none"))


@pytest.mark.parametrize("base", ["compact", "official"])
@pytest.mark.parametrize("prompt", ["none", "predicted_box"])
def test_merged_adapters_leave_a_plain_sam_that_gives_the_same(bases, base, prompt):
    network, plain = (seeded(bases[base]) for _ in range(2))
    choose_trained(network, "lora", RANK)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.1)
    before = outputs(network, prompt)
    merge(network)
    assert not adapters(network) and network.state_dict().keys() == plain.state_dict().keys()
    torch.testing.assert_close(outputs(network, prompt), before, rtol=0, atol=1e-5)
    adapted = {f"sam.{name}.weight" for name, module in network.sam.named_modules() if name in ADAPTED}
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, plain.state_dict()[name])}
    assert changed == adapted
    assert (outputs(plain, prompt) - before).abs().max() > 1e-3
