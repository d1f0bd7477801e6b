"""Two processes on the CPU run the experiment that one process runs."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow


def test_two_processes_take_the_steps_of_one(table, tiny_model, tmp_path):
    """96 rows in batches of 32, dropout off: rates equal, losses and metrics equal up to the order of sums."""
    for seed, (split, count) in enumerate([("train", 96), ("validation", 31), ("test", 33)]):
        data = table(f"data/{split}.tsv", count=count, seed=seed).parent
    states, results = [], []
    for processes in (1, 2):
        out = tmp_path / f"out{processes}"
        done = subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes),
             ROOT / "train.py", "--dataset", data, "--model", tiny_model, "--max_length", "64", "--output_dir", out,
             "--num_train_epochs", "2", "--logging_steps", "1", "--learning_rate", "1e-3"],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("split       test (33 rows, scored once)") == 1
        states.append(json.loads((out / "trainer_state.json").read_text())["log_history"])
        results.append(json.loads((out / "results.json").read_text())["metrics"])
    for history in states:
        rates = [entry["learning_rate"] for entry in history if "learning_rate" in entry]
        assert rates == pytest.approx([1e-3] * 3 + [9e-4] * 3, rel=1e-12)
    one, two = ([entry["loss"] for entry in history if "loss" in entry] for history in states)
    assert two == pytest.approx(one, abs=1e-5)
    assert results[1] == pytest.approx(results[0], abs=1e-5)
