"""Croissant metadata (MLCommons, version 1.0) of a synthetic set: what is in its files, and what it scored."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.schema import SCHEMA
from pipeline.data.structures import from_json, legend, names
from pipeline.quality.measures import QUESTIONS, Measure
from pipeline.quality.pages.templates import environment

_TYPES = {"string": "sc:Text", "int32": "sc:Integer", "int64": "sc:Integer", "float64": "sc:Float"}


def croissant(index: dict, folder: Path, measures: Sequence[Measure]) -> dict:
    """The JSON-LD object; measures are schema.org property values, named ``question/measure/view``.

    Args:
        index: content of ``dataset.json``. folder: of the set, whose shards are listed with their SHA-256.
    """
    structures = from_json(index["structures"])
    contents = ((path.name, path.read_bytes()) for path in sorted(folder.glob("part-*.parquet")))
    text = (
        environment("pipeline.quality.pages")
        .get_template("croissant.json.j2")
        .render(
            index=index,
            made_from=index["provenance"],
            structures=list(names(structures)),
            legend=legend(structures),
            # The columns as Hugging Face declares them in the shards' own metadata.
            columns=json.loads(SCHEMA.metadata[b"huggingface"])["info"]["features"],
            types=_TYPES,
            shards=[(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in contents],
            measures=measures,
            questions=QUESTIONS,
        )
    )
    return json.loads(text)
