"""The columns of a dataset and the rules between its cases (``data/README.md`` has the contract)."""

import json
from collections import Counter
from collections.abc import Iterable

import pyarrow as pa

from pipeline.run.errors import InputError

SCHEMA_VERSION = 4
ROLES = ("train", "held_out", "foreign", "unlabelled", "synthetic", "extra")
"""Masks of an ``unlabelled`` dataset are pseudo-masks. ``extra`` is what an arm adds to its labels."""
MAY_BE_EMPTY = ("unlabelled", "extra")

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NUMBERS = ("hc_mm", "aop_deg", "hsd_mm", "ga_days")
TARGETS = (*NUMBERS, "ga_source")
"""What is known of a case beside its mask, to be predicted. Who may not see a mask sees none of these."""
TEXT_COLUMNS = ("id", "cohort", "patient", "split")
_HUGGING_FACE = {
    "info": {
        "features": {
            **{name: {"dtype": "string", "_type": "Value"} for name in TEXT_COLUMNS},
            "image": {"_type": "Image"},
            "mask": {"_type": "Image"},
            **{name: {"dtype": "int32", "_type": "Value"} for name in ("height", "width")},
            **{name: {"dtype": "float64", "_type": "Value"} for name in ("pixel_mm", *NUMBERS)},
            "ga_source": {"dtype": "string", "_type": "Value"},
            **{name: {"dtype": "string", "_type": "Value"} for name in ("image_sha256", "mask_sha256")},
            **{name: {"dtype": "string", "_type": "Value"} for name in ("country", "device", "mask_source", "parent")},
            "seed": {"dtype": "int64", "_type": "Value"},
            "transform": {"dtype": "string", "_type": "Value"},
        }
    }
}
_TYPES = {"string": pa.string(), "int32": pa.int32(), "int64": pa.int64(), "float64": pa.float64()}
SCHEMA = pa.schema(
    [
        (name, _IMAGE if feature["_type"] == "Image" else _TYPES[feature["dtype"]])
        for name, feature in _HUGGING_FACE["info"]["features"].items()
    ],
    metadata={"huggingface": json.dumps(_HUGGING_FACE)},
)


def shard_name(number: int) -> str:
    return f"part-{number:05d}.parquet"


RELATED = ("id", "patient", "split", "parent", "mask_source")
"""The columns that :class:`Relations` looks at."""


class Relations:
    """The rules between the cases of one dataset, held case by case.

    counts: cases per split so far.
    """

    def __init__(self, role: str, labels: Iterable[str]) -> None:
        self.role, self.labels, self.counts = role, tuple(labels), Counter()
        self._parents, self._ids = frozenset(self.labels), set()
        self._split_of: dict[str, str] = {}

    def add(self, id_: str, patient: str, split: str, parent: str | None, mask_source: str | None) -> None:
        """Count one more case.

        Raises:
            InputError: naming the case, and what it contradicts.
        """
        if id_ in self._ids:
            raise InputError(f"case '{id_}': the id occurs twice; ids must be unique in a dataset")
        self._ids.add(id_)
        self.counts[split] += 1
        if (other := self._split_of.setdefault(patient, split)) != split:
            raise InputError(f"case '{id_}': patient '{patient}' is in splits {other} and {split}; split by patient")
        if self.role == "held_out" and split != "test":
            raise InputError(f"case '{id_}': split '{split}' in a held-out cohort, where everything is test")
        if self.role == "unlabelled" and mask_source == "annotated":
            raise InputError(f"case '{id_}': an annotated mask in an unlabelled set; leave the mask out")
        if mask_source == "parent" and parent is None:
            raise InputError(f"case '{id_}': mask_source 'parent' without a parent; name the case its mask came from")
        if parent is not None and parent not in self._parents:
            raise InputError(f"case '{id_}': parent '{parent}' is not in the label subset this set was made from")
