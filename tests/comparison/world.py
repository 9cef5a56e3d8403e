"""Small made-up inputs of the stage compare, written by the project's own writers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import yaml

from pipeline import compare
from pipeline.comparison.budgets import load_budgets
from pipeline.comparison.scores import load_scores
from pipeline.config.arms import Arm
from pipeline.config.grid import kinds_of
from pipeline.config.params import View, load_params
from pipeline.data.case import Case
from pipeline.data.dataset import read_dataset
from pipeline.data.labels import read_labels
from pipeline.data.predictions import write_predictions
from pipeline.data.structures import Structure
from pipeline.data.tables import write_table
from pipeline.data.writer import write_dataset
from pipeline.quality.measures import COLUMNS, QUESTIONS, Measure, as_json
from pipeline.quality.selection.curation import CRITERIA
from pipeline.run.cells import cell_name
from pipeline.run.files import write_json
from pipeline.tasks.metrics import METRICS
from pipeline.tasks.segmentation.scores import pair_of, regions_of, score_case
from pipeline.tools.preset import compose

STRUCTURES = (Structure("head", "head"),)
ARMS = {
    "real": {"extra": "none"},
    "synthetic": {"extra": "synthetic", "ratio": 2, "curated": True},
    "warped": {"extra": "warped", "ratio": 2},
    "shuffled": {"extra": "synthetic", "ratio": 2, "shuffled": True},
}
FOUND = {
    "passed_over": [{"what": "files ending in .txt", "count": 2, "first": "notes.txt"}],
    "warnings": [{"case": "a-1", "text": "pixel size (the image) is 0.7 mm, above 0.6; look"}],
    "doubles": [{"kind": "equal", "cases": ["a-1", "a-2"], "patients": ["p", "q"], "masks": "different"}],
    "merged_patients": [["p", "q"]],
    "near": {"threshold": 0.95, "pairs": 3, "groups": [["a-1", "a-2"], ["a-3", "a-4", "a-5"]], "apart": 1,
             "merged": False},
}  # fmt: skip
"""What was found in the training cohort."""
OUTPUTS = ("metrics.json", "table.csv", "report.html")


def case(cohort, i, split):
    image = np.random.default_rng(i).integers(0, 255, (24, 32)).astype(np.uint8)
    mask = np.zeros((24, 32), np.uint8)
    mask[5 : 15 + i % 4, 6:20] = 1
    id_ = f"{cohort}-{i}"
    return Case(id_, cohort, f"p{cohort}{i}", image, mask, split, pixel_mm=0.5, mask_source="annotated")


def long_rows(cell, cohort, id_, region, values):
    """Rows of a table of scores, as `evaluate` writes them."""
    return [
        {"cell": cell, "cohort": cohort, "case": id_, "region": region, "metric": name, "value": value,
         "unit": METRICS[name].unit}
        for name, value in values.items()
    ]  # fmt: skip


def rows(cell, cohort, cases, dice):
    values = {"iou": 0.8, "hd95_px": 3.0, "hd95_mm": 1.5, "hc_error_mm": 2.0, "hc_error_percent": 1.0, "missing": 0.0}
    found = []
    for i, one in enumerate(cases):
        own = {"dice": min(dice + 0.01 * i, 1)} | values | {"reference_share": 0.1 + 0.01 * i}
        found += long_rows(cell, cohort, one.id, "head", own)
    return found


def masks(distance):
    """The block of one descriptor; without a distance there is no synthetic value either."""
    known = {"distance": distance, "mean": 0.25 if distance else None, "std": 0.05 if distance else None, "n": 16}
    real = {"mean": 0.3, "std": 0.1, "n": 8}
    return {
        "reference": real,
        "synthetic": known,
        "unseen": {"distance": 0.12, **real},
        "labels": {"distance": 0.2, **real},
        "sources": {"parent": known, "shape_model": {**known, "distance": 0.4}},
    }


WORDS = dict(zip(QUESTIONS, ("good", "doubtful", "good", "bad"), strict=False))


def measures(replicate):
    """Measures of the last question asked first: the report sorts them."""
    real, far = "real unseen images", "phantom_d images"
    return [
        Measure("privacy", "copies", None, 0.25, 16, 0.0, real, 1.0, "exact copies", 0.1, 0.4),
        Measure("fidelity", "fid", "domain", 10.0 + replicate, 12, 0.5, real, 45.0, far, 8.0, 12.0),
        Measure("fidelity", "kid", "domain", 0.2, 12, 0.01, real, 0.9, far, 0.1, 0.3, 0.01),
        Measure("fidelity", "kid", "lite0", 0.1, 12, 0.0, real, 0.4, far, 0.05, 0.2, 0.01),
        Measure("fidelity", "two_sample", "lite0", None, 12, 0.5, "real training images", 1.0, "every image told"),
        Measure("coverage", "brightness_spread", None, 0.6, 16, 1.1, real, 0.0, "all images alike", 0.5, 0.7),
        Measure(
            list(QUESTIONS)[2],
            "dice",
            "head",
            0.9,
            16,
            0.95,
            "the evaluation network",
            0.6,
            "another's mask",
            spread=0.02,
        ),
    ]


PASSES = {None: (1, 0), "pseudo": (2, 0), "mean_teacher": (2, 1), "unimatch": (3, 2), "cross_pseudo": (4, 0)}
"""Of each image of a batch, with a gradient and without, by method."""


def training_facts(arm, labels, most, chosen_on=0, vanished=0):
    """What `finetune` writes of the label budget: a generous generator has seen ``most`` labels."""
    use = arm.get("unlabelled", "none")
    method = None if use == "none" else use["method"] if isinstance(use, dict) else use
    synthetic, seen = arm["extra"] == "synthetic", most if arm.get("generous") else labels
    curated = {
        "kept": 5,
        "of": 16,
        "thresholds": dict(zip(CRITERIA, (0.8, None, 0.2), strict=True)),
        "dropped": dict(zip(CRITERIA, (9, 0, 4), strict=True)),
    }
    samples = {"available": 5, "curated": curated} if arm.get("curated") else {"available": 16, "curated": None}
    return {
        "labels": seen + chosen_on,
        "unlabelled": 3 if synthetic or method else 0,
        "extra": round(arm.get("ratio", 0) * labels),
        "samples": samples if synthetic else None,
        "forward_passes": dict(
            zip(("with_gradient", "without_gradient"), (160 * n for n in PASSES[method]), strict=True)
        ),
        "vanishing": {"head": vanished} if method else None,
    }


@dataclass
class World:
    """Inputs of the stage under ``root``; ``gain`` is what each arm's Dice is above the baseline's."""

    root: Path
    replicates: Sequence[int] = field(default_factory=lambda: [0])
    gain: dict[str, float] = field(default_factory=lambda: {"synthetic": 0.05, "warped": 0.01, "shuffled": -0.2})
    held_out: str | None = "phantom_b"
    preset: str = "smoke"
    chosen_on: int = 0
    vanished: dict[str, int] = field(default_factory=dict)
    """Arm → how often the head all but vanished from the pseudo-labels."""
    oracle: list[str] = field(default_factory=list)
    segmenters: list[str] = field(default_factory=lambda: ["sam"])
    countries: tuple[str | None, ...] = (None,)
    labels: list[int] = field(default_factory=lambda: [4])
    arms: dict[str, dict] = field(default_factory=lambda: ARMS)
    n_unseen: int = 6
    n_held_out: int = 7
    bootstrap: int = 100
    task: dict = field(default_factory=dict)
    make_case: Callable[[str, int, str], Case] = case
    structures: Sequence[Structure] = STRUCTURES
    predict: Callable[[Case, str, str, int], np.ndarray] | None = None
    """Class map by case, segmenter, arm and replicate, to be scored as `evaluate` does; None: made-up scores."""

    def build(self):
        presets = Path(__file__).parents[2] / "presets"
        config = yaml.safe_load(compose(presets, self.preset))
        keep = {"phantom_a", "phantom_d"} | ({"phantom_b"} if self.held_out else set())
        config["cohorts"] = {name: one for name, one in config["cohorts"].items() if name in keep}
        config["grid"] |= {"labels": self.labels, "replicates": list(self.replicates), "arms": list(self.arms)}
        config["grid"]["segmenters"] = self.segmenters
        config["arms"] = self.arms
        config["assemble"]["generous_labels"] = max(self.labels)
        arms = {name: Arm(**one) for name, one in self.arms.items()}
        if any(one.networks for one in arms.values()):
            # Networks that teach each other have one recipe.
            alike = {key: config["segmenters"]["sam"][key] for key in ("steps", "batch", "warmup_steps")}
            config["segmenters"]["unet"] |= alike
        segmenters = {name: SimpleNamespace(**one) for name, one in config["segmenters"].items()}
        cohorts = {name: SimpleNamespace(**one) for name, one in config["cohorts"].items()}
        age = SimpleNamespace(**config["age"])
        kinds = kinds_of(SimpleNamespace(**config["grid"]), arms, segmenters, cohorts, age)
        config["kinds"] = kinds.model_dump(mode="json")
        config["oracle"]["arms"] = self.oracle
        config["task"] |= self.task
        config["compare"] = {"baseline": "real", "bootstrap": self.bootstrap}
        (self.root / "params.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        train = [self.make_case("a", i, "train" if i < 8 else "test") for i in range(8 + self.n_unseen)]
        away = [self.make_case("b", i, "test") for i in range(self.n_held_out if self.held_out else 0)]
        away = [replace(one, country=self.countries[i % len(self.countries)]) for i, one in enumerate(away)]
        cohort = self.root / "cohorts/phantom_a"
        write_dataset(cohort, train, role="train", structures=self.structures)
        told, scored = {"phantom_a": ("train", len(train))}, [("phantom_a", train[8:])]
        (self.root / "held_out").mkdir()
        if self.held_out:
            write_dataset(self.root / "held_out" / self.held_out, away, role="held_out", structures=self.structures)
            told[self.held_out] = "held_out", len(away)
            scored.append((self.held_out, away))
        rows = {
            name: {"role": role, "cases": n, "patients": n, **(FOUND if role == "train" else {})}
            for name, (role, n) in told.items()
        }
        near = [{"cohorts": list(rows), "kind": "near", "count": 4, "first": [["a-1", "b-2"]] * 4}]
        write_json(self.root / "cohorts.json", {"cohorts": rows, "between": near if self.held_out else []})
        for n, r in product(self.labels, self.replicates):
            self._cell(n, r, cohort, scored, config["seed"])
        return self

    def _cell(self, n, r, train, cohorts, seed):
        name = cell_name(n, r)
        own = read_labels(train, n, r, seed)
        made = [
            replace(
                own[i % n], id=f"s-{i}", patient=f"s-{i}", split="train", mask_source="parent", parent=own[i % n].id
            )
            for i in range(16)
        ]
        shared = {"role": "synthetic", "structures": self.structures, "labels": [one.id for one in own]}
        origin = {"cohort": "phantom_a", "unlabelled": 3}
        write_dataset(self.root / "synthetic" / name, made, **shared, provenance=origin)
        empty = dict.fromkeys(COLUMNS, "") | {"copy": False, "imprinted": False, "distance": 1.0}
        scored = [
            empty | {"set": "synthetic", "id": one.id, "mask_agreement": 0.5 + 0.03 * i, "nearest": own[i % n].id}
            for i, one in enumerate(made)
        ]
        real = empty | {"set": "unseen", "id": "a-9", "mask_agreement": 0.9, "nearest": own[0].id}
        write_table(self.root / "samples" / f"{name}.csv", [*scored, real])
        answers = {question: {"word": word, "text": f"{question}."} for question, word in WORDS.items()}
        write_json(
            self.root / "quality" / f"{name}.json",
            {
                "measures": as_json(measures(r)),
                "verdicts": answers,
                "masks": {"head": {"area": masks(0.3), "angle": masks(None)}},
            },
        )
        useful = Measure("usefulness", "tstr", None, 0.9, 6, 0.95, "real labels", 0.7, "the mean mask", 0.88, 0.92)
        write_json(self.root / "usefulness" / f"{name}.json", {"measures": as_json([useful])})
        for segmenter, arm in product(self.segmenters, self.arms):
            cell = cell_name(segmenter, n, r, arm)
            facts = {"parameters": 9000, "trainable_parameters": 4321 if segmenter == "unet" else 1234}
            facts |= training_facts(self.arms[arm], n, max(self.labels), self.chosen_on, self.vanished.get(arm, 0))
            write_json(self.root / "training" / f"{cell}.json", facts)
            if self.predict is not None:
                self._predicted(cell, cohorts, lambda case, of=(segmenter, arm, r): self.predict(case, *of))
                continue
            level = 0.8 + self.gain.get(arm, 0) + 0.002 * r * len(arm) + (0.03 if segmenter == "unet" else 0)
            write_table(
                self.root / "evaluation" / f"{cell}.csv",
                [row for cohort, cases in cohorts for row in rows(cell, cohort, cases, level)],
            )
            if arm in self.oracle and segmenter == "sam":
                boxed = [
                    {"cohort": cohort, "structure": "head", "id": one.id, "patient": one.patient,
                     "dice_oracle_box": 0.97, "dice_ellipse_in_box": 0.94}
                    for cohort, cases in cohorts for one in cases
                ]  # fmt: skip
                write_table(self.root / "oracle" / f"{cell}.csv", boxed)
            for cohort, cases in cohorts:
                shifted, path = self.root / f"{cohort}.parquet", self.root / "predictions" / cell / f"{cohort}.parquet"
                if not shifted.exists():
                    write_predictions(shifted, [one.id for one in cases], [np.roll(one.mask, 2, 1) for one in cases])
                path.parent.mkdir(parents=True, exist_ok=True)
                path.hardlink_to(shifted)

    def _predicted(self, cell, cohorts, predict):
        unions, found = self.task["unions"], []
        for cohort, cases in cohorts:
            maps = [predict(one) for one in cases]
            write_predictions(self.root / "predictions" / cell / f"{cohort}.parquet", [one.id for one in cases], maps)
            about = regions_of(self.structures, unions), pair_of(self.structures)
            for one, class_map in zip(cases, maps, strict=True):
                found += [{"cell": cell, "cohort": cohort} | scored for scored in score_case(class_map, one, *about)]
        write_table(self.root / "evaluation" / f"{cell}.csv", found)

    def params(self):
        return View(load_params(self.root / "params.yaml"), compare.PARAMS)

    def budgets(self):
        """What `compare` counts."""
        params = self.params()
        return load_budgets(params.grid, params.arms, self.root / "training")

    def scores(self):
        """What `compare` reads of the cells."""
        away = [self.root / "held_out" / self.held_out] if self.held_out else []
        folders = (*away, self.root / "cohorts/phantom_a")
        cases = {path.name: read_dataset(path, splits=["test"]).cases for path in folders}
        params = self.params()
        return load_scores(self.root / "evaluation", params.grid, cases, params.task)

    def run(self, out="out"):
        names = (
            "evaluation",
            "quality",
            "usefulness",
            "samples",
            "synthetic",
            "predictions",
            "live",
            "training",
            "oracle",
            "held_out",
            "ages",
        )
        folders = {name: self.root / name for name in names}
        outputs = dict(zip(("metrics", "table", "report"), (self.root / out / name for name in OUTPUTS), strict=True))
        folders["cohorts"] = self.root / "cohorts.json"
        compare.run(self.params(), **folders, test=self.root / "cohorts/phantom_a", **outputs)
        return (self.root / out / "report.html").read_text()
