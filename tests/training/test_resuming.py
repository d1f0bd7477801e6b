"""A run that is killed or stopped at any moment, and resumed, ends as the run that was left alone: to the last bit."""

import hashlib
import json
import os
import random
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from processes import finish, start

from hfcls.runs.checkpoints import newest_whole_checkpoint, sorted_checkpoints
from hfcls.runs.sealing import why_broken

# (where, at which of its calls): between two lines of training, evaluation, checkpoint and final model
TRAINER = "hfcls.training.trainer:ClassificationTrainer"
KILL_POINTS = [
    *[(f"{TRAINER}.training_step", call) for call in (1, 4, 6, 17)],
    *[(f"{TRAINER}.prediction_step", call) for call in (1, 2, 4)],
    *[("hfcls.training.resuming:seal", call) for call in (1, 2, 5)],
    *[("hfcls.training.resuming:put_in_place", call) for call in (4,)],
    *[("torch:save", call) for call in (1, 5, 9)],
    *[("os:fsync", call) for call in (3, 30)],
    *[("shutil:rmtree", call) for call in (3, 5)],
    *[(f"{TRAINER}.save_whole_model", 1), ("os:replace", 3), ("hfcls.runs.results:save_predictions", 1)],
]
TELLING = [  # in every run of the tests: in mid-epoch, between the two names of a checkpoint, before the results
    (f"{TRAINER}.training_step", 11),
    ("hfcls.training.resuming:put_in_place", 2),
    ("hfcls.runs.results:Result.save", 1),
]


def outcome(folder: Path) -> dict[str, Any]:
    """Weights, metrics and the log of losses of a finished run, without what the clock decides."""
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    clock = ("runtime", "per_second", "total_flos", "train_loss")
    return {
        "weights": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "metrics": json.loads((folder / "results.json").read_text())["metrics"],
        "log": [{k: v for k, v in entry.items() if not k.endswith(clock)} for entry in history],
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_model):
    """Options of a run with everything that could differ, and what it ends in when it is left alone."""
    from conftest import reviews

    folder = tmp_path_factory.mktemp("resume")
    model = folder / "model"
    shutil.copytree(tiny_model, model)
    config = json.loads((model / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    (model / "config.json").write_text(json.dumps(config))
    (folder / "data").mkdir()
    for seed, (split, count) in enumerate([("train", 45), ("validation", 30), ("test", 20)]):
        rows = reviews(count, seed)
        if split == "validation":  # labels nobody can learn, so that the loss soon rises and the run stops early
            rows = [(text, str(i % 2)) for i, (text, _) in enumerate(rows)]
        lines = ["text\tlabel", *("\t".join(row) for row in rows)]
        (folder / f"data/{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = {
        "dataset": str(folder / "data"),
        "model": str(model),
        "output_dir": str(folder / "whole"),
        "max_length": 64,
        "batch_size": 16,
        "gradient_accumulation_steps": 2,
        "eval_batch_size": 16,
        "num_train_epochs": 8,
        "early_stopping_patience": 2,
        "learning_rate": 3e-3,
        "logging_steps": 4,
        "dataloader_num_workers": 2,
        "save_minutes": 0.003,
        "no-report": True,
        "report_to": "none",
    }
    assert finish(options) == 0, (folder / "whole.log").read_text()
    return options, outcome(folder / "whole")


def resumed(options: dict[str, Any]) -> dict[str, Any]:
    folder = Path(options["output_dir"])
    assert finish({**options, "resume": True}) == 0, folder.with_suffix(".log").read_text()
    assert all(why_broken(checkpoint) is None for checkpoint in sorted_checkpoints(folder))
    assert not [path for path in folder.iterdir() if path.suffix == ".part" or path.name.startswith(".")]
    return outcome(folder)


@pytest.mark.slow
def test_the_whole_run_shuffles_drops_out_and_stops_early(whole):
    """Otherwise the comparisons below would compare less than they say."""
    options, expected = whole
    evaluations = [entry for entry in expected["log"] if "eval_loss" in entry]
    assert 1 < len(evaluations) < 8, "early stopping ends the run before its last epoch"
    assert len([entry for entry in expected["log"] if "loss" in entry]) >= 2
    assert finish({**options, "seed": 8, "output_dir": options["output_dir"] + "-seed8"}) == 0
    assert outcome(Path(options["output_dir"] + "-seed8")) != expected


def kill_and_resume(options: dict[str, Any], folder: Path, point: tuple[str, int]) -> tuple[int | None, dict[str, Any]]:
    """How the killed process ended, and what the resumed run ended in."""
    options = {**options, "output_dir": str(folder / f"{point[0].rpartition(':')[2]}-{point[1]}")}
    return finish(options, signal.SIGKILL, *point), resumed(options)


def name_of(point: tuple[str, int]) -> str:
    return f"{point[0]}-{point[1]}"


@pytest.mark.parametrize("point", TELLING, ids=name_of)
def test_killed_where_it_tells_most_and_resumed(whole, tmp_path, point):
    options, expected = whole
    assert kill_and_resume(options, tmp_path, point) == (-signal.SIGKILL, expected)


@pytest.fixture(scope="module")
def killed(whole, tmp_path_factory):
    """The outcome of each kill point; a run for each core."""
    folder = tmp_path_factory.mktemp("killed")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(lambda point: kill_and_resume(whole[0], folder, point), KILL_POINTS)
        return dict(zip(KILL_POINTS, outcomes, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("point", KILL_POINTS, ids=name_of)
def test_killed_at_a_point_and_resumed(whole, killed, point):
    status, ended = killed[point]
    assert status == -signal.SIGKILL, "the point was not reached"
    assert ended == whole[1]


@pytest.mark.slow
def test_killed_at_random_moments_again_and_again(whole, tmp_path):
    options, expected = whole
    options = {**options, "output_dir": str(tmp_path / "run"), "resume": True}
    rng = random.Random(7)
    kills = 0
    for _ in range(6):
        process = start(options)
        process.join(rng.uniform(0.5, 4.0))
        if process.exitcode is None:
            process.kill()
            kills += 1
        process.join()
    assert kills
    assert resumed(options) == expected


@pytest.mark.parametrize(
    ("name", "at", "call", "step"),
    [
        ("SIGTERM", "training_step", 8, 4),  # inside the 4th step, which has two forward passes
        ("SIGINT", "prediction_step", 3, 6),  # in the evaluation of the second epoch
        pytest.param("SIGINT", "training_step", 8, 4, marks=pytest.mark.slow),
        pytest.param("SIGTERM", "prediction_step", 3, 6, marks=pytest.mark.slow),
        # the last step of an epoch: its evaluation is still to come
        pytest.param("SIGTERM", "training_step", 6, 3, marks=pytest.mark.slow),
    ],
)
def test_stopped_by_a_signal_and_resumed(whole, tmp_path, name, at, call, step):
    options, expected = whole
    options = {**options, "output_dir": str(tmp_path / "run"), "save_minutes": 10}
    point = f"{TRAINER}.{at}"
    assert finish(options, getattr(signal, name), point, call) == {"SIGTERM": 143, "SIGINT": 130}[name]
    log = (tmp_path / "run.log").read_text()
    assert time.time() - float(log.partition("signal sent at ")[2].split()[0]) < 30
    assert f"hfcls: stopped by {name} at step {step} of 24" in log
    checkpoint = newest_whole_checkpoint(tmp_path / "run")
    assert checkpoint is not None
    assert checkpoint.name == f"checkpoint-{step}"
    assert resumed(options) == expected


@pytest.mark.slow
def test_a_moved_folder_finds_its_best_checkpoint(whole, tmp_path):
    options, expected = whole
    moved = {**options, "output_dir": str(tmp_path / "elsewhere" / "run")}
    original = {**options, "output_dir": str(tmp_path / "run")}
    assert finish(original, signal.SIGTERM, f"{TRAINER}.training_step", 15) == 143
    shutil.move(str(tmp_path / "run"), moved["output_dir"])
    assert resumed(moved) == expected
    assert "does not exist" not in (tmp_path / "elsewhere/run.log").read_text()


def test_a_second_interrupt_acts_at_once():
    from hfcls.training.preemption import StopSignals

    before = signal.getsignal(signal.SIGINT)
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_signals_are_left_alone():
    from hfcls.training.preemption import StopSignals

    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def body() -> None:
        with StopSignals() as signals:
            seen.extend([signal.getsignal(signal.SIGTERM), signals.received])

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [before, None]
