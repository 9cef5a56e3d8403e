"""Croissant metadata (MLCommons, version 1.0) of a synthetic set: what is in its files, and what it scored."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.schema import SCHEMA
from pipeline.data.structures import from_json, legend, names
from pipeline.quality.measures import QUESTIONS, Measure

_TERMS = (
    "citeAs column equivalentProperty extract field fileProperty fileObject fileSet format includes isLiveDataset "
    "jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source "
    "subField transform"
)
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _TERMS.split()},
}
"""The context of the specification, with the terms it has from elsewhere first."""
PARQUET = "application/x-parquet"
_TYPES = {"string": "sc:Text", "int32": "sc:Integer", "int64": "sc:Integer", "float64": "sc:Float"}
SHARDS = "shards"


def croissant(index: dict, folder: Path, measures: Sequence[Measure]) -> dict:
    """The JSON-LD object; measures are schema.org property values, named ``question/measure/view``.

    Args:
        index: content of ``dataset.json``. folder: of the set, whose shards are listed with their SHA-256.
    """
    made_from = index["provenance"]
    # The columns as Hugging Face declares them in the shards' own metadata.
    columns = json.loads(SCHEMA.metadata[b"huggingface"])
    structures = from_json(index["structures"])
    cohort, labels = made_from["cohort"], len(index["labels"])
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": "-".join(map(str, ["synthetic", *names(structures), cohort, labels, made_from["replicate"]])),
        "description": f"{sum(index['counts'].values())} synthetic ultrasound images with masks "
        f"({', '.join(names(structures))}), made by a diffusion model from {labels} labelled images of the cohort {cohort}. "
        "Not meant for diagnosis.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": f"That of the cohort {cohort}, which the images were made from.",
        "citeAs": f"Cite the publication of the cohort {cohort}, as its licence asks.",
        "keywords": ["medical", "ultrasound", "synthetic", "segmentation", "diffusion"],
        "isLiveDataset": False,
        "additionalProperty": [_property(measure) for measure in measures],
        # The shards have no containedIn: readers take a file that holds others for an archive, and find no row in it.
        "distribution": [
            *(_file(path) for path in sorted(folder.glob("part-*.parquet"))),
            _node("cr:FileSet", SHARDS, SHARDS, encodingFormat=PARQUET, includes="part-*.parquet"),
        ],
        "recordSet": [
            _node(
                "cr:RecordSet",
                "cases",
                "cases",
                description="One row a pair of image and mask; masks hold class indices: " + legend(structures),
                key={"@id": "cases/id"},
                field=[_field(*column) for column in columns["info"]["features"].items()],
            )
        ],
    }


def _node(kind: str, identity: str, name: str, **rest) -> dict:
    return {"@type": kind, "@id": identity, "name": name, **rest}


def _file(path: Path) -> dict:
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    about = {"contentUrl": path.name, "contentSize": f"{path.stat().st_size} B", "encodingFormat": PARQUET}
    return _node("cr:FileObject", path.name, path.name, **about, sha256=sha256)


def _field(name: str, feature: dict) -> dict:
    image = feature["_type"] == "Image"
    source = {"fileSet": {"@id": SHARDS}, "extract": {"column": name}}
    if image:
        source["transform"] = {"jsonPath": "bytes"}
    kind = "sc:ImageObject" if image else _TYPES[feature["dtype"]]
    return _node("cr:Field", f"cases/{name}", name, dataType=kind, source=source)


def _property(measure: Measure) -> dict:
    ends = [
        f"{what}: {value:.6g}"
        for value, what in ((measure.best, measure.best_is), (measure.worst, measure.worst_is))
        if value is not None
    ]
    return {
        "@type": "sc:PropertyValue",
        "propertyID": "/".join(filter(None, (measure.question, measure.name, measure.view))),
        "name": measure.title,
        "description": "; ".join([QUESTIONS[measure.question], f"n = {measure.n}", *ends]),
        "value": measure.value,
        **({} if measure.low is None else {"minValue": measure.low, "maxValue": measure.high}),
    }
