"""Golden values: what torch-fidelity itself makes of the same files, and closed forms."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch_fidelity import calculate_metrics

from pipeline.features.extraction import extract
from pipeline.features.extractors import open_published
from pipeline.quality.fidelity import fidelity
from pipeline.quality.frechet import frechet_distance

COUNT = 8
KID_SUBSETS, NEIGHBOURS = 7, 3


@pytest.fixture(scope="module")
def inception(tmp_path_factory) -> Path:
    """A seeded random Inception in the file format of torch-fidelity's official weights."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        torch.save({}, path)
        torch.manual_seed(0)
        network = module.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
        )
    for layer in network.modules():
        # The default weights shrink what passes through fifty layers to nothing.
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    torch.save(network.state_dict(), path)
    return path


def pictures(seed, level, grain):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:48, :48]
    found = []
    for _ in range(COUNT):
        radius = np.hypot(rows - rng.uniform(18, 30), columns - rng.uniform(18, 30))
        image = level + 60 * (radius < rng.uniform(10, 20)) + rng.normal(0, grain, radius.shape)
        found.append(np.clip(image, 0, 255).astype(np.uint8))
    return found


def test_fid_kid_precision_and_recall_are_those_of_torch_fidelity(inception, tmp_path):
    sets = {"ours": pictures(0, 60, 30), "theirs": pictures(1, 80, 15)}
    for name, images in sets.items():
        (tmp_path / name).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).convert("RGB").save(tmp_path / name / f"{i:02d}.png")
    printed = calculate_metrics(
        input1=str(tmp_path / "ours"),
        input2=str(tmp_path / "theirs"),
        fid=True,
        kid=True,
        prc=True,
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(inception),
        kid_subsets=KID_SUBSETS,
        kid_subset_size=COUNT // 2,
        prc_neighborhood=NEIGHBOURS,
        rng_seed=5,
        batch_size=4,
        **{"cuda": False, "cache": False, "save_cpu_ram": True, "verbose": False},
    )
    features = [extract(open_published("inception", inception, "cpu"), images, "cpu") for images in sets.values()]
    own = fidelity(*features, kid_subsets=KID_SUBSETS, neighbours=NEIGHBOURS, seed=5, resamples=0)
    expected = {
        "fid": printed["frechet_inception_distance"],
        "kid": printed["kernel_inception_distance_mean"],
        "precision": printed["precision"],
        "recall": printed["recall"],
    }
    assert np.isfinite(list(expected.values())).all() and expected["fid"] > 0
    # Batches of other sizes sum in another order: the last digits of single precision.
    for name, value in expected.items():
        assert own[name].value == pytest.approx(value, rel=1e-4), name
    assert own["kid"].spread == pytest.approx(printed["kernel_inception_distance_std"], rel=1e-3)


def gaussian(mean, std, seed, count=300):
    """A sample whose own mean and covariance are exactly these."""
    sample = np.random.default_rng(seed).normal(size=(count, len(mean)))
    sample -= sample.mean(axis=0)
    white = sample @ np.linalg.inv(np.linalg.cholesky(np.cov(sample, rowvar=False))).T
    return white * std + mean


def test_fid_of_two_gaussians_is_the_closed_form():
    """Of independent coordinates: |m1 - m2|² + Σ (s1 - s2)²."""
    m1, m2, s1, s2 = np.array([0, 1, 2.0]), np.array([1, 1, 0.0]), np.array([1, 2, 0.5]), np.array([2, 2, 1.0])
    exact = ((m1 - m2) ** 2).sum() + ((s1 - s2) ** 2).sum()
    a, b = gaussian(m1, s1, 0), gaussian(m2, s2, 1)
    options = {"kid_subsets": 2, "neighbours": 3, "seed": 0, "resamples": 0}
    found = fidelity(torch.from_numpy(a).float(), torch.from_numpy(b).float(), **options)
    assert found["fid"].value == pytest.approx(exact, rel=1e-5)
    assert frechet_distance(a, b) == pytest.approx(exact, rel=1e-9)
