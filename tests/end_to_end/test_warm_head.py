"""A run whose head is fitted first: a plain model, exact on resume, the same in several processes."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import WORDS, reviews
from safetensors.torch import load_file
from transformers import pipeline

import hfcls
from hfcls.errors import HfclsError


@pytest.fixture
def options(table, tiny_model, tmp_path) -> dict:
    for seed, (split, count) in enumerate([("train", 90), ("validation", 30), ("test", 30)]):
        path = table(f"data/{split}.tsv", count=count, seed=seed)
    given = {"dataset": str(path.parent), "model": tiny_model, "max_length": 64, "output_dir": str(tmp_path / "out")}
    return {**given, "report": False, "report_to": "none", "baseline": False, "batch_size": 16}


RECIPE = {
    "layers": "auto", "pooling": "mean", "optimizer": "adamw", "weight_decay": 0.01, "lr_scheduler": "linear",
    "warmup_ratio": 0.1, "max_grad_norm": 1.0, "learning_rate": 1e-4, "num_train_epochs": 2, "eval_steps": 4,
    "metric_for_best_model": "accuracy", "class_weights": "balanced",
}  # fmt: skip


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "model.safetensors")


def test_the_recipe_leaves_a_plain_model_and_resumes_exactly(options, tmp_path, caplog):
    caplog.set_level("INFO", logger="hfcls")
    result = hfcls.fine_tune(**options, **RECIPE)
    out = Path(options["output_dir"])
    classify = pipeline("text-classification", model=str(out), device="cpu")
    for example in result.examples:
        (answer,) = classify([example.text])
        assert (answer["label"], answer["score"]) == (example.predicted, pytest.approx(example.score, abs=1e-5))
    assert "highest accuracy on the validation split was kept" in result.facts.protocol
    steps = [entry["step"] for entry in json.loads((out / "trainer_state.json").read_text())["log_history"]
             if "eval_loss" in entry]  # fmt: skip
    assert steps == [4, 8, 12]
    cut = tmp_path / "cut"
    shutil.copytree(out, cut)
    for name in ("results.json", "model.safetensors", "trainer_state.json"):
        (cut / name).unlink()
    shutil.rmtree(cut / "checkpoint-12", ignore_errors=True)
    caplog.clear()
    again = hfcls.fine_tune(**{**options, "output_dir": str(cut)}, **RECIPE, resume=True)
    assert "the layers and the head are those of checkpoint-" in caplog.text
    assert "head fitted" not in caplog.text  # for nothing: the checkpoint has it
    assert again.metrics == result.metrics
    ours, theirs = weights(cut), weights(out)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_frozen_encoder_is_as_it_was_and_its_head_knows_the_classes(options, tiny_model):
    result = hfcls.fine_tune(**options, freeze_encoder=True, layers="all", pooling="first")
    assert (result.facts.steps, result.split, result.note) == (0, "test", "scored once")
    assert result.metrics["accuracy"] > 0.8
    before, after = weights(tiny_model), weights(options["output_dir"])
    encoder = [name for name in before if "pooler" not in name]
    assert encoder
    assert all(torch.equal(before[name], after[f"bert.{name}"]) for name in encoder)
    with pytest.raises(HfclsError, match="class_weights names '좋음', which is no class"):
        hfcls.fine_tune(**options, class_weights="좋음=2", overwrite_output_dir=True)


def test_no_checkpoint_of_a_frozen_encoder_is_said_to_be_chosen(options):
    """There is none: the card said which one had the highest accuracy."""
    with pytest.raises(HfclsError, match="metric_for_best_model is for training by steps, of which freeze_encoder"):
        hfcls.fine_tune(**options, freeze_encoder=True, metric_for_best_model="accuracy")
    result = hfcls.fine_tune(**options, freeze_encoder=True, metric_for_best_model="last")
    assert result.facts.protocol.startswith("The last checkpoint was kept; the validation split chose nothing.")


def test_the_last_checkpoint_is_kept_if_nothing_is_to_choose_it(options, table):
    alone = {**options, "dataset": str(table("alone.tsv", count=60))}
    result = hfcls.fine_tune(**alone, metric_for_best_model="last", num_train_epochs=2)
    assert (result.split, result.note) == ("validation", "held out; there is no test split")
    assert result.facts.protocol.startswith("The last checkpoint was kept; the validation split, 10% of train")
    state = json.loads((Path(options["output_dir"]) / "trainer_state.json").read_text())
    assert state["best_global_step"] is None
    assert len([entry for entry in state["log_history"] if "eval_loss" in entry]) == 2
    assert "not held-out" not in (Path(options["output_dir"]) / "README.md").read_text(encoding="utf-8")


def test_a_frozen_classifier_of_other_classes_gets_a_head_for_the_new_ones(options, table, tmp_path, caplog):
    caplog.set_level("INFO", logger="hfcls")
    hfcls.fine_tune(**options, freeze_encoder=True)
    words = {"a": "별로 실망", "b": "최고 추천"}
    rows = [
        f"{words['ab'[i % 2]]} {WORDS[i % len(WORDS)]} {WORDS[i // 2 % len(WORDS)]}\t{'ab'[i % 2]}" for i in range(80)
    ]
    path = table("other/train.tsv", lines=["text\tlabel", *rows])
    given = options | {"dataset": str(path.parent), "model": options["output_dir"], "output_dir": str(tmp_path / "new")}
    result = hfcls.fine_tune(**given, freeze_encoder=True)
    assert "new from random weights: a, b" in caplog.text
    assert caplog.messages.count("the model is a classifier already: its layers and its head stay as they are") == 0
    assert result.metrics["accuracy"] > 0.8


def test_a_frozen_classifier_learns_from_rows_of_its_own_classes(options, table, tmp_path):
    """Else nothing is learned: here the new rows call praise 0 and blame 1."""
    hfcls.fine_tune(**options, freeze_encoder=True)
    rows = [f"{text}\t{1 - int(label)}" for text, label in reviews(80, 3)]
    path = table("other/train.tsv", lines=["text\tlabel", *rows])
    given = options | {"dataset": str(path.parent), "model": options["output_dir"], "output_dir": str(tmp_path / "new")}
    assert hfcls.fine_tune(**given, freeze_encoder=True).metrics["accuracy"] > 0.6
