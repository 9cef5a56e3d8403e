"""The deep features of one cohort on disk: a frozen encoder sees each image once, whatever is fitted on them later."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.features.by_case import REMEDY, rows_of
from pipeline.networks.weights import read_config, read_tensors, save_tensors
from pipeline.run.errors import InputError

NAME = "tokens"


@dataclass(frozen=True)
class TokenStore:
    """ids: of N cases. tokens: float16 (N, T, C). means: float32 (N, C), of whole feature maps. about: the encoder."""

    ids: tuple[str, ...]
    tokens: np.ndarray
    means: np.ndarray
    about: dict

    def of(self, ids: Sequence[str]) -> "TokenStore":
        """The rows of cases, in their order.

        Raises:
            InputError: a case that is not stored.
        """
        rows = rows_of(self.ids, ids, "deep features")
        return TokenStore(tuple(ids), self.tokens[rows], self.means[rows], self.about)


def save_store(folder: Path, store: TokenStore) -> None:
    """``tokens.safetensors`` and ``tokens.json``; equal stores give equal bytes."""
    import torch

    arrays = {"tokens": torch.from_numpy(store.tokens), "means": torch.from_numpy(store.means)}
    save_tensors(folder, NAME, arrays, {"encoder": store.about, "ids": list(store.ids)})


def load_store(folder: Path) -> TokenStore:
    """What :func:`save_store` wrote.

    Raises:
        InputError: no such files, or such as do not belong together.
    """
    about, path = read_config(folder, NAME, "encoder", "ids"), folder / f"{NAME}.safetensors"
    found = read_tensors(path, REMEDY)
    if found.keys() != {"tokens", "means"} or any(len(values) != len(about["ids"]) for values in found.values()):
        raise InputError(f"{path}: its features are not of the {len(about['ids'])} cases of {NAME}.json; {REMEDY}")
    return TokenStore(tuple(about["ids"]), found["tokens"].numpy(), found["means"].numpy(), about["encoder"])
