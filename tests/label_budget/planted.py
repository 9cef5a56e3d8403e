"""Sets of rings with planted faults: copies, wrong masks, noise."""

from dataclasses import replace

import numpy as np

from pipeline.data.structures import Structure
from pipeline.data.writer import write_dataset

STRUCTURES = (Structure("head", "head"),)
N = 16
KINDS = {"honest": 12, "wrong": 6, "noise": 4, "copy": 6, "mirrored": 4}


def shifted(mask):
    return np.roll(mask, (14, -20), axis=(0, 1))


def sample(labels, kind, i, image, mask):
    parent = labels[i % len(labels)]
    name = f"{kind}-{i:03d}"
    return replace(parent, id=name, image=image, mask=mask, mask_source="parent", parent=parent.id, seed=i)


def samples(labels, ring, first=100):
    rng = np.random.default_rng(first)
    fresh = [ring(first + i) for i in range(60)]
    made = {
        "honest": lambda i: (fresh[i].image, fresh[i].mask),
        "wrong": lambda i: (fresh[30 + i].image, shifted(fresh[30 + i].mask)),
        "noise": lambda i: (rng.integers(0, 256, fresh[0].image.shape).astype(np.uint8), fresh[40 + i].mask),
        "copy": lambda i: (labels[i].image, labels[i].mask),
        "mirrored": lambda i: (labels[i].image[:, ::-1].copy(), labels[i].mask[:, ::-1].copy()),
    }
    cases = [sample(labels, kind, i, *made[kind](i)) for kind, count in KINDS.items() for i in range(count)]
    return [cases[i] for i in np.random.default_rng(0).permutation(len(cases))]


def write_samples(path, cases, labels, unlabelled=0):
    origin = {"cohort": "rings", "replicate": 0, "unlabelled": unlabelled}
    ids = [case.id for case in labels]
    write_dataset(path, cases, role="synthetic", structures=STRUCTURES, labels=ids, provenance=origin, shard_rows=16)
