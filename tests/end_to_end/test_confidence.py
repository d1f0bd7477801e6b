"""`calibrate` and `target_accuracy`: the saved model says what was found, in transformers and in our commands."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from architectures import CONFIGS, tiny
from conftest import reviews
from hub_server import card_errors
from pyarrow import parquet
from safetensors.torch import load_file
from transformers import AutoConfig, pipeline

import hfcls
from hfcls import cli
from hfcls.errors import HfclsError
from hfcls.inference.onnx_classifier import OnnxClassifier
from hfcls.models.classes import scale_head

FAST = {
    "max_length": 64, "learning_rate": 2e-3, "num_train_epochs": 3, "batch_size": 16, "report_to": "none",
    "baseline": False,
}  # fmt: skip


def noisy(path: Path, count: int, seed: int) -> None:
    """Reviews, every sixth with the wrong label, so that no model is right about all of them."""
    path.parent.mkdir(exist_ok=True)
    rows = [(text, str(int(label) ^ (i % 6 == 0))) for i, (text, label) in enumerate(reviews(count, seed))]
    path.write_text("".join("\t".join(row) + "\n" for row in [("text", "label"), *rows]), encoding="utf-8")


@pytest.fixture
def options(tiny_model, tmp_path) -> dict:
    for seed, (split, count) in enumerate([("train", 120), ("validation", 90), ("test", 80)]):
        noisy(tmp_path / "data" / f"{split}.tsv", count, seed)
    given = {"dataset": str(tmp_path / "data"), "model": tiny_model, "output_dir": str(tmp_path / "out")}
    return {**FAST, **given}


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "model.safetensors")


def test_a_temperature_changes_the_head_alone_and_no_label(options, tmp_path):
    options["label_smoothing"] = 0.4  # which makes a model less sure than it may be
    plain = hfcls.fine_tune(**options, report=False, calibrate=False)
    result = hfcls.fine_tune(**{**options, "output_dir": str(tmp_path / "calibrated")})  # as it is by default
    found = result.confidence
    assert (plain.confidence, found.num_rows) == (None, 90)
    assert (found.loss_before, found.ece_before) == pytest.approx((plain.metrics["loss"], plain.analysis.ece), abs=1e-6)
    assert (found.loss_after, found.ece_after) == pytest.approx((result.metrics["loss"], result.analysis.ece), abs=1e-9)
    assert "the validation split chose nothing. The test" in plain.facts.protocol
    assert "the validation split chose the temperature. The test" in result.facts.protocol
    assert abs(found.temperature - 1) > 0.05  # else the test shows nothing
    assert result.metrics["accuracy"] == plain.metrics["accuracy"]
    assert result.analysis.confusion == plain.analysis.confusion
    before, after = weights(plain.output_dir), weights(result.output_dir)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "classifier.weight",
        "classifier.bias",
    }
    assert torch.allclose(after["classifier.weight"] * found.temperature, before["classifier.weight"], atol=1e-6)
    classify = pipeline("text-classification", model=result.output_dir, device="cpu")
    for example in result.examples:
        (answer,) = classify([example.text])
        assert (answer["label"], answer["score"]) == (example.predicted, pytest.approx(example.score, abs=1e-5))
    assert hfcls.load_results(result.output_dir).confidence == found
    assert f"calibrated  loss {found.loss_before:.4f} -> {found.loss_after:.4f}" in result.table()


def test_a_run_that_goes_on_divides_once(options, tmp_path):
    whole = hfcls.fine_tune(**options, calibrate=True, target_accuracy=0.7, report=False)
    cut = tmp_path / "cut"
    shutil.copytree(options["output_dir"], cut)
    (cut / "results.json").unlink()  # killed after the model was saved
    again = hfcls.fine_tune(
        **{**options, "output_dir": str(cut)}, calibrate=True, target_accuracy=0.7, report=False, resume=True
    )
    assert again.confidence == whole.confidence
    ours, theirs = weights(cut), weights(options["output_dir"])
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_every_path_says_when_a_person_should_decide(options, tmp_path, capsys):
    # On average about 83 % are right; a confidence is written by hand, so that the test does not hang on chance.
    hfcls.fine_tune(**options, calibrate=True, target_accuracy=0.6)
    out, data = Path(options["output_dir"]), Path(options["dataset"])
    page, card = ((out / name).read_text(encoding="utf-8") for name in ("report.html", "README.md"))
    assert "사람에게 넘길 때" in page
    assert (out / "report/coverage.png").is_file()
    assert "accuracy 0.6 " in card or "accuracy 0.6;" in card, "where a person should decide"
    assert card_errors(card) == []
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert 0 <= config["abstain_below"] < 1
    classifier = hfcls.Classifier.from_pretrained(str(out))
    texts = [text for text, _ in reviews(40, 5)]
    scores = sorted(answer["score"] for answer in classifier(texts))
    assert scores[19] < scores[20]
    config["abstain_below"] = (scores[19] + scores[20]) / 2
    (out / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert AutoConfig.from_pretrained(out).abstain_below == config["abstain_below"]
    classifier = hfcls.Classifier.from_pretrained(str(out))
    told = [answer["abstain"] for answer in classifier(texts)]
    assert sum(told) == 20
    capsys.readouterr()
    assert classifier(texts[0], all_scores=True)["abstain"] is told[0]
    assert cli.main(["predict", "--model", str(out), *texts[:3]]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["abstain"] for line in lines] == told[:3]
    (data / "more").mkdir()
    with (data / "more/texts.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    for kind in ("parquet", "csv"):
        (shard,) = hfcls.predict_files(
            model=str(out), input=str(data / "more/texts.csv"), output=str(tmp_path / kind), format=kind
        )
        if kind == "parquet":
            assert parquet.read_table(shard)["abstain"].to_pylist() == told
        else:
            with shard.open(encoding="utf-8-sig") as file:
                assert [row["abstain"] == "true" for row in csv.DictReader(file)] == told
    hfcls.export(model=str(out), output=str(tmp_path / "onnx"))
    for light in (OnnxClassifier, hfcls.Classifier):
        answers = light.from_pretrained(str(tmp_path / "onnx"))(texts)
        assert [answer["abstain"] for answer in answers] == told
    again = hfcls.fine_tune(**{**options, "model": str(out), "output_dir": str(tmp_path / "again")}, report=False)
    assert "abstain_below" not in json.loads((Path(again.output_dir) / "config.json").read_text(encoding="utf-8"))


def test_what_cannot_be_had_is_told_and_the_probabilities_stay(options, tmp_path, caplog):
    few = {**options, "output_dir": str(tmp_path / "few"), "max_validation_samples": 40, "report": False}
    assert hfcls.fine_tune(**few).confidence is None
    assert "temperature" not in caplog.text  # nobody has asked for it
    assert hfcls.fine_tune(**few, calibrate=True, overwrite_output_dir=True).confidence is None
    assert "the validation split has 40 rows, and at least 50 are needed" in caplog.text
    caplog.clear()
    result = hfcls.fine_tune(**{**options, "output_dir": str(tmp_path / "high")}, target_accuracy=0.999)
    assert "target_accuracy 0.999: the most confident of the 90 validation rows do not show it" in caplog.text
    assert result.confidence.abstain_below is None
    assert "abstain" not in hfcls.Classifier.from_pretrained(result.output_dir)("최고")
    assert "90 validation rows do not show that accuracy 0.999 is reached" in result.table()


def test_without_a_test_split_a_temperature_is_fitted_and_told_and_nobody_is_handed_over(options, tmp_path, caplog):
    alone = {**options, "dataset": str(tmp_path / "data/train.tsv"), "validation_size": 0.5}
    result = hfcls.fine_tune(**alone, target_accuracy=0.6)
    assert "no target accuracy: the validation split is the one that is scored: bring a test split" in caplog.text
    found = result.confidence
    assert (found.num_rows, found.target_accuracy) == (result.num_rows, None)
    assert result.note == "held out; the temperature was fitted on it; there is no test split"
    plain = {**alone, "output_dir": str(tmp_path / "plain"), "report": False}
    assert hfcls.fine_tune(**plain, calibrate=False).metrics["loss"] == pytest.approx(found.loss_before, abs=1e-6)
    assert found.loss_after < found.loss_before


def test_what_has_no_probabilities_is_refused_before_an_earlier_run_is_replaced(options, tmp_path):
    (tmp_path / "out").mkdir()
    numbers = tmp_path / "numbers.csv"
    with numbers.open("w", encoding="utf-8", newline="") as file:
        rows = [[text, i % 5 + 0.5] for i, (text, _) in enumerate(reviews(80))]
        csv.writer(file).writerows([["text", "label"], *rows])
    given = {**options, "dataset": str(numbers), "task": "regression"}
    with pytest.raises(HfclsError, match="this model gives a number"):
        hfcls.fine_tune(**given, calibrate=True)
    with pytest.raises(HfclsError, match="is for one class a text"):
        hfcls.fine_tune(**given, target_accuracy=0.9)
    assert not list((tmp_path / "out").glob("*.json"))


@pytest.mark.parametrize("name", CONFIGS)
def test_the_head_of_every_proven_architecture_takes_a_temperature(name):
    model = tiny(name).eval()
    batch = {"input_ids": torch.arange(5, 45).reshape(2, 20), "attention_mask": torch.ones(2, 20, dtype=torch.int64)}
    with torch.no_grad():
        before = model(**batch).logits
        scale_head(model, 0.4)
        assert torch.allclose(model(**batch).logits, 0.4 * before, atol=1e-5)
