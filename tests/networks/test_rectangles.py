"""Segmenters that see a canvas of 64 x 96 pixels: every kind, its files, its predictions, and what is refused."""

import json
from functools import reduce
from operator import getitem
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.config.params import parse_params
from pipeline.config.segmenters import LITE0_BACKBONE, CompactBase, Lite0Base, PretrainedBase
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.data.structures import Structure
from pipeline.features.embeddings import EmbeddingStore
from pipeline.imaging.letterbox import to_uint8
from pipeline.learning.embedding_pool import embedding_pool
from pipeline.learning.segmentation import mean_loss, one_hot
from pipeline.networks.sam import checkpoint as sam
from pipeline.networks.sam.prompts import boxes_around, whole_boxes
from pipeline.networks.segmenter import load_segmenter, save_segmenter
from pipeline.networks.unet import checkpoint as unet
from pipeline.run.errors import InputError
from pipeline.tasks.segmentation.inference import predict_native
from pipeline.tasks.segmentation.oracle_box import segment_with_oracle
from pipeline.tools.preset import compose
from tests.tiny_sam import sam_settings

CPU = torch.device("cpu")
SIZE = (64, 96)
STRUCTURES = (Structure("anterior_lip"), Structure("posterior_lip"))
KINDS = ("unet", "mobilenet", "compact", "lite0")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, smoke_config):
    """Module, folder of the base and settings of a kind."""

    def prepare(name, size=SIZE, **tuning):
        folder = tmp_path_factory.mktemp(name)
        if name in ("unet", "mobilenet"):
            own = smoke_config.segmenters["unet"]
            base = own.base.model_dump() | {"image_size": size}
            base |= {"backbone": LITE0_BACKBONE, "weights": "lite0"} if name == "unet" else {}
            settings = own.model_copy(update={"base": type(own.base)(**base), "deep_supervision": True} | tuning)
            unet.save_base(folder, settings)
            return unet, folder, settings
        if name == "compact":
            base = CompactBase(**smoke_config.segmenters["sam"].base.model_dump() | {"image_size": size})
        else:
            base = Lite0Base(weights="lite0", image_size=size, decoder_size=32)
        sam.save_base(folder, SimpleNamespace(base=base), 0)
        return sam, folder, sam_settings(base, **tuning)

    return prepare


@pytest.mark.parametrize("name", KINDS)
def test_shapes_gradients_files_and_native_predictions(prepared, ring, tmp_path, name):
    module, base, settings = prepared(name)
    torch.manual_seed(0)
    network = module.build(base, settings, 2)
    cases = [ring(i, height=84, width=136) for i in range(3)] + [ring(3, height=90, width=40)]
    images, masks = torch.from_numpy(stack_images(cases, SIZE)), torch.from_numpy(stack_masks(cases, SIZE))
    every = network.train()(images)
    every = every if isinstance(every, tuple) else (every,)
    assert {logits.shape for logits in every} == {(4, 2, *SIZE)}
    mean_loss(every, one_hot(masks, 2)).backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in network.parameters())
    coarsest = network.encode(images)[-1]
    assert coarsest.shape[1] == network.embedding_channels and 2 * coarsest.shape[3] == 3 * coarsest.shape[2]

    network.eval()
    save_segmenter(module, tmp_path, network, STRUCTURES, name=name, base=base, settings=settings, trained_on={})
    loaded, about = load_segmenter(module, tmp_path, CPU, base)
    assert json.loads((tmp_path / "segmenter.json").read_text())["image_size"] == about["image_size"] == list(SIZE)
    found = predict_native(loaded, cases, about["image_size"], CPU)
    assert [one.shape for one in found] == [case.image.shape for case in cases]
    for one, other in zip(found, predict_native(network, cases, SIZE, CPU), strict=True):
        assert (one == other).mean() > 0.999


@pytest.mark.parametrize("name", ["compact", "lite0"])
@pytest.mark.parametrize("prompt", ["whole_box", "predicted_box"])
def test_boxes_lie_on_the_canvas(prepared, ring, name, prompt):
    module, base, settings = prepared(name, prompt=prompt)
    network = module.build(base, settings, 2).eval()
    case = ring(0, height=84, width=136)
    with torch.no_grad():
        assert network(torch.from_numpy(stack_images([case], SIZE))).shape == (1, 2, *SIZE)
    assert whole_boxes(1, 1, SIZE).tolist() == [[[0, 0, 95, 63]]]
    assert torch.equal(whole_boxes(2, 3, SIZE), boxes_around(torch.ones(2, 3, *SIZE, dtype=torch.bool)))
    scores = segment_with_oracle(network, case, SIZE, 0.05, torch.Generator().manual_seed(0), CPU)
    assert scores[1][0] > 0.8 and np.isnan(scores[1][1]), "the ellipse in its box covers an ellipse"


def test_a_canvas_is_the_upper_left_of_the_square(prepared):
    """Position codes of the cells, absolute and random, are those of the same cells of the square."""
    small, large = (
        module.build(base, settings, 1)
        for module, base, settings in (
            prepared("compact", SIZE, train="decoder"),
            prepared("compact", 96, train="decoder"),
        )
    )
    rows, columns = small.grid
    positions = [network.sam.vision_encoder.pos_embed for network in (small, large)]
    assert small.grid == (64 // 4, 96 // 4) and positions[0].shape[1:3] == small.grid
    assert torch.equal(positions[0], positions[1][:, :rows, :columns])
    assert sum(weight.numel() for weight in small.parameters()) < sum(weight.numel() for weight in large.parameters())


@pytest.mark.parametrize("name", ["compact", "lite0"])
def test_embeddings_of_a_canvas_are_stored_and_trained_on(prepared, ring, smoke_config, tmp_path, name):
    module, base, settings = prepared(name, train="decoder", views=2)
    network = module.build(base, settings, 1)
    cases = [ring(i, height=84, width=136) for i in range(3)]
    pool = embedding_pool(tmp_path, base, 2, 0)(network, cases, SIZE, smoke_config.augment)
    (images, embeddings), masks = pool.batch(torch.tensor([0, 2]), torch.Generator().manual_seed(0))
    assert images.shape == (2, 1, *SIZE) and masks.shape == (2, *SIZE) and embeddings.shape[2:] == network.grid
    assert network.train()(images, embeddings)[-1].shape == (2, 1, *SIZE)
    store = EmbeddingStore(tmp_path, base, network)
    assert store.folder.name.endswith("-64-96")
    image = stack_images(cases[:1], SIZE)
    np.testing.assert_array_equal(to_uint8(store.image(store.names(image)[0])), to_uint8(image[0]))


def test_a_base_of_another_canvas_is_refused(prepared):
    for name in ("compact", "lite0"):
        module, base, settings = prepared(name)
        other = settings.model_copy(update={"base": settings.base.model_copy(update={"image_size": (96, 64)})})
        with pytest.raises(InputError, match=r"image_size \[64, 96\], unlike the segmenter's base"):
            module.build(base, other, 1)


def test_given_weights_of_a_sam_stay_square():
    PretrainedBase(weights="a.pth", image_size=64, window=None, detail=())
    with pytest.raises(ValueError, match="positions for a square; give one number.* set weights to lite0 or null"):
        PretrainedBase(weights="a.pth", image_size=[64, 96], window=None, detail=())


NOT_ONE = "is .*valid integer"


@pytest.mark.parametrize(
    ("place", "size", "words"),
    [
        ("segmenters.unet.base", [64, 100], "is .*each 32 or more and a multiple of 32"),
        ("segmenters.sam.base", [64], r"is .*\[height, width\]"),
        ("segmenters.unet.base", [64, 96], "are of 32 and 64 x 96 px"),
        ("assemble", [64, 8], r"is .*\[height, width\], each 16 or more"),
        ("views", [64, 96], NOT_ONE),
        ("filter", [64, 96], NOT_ONE),
        ("evaluation_network", [64, 96], NOT_ONE),
    ],
)
def test_sizes_that_are_refused(root, tmp_path, place, size, words):
    import yaml

    params = yaml.safe_load(compose(root / "presets", "smoke"))
    params["arms"]["dual"]["unlabelled"]["networks"] = ["sam", "unet"]
    reduce(getitem, place.split("."), params)["image_size"] = size
    with pytest.raises(InputError, match=words):
        parse_params(yaml.safe_dump(params), tmp_path / "params.yaml")


def test_the_command_segments_a_folder_with_it(prepared, tmp_path, monkeypatch):
    from pipeline.tools import command, segment

    module, base, settings = prepared("mobilenet")
    about = {"name": "mobilenet", "base": base, "settings": settings, "trained_on": {}}
    save_segmenter(module, tmp_path / "model", module.build(base, settings, 2), STRUCTURES, **about)
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (336, 544), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "images/a.png")
    monkeypatch.setattr("pipeline.run.stage.prepare_environment", lambda threads: None)
    arguments = ["--model", tmp_path / "model", "--images", tmp_path / "images", "--out", tmp_path / "out"]
    command.main(segment.add_arguments, segment.run, list(map(str, [*arguments, "--threads", "1"])))
    assert np.asarray(Image.open(tmp_path / "out/masks/a.png")).shape == (336, 544)
