"""Speckle, shadow and reflection of the simulator against theory, and its texture against HC18."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from pipeline.data.case import Case
from pipeline.simulation import simulate_case
from pipeline.simulation.acoustics import PointSpread, compounded_db, shadow_db, speckle_envelope

WIDTH = 400
PATCH = 32
DATA = Path(os.environ.get("FETAL_DATA", Path(__file__).resolve().parents[3] / "../shared/data"))

# Texture lengths (see ``texture_lengths``) of 100 HC18 training images (every fourth): percentiles 2.5, 10, 90, 97.5.
HC18_AXIAL_PX = (1.21, 1.36, 2.03, 2.37)
HC18_LATERAL_PX = (2.65, 3.07, 4.69, 5.31)


def texture_lengths(image: np.ndarray, mask: np.ndarray) -> tuple[float, float] | None:
    """Half widths at half height of the axial and lateral autocorrelation of brain texture, in pixels at width 400.

    The power spectra of 12 detrended 32-pixel patches, well inside the head, are averaged. None where none fits.
    """
    rng = np.random.default_rng(0)
    depth = ndimage.distance_transform_edt(mask)
    rows, columns = np.nonzero(ndimage.minimum_filter(depth > 0.08 * np.sqrt(mask.sum()), PATCH))
    if len(rows) < 10:
        return None
    half, power = PATCH // 2, np.zeros((2 * PATCH, 2 * PATCH))
    for pick in rng.choice(len(rows), 12):
        row = np.clip(rows[pick], half, image.shape[0] - half)
        column = np.clip(columns[pick], half, image.shape[1] - half)
        patch = image[row - half : row + half, column - half : column + half].astype(float)
        patch -= ndimage.gaussian_filter(patch, 6)
        if patch.std() >= 1:
            power += np.abs(np.fft.fft2((patch - patch.mean()) / patch.std(), power.shape)) ** 2
    if not power.any():
        return None
    correlation = np.fft.ifft2(power).real
    correlation /= correlation[0, 0]
    return _half_width(correlation[:PATCH, 0]), _half_width(correlation[0, :PATCH])


def _half_width(correlation: np.ndarray) -> float:
    below = int(np.argmax(correlation < 0.5))
    before, after = correlation[below - 1], correlation[below]
    return below - 1 + (before - 0.5) / (before - after)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [simulate_case("phantom_a", index, seed=11) for index in range(24)]


def test_speckle_of_homogeneous_tissue_is_fully_developed() -> None:
    psf = PointSpread(axial=1.5, lateral=2.5, ringdown=0.05, ringdown_length=4, sidelobe=0.1)
    envelopes = [speckle_envelope((360, 224), psf, np.random.default_rng(seed)) for seed in range(4)]
    ratios = [envelope.mean() / envelope.std() for envelope in envelopes]
    assert np.mean(ratios) == pytest.approx(1.91, abs=0.1)
    assert np.mean([np.mean(envelope**2) for envelope in envelopes]) == pytest.approx(1, abs=0.05)


def test_speckle_is_wider_where_the_beam_is_wider() -> None:
    lateral = np.linspace(1, 6, 320)
    envelope = speckle_envelope((320, 256), PointSpread(axial=1.5, lateral=lateral), np.random.default_rng(0))
    roughness = np.abs(np.diff(envelope, axis=1)).mean(axis=1)
    assert roughness[:60].mean() > 2 * roughness[-60:].mean()
    assert np.mean(envelope[:60] ** 2) == pytest.approx(np.mean(envelope[-60:] ** 2), rel=0.25)


def test_shadow_behind_bone_and_enhancement_behind_fluid() -> None:
    attenuation = np.zeros((200, 90), np.float32)
    attenuation[80:90, :30] = 3.0
    attenuation[60:90, 60:] = -0.3
    loss = shadow_db(attenuation, step_mm=0.4, floor_db=26)
    level = compounded_db(
        10 ** (-loss / 20), np.zeros_like(loss), PointSpread(1.2, 1.2), np.full(200, -80.0), 4, np.random.default_rng(1)
    )
    behind = level[100:190]
    assert behind[:, 5:25].mean() == pytest.approx(behind[:, 35:55].mean() - 12, abs=1)
    assert behind[:, 65:85].mean() == pytest.approx(behind[:, 35:55].mean() + 3.6, abs=1)


def test_compounding_smooths_speckle() -> None:
    flat, dark, noise = np.ones((200, 150), np.float32), np.zeros((200, 150), np.float32), np.full(200, -80.0)
    spread = [compounded_db(flat, dark, PointSpread(1, 1), noise, n, np.random.default_rng(2)).std() for n in (1, 3)]
    assert spread[0] == pytest.approx(5.57, abs=0.3)  # Standard deviation of log-compressed Rayleigh envelopes.
    assert spread[1] < 0.7 * spread[0]


def test_skull_is_brighter_than_brain_and_brightest_across_the_beam(cases: list[Case]) -> None:
    contrast, across, along = [], [], []
    for case in cases:
        inside = case.mask.astype(bool)
        depth = ndimage.distance_transform_edt(inside)
        size = np.sqrt(inside.sum())
        ring = inside & (depth < 0.04 * size)
        contrast.append(case.image[ring].mean() / case.image[depth > 0.12 * size].mean())
        rows, columns = np.nonzero(ring)
        centre = ndimage.center_of_mass(inside)
        steep = np.abs(np.arctan2(rows - centre[0], columns - centre[1]))
        values = case.image[rows, columns]
        across.append(values[np.abs(steep - np.pi / 2) < 0.4].mean())
        along.append(values[(steep < 0.4) | (steep > np.pi - 0.4)].mean())
    assert np.median(contrast) > 1.8
    assert np.mean(np.array(contrast) > 1.2) > 0.9
    assert np.median(across) > 1.5 * np.median(along)


def test_texture_lengths_lie_in_the_range_of_hc18(cases: list[Case]) -> None:
    lengths = np.array([found for case in cases if (found := texture_lengths(case.image, case.mask)) is not None])
    assert len(lengths) >= 15
    for measured, limits in zip(lengths.T, (HC18_AXIAL_PX, HC18_LATERAL_PX), strict=True):
        assert limits[1] < np.median(measured) < limits[2]
        assert np.mean((measured > limits[0]) & (measured < limits[3])) >= 0.8


@pytest.mark.skipif(not (DATA / "hc18/training_set").is_dir(), reason="HC18 is not here; set FETAL_DATA to its parent")
def test_range_of_hc18_is_as_written_here() -> None:
    lengths = []
    for path in sorted((DATA / "hc18/training_set").glob("*HC.png"))[::8]:
        outline = np.asarray(Image.open(path.with_name(f"{path.stem}_Annotation.png")).convert("L")) > 0
        mask = Image.fromarray(255 * ndimage.binary_fill_holes(outline).astype(np.uint8))
        size = (WIDTH, round(WIDTH * mask.height / mask.width))
        image = np.asarray(Image.open(path).convert("L").resize(size, Image.Resampling.BOX))
        found = texture_lengths(image, np.asarray(mask.resize(size, Image.Resampling.BOX)) > 127)
        lengths += [found] if found is not None else []
    assert len(lengths) >= 40
    for measured, limits in zip(np.array(lengths).T, (HC18_AXIAL_PX, HC18_LATERAL_PX), strict=True):
        low, high = np.percentile(measured, [10, 90])
        assert low == pytest.approx(limits[1], rel=0.15)
        assert high == pytest.approx(limits[2], rel=0.15)
