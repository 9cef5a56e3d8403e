"""Croissant metadata (MLCommons, version 1.0) of a synthetic set: what is in its files, and what it scored."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.schema import SCHEMA
from pipeline.data.structures import from_json, legend, names
from pipeline.quality.measures import QUESTIONS, Measure

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES = {"string": "sc:Text", "int32": "sc:Integer", "int64": "sc:Integer", "float64": "sc:Float"}
SHARDS = "shards"


def croissant(index: dict, folder: Path, measures: Sequence[Measure]) -> dict:
    """The JSON-LD object; measures are schema.org property values, named ``question/measure/view``.

    Args:
        index: content of ``dataset.json``. folder: of the set, whose shards are listed with their SHA-256.
    """
    made_from = index["provenance"]
    count = sum(index["counts"].values())
    structures = from_json(index["structures"])
    shards = sorted(folder.glob("part-*.parquet"))
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": "-".join(
            [
                "synthetic",
                *names(structures),
                made_from["cohort"],
                f"{len(index['labels'])}",
                f"{made_from['replicate']}",
            ]
        ),
        "description": f"{count} synthetic ultrasound images with masks ({', '.join(names(structures))}), made by a "
        f"diffusion model from {len(index['labels'])} labelled images of the cohort {made_from['cohort']}. Not meant "
        "for diagnosis.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": f"That of the cohort {made_from['cohort']}, which the images were made from.",
        "citeAs": f"Cite the publication of the cohort {made_from['cohort']}, as its licence asks.",
        "keywords": ["medical", "ultrasound", "synthetic", "segmentation", "diffusion"],
        "isLiveDataset": False,
        "additionalProperty": [_property(one) for one in measures],
        "distribution": [
            *(_file(path) for path in shards),
            {
                "@type": "cr:FileSet",
                "@id": SHARDS,
                "name": SHARDS,
                # No containedIn: readers take a file that holds others for an archive, and find no row in it.
                "encodingFormat": "application/x-parquet",
                "includes": "part-*.parquet",
            },
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "cases",
                "name": "cases",
                "description": "One row a pair of image and mask; masks hold class indices: " + legend(structures),
                "key": {"@id": "cases/id"},
                "field": [_field(name, feature) for name, feature in _features().items()],
            }
        ],
    }


def _features() -> dict:
    """The columns as Hugging Face declares them in the shards' own metadata."""
    return json.loads(SCHEMA.metadata[b"huggingface"])["info"]["features"]


def _file(path: Path) -> dict:
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": sha256,
    }


def _field(name: str, feature: dict) -> dict:
    is_image = feature["_type"] == "Image"
    source = {"fileSet": {"@id": SHARDS}, "extract": {"column": name}}
    if is_image:
        source["transform"] = {"jsonPath": "bytes"}
    return {
        "@type": "cr:Field",
        "@id": f"cases/{name}",
        "name": name,
        "dataType": "sc:ImageObject" if is_image else _TYPES[feature["dtype"]],
        "source": source,
    }


def _property(one: Measure) -> dict:
    ends = [
        f"{what}: {value:.6g}"
        for value, what in ((one.best, one.best_is), (one.worst, one.worst_is))
        if value is not None
    ]
    return {
        "@type": "sc:PropertyValue",
        "propertyID": "/".join(filter(None, (one.question, one.name, one.view))),
        "name": one.title,
        "description": "; ".join([QUESTIONS[one.question], f"n = {one.n}", *ends]),
        "value": one.value,
        **({} if one.low is None else {"minValue": one.low, "maxValue": one.high}),
    }
