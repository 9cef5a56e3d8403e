"""Every kind of segmenter under every strategy, with two structures: shapes, gradients, files, and both losses."""

import pytest
import torch

from pipeline.config.segmenters import LITE0_BACKBONE
from pipeline.data.structures import Structure, to_json
from pipeline.learning.segmentation import mean_loss, one_hot
from pipeline.networks.outputs import outputs_of
from pipeline.networks.parameters import trained_state
from pipeline.networks.sam import checkpoint as sam
from pipeline.networks.sam.tuning import STRATEGIES as OF_SAM
from pipeline.networks.segmenter import load_segmenter, save_segmenter
from pipeline.networks.unet import checkpoint as unet
from pipeline.networks.unet.strategies import STRATEGIES as OF_UNET
from tests.tiny_sam import sam_settings

CPU = torch.device("cpu")
STRUCTURES = (Structure("pubic_symphysis", "symphysis"), Structure("fetal_head", "head"))
# MiT-B0 is the encoder of MiTU-Net; Lite0, which does not tell its stages, that of the presets.
UNETS = {"mit_b0": None, LITE0_BACKBONE: "lite0"}
TABLE = [
    *(
        (backbone, strategy)
        for backbone in UNETS
        for strategy in OF_UNET
        if (backbone, strategy) != (LITE0_BACKBONE, "bottleneck_decoder")
    ),
    *((base, strategy) for base in ("compact", "official") for strategy in OF_SAM),
    # Lite0 has no attention to adapt.
    *(("lite0", strategy) for strategy in ("decoder", "full")),
]
EXCLUSIVE = {"all", "decoder", "full"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, bases, smoke_config):
    """What a segmenter is built of: module, folder of its base, settings."""

    def prepare(name, strategy):
        outputs = "exclusive" if strategy in EXCLUSIVE else "independent"
        if name not in UNETS:
            folder, base = bases[name]
            return sam, folder, sam_settings(base, strategy, outputs=outputs)
        own = smoke_config.segmenters["unet"]
        # MiT's reduced attention has a single key at 32 px, and its queries no gradient.
        size = 64 if name == "mit_b0" else own.base.image_size
        base = own.base.model_copy(update={"backbone": name, "weights": UNETS[name], "image_size": size})
        settings = own.model_copy(update={"base": base, "train": strategy, "outputs": outputs})
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("unets") / name
            unet.save_base(folders[name], settings)
        return unet, folders[name], settings

    folders = {}
    return prepare


@pytest.mark.parametrize(("name", "strategy"), TABLE)
def test_two_structures(prepared, tmp_path, name, strategy):
    module, base, settings = prepared(name, strategy)
    torch.manual_seed(0)
    network = module.build(base, settings, 2)
    assert outputs_of(network) == settings.outputs
    size = settings.base.image_size
    images = torch.rand(4, 1, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    masks = torch.zeros(4, size, size, dtype=torch.uint8)
    masks[:, 4:9, 4:12], masks[:, 12:28, 8:30] = 1, 2
    trained = trained_state(network)
    with torch.no_grad():
        # Adapters and a silent mask head start from zero and pass nothing on.
        for weight in trained.values():
            weight.add_(0.02 * torch.randn_like(weight))

    network.train()
    every = network(images)
    every = every if isinstance(every, tuple) else (every,)
    assert {logits.shape for logits in every} == {(4, 2, size, size)}
    for k in range(2):
        network.zero_grad()
        every[-1][:, k].square().mean().backward(retain_graph=True)
        assert any(weight.grad is not None and weight.grad.any() for weight in network.parameters())
    network.zero_grad()
    mean_loss(every, one_hot(masks, 2), None, outputs_of(network)).backward()
    matrices = {name: weight for name, weight in network.named_parameters() if name in trained and weight.ndim > 1}
    assert matrices and not [name for name, weight in matrices.items() if weight.grad is None or not weight.grad.any()]
    assert not [name for name, weight in network.named_parameters() if name not in trained and weight.grad is not None]

    network.eval()
    about = {"name": name, "base": base, "settings": settings, "trained_on": {}}
    save_segmenter(module, tmp_path, network, STRUCTURES, **about)
    loaded, facts = load_segmenter(module, tmp_path, CPU, base)
    assert outputs_of(loaded) == settings.outputs and facts["structures"] == to_json(STRUCTURES)
    with torch.no_grad():
        before, after = network(images), loaded(images)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    assert (before[:, 0] - before[:, 1]).abs().max() > 1e-3, "each structure has masks of its own"
