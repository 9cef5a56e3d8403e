"""The real PSFHS images (445 of the shared data) as a training cohort: no neighbour of a test image is trained on.

Measured as others would: on 48x48 grey images of the files themselves, by plain correlation above .95, which is neither
the size nor the bound that the groups are made with.
"""

import numpy as np
import pytest
from PIL import Image

from pipeline.cohorts.preparation import prepare_cohort
from pipeline.config.cohorts import Cohort
from pipeline.data.dataset import read_dataset
from pipeline.data.structures import of_task

TASK = of_task({"pubic_symphysis": "symphysis", "fetal_head": "head"})
SHARES = {"evaluation": 0.15, "train": 0.5, "val": 0.1, "test": 0.25}


@pytest.fixture(scope="module")
def prepared(shared_data, tmp_path_factory):
    """By way of splitting: the cases, and the card."""
    made = {}
    for by in ("patients", "blocks"):
        out = tmp_path_factory.mktemp(by) / "psfhs"
        settings = {"role": "train", "reader": "psfhs", "raw": "-", "labelled": True, "splits": SHARES | {"by": by}}
        declared = Cohort.model_validate(settings | {"near_doubles": "merge", "near_correlation": 0.93})
        prepare_cohort(out, "psfhs", declared, TASK, shared_data / "psfhs", 0)
        dataset = read_dataset(out)
        made[by] = list(dataset.cases), dataset.source
    return made


@pytest.fixture(scope="module")
def near(prepared):
    """Bool (n, n): pairs of images above .95 at 48x48."""
    cases, _ = prepared["blocks"]
    grey = np.stack([np.asarray(Image.fromarray(c.image).resize((48, 48), Image.Resampling.BILINEAR)) for c in cases])
    return np.corrcoef(grey.reshape(len(cases), -1).astype(float)) - np.eye(len(cases)) > 0.95


def leaked(near, splits):
    """Share of the test images that have a neighbour in train."""
    splits = np.asarray(splits)
    return near[np.ix_(splits == "test", splits == "train")].any(axis=1).mean()


@pytest.mark.parametrize("by", ["patients", "blocks"])
def test_no_test_image_has_a_neighbour_in_another_split(prepared, near, by):
    cases, source = prepared[by]
    splits = np.array([case.split for case in cases])
    assert leaked(near, splits) == 0
    assert not (near & (splits[:, None] != splits[None])).any()
    assert source["near"]["across_splits"] == source["near"]["apart"] == 0
    assert source["patients"] == len({case.patient for case in cases}) == 113
    assert max(map(len, source["near"]["groups"])) == 35
    assert source["warnings"] == source["doubles"] == []


def test_what_a_split_of_single_images_leaks(prepared, near):
    """The trap: at random most test images have a neighbour in train; by bare blocks a few do."""
    cases, _ = prepared["blocks"]
    draws = [np.random.default_rng(seed).permutation(len(cases)) for seed in range(20)]
    cut = round(0.75 * len(cases))
    random = [leaked(near, np.where(draw < cut, "train", "test")) for draw in draws]
    assert np.mean(random) > 0.6
    assert leaked(near, np.where(np.arange(len(cases)) < cut, "train", "test")) < 0.02


def test_blocks_are_in_the_order_of_file_numbers(prepared):
    """Blocks overlap by no more than the groups that cross a boundary."""
    cases, _ = prepared["blocks"]
    assert [case.id for case in cases] == sorted(case.id for case in cases)
    counts = [sum(case.split == split for case in cases) / len(cases) for split in SHARES]
    assert counts == pytest.approx(list(SHARES.values()), abs=0.08)
    middle = [np.median([int(case.id) for case in cases if case.split == split]) for split in SHARES]
    assert middle == sorted(middle)
