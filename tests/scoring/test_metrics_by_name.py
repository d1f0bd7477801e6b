"""Metrics by their name or path, through the library `evaluate`: offline, from files that stand here."""

import logging
import os
import re

import numpy as np
import pytest
from conftest import ROOT

from hfcls.errors import HfclsError
from hfcls.scoring.metrics import further_metrics
from hfcls.scoring.tasks import MultiLabel, Regression, SingleLabel

SCRIPT = """
import datasets
import evaluate
from sklearn.metrics import fbeta_score, roc_auc_score


class Mine(evaluate.Metric):
    def _info(self):
        kind = datasets.Value("int32")
        if self.config_name == "multilabel":
            kind = datasets.Sequence(kind)
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="",
            features=datasets.Features({"predictions": kind, "references": kind}),
        )

    def _compute(self, predictions, references, average="binary"):
        return {"f2": fbeta_score(references, predictions, beta=2, average=average, zero_division=0), "rows": [1, 2]}
"""
SCORES = """
import datasets
import evaluate
from sklearn.metrics import roc_auc_score


class Area(evaluate.Metric):
    def _info(self):
        several = self.config_name in ("multilabel", "multiclass")
        score = datasets.Sequence(datasets.Value("float")) if several else datasets.Value("float")
        reference = datasets.Value("int32")
        if self.config_name == "multilabel":
            reference = datasets.Sequence(reference)
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="",
            features=datasets.Features({"prediction_scores": score, "references": reference}),
        )

    def _compute(self, prediction_scores, references, average="macro", multi_class="raise"):
        return {"area": roc_auc_score(references, prediction_scores, average=average, multi_class=multi_class)}
"""
LARGEST = """
import datasets
import evaluate
import numpy as np


class Largest(evaluate.Metric):
    def _info(self):
        number = datasets.Value("float64")
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="",
            features=datasets.Features({"predictions": number, "references": number}),
        )

    def _compute(self, predictions, references):
        if len(references) == 1:
            raise ValueError("one row is not enough")
        return {"largest": np.abs(np.array(predictions) - np.array(references)).max()}
"""


@pytest.fixture
def metric(tmp_path):
    """Writes a metric as `evaluate` wants it, a file in a folder of its name, and gives its path."""

    def write(name, script):
        path = tmp_path / name / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(script, encoding="utf-8")
        return str(path)

    return write


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_numbers_are_those_of_scikit_learn(metric, caplog):
    from sklearn.metrics import fbeta_score, roc_auc_score

    rng = np.random.default_rng(0)
    names = f"{metric('mine', SCRIPT)}, {metric('area', SCORES)}"
    for count in (2, 3):
        labels, outputs = np.arange(40) % count, rng.dirichlet(np.ones(count), 40)
        found = further_metrics(names, SingleLabel(list("abc"[:count])))(labels, outputs)
        average = "binary" if count == 2 else "macro"
        area = roc_auc_score(labels, outputs[:, 1] if count == 2 else outputs, multi_class="ovr", average="macro")
        f2 = fbeta_score(labels, outputs.argmax(axis=1), beta=2, average=average)
        assert found == {"f2": pytest.approx(f2), "area": pytest.approx(area)}
    assert "rows is not one number and left out" in caplog.text
    labels, outputs, task = rng.integers(0, 2, (40, 3)), rng.random((40, 3)), MultiLabel(list("abc"), [0.3, 0.5, 0.7])
    f2 = fbeta_score(labels, outputs > task.thresholds, beta=2, average="macro")
    found = further_metrics(names, task)(labels, outputs)
    assert found == {"f2": pytest.approx(f2), "area": pytest.approx(roc_auc_score(labels, outputs))}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_number_is_not_cut_to_a_class(metric, caplog):
    further = further_metrics(metric("largest", LARGEST), Regression(["score"]))
    assert further([1.0, 2.5], [1.25, 4.0]) == {"largest": 1.5}
    assert further([1.0], [1.25]) == {}
    assert "failed and is left out: ValueError: one row is not enough" in caplog.text
    with pytest.raises(HfclsError, match="is for classes, and this model gives a number: drop it"):
        further_metrics(metric("mine", SCRIPT), Regression(["score"]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_had_is_told_before_anything_is_computed(metric, monkeypatch):
    task = SingleLabel(["a", "b"])
    assert further_metrics(None, task) is None
    monkeypatch.setenv("HF_EVALUATE_OFFLINE", "1")
    with pytest.raises(HfclsError, match="metric no_such cannot be loaded .*: give a name that `evaluate` knows"):
        further_metrics("no_such", task)
    with pytest.raises(HfclsError, match="metric someone/theirs is no file or folder here; .* --trust_remote_code"):
        further_metrics("someone/theirs", task)
    broken = metric("broken", SCRIPT.replace("beta=2", "beta=-2"))
    with pytest.raises(HfclsError, match="broken.py cannot be computed here: .*beta.*; drop it"):
        further_metrics(broken, task)
    other = metric("other", SCRIPT.replace('"references": kind', '"references": kind, "sources": kind'))
    with pytest.raises(HfclsError, match="needs sources, which a classifier does not give"):
        further_metrics(other, task)


def test_the_library_is_imported_only_where_it_is_asked_for():
    modules = [path.read_text(encoding="utf-8") for path in (ROOT / "hfcls").rglob("*.py")]
    assert not any(re.search(r"^(import|from) evaluate", module, re.MULTILINE) for module in modules)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_training_and_evaluation_tell_them(metric, table, tiny_model, tmp_path, caplog):
    import hfcls
    from hfcls.runs.results import load_results

    caplog.set_level(logging.INFO, logger="hfcls")
    mine = metric("mine", SCRIPT)
    options = {"model": tiny_model, "max_length": 32, "baseline": False, "report": False, "report_to": "none"}
    out = str(tmp_path / "out")
    with pytest.raises(HfclsError, match=r"metric \./none is no file or folder here"):
        hfcls.fine_tune(dataset=str(table()), output_dir=out, metrics="./none", **options)
    assert not os.path.exists(f"{out}/run.yaml")
    result = hfcls.fine_tune(dataset=str(table()), output_dir=out, metrics=[mine], max_steps=2, **options)
    assert list(result.further) == ["f2"]
    assert load_results(out).further == result.further
    assert f"f2          {result.further['f2']:.4f}" in result.table()
    with open(f"{out}/README.md", encoding="utf-8") as card:
        assert f"| f2 | {result.further['f2']:.4f} |" in card.read()
    evaluation = hfcls.evaluate(model=out, dataset=str(table()), metrics=mine, output=str(tmp_path / "scores.json"))
    assert f"f2          {evaluation.further['f2']:.4f}" in evaluation.table()


def test_a_metric_that_is_nan_is_told_and_left_out(metric, caplog):
    """JSON has no NaN: no other program could read what `evaluate --output` writes."""
    script = SCRIPT.replace('"rows":', '"nothing": float("nan"), "rows":')
    found = further_metrics(metric("mine", script), SingleLabel(["a", "b"]))([0, 1], np.eye(2))
    assert set(found) == {"f2"}
    assert "nothing, rows is not one number and left out" in caplog.text
