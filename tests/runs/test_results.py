"""What a run leaves for its report and its model card, and what `hfcls evaluate` tells."""

import hashlib
import html
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from pyarrow import parquet

import hfcls
from hfcls import cli
from hfcls.batching.bins import padding_shares
from hfcls.config.train import TrainConfig
from hfcls.errors import HfclsError
from hfcls.runs.predictions import Example, confident_errors, save_predictions, scored_rows, text_lengths
from hfcls.runs.record import protocol
from hfcls.runs.results import load_results, scored_result
from hfcls.scoring.confidence.fitting import tuned_on_validation
from hfcls.scoring.tasks import MultiLabel, Regression, SingleLabel, Task, shown


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_model) -> hfcls.runs.results.Result:
    """A short run on 200 reviews, of which 40 are carved for validation, tested on 60."""
    from conftest import reviews

    folder = tmp_path_factory.mktemp("run")
    for seed, (split, count) in enumerate([("train", 200), ("test", 60)]):
        rows = ["text\tlabel", *("\t".join(row) for row in reviews(count, seed))]
        (folder / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return hfcls.fine_tune(
        dataset=str(folder),
        model=tiny_model,
        max_length=32,
        learning_rate=1e-3,
        num_train_epochs=2,
        validation_size=0.2,
        output_dir=str(folder / "out"),
    )


def test_a_run_says_what_it_was_made_of(run, tiny_model):
    facts = run.facts
    assert facts.model == tiny_model
    assert {name: split.rows for name, split in facts.splits.items()} == {"train": 160, "test": 60, "validation": 40}
    assert sum(facts.splits["test"].classes.values()) == 60
    lines = (Path(facts.dataset) / "test.tsv").read_text("utf-8").splitlines()[1:]
    rows = [json.dumps(line.split("\t"), ensure_ascii=False) + "\n" for line in lines]
    assert facts.splits["test"].sha256 == hashlib.sha256("".join(rows).encode()).hexdigest()
    assert facts.protocol == (
        "The last checkpoint was kept; the validation split, 20% of train (stratified, by text, seed 7), chose "
        "nothing. The test split was scored once, after that."
    )
    assert facts.options["learning_rate"] == 1e-3
    assert "seed" not in facts.options  # at its default
    assert facts.steps == 20
    assert facts.training_seconds > 0
    assert facts.batching == "packed"
    assert 0 <= facts.padding["packed"] < facts.padding["longest"] < facts.padding["fixed"] < 1
    assert facts.hardware.startswith("1 x CPU (")
    assert {"python", "hfcls", "torch", "transformers"} < set(facts.versions)


def test_results_and_predictions_can_be_read_again(run):
    out = Path(run.output_dir)
    again = load_results(out)
    assert again == run
    table = parquet.read_table(out / "predictions.parquet")
    assert table.column_names == ["text", "label", "predicted", "probability_0", "probability_1"]
    assert len(table) == 60
    right = np.array(table["label"].to_pylist()) == np.array(table["predicted"].to_pylist())
    assert right.mean() == run.analysis.accuracy.value
    classifier = hfcls.Classifier.from_pretrained(str(out))
    texts = table["text"].to_pylist()
    assert table["probability_1"].to_numpy() == pytest.approx(classifier.probabilities(texts)[:, 1].numpy(), abs=1e-6)
    assert sum(bucket.count for bucket in run.analysis.lengths) == 60
    assert run.analysis.lengths[-1].high == max(map(len, texts))


def test_a_notebook_shows_what_a_terminal_shows(run):
    """As text: a label of the data is no markup there."""
    assert run._repr_html_() == f"<pre>{html.escape(run.table())}</pre>"
    assert "<b>" not in replace(run, examples=[Example("<b>최고</b>", "1", "1", 0.9)])._repr_html_()
    scored = hfcls.evaluate(model=run.output_dir, dataset=run.facts.dataset)
    assert scored._repr_html_() == f"<pre>{html.escape(chr(10).join([scored.table(), '', *scored.details()]))}</pre>"


def test_no_results_or_broken_ones(tmp_path):
    with pytest.raises(HfclsError, match="holds no finished run: results.json is missing; give the --output_dir"):
        load_results(tmp_path)
    for content in ('{"split": "test"}', "[]", '{"examples": [], "analysis": "high"}', '{"examples": 1}', "{"):
        (tmp_path / "results.json").write_text(content)
        with pytest.raises(HfclsError, match=r"results.json is not the result of a run of this version"):
            load_results(tmp_path)


def test_an_example_of_several_lines_keeps_to_one(run):
    example = Example("첫 줄\n\n둘째\t줄", "a", "b", 0.5)
    assert replace(run, examples=[example]).table().endswith("\n  b  50.0%  첫 줄 둘째 줄  [a]")


def test_scores_that_cannot_be_written_are_told(run, tmp_path, monkeypatch):
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hfcls.inference.evaluation.Evaluation.save", full)
    with pytest.raises(HfclsError, match=r"cannot write .*a.json: No space left on device. Scores:\n.*\n  accuracy"):
        hfcls.evaluate(model=run.output_dir, dataset=run.facts.dataset, output=str(tmp_path / "a.json"))


def test_evaluate_compares_two_models_on_the_same_rows(run, tiny_model, tmp_path, capsys):
    untrained = str(tmp_path / "untrained")
    hfcls.fine_tune(
        dataset=run.facts.dataset,
        model=tiny_model,
        max_length=32,
        max_steps=1,
        output_dir=untrained,
        learning_rate=1e-9,
    )
    output = tmp_path / "scores.json"
    status = cli.main(
        ["evaluate", "--model", run.output_dir, "--compare", untrained, "--dataset", run.facts.dataset,
         "--output", str(output)]
    )  # fmt: skip
    assert status == 0
    scores = json.loads(output.read_text())
    (beside,) = scores["comparisons"]
    test, first, second = beside["mcnemar"], scores["analysis"]["accuracy"], beside["analysis"]["accuracy"]
    assert first["value"] == run.analysis.accuracy.value
    assert (test["only_first"] - test["only_second"]) / 60 == pytest.approx(first["value"] - second["value"])
    assert 0 <= test["p_value"] <= 1
    printed = capsys.readouterr().out
    assert f"accuracy    {run.analysis.accuracy}  95 % interval" in printed
    assert "  precision             recall                f1                    rows  class" in printed
    assert f"{untrained} on the same rows: accuracy 0." in printed
    assert f"McNemar's test: {test['only_first']} rows right by {run.output_dir} alone" in printed


def test_evaluate_ends_what_cannot_succeed_before_it_scores(run, tmp_path, monkeypatch):
    def score(*args: object) -> None:
        raise AssertionError("scored")

    monkeypatch.setattr("hfcls.inference.evaluation._score", score)
    options = {"model": run.output_dir, "dataset": run.facts.dataset}
    with pytest.raises(HfclsError, match=r"no model folder \./nowhere"):
        hfcls.evaluate(**options, compare="./nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(HfclsError, match="cannot write .*scores.json: .*; choose another --output"):
        hfcls.evaluate(**options, output=str(tmp_path / "file/scores.json"))
    monkeypatch.undo()
    assert hfcls.evaluate(**options, max_samples=9, output=str(tmp_path / "new/scores.json")).num_rows == 9
    assert json.loads((tmp_path / "new/scores.json").read_text("utf-8"))["num_rows"] == 9


def test_results_that_cannot_be_written_are_told(run, tiny_model, tmp_path, monkeypatch):
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hfcls.runs.results.save_predictions", full)
    with pytest.raises(
        HfclsError, match=r"is saved in .*, but not its results \(No space left on device\).*--resume"
    ) as e:
        hfcls.fine_tune(
            dataset=run.facts.dataset, model=tiny_model, max_length=32, max_steps=1, output_dir=str(tmp_path / "out")
        )
    assert "  accuracy    0." in str(e.value)
    monkeypatch.undo()
    assert not (tmp_path / "out/results.json").exists()


def test_predictions_of_pairs_and_lengths(tmp_path):
    features = Features(
        {"text": Value("string"), "text_pair": Value("string"), "label": ClassLabel(names=["아니오", "예"])}
    )
    rows = Dataset.from_dict(
        {"text": ["가나", "다"], "text_pair": ["라", "마바사"], "label": [1, 0]}, features=features
    )
    assert text_lengths(rows.select([1, 0])).tolist() == [4, 3]
    save_predictions(
        rows, np.array([[0.4, 0.6], [0.3, 0.7]]), SingleLabel(["아니오", "예"]), tmp_path / "predictions.parquet"
    )
    assert parquet.read_table(tmp_path / "predictions.parquet").slice(1).to_pylist() == [
        {
            "text": "다",
            "text_pair": "마바사",
            "label": "아니오",
            "predicted": "예",
            "probability_아니오": pytest.approx(0.3),
            "probability_예": pytest.approx(0.7),
        }
    ]


def test_predictions_are_found_in_a_folder_whose_name_looks_like_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("run:1")
    folder.mkdir()
    rows = Dataset.from_dict(
        {"text": ["최고", "별로"], "label": [1, 0]},
        features=Features({"text": Value("string"), "label": ClassLabel(names=["0", "1"])}),
    )
    outputs = np.array([[0.2, 0.8], [0.4, 0.6]])
    save_predictions(rows, outputs, SingleLabel(names=["0", "1"]), folder / "predictions.parquet")
    assert scored_rows(folder, 5)["text"].to_pylist() == ["최고", "별로"]
    assert [row["text"] for row in confident_errors(folder, 5)] == ["별로"]
    assert scored_rows(tmp_path, 5) is None


def test_padding_is_counted():
    lengths = [8, 8, 8, 8, 20, 4]
    shares = padding_shares(lengths, batch_size=4, max_length=32, row_length=32)
    assert shares == {"packed": 1 - 56 / 64, "longest": 1 - 56 / (4 * 8 + 2 * 20), "fixed": 1 - 56 / (6 * 32)}


def test_options_at_their_defaults_are_not_listed():
    from hfcls.config.options import changed_options

    assert changed_options(TrainConfig()) == {}
    assert changed_options(TrainConfig(seed=8, dataset="demo")) == {"seed": 8, "dataset": "demo"}


def scored(task: Task, label: object, outputs: np.ndarray, selected_on: str | None, **options: str) -> str:
    """The note of a result on two validation rows of a run without a test split."""
    features = Features({"text": Value("string"), "label": label})
    rows = {"text": ["가", "나"], "label": [[0], [0, 1]] if isinstance(task, MultiLabel) else [0, 1]}
    corpus = DatasetDict(dict.fromkeys(("train", "validation"), Dataset.from_dict(rows, features)))
    facts = SimpleNamespace(options=options, selected_on=selected_on, submission_rows=0, texts_per_second=1.0)
    result = scored_result(corpus, "validation", outputs, task, facts, output_dir="out", seed=7)
    assert result.note.endswith("; there is no test split")
    return result.note.partition(";")[0]


def test_the_note_says_what_the_scored_rows_have_chosen():
    names = ["가", "나"]
    outputs = np.array([[0.9, 0.1], [0.2, 0.8]])
    single = (SingleLabel(names), ClassLabel(names=names), outputs)
    several = (MultiLabel(names), List(ClassLabel(names=names)), outputs)
    assert scored(*single, None) == "scored once"
    assert scored(*single, "validation") == "also chose the checkpoint"
    assert scored(*single, "validation", metric_for_best_model="last") == "held out"
    assert scored(*several, "validation") == "also chose the checkpoint and the thresholds"
    assert scored(*several, "validation", metric_for_best_model="last") == "also chose the thresholds"


def test_one_answer_to_all_texts_is_warned_of_where_their_labels_differ(caplog):
    """One row, or rows of one class, have one answer of a model that is right, too."""
    names = ["가", "나"]
    given: dict[str, Any] = {"output_dir": "out", "seed": 7}
    facts = SimpleNamespace(options={}, selected_on=None, submission_rows=0, texts_per_second=1.0)
    for task, label, labels, outputs in (
        (SingleLabel(names), ClassLabel(names=names), [0, 1], np.array([[0.9, 0.1]] * 2)),
        (MultiLabel(names), List(ClassLabel(names=names)), [[0], [0, 1]], np.array([[0.9, 0.1]] * 2)),
        (Regression(["값"]), Value("float64"), [1.5, 2.5], np.array([1.7, 1.7])),
    ):
        for rows, warned in ((labels, True), (labels[:1], False), (labels[:1] * 2, False)):
            caplog.clear()
            features = Features({"text": Value("string"), "label": label})
            split = Dataset.from_dict({"text": ["글"] * len(rows), "label": rows}, features)
            corpus = DatasetDict(dict.fromkeys(("train", "test"), split))
            scored_result(corpus, "test", outputs[: len(rows)], task, facts, **given)
            assert ("has not learned" in caplog.text) == warned


def test_large_numbers_are_written_out():
    assert [shown(number) for number in (129_000.4, 12_345.6, 3.14159, 0.000012)] == [
        "129000",
        "12346",
        "3.142",
        "1.2e-05",
    ]


def test_the_protocol_says_what_validation_has_chosen():
    kept = "The last checkpoint was kept; the validation split chose {}. There is no test split: the scores are those "
    single, several = SingleLabel(["가", "나"]), MultiLabel(["가", "나"])
    both = {"temperature": 1.2, "target_accuracy": 0.9}
    for task, fitted, chosen in (
        (single, {}, "nothing"),
        (several, {}, "the thresholds"),
        (SingleLabel(["가", "나"], abstain_below=0.0), both, "the temperature and the lowest confidence"),
        (single, both, "the temperature"),  # no confidence reached the target
    ):
        tuned = tuned_on_validation(task, fitted, validation=True)
        assert protocol(["train"], "validation", "", "last", tuned=tuned).startswith(kept.format(chosen))
    assert tuned_on_validation(several, {}, validation=False) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_rows": "x"}, "num_rows is str, not int"),
        ({"num_rows": True}, "num_rows is bool, not int"),
        ({"seed": 1.5}, "seed is float, not int"),
        ({"note": 3}, "note is int, not str"),
        ({"further": []}, "further is list, not dict"),
        ({"metrics": {"accuracy": None}}, "metrics is NoneType, not float"),
        ({"unseen": []}, "unseen is list, not Unseen"),
        ({"confidence": {}}, "confidence is dict, not Confidence"),
        ({"analysis": []}, "analysis is list, not Analysis"),
        ({"baseline": 7}, "object is not subscriptable"),
        ({"examples": [{"text": "가", "label": 1, "predicted": "1", "score": 0.5}]}, "label is int, not str"),
    ],
)
def test_results_with_another_kind_of_value_are_refused(run, tmp_path, change, message):
    run.save(tmp_path / "results.json")
    assert load_results(tmp_path) == run
    values = json.loads((tmp_path / "results.json").read_text("utf-8"))
    (tmp_path / "results.json").write_text(json.dumps(values | change), encoding="utf-8")
    with pytest.raises(HfclsError, match=f"is not the result of a run of this version of hfcls: .*{message}"):
        load_results(tmp_path)


def test_the_table_shows_the_baseline_beside_the_model(run):
    accuracy = next(line for line in run.table().splitlines() if line.split()[:1] == ["accuracy"])
    for scores in (run.analysis, run.baseline.analysis):
        assert f"{scores.accuracy.value:.4f}  [{scores.accuracy.low:.4f}" in accuracy
    assert accuracy.count("[") == 2
