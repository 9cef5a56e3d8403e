"""What stages wrote of images and masks, put together as what estimators are given."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.features.feature_table import FeatureTable, load_features
from pipeline.features.token_store import TokenStore, load_store
from pipeline.tasks.gestational_age.layout import AS_IT_IS, IMAGES, MASKS, SIZES, scale_name
from pipeline.tasks.gestational_age.table import Inputs


def inputs_of(masks: FeatureTable, images: FeatureTable, tokens: TokenStore, ids: Sequence[str]) -> Inputs:
    """What estimators are given of cases, in the order of ``ids``.

    Raises:
        InputError: a case that one of the tables has not.
    """
    ids = tuple(ids)
    of_mask, of_image = masks.of(ids), images.of(ids)
    sizes = {name: of_mask.values[:, place] for place, name in enumerate(of_mask.names) if name in SIZES}
    rest = [place for place, name in enumerate(of_mask.names) if name not in SIZES]
    return Inputs(
        ids,
        of_mask.patients,
        np.concatenate([of_mask.values[:, rest], of_image.values], axis=1),
        (*(of_mask.names[place] for place in rest), *of_image.names),
        tokens.of(ids).tokens,
        sizes["pixel_mm"],
        sizes["hc_px"],
    )


def read_inputs(measured: Path, features: Path, scale: float = AS_IT_IS, ids: Sequence[str] | None = None) -> Inputs:
    """What stages wrote of a cohort at a scale: of these cases, or of all whose masks were measured."""
    name = scale_name(scale)
    masks = load_features(measured / name / MASKS)
    images, tokens = load_features(features / name / IMAGES), load_store(features / name)
    return inputs_of(masks, images, tokens, masks.ids if ids is None else ids)
