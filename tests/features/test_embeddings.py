"""What a frozen encoder makes of images, stored by their pixels; and a decoder's training on it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.config.augmentation import Augment
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.features import embeddings
from pipeline.features.embeddings import EmbeddingStore
from pipeline.imaging.letterbox import to_uint8
from pipeline.learning.embedding_pool import embedding_pool, view
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import ImagePool, fit
from pipeline.networks.sam import checkpoint
from pipeline.run.errors import InputError
from tests.tiny_sam import sam_settings

CPU = torch.device("cpu")
STILL = Augment(flip=False, rotate_deg=0, scale=0, shift=0, brightness=0, contrast=0, gamma=0)
MOVING = Augment(flip=True, rotate_deg=20, scale=0.2, shift=0.1, brightness=0.3, contrast=0.3, gamma=0.3)


@pytest.fixture(scope="module")
def frozen(bases):
    """Base and frozen SAM: with a finer mask head, whose stores hold images too, and without one."""
    plain = bases["official"][0], bases["official"][1].model_copy(update={"detail": ()})
    every = bases | {"plain": plain}
    return {name: (folder, checkpoint.load_base(folder, base, 1).eval()) for name, (folder, base) in every.items()}


@pytest.fixture(scope="module")
def rings(ring):
    return [ring(i) for i in range(12)]


@pytest.fixture
def store(frozen, tmp_path):
    return EmbeddingStore(tmp_path / "store", *frozen["compact"])


@pytest.mark.parametrize("base", ["compact", "official", "plain", "lite0"])
def test_what_is_stored_is_the_embedding_rounded_to_half_floats(frozen, rings, tmp_path, base):
    folder, network = frozen[base]
    images, store = stack_images(rings, 32), EmbeddingStore(tmp_path, folder, network)
    for name, image in zip(store.add(list(images)), images, strict=True):
        with torch.inference_mode():
            expected = network.embed(torch.from_numpy(image)[None])[0].numpy()
        np.testing.assert_array_equal(store.embedding(name), expected.astype(np.float16))
        if base != "plain":
            np.testing.assert_array_equal(to_uint8(store.image(name)), to_uint8(image))


def test_nothing_is_encoded_twice_and_nothing_depends_on_what_is_stored(frozen, rings, tmp_path):
    images = list(stack_images(rings, 32))
    first, second = (EmbeddingStore(tmp_path / name, *frozen["compact"]) for name in "ab")
    names = first.add(images)
    second.add(images[::-1][:5])
    assert second.add(images) == names
    for name in names:
        np.testing.assert_array_equal(first.embedding(name), second.embedding(name))
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*.npz")}
    first.add(images)
    assert written == {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*.npz")}


def test_encoders_do_not_share_a_store(frozen, rings, tmp_path):
    images = list(stack_images(rings[:1], 32))
    (one,), (other,) = (EmbeddingStore(tmp_path, *frozen[base]).add(images) for base in ("compact", "official"))
    assert one == other and len(list(tmp_path.rglob("*.npz"))) == 2


def test_a_damaged_row_is_named(store, rings):
    (name,) = store.add(list(stack_images(rings[:1], 32)))
    (path,) = store.folder.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"\.npz: cannot be read .*; remove"):
        store.embedding(name)


def test_too_little_disk_is_said_before_anything_is_encoded(store, rings, monkeypatch):
    monkeypatch.setattr(embeddings.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"embeddings of 12 images need .* are free; lower the segmenter's views"):
        store.add(list(stack_images(rings, 32)))
    assert not list(store.folder.rglob("*.npz"))


def test_a_view_is_a_function_of_seed_case_and_number_and_its_mask_moves_along(rings):
    case = rings[0]
    np.testing.assert_array_equal(view(case, 0, 32, MOVING, 3)[0], stack_images([case], 32)[0])
    first, again, number, seed, other = (
        view(*arguments)
        for arguments in (
            (case, 1, 32, MOVING, 3),
            (case, 1, 32, MOVING, 3),
            (case, 2, 32, MOVING, 3),
            (case, 1, 32, MOVING, 4),
            (rings[1], 1, 32, MOVING, 3),
        )
    )
    np.testing.assert_array_equal(first[0], again[0])
    assert all((first[0] != changed[0]).any() for changed in (number, seed, other))
    level = stack_masks([case], 32)[0].astype(np.uint8)
    drawn = type(case)(**{**vars(case), "image": case.mask * 200})
    image, mask = view(drawn, 1, 32, MOVING, 3)
    assert ((image[0] > -0.5) == (mask > 0)).mean() > 0.95 and (mask != level).any()


@pytest.mark.parametrize("base", ["compact", "official", "plain", "lite0"])
def test_a_stored_encoder_trains_like_one_that_runs_in_every_step(bases, frozen, rings, tmp_path, base):
    """With nothing but the image as it is, only the place of the encoder, and its rounding, differ."""
    settings = bases["official" if base == "plain" else base][1]
    settings = settings.model_copy(update={"detail": ()}) if base == "plain" else settings
    folder = frozen[base][0]

    def losses(pool_of):
        torch.manual_seed(0)
        network, seen = checkpoint.build(folder, sam_settings(settings, "decoder"), 1), []
        recipe = Recipe(12, 4, 3e-3, warmup_steps=2)
        fit(network, pool_of(network), recipe, n_structures=1, seed=5, device=CPU,
            on_step=lambda step, loss: seen.append(loss))  # fmt: skip
        return np.array(seen)

    stored = losses(lambda network: embedding_pool(tmp_path, folder, 1, 0)(network, rings, 32, STILL))
    running = losses(lambda network: ImagePool(stack_images(rings, 32), stack_masks(rings, 32), STILL))
    # Embeddings are half floats.
    np.testing.assert_allclose(stored, running, rtol=0, atol=2e-2)
    assert np.ptp(running) > 0.1, "training moves the loss by much more than it may differ"


def test_a_batch_holds_views_and_their_own_masks(frozen, rings, tmp_path):
    folder, network = frozen["compact"]
    pool = embedding_pool(tmp_path, folder, 3, 7)(network, rings, 32, MOVING)
    chosen = torch.tensor([4, 4, 4, 0, 11])
    (images, found), masks = pool.batch(chosen, torch.Generator().manual_seed(0))
    numbers = torch.randint(3, chosen.shape, generator=torch.Generator().manual_seed(0)).tolist()
    assert len(set(numbers)) > 1
    for row, (i, number) in enumerate(zip(chosen.tolist(), numbers, strict=True)):
        image, mask = view(rings[i], number, 32, MOVING, 7)
        np.testing.assert_array_equal(masks[row].numpy(), mask)
        np.testing.assert_array_equal(to_uint8(images[row].numpy()), to_uint8(image))
        (name,) = pool.store.names([image])
        np.testing.assert_array_equal(found[row].numpy(), pool.store.embedding(name).astype(np.float32))
