"""Several processes on the CPU run the experiment that one process runs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import probe_processes
import pytest
import torch
from conftest import ROOT, reviews
from safetensors.torch import load_file

import hfcls

pytestmark = pytest.mark.slow


def torchrun(processes: int, *command: object, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), *command],
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


@pytest.fixture
def data(table) -> Path:
    """166 training rows: 6 batches of 32, the last one of 6 rows; 31 for validation, 33 to test."""
    for seed, (split, count) in enumerate([("train", 166), ("validation", 31), ("test", 33)]):
        folder = table(f"data/{split}.tsv", count=count, seed=seed).parent
    return folder


def test_the_experiment_is_one_however_it_is_divided(data, tiny_model, tmp_path):
    """1 x 32, 1 x 8 with accumulation 4, 2 x 16 and 4 x 8: the same steps up to the order of sums (dropout is off)."""
    options = {"dataset": str(data), "model": tiny_model, "max_length": 64, "num_train_epochs": 2, "logging_steps": 1,
               "learning_rate": 1e-3, "batch_size": 32, "lr_scheduler": "exponential", "warmup_ratio": 0.0}  # fmt: skip
    outs = [str(tmp_path / name) for name in ("1x32", "1x8x4", "2x16", "4x8")]
    hfcls.fine_tune(**options, output_dir=outs[0])
    hfcls.fine_tune(**options, output_dir=outs[1], gradient_accumulation_steps=4)
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    for processes, out in ((2, outs[2]), (4, outs[3])):
        done = torchrun(processes, ROOT / "train.py", *flags, "--output_dir", out)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("split       test (33 rows, scored once)") == 1
        assert f"on {processes} x cpu, batches of 32" in done.stderr
    histories = [json.loads(Path(out, "trainer_state.json").read_text())["log_history"] for out in outs]
    losses = [[entry["loss"] for entry in history if "loss" in entry] for history in histories]
    results = [json.loads(Path(out, "results.json").read_text())["metrics"] for out in outs]
    assert len(losses[0]) == 12
    assert losses[0][-1] < 0.7 * losses[0][0]  # it learns, so the comparison is one of moving weights
    for history, found, result in zip(histories, losses, results, strict=True):
        rates = [entry["learning_rate"] for entry in history if "learning_rate" in entry]
        assert rates == pytest.approx([1e-3] * 6 + [9e-4] * 6, rel=1e-12)
        assert found == pytest.approx(losses[0], abs=1e-5)
        assert result == pytest.approx(results[0], abs=1e-5)
        assert (result["accuracy"], result["macro_f1"]) == (results[0]["accuracy"], results[0]["macro_f1"])


def test_processes_evaluate_each_row_once_and_resume_in_mid_epoch(table, tiny_model, tmp_path):
    """Of 2 processes, evaluating is what one does, to the last digit; resuming takes the steps of the whole run."""
    reviews = str(table("reviews.tsv", count=70))
    out = tmp_path / "out"
    done = torchrun(2, ROOT / "tests/probe_processes.py", tiny_model, reviews, out)
    assert done.returncode == 0, done.stderr
    seen = [json.loads((out / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert seen[0]["evaluations"] == seen[1]["evaluations"]
    one = probe_processes.trainer(tiny_model, reviews, str(tmp_path / "one"))
    assert seen[0]["evaluations"] == probe_processes.evaluations(one)
    one.train()
    assert seen[0]["losses"] == pytest.approx(probe_processes.losses(one), abs=1e-5)
    assert len(seen[0]["losses"]) == 18
    assert seen[0]["resumed"] == seen[0]["losses"]


@pytest.mark.parametrize("steps", [{"lora_rank": 4}, {"fgm": 0.2, "gradient_accumulation_steps": 2}])
def test_two_processes_learn_what_one_learns_with_other_steps_and_save_a_plain_model(data, tiny_model, tmp_path, steps):
    if "lora_rank" in steps:
        pytest.importorskip("peft")
    options = {"dataset": str(data), "model": tiny_model, "max_length": 64, "num_train_epochs": 2, "logging_steps": 1,
               "learning_rate": 5e-3, "batch_size": 32, "lr_scheduler": "constant", "warmup_ratio": 0.0,
               **steps}  # fmt: skip
    one, two = tmp_path / "one", tmp_path / "two"
    result = hfcls.fine_tune(**options, output_dir=str(one))
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    done = torchrun(2, ROOT / "train.py", *flags, "--output_dir", two)
    assert done.returncode == 0, done.stderr
    losses = [
        [
            entry["loss"]
            for entry in json.loads((out / "trainer_state.json").read_text())["log_history"]
            if "loss" in entry
        ]
        for out in (one, two)
    ]
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    assert losses[0][-1] < 0.7 * losses[0][0]
    assert hfcls.load_results(two).metrics["accuracy"] == result.metrics["accuracy"]
    weights, theirs = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    assert set(weights) == set(theirs)
    assert not any("lora" in name for name in weights)
    for (
        name,
        weight,
    ) in weights.items():  # softmax cancels what a key's bias adds, so that it learns from rounding alone
        assert name.endswith("key.bias") or torch.allclose(weight, theirs[name], atol=1e-3), name


def test_each_process_asks_the_teacher_its_share_and_the_student_is_that_of_one(
    classifier_folder, tiny_model, tmp_path
):
    (tmp_path / "texts").mkdir()
    for i in range(2):  # a shard each, and one shard for each process
        lines = [text for text, _ in reviews(40, seed=i)]
        pandas.DataFrame({"text": lines}).to_csv(tmp_path / f"texts/{i}.csv", index=False)
    options = {"teacher": classifier_folder, "dataset": str(tmp_path / "texts"), "max_length": 64, "max_steps": 4,
               "learning_rate": 1e-3, "report_to": "none"}  # fmt: skip
    flags = ["--no-report", *(f"--{name}={value}" for name, value in options.items())]
    one, two = tmp_path / "one", tmp_path / "two"
    hfcls.distill(**options, report=False, model=tiny_model, output_dir=str(one))
    done = torchrun(2, "-m", "hfcls.cli", "distill", *flags, "--student", tiny_model, "--output_dir", two)
    assert done.returncode == 0, done.stderr
    answers = [sorted((out / "teacher").glob("*.parquet")) for out in (one, two)]
    assert len(answers[0]) == 2
    assert [path.name for path in answers[0]] == [path.name for path in answers[1]]
    assert all(alone.read_bytes() == shared.read_bytes() for alone, shared in zip(*answers, strict=True))
    assert hfcls.load_results(two).metrics == pytest.approx(hfcls.load_results(one).metrics, abs=1e-5)
    weights, theirs = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    assert set(weights) == set(theirs)
    assert max((weight - theirs[name]).abs().max() for name, weight in weights.items()) < 1e-3


def test_seeds_and_their_mean_are_those_of_one_process(data, tiny_model, tmp_path):
    """Each of several processes on a CPU took itself for the one that holds the folder."""
    options = {"dataset": str(data), "model": tiny_model, "max_length": 64, "max_steps": 4, "learning_rate": 1e-3,
               "batch_size": 32, "seeds": 2, "fgm": 0.0, "report_to": "none"}  # fmt: skip
    flags = ["--no-report", "--ensemble", *(f"--{name}={value}" for name, value in options.items())]
    one = hfcls.fine_tune(**options, ensemble=True, report=False, output_dir=str(tmp_path / "one"))
    command = ["-m", "hfcls.cli", "train", *flags, "--output_dir", tmp_path / "two"]
    for more in ([], ["--resume"]):
        done = torchrun(2, *command, *more)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(" was kept, by ") == 1
        assert done.stderr.count("seed 8 (2 of 2)") == (not more)
    two = hfcls.load_results(tmp_path / "two")
    for ours, theirs in zip(two.facts.seeds.runs, one.facts.seeds.runs, strict=True):
        assert (ours.name, ours.metrics) == (theirs.name, pytest.approx(theirs.metrics, abs=1e-5))
    assert two.facts.seeds.kept == one.facts.seeds.kept
    done = torchrun(2, "-m", "hfcls.cli", "train", *flags[:1], "--model=baseline", f"--dataset={data}", "--output_dir",
                    tmp_path / "three")  # fmt: skip
    assert done.stderr.count("a baseline is fitted by one process, found 2") == 1, done.stderr


def probe(tmp_path: Path, change: str) -> Path:
    """`hfcls` with a line of Python that the second process runs first."""
    script = tmp_path / "probe.py"
    script.write_text(
        "import os, sys\n"
        "from hfcls import cli, finetune\n"
        "from hfcls.errors import HfclsError\n"
        "def fail(*args, **options):\n"
        "    raise HfclsError('only here')\n"
        f"if os.environ['RANK'] == '1':\n    {change}\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    return script


def test_processes_that_read_other_rows_train_no_model(data, tiny_model, tmp_path):
    """As on two machines, of which one has an older file: each learned from its own, and no word of it."""
    older = shutil.copytree(data, tmp_path / "older")
    header, *lines = (older / "train.tsv").read_text(encoding="utf-8").splitlines()
    (older / "train.tsv").write_text("\n".join([header, *reversed(lines)]) + "\n", encoding="utf-8")
    script = probe(tmp_path, f"sys.argv[3] = {str(older)!r}")
    flags = ["--max_length", "64", "--report_to", "none", "--output_dir", tmp_path / "out"]
    for command, model in (("train", tiny_model), ("adapt", "scratch")):
        done = torchrun(2, script, command, "--dataset", data, "--model", model, *flags)
        assert done.returncode != 0
        assert done.stderr.count("hfcls: error: process 1 has read other rows than process 0") == 1, done.stderr
        assert not (tmp_path / "out/run.yaml").exists()


def test_a_process_that_is_left_alone_before_the_training_says_nothing_else(data, tiny_model, tmp_path):
    """It told of gloo, in a traceback after the message of the other one."""
    script = probe(tmp_path, "finetune.check_metric = fail")
    done = torchrun(2, script, "train", "--dataset", data, "--model", tiny_model, "--max_length", "64",
                    "--output_dir", tmp_path / "out")  # fmt: skip
    assert [line for line in done.stderr.splitlines() if line.startswith("hfcls: ")] == ["hfcls: error: only here"]
    assert "gloo" not in done.stderr
