"""The baseline beside a model: what a run tells of both, and what it says when the model does not win."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import hfcls
from hfcls import cli
from hfcls.baseline.beside import BaselineScores, labels_of, texts_of
from hfcls.baseline.linear import Baseline
from hfcls.data.splits import carve_validation
from hfcls.publishing.pages.verdict import how_good
from hfcls.runs.predictions import scored_rows
from hfcls.scoring.analysis import analyse
from hfcls.scoring.intervals import mcnemar

TINY = {"max_length": 32, "max_steps": 1, "report": False}


@pytest.fixture
def corpus(table) -> str:
    table("data/train.tsv", 200)
    return str(table("data/test.tsv", 60, seed=1).parent)


def test_a_run_shows_what_the_baseline_reaches_on_the_same_rows(corpus, tiny_model, tmp_path, capsys):
    out = tmp_path / "out"
    flags = [f"--dataset={corpus}", f"--model={tiny_model}", "--max_length=32", "--max_steps=1", "--no-report"]
    assert cli.main(["train", *flags, f"--output_dir={out}"]) == 0
    rows = carve_validation(hfcls.load_corpus(corpus), 0.1, 7)
    labels, names = labels_of(rows["test"]), rows["test"].features["label"].names
    by_hand = Baseline.fit(texts_of(rows["train"]), labels_of(rows["train"]), 2).probabilities(texts_of(rows["test"]))
    result = hfcls.load_results(out)
    assert result.baseline.analysis == analyse(labels, by_hand, names)
    predicted = [names.index(name) for name in scored_rows(out, 60)["predicted"].to_pylist()]
    assert result.baseline.mcnemar == mcnemar(labels, predicted, by_hand.argmax(axis=1))
    own, other = result.analysis, result.baseline.analysis
    printed = capsys.readouterr().out
    cells = "  ".join(f"{each.accuracy!s:<24}" for each in (own, other))
    assert f"  accuracy    {cells}  95 % interval\n" in printed
    assert f"\n\n{result.baseline.verdict(own)}\n" in printed
    assert how_good(result)[1] in (out / "README.md").read_text("utf-8").replace("\\", "")
    assert json.loads((out / "results.json").read_text("utf-8"))["baseline"]["seconds"] > 0


def test_it_is_left_out_where_it_is_not_wanted_or_nothing_is_scored(corpus, table, tiny_model, tmp_path):
    alone = hfcls.fine_tune(dataset=corpus, model=tiny_model, baseline=False, output_dir=str(tmp_path / "a"), **TINY)
    assert alone.baseline is None
    assert "baseline" not in alone.table()
    path = str(table("only.tsv"))
    options = {"dataset": path, "model": tiny_model, "validation_size": 0.0, "output_dir": str(tmp_path / "b")}
    assert hfcls.fine_tune(**options, **TINY).baseline is None


def test_a_pair_of_texts_has_a_baseline_of_pairs(table, tiny_model, tmp_path):
    lines = ["text\tpair\tlabel", *(f"글 {i}\t{'같은' if i % 2 else '다른'} 글\t{i % 2}" for i in range(80))]
    options = {"dataset": str(table(lines=lines)), "text_pair_column": "pair", "output_dir": str(tmp_path / "out")}
    assert (
        hfcls.fine_tune(model=tiny_model, allow_unknown=True, **options, **TINY).baseline.analysis.accuracy.value == 1
    )


def test_a_run_that_goes_on_has_the_same_baseline(corpus, tiny_model, tmp_path):
    options = {"dataset": corpus, "model": tiny_model, "output_dir": str(tmp_path / "out"), **TINY}
    first = hfcls.fine_tune(**options)
    again = hfcls.fine_tune(**options, resume=True)
    assert again.baseline == first.baseline
    longer = hfcls.fine_tune(**{**options, "max_steps": 2}, resume=True)
    assert longer.baseline.analysis == first.baseline.analysis


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (90, "The model beats the baseline: accuracy 0.9000 vs 0.7000 (McNemar's p = 1.9e-06)."),
        (50, "The model is worse than the baseline: accuracy 0.5000 vs 0.7000 (McNemar's p = 1.9e-06)."),
        (72, "The model is not shown to beat the baseline: accuracy 0.7200 vs 0.7000 may be chance"),
        (70, "The model is not shown to beat the baseline: accuracy 0.7000 vs 0.7000 may be chance"),
    ],
)
def test_the_verdict_is_that_of_the_test(model, said):
    labels = np.zeros(100, int)
    right = {name: (np.arange(100) >= count).astype(int) for name, count in (("model", model), ("baseline", 70))}
    test = mcnemar(labels, right["model"], right["baseline"])
    analysis = analyse(labels, np.eye(2)[right["baseline"]], ["a", "b"])
    own = analyse(labels, np.eye(2)[right["model"]], ["a", "b"])
    assert BaselineScores(analysis, 0.1, test).verdict(own).startswith(said)
    assert BaselineScores(analysis, 0.1).verdict(own) == ""


def test_the_report_shows_both(corpus, tiny_model, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra `report`")
    run = hfcls.fine_tune(
        dataset=corpus, model=tiny_model, output_dir=str(tmp_path / "out"), max_length=32, max_steps=1
    )
    page = (Path(run.output_dir) / "report.html").read_text("utf-8")
    assert "Beside the baseline" in page
    assert re.search(rf"{run.baseline.analysis.accuracy.value:.2f}\d* <small>", page)  # as many digits as rows allow
    assert "맥니머 검정 p\u00a0=\u00a0" in page
