"""Training and sampling that are killed end with the bytes of a run in one piece."""

import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.end_to_end.smoke import ENVIRONMENT, edit, sh

pytestmark = pytest.mark.slow


def test_a_training_killed_five_times_ends_with_the_same_weights(repo, tmp_path):
    shutil.copytree(repo, tmp_path / "killed", symlinks=True)
    killed = tmp_path / "killed"
    edit(killed, lambda p: p["diffusion"].update(steps=600, checkpoint_every=20))
    command = [sys.executable, "-m", "pipeline.train_diffusion", "--views", "data/views/8-0"]
    command += ["--labels", "8", "--replicate", "0"]
    sh(killed, *command, "--out", "whole", "--live", "live_whole")
    command += ["--out", "resumed", "--live", "live_resumed"]
    moments = random.Random(0)

    def newest_state() -> float:
        return max((path.stat().st_mtime for path in killed.glob(".scratch/diffusion-*/state.pt")), default=0.0)

    for _ in range(5):
        before = newest_state()
        process = subprocess.Popen(command, cwd=killed, env=ENVIRONMENT)
        # Wherever it is after it has saved something new: in a step, in a save, between two.
        deadline = time.monotonic() + 120
        while newest_state() == before and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.6))
        assert process.poll() is None, "the training ended before it could be killed; give it more steps"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (killed / "resumed").exists()
    assert "resuming from step" in sh(killed, *command)
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert (killed / "resumed" / weights).read_bytes() == (killed / "whole" / weights).read_bytes()
    curve = "plots/metrics/loss.tsv"
    assert (killed / "live_resumed" / curve).read_text() == (killed / "live_whole" / curve).read_text()
    preview = "plots/images/preview.png"
    assert (killed / "live_resumed" / preview).read_bytes() == (killed / "live_whole" / preview).read_bytes()


def test_a_sampling_killed_in_the_middle_ends_with_the_same_shards(repo, tmp_path):
    shutil.copytree(repo, tmp_path / "killed", symlinks=True)
    killed = tmp_path / "killed"
    edit(killed, lambda p: p["sample"].update(count=400, steps=20))
    command = [sys.executable, "-m", "pipeline.sample", "--diffusion", "models/diffusion/8-0"]
    command += ["--train", "data/cohorts/train/phantom_a", "--masks", "data/masks", "--labels", "8", "--replicate", "0"]
    sh(killed, *command, "--out", "whole", "--variety", "several")
    command += ["--variety", "several_too"]
    process = subprocess.Popen([*command, "--out", "resumed"], cwd=killed, env=ENVIRONMENT)
    deadline = time.monotonic() + 120
    while len(list(killed.glob(".scratch/sample-*/set-0/part-*"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "resumed").exists()
    sh(killed, *command, "--out", "resumed")
    for path in (killed / "whole").iterdir():
        assert path.read_bytes() == (killed / "resumed" / path.name).read_bytes(), path.name
