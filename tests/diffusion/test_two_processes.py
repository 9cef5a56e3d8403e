"""Sampling by two processes."""

import os
import subprocess
import sys
from pathlib import Path

from pipeline.data.structures import Structure


def launch(repo: Path, *command: str) -> str:
    """Run a stage in two CPU processes; what it said."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", *command]
    result = subprocess.run(start, cwd=repo, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return result.stderr


def test_two_processes_sample_what_one_does(root, ring, tmp_path, monkeypatch):
    from pipeline import encode_views, sample, train_diffusion
    from pipeline.config.params import View, load_params
    from pipeline.data.writer import write_dataset
    from pipeline.run.stage import execute
    from pipeline.tools.preset import compose

    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(compose(root / "presets", "smoke"))
    Path("masks").mkdir()
    write_dataset(Path("train"), [ring(i) for i in range(10)], role="train", structures=(Structure("head", "head"),))
    write_dataset(Path("unlabelled"), [], role="unlabelled", structures=(Structure("head", "head"),))
    params = load_params(Path("params.yaml"))
    cell = {"labels": 8, "replicate": 0}

    def alone(stage, **paths):
        execute(stage.run, View(params, stage.PARAMS), {**{k: Path(v) for k, v in paths.items()}, **cell})

    def together(stage, **paths):
        options = [part for key, value in {**paths, **cell}.items() for part in (f"--{key}", str(value))]
        return launch(tmp_path, stage.__name__, *options)

    alone(encode_views, train="train", unlabelled="unlabelled", out="views")
    alone(train_diffusion, views="views", out="one", live="live_one")
    sampling = {"train": "train", "diffusion": "one", "masks": "masks"}
    alone(sample, **sampling, out="a", variety="va")
    assert "2 processes share 3 chunks" in together(sample, **sampling, out="b", variety="vb")
    for path in Path("a").iterdir():
        assert path.read_bytes() == (Path("b") / path.name).read_bytes(), path.name
    assert not list(Path(".scratch").glob("sample-*")), "the scratch folder is removed"
