"""`--model baseline`: a folder that every command takes as a classifier, or refuses in a line."""

import errno
import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from hub_server import card_errors
from pyarrow import parquet
from safetensors import SafetensorError

import hfcls
from hfcls import cli
from hfcls.errors import HfclsError
from hfcls.inference.occlusion import occlusion
from hfcls.publishing.hub import upload


@pytest.fixture
def corpus(table) -> str:
    table("data/train.tsv", 200)
    return str(table("data/test.tsv", 60, seed=1).parent)


@pytest.fixture
def out(corpus, tmp_path) -> Path:
    return Path(hfcls.fine_tune(dataset=corpus, model="baseline", output_dir=str(tmp_path / "out")).output_dir)


def test_what_it_is_scored_with_is_what_every_command_answers(out, corpus, tmp_path, capsys):
    result = hfcls.load_results(out)
    assert result.baseline is None
    assert result.split == "test"
    assert result.metrics["accuracy"] > 0.9
    assert hfcls.evaluate(model=str(out), dataset=corpus).metrics == pytest.approx(result.metrics, abs=1e-6)
    rows = parquet.read_table(out / "predictions.parquet").to_pydict()
    classifier = hfcls.Classifier.from_pretrained(str(out))
    given = classifier.probabilities(rows["text"])[:, 1].numpy()
    assert np.allclose(given, rows["probability_1"], atol=1e-6)
    assert "baseline, 2 labels" in repr(classifier)
    assert cli.main(["predict", "--model", str(out), rows["text"][0]]) == 0
    assert json.loads(capsys.readouterr().out)["label"] == rows["predicted"][0]
    shards = hfcls.predict_files(model=str(out), input=f"{corpus}/test.tsv", output=str(tmp_path / "labelled"))
    assert parquet.read_table(shards[0])["predicted_label"].to_pylist() == rows["predicted"]
    scores, parts = occlusion(classifier, "최고 추천 영화")
    assert max(parts, key=lambda part: part.moved).text in "최고 추천"
    assert scores["1"] > 0.5
    card = (out / "README.md").read_text("utf-8")
    assert card_errors(card) == []
    assert "transformers import pipeline" not in card
    assert "hfcls runs it" in card


def test_an_encoder_in_its_place_leaves_nothing_of_it(out, corpus, tiny_model):
    short = {"num_train_epochs": 1, "max_length": 32, "report": False}
    assert (out / "report/numbers.json").exists()
    hfcls.fine_tune(dataset=corpus, model=tiny_model, output_dir=str(out), overwrite_output_dir=True, **short)
    assert [path.name for path in out.glob("*.safetensors")] == ["model.safetensors"]
    assert not (out / "report/numbers.json").exists()
    assert "baseline.safetensors" not in upload(out, "me/model")
    assert hfcls.Classifier.from_pretrained(str(out)).model.config.model_type == "bert"


@pytest.mark.parametrize("model", ["baseline", "encoder"])
def test_others_may_read_what_the_umask_lets_them(corpus, tmp_path, model, tiny_model):
    short = {"num_train_epochs": 1, "max_length": 32, "seeds": 2} if model == "encoder" else {}
    name = tiny_model if short else model
    before = os.umask(0o027)
    try:
        hfcls.fine_tune(dataset=corpus, model=name, output_dir=str(tmp_path / "out"), report=False, **short)
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    weights = {path.parent.name for path in files if path.suffix == ".safetensors"}
    assert {"out", "seed-7", "seed-8"} < weights if short else weights == {"out"}  # and those of checkpoints
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in files if path.stat().st_mode & 0o777 != 0o640} == {}


def test_a_run_with_its_rows_shows_the_same_baseline_and_is_kept(out, corpus):
    again = hfcls.fine_tune(dataset=corpus, model="baseline", output_dir=str(out), resume=True)
    assert again == hfcls.load_results(out)
    with pytest.raises(HfclsError, match="holds a finished run"):
        hfcls.fine_tune(dataset=corpus, model="baseline", output_dir=str(out))


def test_the_options_of_a_recipe_for_an_encoder_are_told_and_not_recorded(table, tmp_path, caplog):
    caplog.set_level(logging.WARNING, logger="hfcls")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("learning_rate: 0.001\nearly_stopping_patience: 2\nmax_length: 64\nvalidation_size: 0.2\n")
    config = hfcls.load_recipe(recipe)
    options = {"dataset": str(table(count=100)), "model": "baseline", "output_dir": str(tmp_path / "out")}
    result = hfcls.fine_tune(config, **options, report=False)
    assert "no effect: early_stopping_patience, learning_rate, max_length" in caplog.text
    assert result.facts.options == {
        "dataset": options["dataset"], "model": "baseline", "validation_size": 0.2, "report": False
    }  # fmt: skip
    card = (tmp_path / "out/README.md").read_text("utf-8")
    assert "`validation_size` 0.2" in card
    assert "learning_rate" not in card
    assert "not held-out ones" not in card  # nothing was chosen by the validation split
    caplog.clear()
    hfcls.fine_tune(**options, report=False, overwrite_output_dir=True)
    assert "no effect" not in caplog.text


@pytest.mark.parametrize(
    ("writer", "error"),
    [
        ("model.write_json", OSError(errno.ENOSPC, "No space left")),
        ("linear.Baseline.save", SafetensorError("No space")),
    ],
)
def test_a_disk_that_fills_is_one_line_and_the_run_may_be_repeated(corpus, tmp_path, monkeypatch, writer, error):
    def full(*args, **options):
        raise error

    options = {"dataset": corpus, "model": "baseline", "output_dir": str(tmp_path / "out"), "report": False}
    with monkeypatch.context() as patched:
        patched.setattr(f"hfcls.baseline.{writer}", full)
        with pytest.raises(HfclsError, match="cannot write the baseline to .*out: No space"):
            hfcls.fine_tune(**options)
    assert hfcls.fine_tune(**options, overwrite_output_dir=True).metrics["accuracy"] > 0.9


def test_an_encoder_may_take_its_place_and_the_other_way_round(out, corpus, tiny_model):
    options = {"dataset": corpus, "output_dir": str(out), "overwrite_output_dir": True}
    hfcls.fine_tune(model=tiny_model, max_length=32, max_steps=1, report=False, **options)
    assert "bert, 2 labels" in repr(hfcls.Classifier.from_pretrained(str(out)))
    hfcls.fine_tune(model="baseline", **options)
    assert "baseline, 2 labels" in repr(hfcls.Classifier.from_pretrained(str(out)))
    assert not (out / "model.safetensors").exists()


def test_what_a_baseline_cannot_do_is_one_line(out, corpus, tmp_path):
    with pytest.raises(HfclsError, match="has no encoder"):
        hfcls.fine_tune(dataset=corpus, model=str(out), output_dir=str(tmp_path / "more"))
    with pytest.raises(HfclsError, match="has no encoder"):
        hfcls.export(model=str(out), output=str(tmp_path / "onnx"))
    with pytest.raises(HfclsError, match="which the Hub has no code to run"):
        hfcls.push(out)
    with pytest.raises(HfclsError, match="drop push_to_hub"):
        hfcls.fine_tune(dataset=corpus, model="baseline", output_dir=str(tmp_path / "hub"), push_to_hub=True)
    with pytest.raises(HfclsError, match="are for an encoder"):
        hfcls.fine_tune(dataset=corpus, model="baseline", output_dir=str(tmp_path / "sure"), calibrate=True)
    with pytest.raises(HfclsError, match="leave --precision int8 out"):
        hfcls.Classifier.from_pretrained(str(out), precision="int8")
    with pytest.raises(HfclsError, match="fine-tuned on single texts"):
        hfcls.Classifier.from_pretrained(str(out))(("가", "나"))


def test_a_check_shows_it_as_it_does_without_a_model(corpus):
    with_it, without = hfcls.check(dataset=corpus, model="baseline"), hfcls.check(dataset=corpus)
    assert with_it.baseline.analysis == without.baseline.analysis
    assert with_it.cost is None
