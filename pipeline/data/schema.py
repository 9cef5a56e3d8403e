"""The columns of a dataset and the rules between its cases (``data/README.md`` has the contract)."""

import json

import pyarrow as pa

from pipeline.run.errors import InputError

SCHEMA_VERSION = 1
ROLES = ("train", "held_out", "foreign", "unlabelled", "synthetic")
"""An ``unlabelled`` dataset (train images beyond a label subset) may be empty, and its masks are pseudo-masks."""

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TEXT_COLUMNS = ("id", "cohort", "patient", "split")
_HUGGING_FACE = {
    "info": {
        "features": {
            **{name: {"dtype": "string", "_type": "Value"} for name in TEXT_COLUMNS},
            "image": {"_type": "Image"},
            "mask": {"_type": "Image"},
            **{name: {"dtype": "int32", "_type": "Value"} for name in ("height", "width")},
            **{name: {"dtype": "float64", "_type": "Value"} for name in ("pixel_mm", "hc_mm")},
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


def check_id(id_: str, seen: set[str]) -> None:
    if id_ in seen:
        raise InputError(f"case '{id_}': the id occurs twice; ids must be unique in a dataset")
    seen.add(id_)


def check_relations(id_, patient, split, parent, mask_source, role, labels, split_of) -> None:
    if split_of.setdefault(patient, split) != split:
        raise InputError(
            f"case '{id_}': patient '{patient}' is in splits {split_of[patient]} and {split}; split by patient"
        )
    if role == "held_out" and split != "test":
        raise InputError(f"case '{id_}': split '{split}' in a held-out cohort, where everything is test")
    if mask_source == "parent" and parent is None:
        raise InputError(f"case '{id_}': mask_source 'parent' without a parent; name the case its mask came from")
    if parent is not None and parent not in labels:
        raise InputError(f"case '{id_}': parent '{parent}' is not in the label subset this set was made from")
