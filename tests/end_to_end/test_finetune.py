"""A run from labelled texts to its folder: what it computes, what it leaves, and how it fails."""

import contextlib
import errno
import json
import logging
import os
import re
import shutil
import socket
from pathlib import Path

import datasets
import pyarrow.parquet
import pytest
import torch
import yaml
from conftest import reviews
from safetensors.torch import load_file

import hfcls
from hfcls import cli
from hfcls.errors import HfclsError
from hfcls.runs.checkpoints import newest_whole_checkpoint
from hfcls.runs.output_dir import prepare_output_dir
from hfcls.runs.sealing import seal
from hfcls.training.failures import explain


@pytest.fixture
def folder(table) -> str:
    """A folder of train, validation and test reviews."""
    for seed, (split, count) in enumerate([("train", 200), ("validation", 50), ("test", 61)]):
        path = table(f"data/{split}.tsv", count=count, seed=seed)
    return str(path.parent)


@pytest.fixture
def options(folder, tiny_model, tmp_path) -> dict:
    return {
        "dataset": folder,
        "model": tiny_model,
        "max_length": 64,
        "learning_rate": 1e-3,
        "num_train_epochs": 3,
        "output_dir": str(tmp_path / "out"),
        "report": False,  # tests/publishing/test_report.py has it
        "report_to": "none",
    }


def test_a_run_leaves_a_model_a_person_can_use(options, folder, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    result = hfcls.fine_tune(**options)
    assert (result.split, result.num_rows, result.seed, result.note) == ("test", 61, 7, "scored once")
    assert result.metrics["accuracy"] > 0.9
    assert len(result.examples) == 3
    out = Path(options["output_dir"])
    assert json.loads((out / "results.json").read_text())["metrics"] == result.metrics
    assert yaml.safe_load((out / "run.yaml").read_text())["seed"] == 7
    assert not (out / "training_args.bin").exists()
    assert (out / "model.safetensors").stat().st_mode & 0o077 == (out / "config.json").stat().st_mode & 0o077
    assert "on the CPU, batches of 16, float32" in caplog.text

    classifier = hfcls.Classifier.from_pretrained(str(out))
    assert classifier.max_length == 64
    assert classifier("최고 추천 영화")["label"] == "1"
    for example in result.examples:
        answer = classifier(example.text)
        assert (answer["label"], answer["score"]) == (example.predicted, pytest.approx(example.score, abs=1e-6))
    scored = hfcls.evaluate(model=str(out), dataset=folder, output=str(out / "scored.json"))
    assert scored.metrics == pytest.approx(result.metrics, abs=1e-6)
    assert json.loads((out / "scored.json").read_text())["num_rows"] == 61
    assert f"  accuracy    {result.metrics['accuracy']:.4f}" in result.table()


def test_nothing_touches_the_network(options, monkeypatch):
    def refuse(*args: object) -> None:
        raise AssertionError(f"network: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    result = hfcls.fine_tune(**options, max_steps=2)
    hfcls.Classifier.from_pretrained(result.output_dir)("영화")


def test_resuming_ends_as_the_whole_run_does(options, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    whole = hfcls.fine_tune(**options)
    cut = tmp_path / "cut"
    shutil.copytree(options["output_dir"], cut)
    for name in ("results.json", "model.safetensors", "trainer_state.json"):
        (cut / name).unlink()
    best, last = sorted(cut.glob("checkpoint-*"))[0], sorted(cut.glob("checkpoint-*"))[-1]
    (last / "optimizer.pt").unlink()
    if last == best:  # the run's best checkpoint is its newest: nothing earlier to resume from
        pytest.fail("the run must keep two checkpoints")
    resumed = hfcls.fine_tune(**{**options, "output_dir": str(cut)}, resume=True)
    assert f"{last} is not whole (optimizer.pt is missing): trying the one before it" in caplog.messages
    assert f"resuming from {best}" in caplog.messages
    assert resumed.metrics == whole.metrics
    ours, theirs = (load_file(Path(path) / "model.safetensors") for path in (cut, options["output_dir"]))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_resume_without_a_checkpoint_starts_fresh_with_one_line(options, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    hfcls.fine_tune(**options, resume=True, max_steps=1)
    assert caplog.messages.count(f"no checkpoint to resume in {options['output_dir']}: starting fresh") == 1


def test_an_earlier_run_is_kept_unless_told_otherwise(options):
    hfcls.fine_tune(**options, max_steps=1)
    with pytest.raises(HfclsError, match="holds a finished run: --resume continues it, --overwrite_output_dir"):
        hfcls.fine_tune(**options, max_steps=1)
    (Path(options["output_dir"]) / "results.json").unlink()
    with pytest.raises(HfclsError, match="holds an unfinished run"):
        hfcls.fine_tune(**options, max_steps=1)
    with pytest.raises(HfclsError, match=r"cannot resume .* with other options \(learning_rate 0.001 -> 0.1\)"):
        hfcls.fine_tune(**{**options, "learning_rate": 0.1}, resume=True)
    hfcls.fine_tune(**{**options, "learning_rate": 0.1}, max_steps=2, overwrite_output_dir=True)
    assert [path.name for path in Path(options["output_dir"]).glob("checkpoint-*")] == ["checkpoint-2"]


def test_an_earlier_run_is_replaced_only_when_the_new_one_can_begin(options, table):
    hfcls.fine_tune(**options, max_steps=1)
    out = Path(options["output_dir"])
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    for wrong in ({"dataset": "nowhere.csv"}, {"model": "./nowhere"}, {"max_length": 65}):
        with pytest.raises(HfclsError, match="nowhere|max_length 65"):
            hfcls.fine_tune(**{**options, **wrong}, overwrite_output_dir=True)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before
    (out / "report.html").touch()
    nothing_held_out = {**options, "dataset": str(table("alone.tsv", count=40)), "validation_size": 0}
    hfcls.fine_tune(**nothing_held_out, max_steps=1, overwrite_output_dir=True)
    assert not (out / "predictions.parquet").exists()  # those of the earlier run, as its report
    assert not (out / "report.html").exists()


def test_one_process_alone_writes_to_the_output_folder(tmp_path):
    (tmp_path / "results.json").write_text("{}")
    (tmp_path / "checkpoint-3").mkdir()
    seal(tmp_path / "checkpoint-3")
    before = sorted(tmp_path.rglob("*"))
    assert prepare_output_dir(tmp_path, {"seed": 7}, {"train": "0"}, write=False, resume=False, overwrite=True) is None
    assert sorted(tmp_path.rglob("*")) == before
    prepare_output_dir(tmp_path, {"seed": 7}, {"train": "0"}, write=True, resume=False, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.json", "run.yaml"]


def test_a_run_is_not_resumed_on_other_rows(options, table):
    hfcls.fine_tune(**options, max_steps=1)
    table("data/train.tsv", count=201)
    with pytest.raises(HfclsError, match=r"cannot resume .*: the rows of train are not those that it began with"):
        hfcls.fine_tune(**options, resume=True)
    table("data/train.tsv", count=200)
    hfcls.fine_tune(**options, resume=True)


def test_checkpoints_without_the_options_of_their_run_are_resumed_with_a_line(options, caplog):
    hfcls.fine_tune(**options, max_steps=1)
    for name in ("run.yaml", "results.json"):
        (Path(options["output_dir"]) / name).unlink()
    with caplog.at_level(logging.INFO, "hfcls"):
        hfcls.fine_tune(**options, resume=True)
    assert "run.yaml is not there, as after a training of your own: its options are taken to be these" in caplog.text


@pytest.mark.parametrize("content", ["", "- a", "seed: [", "\udcff"])
def test_a_run_whose_options_are_lost_is_not_resumed(options, content):
    hfcls.fine_tune(**options, max_steps=1)
    path = Path(options["output_dir"]) / "run.yaml"
    path.write_text(content, errors="surrogateescape")
    with pytest.raises(HfclsError, match=r"cannot resume .*run.yaml does not hold its options any more; put the file"):
        hfcls.fine_tune(**options, resume=True)


def test_a_process_that_does_not_log_speaks_again_after_the_run(options, monkeypatch, caplog):
    monkeypatch.setattr(hfcls.ClassificationTrainingArguments, "should_log", property(lambda self: False))
    caplog.set_level(logging.INFO, logger="hfcls")
    hfcls.fine_tune(**options, max_steps=1)
    assert not caplog.messages
    with pytest.raises(HfclsError, match="no file nowhere.csv"):
        hfcls.fine_tune(**{**options, "dataset": "nowhere.csv"}, overwrite_output_dir=True)
    assert logging.getLogger("hfcls").level == logging.INFO
    assert not datasets.are_progress_bars_disabled()


def test_memory_that_does_not_suffice_is_one_message(options, monkeypatch):
    def training_step(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(hfcls.ClassificationTrainer, "training_step", training_step)
    with pytest.raises(HfclsError, match=r"not enough memory \(CUDA out of .*\): raise --gradient_accumulation_steps"):
        hfcls.fine_tune(**options)


def test_early_stopping_without_a_split_to_watch_is_refused(options, table):
    alone = {**options, "dataset": str(table("alone.tsv", count=40)), "validation_size": 0}
    with pytest.raises(HfclsError, match="early_stopping_patience needs a split to watch, and there is none: set"):
        hfcls.fine_tune(**alone, early_stopping_patience=1)


def test_a_class_that_the_first_rows_lack_is_called_out(options, table, caplog):
    path = table("sorted.tsv", lines=["text\tlabel", *(f"글 {i}\t{'ab'[i > 20]}" for i in range(40))])
    hfcls.fine_tune(**{**options, "dataset": str(path)}, max_train_samples=20, max_steps=1, allow_unknown=True)
    assert "train holds no row of b, so the model cannot learn it (max_train_samples takes the first" in caplog.text


@pytest.mark.parametrize("damage", ["empty", "no state", "cut weights", "cut optimizer"])
def test_a_broken_checkpoint_is_passed_over(options, damage, caplog):
    hfcls.fine_tune(**options, max_steps=1)
    whole = newest_whole_checkpoint(Path(options["output_dir"]))
    assert whole is not None
    broken = whole.with_name("checkpoint-2")
    shutil.copytree(whole, broken)
    if damage == "empty":
        shutil.rmtree(broken)
        broken.mkdir()
    elif damage == "no state":
        (broken / "trainer_state.json").unlink()
    else:
        path = broken / ("model.safetensors" if damage == "cut weights" else "optimizer.pt")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert newest_whole_checkpoint(Path(options["output_dir"])) == whole
    assert "checkpoint-2 is not whole" in caplog.text


def test_the_number_says_which_split_it_comes_from(options, table, caplog):
    only_train = str(table("alone.tsv", count=100))
    runs = {
        "carved": {"dataset": only_train},
        "nothing held out": {"dataset": only_train, "validation_size": 0},
        "book": {"select_on_test": True},
    }
    results = {
        name: hfcls.fine_tune(**{**options, **changed, "max_steps": 2}, overwrite_output_dir=True)
        for name, changed in runs.items()
    }
    assert (results["carved"].split, results["carved"].num_rows) == ("validation", 10)
    assert results["carved"].note == "held out; there is no test split"
    assert (results["nothing held out"].split, results["nothing held out"].metrics) == (None, {})
    assert "none (no validation or test split)" in results["nothing held out"].table()
    assert (results["book"].split, results["book"].note) == ("test", "also chose the checkpoint")
    assert "the checkpoint is chosen on the test split, as in the book" in caplog.text


def test_classes_have_the_names_of_the_data(options, tmp_path):
    rows = [
        {"text": text, "label": ["나쁨", "좋음", "보통"][i % 3 if i % 3 == 2 else int(label)]}
        for i, (text, label) in enumerate(reviews(90))
    ]
    path = tmp_path / "three.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    hfcls.fine_tune(**{**options, "dataset": str(path), "max_steps": 2})
    config = json.loads((Path(options["output_dir"]) / "config.json").read_text())
    assert config["id2label"] == {"0": "나쁨", "1": "보통", "2": "좋음"}
    answer = hfcls.Classifier.from_pretrained(options["output_dir"])("최고", all_scores=True)
    assert set(answer["scores"]) == {"나쁨", "보통", "좋음"}
    assert sum(answer["scores"].values()) == pytest.approx(1)
    assert answer["score"] == max(answer["scores"].values())


def test_sentence_pairs_train_and_predict(options, tmp_path):
    rows = [{"a": text, "b": "추천" if i % 2 else "실망", "same": i % 2} for i, (text, _) in enumerate(reviews(80))]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    columns = {"dataset": str(path), "text_column": "a", "text_pair_column": "b", "label_column": "same"}
    result = hfcls.fine_tune(**{**options, **columns, "num_train_epochs": 12})
    assert result.metrics["accuracy"] > 0.9
    classifier = hfcls.Classifier.from_pretrained(options["output_dir"])
    assert [answer["label"] for answer in classifier([("영화", "추천"), ("영화", "실망")])] == ["1", "0"]
    with pytest.raises(HfclsError, match="fine-tuned on pairs of texts .columns 'a' and 'b'., found single texts"):
        classifier("영화")
    # later commands take the columns of the training data
    model = {"model": options["output_dir"]}
    assert hfcls.evaluate(dataset=str(path), **model).metrics["accuracy"] > 0.9
    (shard,) = hfcls.predict_files(input=str(path), output=str(tmp_path / "labelled"), **model)
    labelled = pyarrow.parquet.read_table(shard).to_pylist()
    assert sum(row["predicted_label"] == str(row["same"]) for row in labelled) > 70
    other = tmp_path / "other.jsonl"
    other.write_text(
        "\n".join(json.dumps({"text": row["a"], "second": row["b"], "label": row["same"]}) for row in rows)
    )
    with pytest.raises(HfclsError, match="has no column 'a'; it has 'text', 'second', 'label'"):
        hfcls.evaluate(dataset=str(other), **model)
    named = {"text_column": "text", "text_pair_column": "second", "label_column": "label"}
    assert hfcls.evaluate(dataset=str(other), **named, **model).metrics["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("size", "writing", "left"),
    [
        (4, "the options", None),
        (60, "weights", "no checkpoint was saved yet"),
        (180, "the optimizer, of which torch says 'unexpected pos'", "no checkpoint was saved yet"),
        (580, "the second checkpoint", "checkpoint-13 is whole"),
        (1000, "the third checkpoint", "checkpoint-26 is whole"),
    ],
)
def test_a_full_disk_ends_with_one_message_and_keeps_the_checkpoint(
    options, small_disk, monkeypatch, size, writing, left
):
    monkeypatch.setattr("hfcls.finetune.check_space", lambda *args: None)  # it asks for more than these drives have
    options["output_dir"] = str(small_disk(size) / "out")
    with pytest.raises(HfclsError) as error:
        hfcls.fine_tune(**options)
    assert "\n" not in str(error.value)
    if left is None:
        assert "cannot write to output_dir" in str(error.value)
        assert "No space left on device; solve that, or choose another --output_dir" in str(error.value)
        return
    assert re.search(rf"no space left in .*; .*{left}: free some space, then continue with --resume", str(error.value))
    whole = newest_whole_checkpoint(Path(options["output_dir"]))
    assert (whole is None) == (left == "no checkpoint was saved yet")


def test_results_that_do_not_fit_are_told(options, small_disk, monkeypatch):
    monkeypatch.setattr("hfcls.finetune.check_space", lambda *args: None)
    drive = small_disk(4000)
    options = {**options, "output_dir": str(drive / "out"), "max_steps": 1, "calibrate": False}
    predict = hfcls.ClassificationTrainer.predict

    def filled(self, *args, **kwargs):
        with (drive / "other").open("wb") as file, contextlib.suppress(OSError):
            file.write(b"x" * 2**22)
        return predict(self, *args, **kwargs)

    monkeypatch.setattr(hfcls.ClassificationTrainer, "predict", filled)
    with pytest.raises(HfclsError, match=r"model is saved in .*, but not its results \(.*No space left on device"):
        hfcls.fine_tune(**options)
    (drive / "other").unlink()
    monkeypatch.undo()
    monkeypatch.setattr("hfcls.finetune.check_space", lambda *args: None)
    assert hfcls.fine_tune(**options, resume=True).num_rows == 61


def test_what_torch_cannot_read_is_no_full_disk():
    broken = RuntimeError("PytorchStreamReader failed reading zip archive: failed finding central directory")
    assert explain(broken, Path("unused"), None) is None


def test_the_cause_of_an_error_is_looked_at_too():
    cause = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    for link in ("__cause__", "__context__"):
        error = ValueError("something went wrong")
        setattr(error, link, cause)
        assert (explain(error, Path("unused"), None) or "").startswith("no space left in unused")
    memory = RuntimeError("forward failed")
    memory.__cause__ = torch.OutOfMemoryError("CUDA out of memory")
    assert "not enough memory (CUDA out of memory)" in (explain(memory, Path("unused"), None) or "")


def test_what_nccl_says_of_itself_is_told_where_no_process_may_have_ended(monkeypatch):
    """Each process told to look for the message of another, and none said what had failed."""
    own = "Error while creating shared memory segment /dev/shm/nccl-x (size 9637888)"
    error = torch.distributed.DistBackendError(f"NCCL error in: x.cpp:94, unhandled system error\nLast error:\n{own}\n")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for told in (explain(error, Path("unused"), None), cli._known(error)):
        assert f"another process of this run has ended, or NCCL fails ({own}), and" in (told or "")
    gone = RuntimeError("[gloo/transport/tcp/pair.cc:525] Connection closed by peer")
    assert "has ended, and this one cannot go on alone" in (cli._known(gone) or "")


@pytest.mark.parametrize("logging_steps", [1, 1000])
def test_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(options, logging_steps):
    with pytest.raises(HfclsError, match=r"loss is (nan|inf) at step 2 \(learning_rate 1e\+30\): nothing was saved"):
        hfcls.fine_tune(**{**options, "learning_rate": 1e30, "logging_steps": logging_steps})
    assert {path.name for path in Path(options["output_dir"]).iterdir()} == {"data.json", "run.yaml"}


def test_a_model_that_has_not_learned_is_called_out(options, caplog):
    hfcls.fine_tune(**{**options, "learning_rate": 10.0, "max_steps": 5})
    assert "the model calls every text of the test split" in caplog.text
    assert "is far above that of guessing (0.6931): the training has diverged; lower --learning_rate" in caplog.text


def test_a_batch_that_does_not_divide_is_refused_with_both_numbers(options, monkeypatch):
    from hfcls.config.train import TrainConfig
    from hfcls.training.arguments import ClassificationTrainingArguments, training_arguments

    monkeypatch.setattr(ClassificationTrainingArguments, "world_size", property(lambda self: 3))
    with pytest.raises(HfclsError, match="batch_size 16 does not divide by 3 processes x 1 accumulation steps = 3"):
        training_arguments(**TrainConfig(**options).training_options())


def test_a_card_that_cannot_be_written_does_not_cost_the_run(options, monkeypatch, caplog):
    def full(folder: Path, language: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hfcls.publishing.after_run.write_card", full)
    result = hfcls.fine_tune(**{**options, "max_steps": 1})
    assert result.split == "test"
    assert (Path(options["output_dir"]) / "results.json").is_file()
    assert "its model card could not be written (No space left on device)" in caplog.text
