"""FID, KID, precision and recall between two sets of images, through torch-fidelity.

FID on a few hundred images is biased upwards, by an amount that depends on the sizes: compare sets of one size, and
read every number between its floor (real against real) and its far end (a foreign cohort).
"""

import contextlib
import io
from pathlib import Path

import numpy as np

from pipeline.core.errors import InputError
from pipeline.quality.extractor import DOMAIN, UInt8Images

INCEPTION = "inception-v3-compat"
MIN_IMAGES = 8


def fidelity(
    candidates: np.ndarray,
    reference: np.ndarray,
    *,
    kid_subsets: int,
    neighbours: int,
    seed: int,
    inception_weights: Path | None = None,
    cuda: bool = False,
) -> dict[str, float]:
    """Metrics of ``candidates`` against ``reference``.

    Args:
        candidates, reference: uint8 (N, S, S); at least 8 of each.
        kid_subsets: subsets KID averages over; their size is half of the smaller set.
        neighbours: k of the k-nearest-neighbour manifolds of precision and recall.
        inception_weights: official torch-fidelity Inception weights; None for the registered domain extractor.

    Returns:
        fid, kid, kid_std (over subsets), precision, recall, and the numbers of images n and n_reference.

    Raises:
        InputError: too few images, or the weights file is not there or not Inception's.
    """
    smaller = min(len(candidates), len(reference))
    if smaller < max(MIN_IMAGES, neighbours + 2):
        raise InputError(f"fidelity needs at least {max(MIN_IMAGES, neighbours + 2)} images a side, got {smaller}")
    if inception_weights is not None and not inception_weights.is_file():
        raise InputError(f"key 'score.inception_weights': no file {inception_weights}; give its path or null")
    from torch_fidelity import calculate_metrics

    if inception_weights is not None:
        _refuse_code(inception_weights)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            result = calculate_metrics(
                input1=UInt8Images(candidates),
                input2=UInt8Images(reference),
                cuda=cuda,
                fid=True,
                kid=True,
                prc=True,
                feature_extractor=INCEPTION if inception_weights else DOMAIN,
                feature_extractor_weights_path=str(inception_weights) if inception_weights else None,
                kid_subsets=kid_subsets,
                kid_subset_size=smaller // 2,
                prc_neighborhood=neighbours,
                rng_seed=seed % 2**31,
                # torch-fidelity's cache key ignores the content.
                cache=False,
                verbose=False,
                batch_size=32,
            )
    except (RuntimeError, KeyError) as error:
        if inception_weights is None:
            raise
        raise InputError(f"{inception_weights}: not torch-fidelity's Inception weights ({error})") from None
    return {
        "fid": float(result["frechet_inception_distance"]),
        "kid": float(result["kernel_inception_distance_mean"]),
        "kid_std": float(result["kernel_inception_distance_std"]),
        "precision": float(result["precision"]),
        "recall": float(result["recall"]),
        "n": len(candidates),
        "n_reference": len(reference),
    }


def _refuse_code(path: Path) -> None:
    """torch-fidelity unpickles the file without restraint: let it see only files that hold nothing but tensors."""
    import torch

    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path}: not a file of weights ({str(error).splitlines()[0]}); give Inception's") from None
