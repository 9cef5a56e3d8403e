"""What EfficientNet-Lite0's features see on real images, as it was measured when they were chosen."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.io import imread

from pipeline.features.extraction import extract
from pipeline.features.timm_models import open_lite0
from pipeline.imaging.letterbox import letterbox
from pipeline.quality.degradations import blurred, enlarged
from pipeline.quality.fidelity import fidelity
from pipeline.quality.two_sample import two_sample_test

COUNT, SIZE = 30, 128


@pytest.fixture(scope="module")
def features(shared_data):
    """Lite0's features of two samples of HC18 women: ``unseen``, and the other as it is and degraded."""
    paths = sorted((shared_data / "hc18" / "training_set").glob("???_HC.png"))
    chosen = np.random.default_rng(0).permutation(len(paths))[: 2 * COUNT]
    images = [letterbox(imread(paths[i], as_gray=True), SIZE)[0] for i in chosen]
    unseen, real = images[:COUNT], images[COUNT:]
    rng, extractor = np.random.default_rng(0), open_lite0("cpu")
    sets = {
        "unseen": unseen,
        "real": real,
        "noise": [image + rng.normal(0, 0.03 * 255, image.shape) for image in real],
        "blur 1": [letterbox(blurred(image, SIZE), SIZE)[0] for image in real],
        "blur 3": [ndimage.gaussian_filter(image.astype(float), 3) for image in real],
        "64 px": [letterbox(enlarged(image, SIZE), SIZE)[0] for image in real],
    }
    grey = {name: [np.clip(np.rint(one), 0, 255).astype(np.uint8) for one in some] for name, some in sets.items()}
    return {name: extract(extractor, some, "cpu") for name, some in grey.items()}


def test_kid_sees_grain(features):
    """Of real v real about 0; noise is seen, and more blur is worse."""
    options = {"kid_subsets": 20, "neighbours": 3, "seed": 0, "resamples": 0}
    known = features["unseen"]
    kid = {name: fidelity(some, known, **options)["kid"].value for name, some in features.items()}
    assert abs(kid["real"]) < 0.03
    assert kid["noise"] > 0.05 and kid["blur 3"] > kid["blur 1"] > 0.05 and kid["64 px"] > 0.05


def test_a_classifier_tells_degraded_images_and_not_real_ones(features):
    first, patients = features["unseen"].numpy(), ([f"a{i}" for i in range(COUNT)], [f"b{i}" for i in range(COUNT)])
    auc = {name: two_sample_test(first, some.numpy(), *patients, 0).auc for name, some in features.items()}
    assert 0.3 < auc["real"] < 0.7
    assert min(auc["noise"], auc["blur 1"], auc["blur 3"], auc["64 px"]) > 0.9
