from itertools import chain

import numpy as np
import pytest
from scipy import ndimage

from pipeline.cohorts.hc18 import fill_annotation
from pipeline.decoding.decode import decode_image
from pipeline.imaging.letterbox import letterbox
from pipeline.imaging.outline import outline
from pipeline.quality import imprint as module
from pipeline.quality.imprint import imprints, largest
from pipeline.run.errors import InputError

SIZES = (64, 128, 256)


def imprint(image, mask):
    """That of one structure."""
    return imprints(image, mask, 1)[0]


def imprinted(scores, real):
    """Which of (N,) scores of one structure are flagged."""
    return module.imprinted(scores[:, None], real[:, None])


def with_rim(image, mask, contrast, opacity=1.0, width=1):
    """The image with a line of one grey level, ``contrast`` from its surroundings' median, along the mask's outline."""
    line = outline(mask)
    level = np.clip(np.median(image[ndimage.binary_dilation(line, iterations=3)]) + contrast, 0, 255)
    if width == 2:
        line = line | (ndimage.binary_dilation(line) & (mask == 0))
    return np.where(line, (1 - opacity) * image + opacity * level, image).round().astype(np.uint8)


def disc(size=96, radius=30):
    rows, columns = np.indices((size, size))
    return (np.hypot(rows - size / 2, columns - size / 2) < radius).astype(np.uint8)


def speckled(size=96, seed=0):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 1)
    return np.clip(100 + 30 * noise / noise.std(), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def heads(shared_data):
    """HC18: size → (references, held back), lists of (image, mask); no patient is in both."""
    paths = sorted((shared_data / "hc18" / "training_set").glob("*_HC.png"))[::3]
    found = {size: ([], []) for size in SIZES}
    for index, path in enumerate(paths):
        drawn = path.with_name(f"{path.stem}_Annotation.png")
        image = decode_image(path.read_bytes(), path.name).pixels
        mask = fill_annotation(decode_image(drawn.read_bytes(), drawn.name).pixels, drawn.name)
        for size, groups in found.items():
            boxed, box = letterbox(image, size)
            groups[index % 2].append((box.crop(boxed), box.crop(letterbox(mask, size, mask=True)[0])))
    return found


def scores(pairs, change=lambda image, mask: image):
    return np.array([imprint(change(image, mask), mask) for image, mask in pairs])


@pytest.mark.parametrize("contrast", [-80, -40, 40, 80, 160])
@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("opacity", [0.5, 1])
def test_a_planted_rim_is_seen_in_plain_speckle(contrast, width, opacity):
    plain = [imprint(speckled(seed=seed), disc()) for seed in range(12)]
    planted = [imprint(with_rim(speckled(seed=seed), disc(), contrast, opacity, width), disc()) for seed in range(12)]
    assert max(plain) < 0.3 < 0.7 < min(planted)


@pytest.mark.parametrize("sign", [-1, 1])
def test_more_contrast_is_more_of_an_imprint(sign):
    image = speckled()
    found = [imprint(with_rim(image, disc(), sign * c, opacity=0.5), disc()) for c in (0, 20, 40, 60, 80)]
    assert np.all(np.diff(found) > 0)


def test_a_wide_skull_inside_the_outline_is_no_imprint(ring):
    """The rings of 64 pixels are a rim themselves, two pixels wide: enlarged they are a skull of eight."""
    for index in range(6):
        case = ring(index)
        image, mask = (array.repeat(4, 0).repeat(4, 1) for array in (case.image, case.mask))
        plain, small = imprint(image, mask), imprint(case.image, case.mask)
        assert plain < 1 < small
        assert imprint(with_rim(image, mask, -140), mask) > 10 * plain
        assert imprint(with_rim(ndimage.gaussian_filter(image, 2), mask, 80), mask) > 10 * plain


def test_a_step_of_grey_level_at_the_outline_is_no_imprint():
    rng = np.random.default_rng(0)
    step = np.where(disc() > 0, 170, 70) + rng.normal(0, 10, (96, 96))
    assert imprint(step.astype(np.uint8), disc()) < 1
    assert imprint(np.where(disc() > 0, 170, 70).astype(np.uint8), disc()) < 0.2


@pytest.mark.parametrize("offset", [-8, -5, 5, 8])
def test_a_line_elsewhere_is_no_imprint(offset):
    image = with_rim(speckled(), disc(radius=30 + offset), 120)
    assert imprint(image, disc()) < 0.4


def test_a_reversed_image_has_the_same_imprint():
    image = with_rim(speckled(), disc(), 40)
    assert imprint(255 - image, disc()) == pytest.approx(imprint(image, disc()))


def test_a_flat_image_has_none():
    assert imprint(np.full((96, 96), 80, np.uint8), disc()) == 0


def test_every_structure_has_its_own():
    mask = np.zeros((96, 160), np.uint8)
    mask[:, :96] = disc()
    mask[30:60, 110:150] = 2
    image = speckled(160)[:96]
    planted = with_rim(image, (mask == 2).astype(np.uint8), 60)
    both, before = imprints(planted, mask, 3), imprints(image, mask, 3)
    assert both[0] == before[0] == imprint(image, (mask == 1).astype(np.uint8))
    assert both[1] == imprint(planted, (mask == 2).astype(np.uint8)) > 5 * before[1]
    assert np.isnan(both[2]), "an absent structure has none"
    assert largest(both[None]).tolist() == [both[1]]
    assert np.isnan(largest(np.full((1, 2), np.nan))).all()


def test_a_rim_along_either_structure_is_flagged_by_what_is_normal_along_it():
    """A head whose skull is a rim by itself does not hide one along the symphysis."""
    real = np.column_stack([np.linspace(0, 1, 101), np.linspace(4, 6, 101)])
    scores = np.array([[0.5, 5.0], [1.8, 5.0], [0.5, 8.0], [np.nan, 5.0]])
    assert module.imprinted(scores, real).tolist() == [False, True, True, False]
    # The other one is too small in most real images: it is not judged.
    real[5:, 0] = np.nan
    assert module.imprinted(scores, real).tolist() == [False, False, True, False]


def test_the_border_of_the_image_is_no_outline():
    mask = disc()[:50]
    image = speckled()[:50]
    framed = image.copy()
    framed[-2:] = 255
    assert imprint(framed, mask) == pytest.approx(imprint(image, mask), abs=0.2)
    assert np.isnan(imprint(image, np.ones_like(mask)))
    assert np.isnan(imprint(image, np.zeros_like(mask)))


def test_scores_far_above_the_real_ones_are_flagged():
    real = np.concatenate([np.linspace(0, 1, 101), [np.nan]])
    # Median 0.5 and 90th percentile 0.9: the limit is 1.7.
    assert imprinted(np.array([0.2, 1.69, 1.71, np.nan]), real).tolist() == [False, False, True, False]


def test_too_few_real_images_are_refused():
    with pytest.raises(InputError, match="at least 10 real images with masks, got 9"):
        imprinted(np.ones(3), np.append(np.ones(9), np.nan))


@pytest.fixture(scope="module")
def real(heads):
    """size → scores of the reference images."""
    return {size: scores(references) for size, (references, _) in heads.items()}


@pytest.mark.parametrize("size", SIZES)
def test_real_heads_held_back_are_not_flagged(heads, real, size):
    held_back = heads[size][1]
    assert min(len(real[size]), len(held_back)) >= 40
    assert imprinted(scores(held_back), real[size]).mean() <= 0.02


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("contrast", "opacity", "found"), [(40, 1, 1.0), (-40, 1, 1.0), (160, 1, 1.0), (80, 0.5, 0.9), (160, 0.5, 1.0)]
)
def test_rims_planted_on_real_heads_are_flagged(heads, real, size, contrast, opacity, found):
    planted = scores(heads[size][1], lambda image, mask: with_rim(image, mask, contrast, opacity))
    assert imprinted(planted, real[size]).mean() >= found


@pytest.mark.parametrize("size", SIZES)
def test_blur_and_noise_of_the_whole_image_make_no_imprint(heads, real, size):
    held_back = heads[size][1]
    rng = np.random.default_rng(0)

    def noisy(sigma):
        return lambda image, mask: np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8)

    def blurred(sigma):
        return lambda image, mask: ndimage.gaussian_filter(image, sigma)

    plain = imprinted(scores(held_back), real[size]).mean()
    for change in chain(map(noisy, (8, 25)), map(blurred, (0.7, 2))):
        assert imprinted(scores(held_back, change), real[size]).mean() <= plain + 0.02
