"""Fewer bits are held to the rows that a run was scored on."""

import json
import logging
import shutil

import numpy as np
import pyarrow as pa
import pytest
from conftest import reviews
from pyarrow import parquet

from hfcls import cli
from hfcls.errors import HfclsError
from hfcls.inference import agreement
from hfcls.inference.agreement import Agreement, check_agreement, compared, held_out
from hfcls.inference.classifier import Classifier


@pytest.fixture
def run(classifier_folder, tmp_path):
    """A folder with a classifier and the rows it was scored on; `flipped` of them with the other label."""

    def make(flipped: int = 0, count: int = 400, right: bool = True) -> str:
        folder = tmp_path / "run"
        shutil.copytree(classifier_folder, folder)
        texts = [text for text, _ in reviews(count)]
        classifier = Classifier.from_pretrained(classifier_folder)
        sure = np.argsort(-np.abs(classifier.probabilities(texts)[:, 0].numpy() - 0.5))
        best = classifier.logits(texts).argmax(-1).numpy()
        best[sure[:flipped]] ^= 1  # those that no rounding turns
        predicted = np.asarray(classifier.labels)[best]
        label = predicted if right else np.asarray(classifier.labels)[best ^ 1]
        columns = {"text": texts, "label": label, "predicted": predicted}
        parquet.write_table(pa.table(columns), folder / "predictions.parquet")
        return str(folder)

    return make


def test_agreement_counts_labels_and_accuracy():
    before, after, true = (np.array(list(word)) for word in ("aabb", "abbb", "abba"))
    assert compared(before, after, true) == Agreement(4, 1, -0.25)
    assert compared(before, after, None) == Agreement(4, 1, None)
    assert str(Agreement(1000, 3, 0.002)) == "3 of 1,000 labels changed (0.30%), accuracy -0.20 points"


@pytest.mark.parametrize(
    ("found", "refused"),
    [
        (Agreement(1000, 5, 0.003), False),
        (Agreement(1000, 6, 0.0), True),
        (Agreement(1000, 4, 0.004), True),
        (Agreement(1000, 4, -0.004), False),
        (Agreement(1000, 6, None), True),
        (Agreement(1000, 5, None), False),
    ],
)
def test_more_than_fewer_bits_may_cost_is_refused_with_the_figures(found, refused):
    if not refused:
        check_agreement(found, "int8", "outputs/run")
        return
    changed = r"int8 changes too much of outputs/run: \d of 1,000 labels changed"
    with pytest.raises(HfclsError, match=rf"{changed}.* at most 0\.5% .* 0\.3 points may go"):
        check_agreement(found, "int8", "outputs/run")


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_a_precision_that_keeps_the_labels_is_taken_and_remembered(run, precision, caplog, monkeypatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    monkeypatch.setattr(agreement, "MOST_CHANGED", 0.02)  # the tiny model is unsure of many rows
    monkeypatch.setattr(agreement, "MOST_LOST", 0.02)
    folder = run()
    with caplog.at_level(logging.INFO, logger="hfcls"):
        Classifier.from_pretrained(folder, precision=precision)
    assert f"{precision}: " in caplog.text
    assert "of 400 labels changed" in caplog.text
    monkeypatch.setattr(agreement, "compared", None)  # a second look would need it
    Classifier.from_pretrained(folder, precision=precision)


def test_a_precision_that_turns_labels_is_refused_each_time_until_the_weights_change(run, tmp_path, capsys):
    folder = run(flipped=40)
    for _ in range(2):
        assert cli.main(["predict", "--model", folder, "--precision", "int8", "가"]) == 1
        error = capsys.readouterr().err
        assert "int8 changes too much" in error
        assert "of 400 labels changed (1" in error
        assert error.count("\n") <= 2
    assert cli.main(["predict", "--model", folder, "가"]) == 0
    found = json.loads((tmp_path / "run/precision.json").read_text())["int8"]
    assert found["agreement"]["changed"] >= 40
    for content in ("[1]", '{"int8": 3}', "{"):  # not ours: found again
        (tmp_path / "run/precision.json").write_text(content)
        assert cli.main(["predict", "--model", folder, "--precision", "int8", "가"]) == 1


def test_a_model_without_scored_rows_is_used_with_a_warning(classifier_folder, caplog):
    Classifier.from_pretrained(classifier_folder, precision="int8")
    assert "int8 is not verified" in caplog.text
    assert held_out(agreement.Path(classifier_folder)) is None


@pytest.mark.parametrize(("count", "warned"), [(60, True), (200, False)])
def test_a_verification_on_few_rows_says_so(run, caplog, monkeypatch, count, warned):
    monkeypatch.setattr(agreement, "MOST_CHANGED", 0.1)  # the tiny model is unsure of many rows
    monkeypatch.setattr(agreement, "MOST_LOST", 0.1)
    Classifier.from_pretrained(run(count=count), precision="int8")
    assert ("int8 is verified on 60 rows, and fewer than 200 show little" in caplog.text) == warned


def test_the_rows_are_spread_over_the_whole_split(run):
    folder = run(count=2500)
    texts, true, before = held_out(agreement.Path(folder))
    assert len(texts) == len(true) == len(before) == 1000
    assert texts[-1] in [text for text, _ in reviews(2500)][-5:]
