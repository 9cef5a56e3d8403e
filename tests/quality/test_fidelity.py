import numpy as np
import pytest
import torch

from pipeline.core.errors import InputError
from pipeline.quality.extractor import register_domain_extractor
from pipeline.quality.fidelity import fidelity
from pipeline.quality.novelty import novelty


def quarters(images):
    """Mean and spread of the four quarters of 16x16 images: features whose distances are easy to foresee."""
    parts = images.unfold(2, 8, 8).unfold(3, 8, 8).flatten(2, 3).flatten(3)
    return torch.cat([parts.mean(3)[:, 0], parts.std(3)[:, 0]], dim=1)


@pytest.fixture(autouse=True)
def extractor():
    register_domain_extractor(quarters)


def images(count, level, spread, seed):
    rng = np.random.default_rng(seed)
    base = rng.normal(level, spread, (count, 1, 1))
    return np.clip(base + rng.normal(0, 20, (count, 16, 16)), 0, 255).astype(np.uint8)


def score(a, b, **options):
    return fidelity(a, b, kid_subsets=20, neighbours=3, seed=0, **options)


def test_the_same_distribution_scores_better_than_another():
    reference = images(60, 120, 20, 0)
    same, shifted = score(images(60, 120, 20, 1), reference), score(images(60, 160, 20, 2), reference)
    for metric in ("fid", "kid"):
        assert same[metric] < shifted[metric]
    assert same["precision"] > shifted["precision"]
    assert same["n"] == same["n_reference"] == 60


def test_a_narrow_set_is_precise_but_does_not_recall():
    narrow = score(images(60, 120, 1, 1), images(60, 120, 30, 0))
    assert narrow["precision"] > 0.8
    assert narrow["recall"] < 0.5


def test_fid_of_a_set_with_itself_is_zero():
    same = images(40, 120, 20, 0)
    assert score(same, same)["fid"] == pytest.approx(0, abs=1e-4)


def test_numbers_repeat():
    a, b = images(30, 120, 20, 0), images(30, 130, 20, 1)
    assert score(a, b) == score(a, b)


def test_registering_again_replaces_the_network():
    a, b = images(30, 120, 20, 0), images(30, 160, 20, 1)
    before = score(a, b)["fid"]
    register_domain_extractor(lambda x: x.mean(dim=3)[:, 0])
    assert score(a, b)["fid"] != before


def test_too_few_images_are_refused():
    with pytest.raises(InputError, match="at least 8 images a side, got 5"):
        score(images(5, 1, 1, 0), images(20, 1, 1, 0))


def test_missing_inception_weights_name_the_key(tmp_path):
    with pytest.raises(InputError, match=r"score\.inception_weights.*no file"):
        score(images(20, 1, 1, 0), images(20, 1, 1, 0), inception_weights=tmp_path / "inception.pth")


def test_a_file_that_is_no_weights_is_refused_unread(tmp_path):
    import pickle

    path = tmp_path / "inception.pth"
    for content in (b"hello", pickle.dumps(print)):
        path.write_bytes(content)
        with pytest.raises(InputError, match="not a file of weights"):
            score(images(10, 1, 1, 0), images(10, 1, 1, 0), inception_weights=path)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "inception.pth"
    torch.save({"conv.weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="not torch-fidelity's Inception weights"):
        score(images(10, 1, 1, 0), images(10, 1, 1, 0), inception_weights=path)


def test_official_inception_format_loads(tmp_path, monkeypatch):
    """Random weights in the official file format go through the real loading code."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    path = tmp_path / "inception.pth"
    with monkeypatch.context() as patch:
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        torch.save({}, path)
        torch.manual_seed(0)
        network = module.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
        )
    torch.save(network.state_dict(), path)
    result = score(images(9, 120, 20, 0), images(9, 120, 20, 1), inception_weights=path)
    assert np.isfinite(result["fid"])


def test_planted_copies_are_far_below_one_and_unseen_images_near_it():
    rng = np.random.default_rng(0)
    train, unseen, fresh = (rng.normal(size=(n, 12)) for n in (80, 60, 60))
    copies = novelty(train[:40] + 0.01 * rng.normal(size=(40, 12)), train, unseen)
    assert copies.ratio < 0.1
    np.testing.assert_array_equal(copies.nearest, np.arange(40))
    assert novelty(fresh, train, unseen).ratio == pytest.approx(1, abs=0.1)
