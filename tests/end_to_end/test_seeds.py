"""Several seeds: each a run of its own, the best on validation kept, and told so."""

import errno
import json
import os
import shutil
import statistics
from pathlib import Path

import pytest
import torch
from conftest import reviews
from safetensors.torch import load_file

import hfcls as package
from hfcls.errors import HfclsError
from hfcls.fitting import seeds as seeds_module
from hfcls.fitting.seeds import best_of
from hfcls.runs.record import OneSeed
from hfcls.runs.results import load_results
from hfcls.runs.weights import save_average


@pytest.fixture
def options(table, tiny_model, tmp_path):
    table("data/train.tsv", count=90)
    table("data/test.tsv", count=40, seed=1)
    return {
        "dataset": str(tmp_path / "data"),
        "model": tiny_model,
        "output_dir": str(tmp_path / "run"),
        "max_length": 32,
        "num_train_epochs": 2,
        "learning_rate": 2e-3,
        "batch_size": 16,
        "report": False,
        "baseline": False,
    }


def test_the_best_on_validation_is_kept_and_all_are_told(options, tmp_path):
    result = package.fine_tune(**options, seed=3, seeds=3, metric_for_best_model="eval_loss")
    folder = tmp_path / "run"
    seeds = result.facts.seeds
    assert [run.name for run in seeds.runs] == ["seed-3", "seed-4", "seed-5"]
    losses = {}
    for run in seeds.runs:
        alone = load_results(folder / run.name)
        state = json.loads((folder / run.name / "trainer_state.json").read_text())
        losses[run.name] = state["best_metric"]
        assert run.validation == run.validation_loss == state["best_metric"]
        assert run.metrics == alone.metrics
        assert f"seed-{alone.seed}" == run.name
    assert len(set(losses.values())) == 3
    assert seeds.kept == min(losses, key=losses.__getitem__)
    kept = folder / seeds.kept
    assert (folder / "model.safetensors").read_bytes() == (kept / "model.safetensors").read_bytes()
    assert result.metrics == load_results(kept).metrics
    assert len({(folder / name / "data.json").read_text() for name in losses}) == 1  # the same rows in all of them
    accuracies = [run.metrics["accuracy"] for run in seeds.runs]
    mean, deviation = seeds.spread()["accuracy"]
    assert mean == pytest.approx(statistics.mean(accuracies))
    assert deviation == pytest.approx(statistics.stdev(accuracies))
    again = load_results(folder)
    assert again == result
    assert f"mean {mean:.4f}, sd {deviation:.4f}" in again.table()
    told = (folder / "README.md").read_text("utf-8")
    assert f"the one with the lowest loss on validation was kept: {seeds.kept}" in told
    assert f"accuracy on test is {mean:.4f} with a standard deviation of {deviation:.4f}" in told
    text = "최고 추천 영화"
    ours, theirs = (package.Classifier.from_pretrained(str(path))(text) for path in (folder, kept))
    assert ours == theirs
    alone = package.fine_tune(
        **{**options, "output_dir": str(tmp_path / "alone")}, seed=4, split_seed=3, metric_for_best_model="eval_loss"
    )
    assert alone.metrics == seeds.runs[1].metrics  # a seed is the run of that seed


@pytest.mark.parametrize("changed", [{"seeds": 2}, {}, {"model": "baseline"}])
def test_a_run_without_data_leaves_no_folder(options, tmp_path, changed):
    with pytest.raises(HfclsError, match="nowhere.csv"):
        package.fine_tune(**{**options, "dataset": str(tmp_path / "nowhere.csv"), **changed})
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_stopped_goes_on_and_more_seeds_are_added(options, tmp_path, monkeypatch):
    whole = package.fine_tune(**{**options, "output_dir": str(tmp_path / "whole")}, seeds=2)
    import hfcls.finetune

    run, started = hfcls.finetune.whole_run, []

    def stops(config, *rest):
        if started:
            raise KeyboardInterrupt
        started.append(config.output_dir)
        return run(config, *rest)

    monkeypatch.setattr(hfcls.finetune, "whole_run", stops)
    with pytest.raises(KeyboardInterrupt):
        package.fine_tune(**options, seeds=2)
    monkeypatch.undo()
    folder = tmp_path / "run"
    assert not (folder / "results.json").exists()
    first = (folder / "seed-7/model.safetensors").stat().st_mtime_ns
    with pytest.raises(HfclsError, match="seed-7 holds a finished run: --resume continues it"):
        package.fine_tune(**options, seeds=2)
    result = package.fine_tune(**options, seeds=2, resume=True)
    assert (folder / "seed-7/model.safetensors").stat().st_mtime_ns == first
    assert result.metrics == whole.metrics
    assert result.facts.weights_sha256 == whole.facts.weights_sha256
    assert package.fine_tune(**options, seeds=2, resume=True) == result
    more = package.fine_tune(**options, seeds=3, resume=True)
    assert (folder / "seed-7/model.safetensors").stat().st_mtime_ns == first
    assert [run.metrics for run in more.facts.seeds.runs[:2]] == [run.metrics for run in result.facts.seeds.runs]
    assert len(load_results(folder).facts.seeds.runs) == 3


def test_scores_on_the_rows_that_chose_the_seed_are_not_called_held_out(options, tmp_path):
    (tmp_path / "data/test.tsv").unlink()
    result = package.fine_tune(**options, seeds=2)
    assert load_results(tmp_path / "run/seed-7").note == "held out; there is no test split"
    assert result.note == "also chose the seed; there is no test split; the best of 2 seeds on validation"
    assert "(stratified, by text, seed 7), chose the seed." in result.facts.protocol
    told = (tmp_path / "run/README.md").read_text("utf-8")
    assert "The scores are not held-out ones: the validation split also chose the seed; " in told


def test_seeds_that_are_added_have_the_rows_of_the_others(options, table, tmp_path):
    package.fine_tune(**options, seeds=2)
    before = (tmp_path / "run/results.json").read_bytes()
    table("data/train.tsv", count=91)
    with pytest.raises(HfclsError, match="seed-9 has other rows than .*seed-7, so their scores do not compare: bring"):
        package.fine_tune(**options, seeds=3, resume=True)
    assert (tmp_path / "run/results.json").read_bytes() == before
    table("data/train.tsv", count=90)
    shutil.rmtree(tmp_path / "run/seed-9")
    assert len(package.fine_tune(**options, seeds=3, resume=True).facts.seeds.runs) == 3


def test_a_disk_that_fills_while_the_best_is_copied_loses_nothing(options, tmp_path, monkeypatch):
    def full(source, target):
        Path(target).write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("shutil.copy2", full)
    with pytest.raises(HfclsError, match="cannot copy the best run, .*seed-[78], to .*run: No space left"):
        package.fine_tune(**options, seeds=2)
    folder = tmp_path / "run"
    assert not [path for path in folder.iterdir() if path.suffix in (".part", ".safetensors")]
    monkeypatch.undo()
    state = folder / "seed-8/trainer_state.json"
    content = state.read_text()
    for damaged in ("", "[]", '{"log_history": []}', content.replace("eval_loss", "loss")):
        state.write_text(damaged)
        with pytest.raises(HfclsError, match="seed-8/trainer_state.json does not say any more how the run did on vali"):
            package.fine_tune(**options, seeds=2, resume=True)
    state.write_text(content)
    result = package.fine_tune(**options, seeds=2, resume=True)
    kept = folder / result.facts.seeds.kept
    assert (folder / "model.safetensors").read_bytes() == (kept / "model.safetensors").read_bytes()


def test_the_mean_of_the_weights_is_one_more_candidate(options, tmp_path, monkeypatch):
    aside: list[str] = []
    monkeypatch.setattr(
        "hfcls.fitting.seeds.save_average", lambda runs, to: aside.append(str(to)) or save_average(runs, to)
    )
    result = package.fine_tune(**options, seeds=2, ensemble=True, metric_for_best_model="last", focal_gamma=0.5)
    folder, seeds = tmp_path / "run", result.facts.seeds
    assert [run.name for run in seeds.runs] == ["seed-7", "seed-8", "average"]
    assert seeds.metric == "accuracy"  # no checkpoint was chosen by another
    a, b, mean = (load_file(folder / name / "model.safetensors") for name in ("seed-7", "seed-8", "average"))
    assert any((a[name] != b[name]).any() for name in a)
    for name in a:
        assert torch.allclose(mean[name].double(), (a[name].double() + b[name].double()) / 2, atol=1e-7)
    assert seeds.kept == best_of("accuracy", seeds.runs).name
    kept = load_file(folder / seeds.kept / "model.safetensors")
    assert all(torch.equal(value, kept[name]) for name, value in load_file(folder / "model.safetensors").items())
    assert list(seeds.spread()) == list(result.metrics)
    assert result.facts.model == options["model"]
    average = load_results(folder / "average")  # which was made in a folder that is gone
    assert average.facts.model == average.facts.options["model"] == options["model"]
    assert average.facts.protocol.startswith("Its weights are the mean of those of seed-7, seed-8. The last checkpoint")
    for path in filter(Path.is_file, (folder / "average").iterdir()):
        assert aside[0].encode() not in path.read_bytes(), path
    assert not (folder / "average/run.yaml").exists()
    assert "as_it_is" not in (folder / "average/config.json").read_text(encoding="utf-8")


def test_the_mean_is_compared_before_a_temperature_as_the_runs_are(options, table, tmp_path):
    table("data/validation.tsv", count=60, seed=2)
    changes = {"label_smoothing": 0.4, "metric_for_best_model": "eval_loss"}  # less sure than it may be
    runs = package.fine_tune(**options, **changes, seeds=2, ensemble=True).facts.seeds.runs
    folders = [tmp_path / "run" / run.name for run in runs]
    *single, of_mean = [load_results(folder).confidence.temperature for folder in folders]
    assert max(single) < 0.8  # else the test shows nothing
    a, b, found = (load_file(folder / "model.safetensors")["classifier.weight"] for folder in folders)
    torch.testing.assert_close(found * of_mean, (a + b) / 2 * statistics.mean(single))


def test_of_equal_ones_the_least_loss_decides():
    runs = [
        OneSeed(f"seed-{i}", score, loss, {}) for i, (score, loss) in enumerate([(0.8, 0.5), (0.9, 0.6), (0.9, 0.4)])
    ]
    assert best_of("accuracy", runs).name == "seed-2"
    assert best_of("loss", [OneSeed("seed-1", 0.5, 0.5, {}), OneSeed("seed-2", 0.4, 0.4, {})]).name == "seed-2"


def test_what_does_not_go_with_seeds_is_refused_in_one_line(options, tmp_path):
    no_steps = {"num_train_epochs": None, "learning_rate": None}
    for more, message in (
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"ensemble": True}, "ensemble is the mean of several runs: set seeds"),
        ({"seeds": 2, "model": "baseline"}, "a baseline is the same with every seed"),
        ({"seeds": 2, "freeze_encoder": True} | no_steps, "nothing is drawn by the seed"),
        ({"seeds": 2, "validation_size": 0.0}, "seeds are chosen between by held-out rows, and there are none"),
    ):
        with pytest.raises(HfclsError, match=message):
            package.fine_tune(**{**options, **more})
        assert not (tmp_path / "run/results.json").exists()


def test_a_run_that_replaces_another_is_what_resume_continues(options, table, monkeypatch):
    """It gave back the old run, with the numbers of the old rows."""
    given = options | {"seeds": 2, "max_steps": 2}
    old = package.fine_tune(**given)
    table("data/train.tsv", count=80, seed=5)
    one = seeds_module.of_one_seed

    def stopped_at_the_second(config, folder, **changes):
        if changes["seed"] == 8 and stopped_at_the_second.runs:
            raise KeyboardInterrupt
        return one(config, folder, **changes)

    stopped_at_the_second.runs = True
    monkeypatch.setattr(seeds_module, "of_one_seed", stopped_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        package.fine_tune(**given, overwrite_output_dir=True)
    stopped_at_the_second.runs = False
    new = package.fine_tune(**given, resume=True)
    rows = [run.facts.splits["train"].sha256 for run in (old, new)]
    assert rows[0] != rows[1]


def test_the_record_of_several_seeds_has_what_was_filled_in(options):
    given = {name: value for name, value in options.items() if name not in ("num_train_epochs", "learning_rate")}
    result = package.fine_tune(**given, seeds=2, max_steps=2)
    alone = load_results(Path(options["output_dir"]) / "seed-7").facts.options
    for name in ("num_train_epochs", "learning_rate", "fgm"):
        assert result.facts.options[name] == alone[name]
    card = (Path(options["output_dir"]) / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}` {alone[name]}" in card for name in ("num_train_epochs", "learning_rate", "fgm"))


def test_another_seed_is_added_beside_an_average(options):
    given = options | {"seeds": 2, "max_steps": 2}
    package.fine_tune(**given, ensemble=True)
    again = package.fine_tune(**given | {"seeds": 3}, resume=True)
    assert [run.name for run in again.facts.seeds.runs] == ["seed-7", "seed-8", "seed-9"]


def test_what_is_said_of_an_average_is_so(options, monkeypatch):
    """It has no seed; its checkpoint was none, and those of the others were chosen."""
    given = options | {"seeds": 2, "max_steps": 2, "metric_for_best_model": "eval_loss"}
    monkeypatch.setattr(seeds_module, "best_of", lambda metric, runs: runs[-1])
    result = package.fine_tune(**given, ensemble=True)
    average, first = (load_results(Path(options["output_dir"]) / name) for name in ("average", "seed-7"))
    assert average.facts.protocol.endswith(first.facts.protocol)
    assert average.note == first.note
    assert f"{options['output_dir']} (average, " in result.table()
    monkeypatch.setattr(seeds_module, "best_of", lambda metric, runs: runs[1])
    result = package.fine_tune(**given, resume=True)
    assert f"{options['output_dir']} (seed 8, " in result.table()


def test_an_average_that_cannot_be_had_is_not_looked_for_again(options, table, monkeypatch):
    rows = [f"{text}\t{len(text)}.5" for text, _ in reviews(60)]
    table("data/train.tsv", lines=["text\tlabel", *rows])
    table("data/test.tsv", lines=["text\tlabel", *rows[:20]])
    given = options | {"task": "regression", "seeds": 2, "max_steps": 2, "ensemble": True}
    result = package.fine_tune(**given)
    monkeypatch.setattr(seeds_module, "_keep_best", None)
    assert package.fine_tune(**given, resume=True) == result
