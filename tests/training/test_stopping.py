"""SIGTERM to the launchers people use: everything ends, with a checkpoint from which the run goes on exactly."""

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from conftest import ROOT

from hfcls.runs.checkpoints import newest_whole_checkpoint

pytestmark = pytest.mark.slow

ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", "accelerate_configs/cpu.yaml"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


@pytest.fixture
def command(table, tiny_model) -> Callable[..., list[str]]:
    for seed, (split, count) in enumerate([("train", 45), ("validation", 30), ("test", 20)]):
        data = table(f"data/{split}.tsv", count=count, seed=seed).parent

    def build(launcher: list[str], out: Path, *more: str) -> list[str]:
        options = {"dataset": data, "model": tiny_model, "output_dir": out, "max_length": 64, "batch_size": 16}
        options |= {"num_train_epochs": 10, "save_minutes": 0, "learning_rate": 1e-3}
        flags = [word for name, value in options.items() for word in (f"--{name}", str(value))] + ["--no-report"]
        return [*launcher, "train.py", *flags, *more]

    return build


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("launcher", [ACCELERATE, TORCHRUN], ids=["accelerate launch", "two processes"])
def test_a_stopped_launcher_leaves_a_checkpoint_and_no_orphan(command, tmp_path, launcher):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    subprocess.run(command(launcher, whole), cwd=ROOT, capture_output=True, check=True, timeout=300)

    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command(launcher, stopped), cwd=ROOT, stdout=log, stderr=log)
    deadline = time.monotonic() + 120
    while newest_whole_checkpoint(stopped) is None:
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive, "a worker outlives its launcher"
    assert process.wait(30) != 0
    assert "stopped by SIGTERM at step" in (tmp_path / "log").read_text()
    assert not (stopped / "results.json").exists()

    subprocess.run(command(launcher, stopped, "--resume"), cwd=ROOT, capture_output=True, check=True, timeout=300)
    assert weights(stopped) == weights(whole)
