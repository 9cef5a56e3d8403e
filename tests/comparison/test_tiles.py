import io

import numpy as np
from PIL import Image

from pipeline.comparison.report import tiles


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_tile_keeps_proportions_and_draws_outlines_over_greys():
    image = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (24, 1))
    inside = np.zeros((24, 32), np.uint8)
    inside[6:18, 8:24] = 1
    plain = decoded(tiles.tile(image, 48))
    drawn = decoded(tiles.tile(image, 48, [(inside, tiles.REFERENCE)]))
    assert plain.shape == (48, 64, 3)
    assert (plain[..., 0] == plain[..., 2]).all()
    changed = (plain != drawn).any(axis=2)
    assert (drawn[changed] == (255, 196, 0)).all()
    assert changed[12, 16:48].all() and not changed[20, 30]


def test_later_contours_lie_on_top():
    inside = np.zeros((24, 24), np.uint8)
    inside[6:18, 6:18] = 1
    both = decoded(tiles.tile(inside, 24, [(inside, tiles.REFERENCE), (inside, tiles.PREDICTION)]))
    assert (both[6, 6:18] == (25, 211, 255)).all()


def test_mask_tile_tells_classes_apart():
    mask = np.repeat(np.arange(3, dtype=np.uint8), 8)[None].repeat(24, axis=0)
    greys = decoded(tiles.mask_tile(mask, 24))[0, ::8, 0].tolist()
    assert greys == sorted(set(greys)) and len(greys) == 3
