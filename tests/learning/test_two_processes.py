"""Fine-tuning shared by two processes, which run this file: alone on labels, and with unlabelled images."""

import os
import runpy
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pydantic import TypeAdapter

from pipeline.config.params import Config, load_params
from pipeline.config.semi_supervised import UnlabelledUse
from pipeline.data.dataset import read_dataset
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.data.structures import Structure
from pipeline.data.writer import write_dataset
from pipeline.learning.embedding_pool import embedding_pool
from pipeline.learning.loop import train as train_alone
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import Examples, ImagePool, fit
from pipeline.networks.sam import checkpoint
from pipeline.networks.sam.tuning import STRATEGIES
from pipeline.run import processes
from pipeline.run.errors import InputError
from pipeline.semi_supervision.choice import semi_supervised
from pipeline.semi_supervision.views import UnlabelledImages
from pipeline.tools.preset import compose

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class InDouble:
    """In double precision rounding stays below what AdamW divides by; in single it would move weights without effect,
    such as biases of keys, by whole steps.
    """

    pool: Examples

    def __len__(self):
        return len(self.pool)

    def batch(self, chosen, generator):
        inputs, masks = self.pool.batch(chosen, generator)
        return tuple(one.double() for one in inputs), masks


class ImagesInDouble(UnlabelledImages):
    def draw(self, count, generator):
        numbers, images, masks = super().draw(count, generator)
        return numbers, images.double(), masks

    def strengthen(self, images, generator):
        return super().strengthen(images.float(), generator).double()


def prepare(folder: Path) -> None:
    """The inputs of :func:`train_all` beside the cases: parameters and a base."""
    (folder / "params.yaml").write_text(compose(ROOT / "presets", "smoke"))
    params = load_params(folder / "params.yaml")
    checkpoint.save_base(folder / "base", params.segmenters["sam"], 0)


def train_all(folder: Path, name: str) -> None:
    """Every strategy for a few steps; its weights, losses and the sizes of the batches this process saw."""
    torch.set_num_threads(1)
    params = load_params(folder / "params.yaml")
    found = {strategy: train(folder, params, strategy, name) for strategy in STRATEGIES}
    found |= {method: train_semi(method, **options) for method, options in METHODS.items()}
    torch.save(found, folder / f"{name}-{processes.rank()}.pt")


METHODS = {
    "mean_teacher": {},
    "unimatch": {"confidence": 0.5},
    "cross_pseudo": {"networks": ["one", "other"], "contrast": {"weight": 1.0}},
}


def train_semi(method: str, **options) -> dict:
    """A method on the tiny networks and discs of its own tests."""
    tiny = SimpleNamespace(**runpy.run_path(str(ROOT / "tests/semi_supervision/tiny.py")))
    asked = TypeAdapter(UnlabelledUse).validate_python({"method": method, "warmup": 0.2, **options})
    labelled, others = tiny.labelled(tiny.Tiny().double()), tiny.unlabelled(truth=True)
    objective = semi_supervised(
        replace(labelled, examples=InDouble(labelled.examples)),
        ImagesInDouble(others.images, others.masks, others.weak, others.strong),
        asked, steps=5, names=["disc"], key="", partner=lambda: tiny.Tiny(1).double(),
    )  # fmt: skip
    objective.network.double()
    losses, coverage = [], []

    def on_curves(step, found):
        coverage.append(found.get("pseudo_label_coverage", 0.0))

    train_alone(objective, Recipe(5, 6, 2e-3, warmup_steps=2), seed=0, device=CPU,
                on_step=lambda step, loss: losses.append(loss), on_curves=on_curves)  # fmt: skip
    return {"network": objective.network.state_dict(), "memory": objective.memory.state_dict(), "losses": losses,
            "coverage": coverage}  # fmt: skip


def train(folder: Path, params: Config, strategy: str, name: str) -> dict:
    cases = read_dataset(folder / "train").cases
    torch.manual_seed(0)
    # `tests` is the name of another package too, and this file is started as a script.
    settings = runpy.run_path(str(ROOT / "tests/tiny_sam.py"))["sam_settings"](params.segmenters["sam"].base, strategy)
    network = checkpoint.build(folder / "base", settings, 1)
    if strategy == "decoder":
        pool = embedding_pool(folder / f"store-{name}", folder / "base", 2, 0)(network, cases, 32, params.augment)
    else:
        pool = ImagePool(stack_images(cases, 32), stack_masks(cases, 32), params.augment)
    sizes, losses = [], []
    network.double().register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    options = {"n_structures": 1, "seed": 0, "device": CPU}
    fit(network, InDouble(pool), Recipe(5, 6, 2e-3, warmup_steps=2), **options,
        on_step=lambda step, loss: losses.append(loss))  # fmt: skip
    state, refused = {key: value.clone() for key, value in network.state_dict().items()}, ""
    try:
        fit(network, InDouble(pool), Recipe(1, 5, 2e-3), **options)
    except InputError as error:
        refused = str(error)
    return {"network": state, "losses": losses, "sizes": sizes, "refused": refused}


@pytest.fixture(scope="module")
def results(ring, tmp_path_factory):
    """What one process alone makes, and what each of two does."""
    folder = tmp_path_factory.mktemp("fit")
    write_dataset(folder / "train", [ring(i) for i in range(5)], role="train", structures=(Structure("head", "head"),))
    prepare(folder)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    # Two nodes of one process each that meet at an address, as under Slurm; here both are this machine. What torchrun
    # would tell them is told by hand: it imports torch twice more (tests/diffusion/test_two_processes.py starts it).
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    environment |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    start, options = [sys.executable, __file__, folder], {"cwd": folder}
    with (folder / "said").open("w") as said:
        options |= {"stdout": said, "stderr": said}
        two = [subprocess.Popen(start, env=environment | {"RANK": str(rank)}, **options) for rank in range(2)]
        try:
            train_all(folder, "alone")
            assert [one.wait(600) for one in two] == [0, 0], (folder / "said").read_text()[-6000:]
        finally:
            for one in two:
                one.kill()
    return [torch.load(folder / f"{name}.pt") for name in ("alone-0", "together-0", "together-1")]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_processes_give_the_weights_of_one(results, strategy):
    alone, *together = (result[strategy] for result in results)
    for other in together:
        torch.testing.assert_close(other["network"], alone["network"], rtol=0, atol=1e-5)
        assert other["losses"] == pytest.approx(alone["losses"], rel=1e-6)
    assert alone["sizes"][:5] == [6] * 5 and all(other["sizes"] == [3] * 5 for other in together)
    assert alone["losses"][-1] < alone["losses"][0]


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_give_what_one_does_with_unlabelled_images(results, method):
    """Contrast too: every anchor has the images of both processes as candidates."""
    alone, *together = (result[method] for result in results)
    for other in together:
        torch.testing.assert_close(other["network"], alone["network"], rtol=0, atol=1e-5)
        torch.testing.assert_close(other["memory"], alone["memory"], rtol=0, atol=1e-5)
        assert other["losses"] == pytest.approx(alone["losses"], rel=1e-6)
        assert other["coverage"] == pytest.approx(alone["coverage"], rel=1e-6)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(results):
    alone, *together = (result["full"] for result in results)
    assert alone["refused"] == ""
    assert all(other["refused"].startswith("key 'batch' is 5, which 2 process(es)") for other in together)


if __name__ == "__main__":
    train_all(Path(sys.argv[1]), "together")
