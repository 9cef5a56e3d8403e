"""Two thin structures in a folder of one's own, of images that are not square: read, prepared, segmented and scored."""

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.config.params import parse_params
from pipeline.config.task import Task
from pipeline.data.dataset import read_dataset
from pipeline.data.structures import Structure
from pipeline.data.writer import write_dataset
from pipeline.run.errors import InputError
from pipeline.tasks.metrics import METRICS
from pipeline.tasks.segmentation.pair import pair_of
from pipeline.tasks.segmentation.scores import Region, regions_of, score_case
from pipeline.tools.preset import compose
from tests.cohorts.reading import read

SHAPE = (336, 544)
LIPS = (Structure("anterior_lip"), Structure("posterior_lip"))
CLASSES = ["background", "anterior", "posterior"]
NAMED = {"anterior": "anterior_lip", "posterior": "posterior_lip"}
UNIONS = {"both": ("anterior_lip", "posterior_lip")}


def bands(shift: int = 0, anterior: bool = True, posterior: bool = True) -> np.ndarray:
    """Two bent bands of 24 rows, one above the other."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    along, across = columns - 270 - shift, rows - 170 - ((columns - 270) / 40) ** 2
    mask, within = np.zeros(SHAPE, np.uint8), np.abs(along) < 110
    mask[within & (across > -30) & (across < -6) & anterior] = 1
    mask[within & (across > 6) & (across < 30) & posterior] = 2
    return mask


@pytest.fixture
def folder(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / "raw" / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(4):
        mask = bands(5 * i, posterior=i != 3)
        image = np.clip(90 + 40 * (mask > 0) + rng.normal(0, 20, SHAPE), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / "raw" / "images" / f"tvs_{i}.png")
        Image.fromarray(mask).save(tmp_path / "raw" / "masks" / f"tvs_{i}.png")
    return tmp_path / "raw"


def test_a_folder_of_cervix_images_is_read_and_keeps_its_shape(folder, tmp_path):
    cases = list(read("folder", folder, task=LIPS, classes=CLASSES, structures=NAMED))
    assert [case.id for case in cases] == [f"tvs_{i}" for i in range(4)]
    for i, case in enumerate(cases):
        assert case.image.shape == case.mask.shape == SHAPE
        np.testing.assert_array_equal(case.mask, bands(5 * i, posterior=i != 3))
    # Classes that are not named are those of the task, in its order.
    for case, other in zip(cases, read("folder", folder, task=LIPS), strict=True):
        np.testing.assert_array_equal(case.mask, other.mask)
    write_dataset(tmp_path / "out", (replace(case, split="test") for case in cases), role="held_out", structures=LIPS)
    for case, kept in zip(cases, read_dataset(tmp_path / "out").cases, strict=True):
        np.testing.assert_array_equal(kept.image, case.image)
        np.testing.assert_array_equal(kept.mask, case.mask)


def test_a_third_value_is_refused(folder):
    mask = bands()
    mask[0, 0] = 3
    Image.fromarray(mask).save(folder / "masks" / "tvs_1.png")
    with pytest.raises(InputError, match="mask 'masks/tvs_1.png' holds the value 3"):
        list(read("folder", folder, task=LIPS, classes=CLASSES, structures=NAMED))


@pytest.fixture
def scored(folder):
    """Scores by region and metric of a prediction for the first or the last case, whose posterior lip is missing."""
    cases = list(read("folder", folder, task=LIPS))

    def score(prediction, number=0, hausdorff=True):
        rows = score_case(prediction, cases[number], regions_of(LIPS, UNIONS, hausdorff), pair_of(LIPS))
        return {(row["region"], row["metric"]): row["value"] for row in rows}

    return score


def test_each_lip_and_their_union_have_dice_and_the_full_hausdorff_distance(scored):
    assert regions_of(LIPS, UNIONS, True) == [
        Region("anterior_lip", (1,), hausdorff=True),
        Region("posterior_lip", (2,), hausdorff=True),
        Region("both", (1, 2), hausdorff=True),
    ]
    stray = bands()
    stray[300, 40] = 1
    found = scored(stray)
    rows, columns = np.nonzero(bands() == 1)
    far = np.hypot(rows - 300, columns - 40).min()
    assert found["anterior_lip", "hd_px"] == pytest.approx(far) and found["posterior_lip", "hd_px"] == 0
    assert 0 < found["both", "hd_px"] < far, "of the union the posterior lip is nearer to the stray pixel"
    # One pixel is beyond the 95th percentile: it alone tells the two distances apart.
    assert found["anterior_lip", "hd95_px"] == 0 and found["anterior_lip", "dice"] > 0.999
    assert {region for region, _ in found} == {"anterior_lip", "posterior_lip", "both"}


def test_a_shift_is_scored_in_pixels_of_the_picture(scored):
    found = scored(bands(4))
    for region in ("anterior_lip", "posterior_lip", "both"):
        assert found[region, "hd_px"] == pytest.approx(4, abs=0.2)
        assert found[region, "dice"] == pytest.approx(1 - 4 / 219, abs=1e-3)


def test_a_missing_lip_has_the_worst_values(scored):
    diagonal = math.hypot(*SHAPE)
    found = scored(bands(posterior=False))
    for metric, worst in (("dice", 0), ("iou", 0), ("hd95_px", diagonal), ("assd_px", diagonal), ("hd_px", diagonal)):
        assert found["posterior_lip", metric] == worst
    assert (found["posterior_lip", "missing"], found["posterior_lip", "spurious"]) == (1, 0)
    assert found["anterior_lip", "dice"] == 1 and found["anterior_lip", "missing"] == 0
    assert 0 < found["both", "dice"] < 1 and found["both", "missing"] == 0


def test_a_lip_where_there_is_none_has_the_worst_values_and_none_in_both_full_agreement(scored):
    found = scored(bands(15), number=3)
    assert (found["posterior_lip", "dice"], found["posterior_lip", "spurious"]) == (0, 1)
    assert found["posterior_lip", "hd_px"] == math.hypot(*SHAPE)
    found = scored(bands(15, posterior=False), number=3)
    assert (found["posterior_lip", "dice"], found["posterior_lip", "hd_px"]) == (1, 0)
    assert found["posterior_lip", "missing"] == found["posterior_lip", "spurious"] == 0


def test_without_being_asked_for_nothing_is_added(scored):
    plain, asked = scored(bands(2), hausdorff=False), scored(bands(2))
    own = {(region, "hd_px") for region in ("anterior_lip", "posterior_lip", "both")}
    assert asked.keys() - plain.keys() == own and {key: asked[key] for key in plain} == plain
    metrics = [metric for region, metric in asked if region == "both"]
    assert metrics == [name for name in METRICS if name in metrics], "in the order of the registry"


def test_the_distance_may_decide_where_it_is_scored():
    roles = {one.name: None for one in LIPS}
    assert Task(structures=roles, unions=UNIONS, hausdorff=True, primary="hd_px").primary == "hd_px"
    with pytest.raises(ValueError, match="roles symphysis and head; name both, or say hausdorff: true"):
        Task(structures=roles, unions=UNIONS, primary="hd_px")
    with pytest.raises(
        ValueError, match="primary 'challenge_score' takes structures with the roles symphysis and head"
    ):
        Task(structures=roles, unions=UNIONS, hausdorff=True, primary="challenge_score")


def test_the_preset_has_two_lips_on_a_canvas_that_is_not_square(root, tmp_path):
    import yaml

    text = compose(root / "presets", "cervix")
    config = parse_params(text, tmp_path)
    assert config.phantom.view == "cervix" and config.task.hausdorff and list(config.task.structures) == list(roles())
    assert {one.base.image_size for name, one in config.segmenters.items() if name in config.grid.segmenters} == {
        (128, 192)
    }
    assert not config.kinds.generated and config.kinds.semi == ("dual",)
    params = yaml.safe_load(text)
    params["task"] |= {"structures": {"lip": None}, "unions": {}}
    with pytest.raises(
        InputError, match=r"an anterior lip \(1\) and a posterior lip \(2\), and task.structures names 1"
    ):
        parse_params(yaml.safe_dump(params), tmp_path)


def roles() -> dict:
    return {one.name: one.role for one in LIPS}
