"""A classifier is scored on whatever is labelled with its classes, and the classes are matched by their names."""

import json
import shutil

import numpy as np
import pytest
import torch
from conftest import reviews

import hfcls
from hfcls import cli
from hfcls.data.columns import remembered_columns
from hfcls.errors import HfclsError
from hfcls.inference.evaluation import Comparison, Evaluation
from hfcls.models.loading import load_classifier
from hfcls.scoring.intervals import McNemar, wilson
from hfcls.scoring.multi_label import analyse_multi_label

NAMES = {"0": "부정", "1": "긍정"}


def renamed(folder: str, path, names: list[str], order: list[int] | None = None) -> str:
    """The same classifier with its classes under other names, and maybe in another order of their ids."""
    model, tokenizer = load_classifier(folder)
    order = order or list(range(len(names)))
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.copy_(parameter[order])
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = {name: i for i, name in enumerate(names)}
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


@pytest.fixture
def held_out(table):
    return str(table("held.tsv", lines=["text\tlabel", *(f"{text}\t{NAMES[label]}" for text, label in reviews(90))]))


def right(folder: str, rows: list[tuple[str, str]]) -> float:
    """Accuracy, by asking text by text."""
    classifier = hfcls.Classifier.from_pretrained(folder)
    return float(np.mean([classifier(text)["label"] == NAMES[label] for text, label in rows]))


def test_classes_are_matched_by_name_whatever_the_order_of_their_ids(classifier_folder, held_out, tmp_path):
    turned = renamed(classifier_folder, tmp_path / "turned", ["긍정", "부정"], order=[1, 0])
    accuracy = right(classifier_folder, reviews(90))
    assert abs(accuracy - 0.5) > 0.02  # or a swap would not show
    for model, other in [(classifier_folder, turned), (turned, classifier_folder)]:
        result = hfcls.evaluate(model=model, compare=other, dataset=held_out)
        (beside,) = result.comparisons
        assert beside.analysis.accuracy == result.analysis.accuracy
        assert (beside.mcnemar.only_first, beside.mcnemar.only_second) == (0, 0)
        assert result.metrics["accuracy"] == pytest.approx(accuracy)
        assert beside.analysis.loss == pytest.approx(result.analysis.loss, abs=1e-6)
    assert [line.split()[0] for line in result.table().splitlines()][-2:] == ["texts/s", "model"]
    by_name = {row.label: row.recall.value for row in result.analysis.classes}
    assert by_name == {row.label: row.recall.value for row in beside.analysis.classes}


def test_several_models_are_compared_each_with_its_own_test(classifier_folder, held_out, tmp_path, capsys):
    swapped = renamed(classifier_folder, tmp_path / "swapped", ["긍정", "부정"])  # answers the other class to each text
    same = renamed(classifier_folder, tmp_path / "same", ["긍정", "부정"], order=[1, 0])
    result = hfcls.evaluate(model=classifier_folder, compare=[swapped, same], dataset=held_out)
    assert [beside.model for beside in result.comparisons] == [swapped, same]
    away, equal = result.comparisons
    assert away.analysis.accuracy.value == pytest.approx(1 - result.analysis.accuracy.value)
    assert (away.mcnemar.only_first + away.mcnemar.only_second, equal.mcnemar.only_first) == (90, 0)
    assert cli.main(["evaluate", "--model", classifier_folder, "--compare", swapped, same, "--dataset", held_out]) == 0
    printed = capsys.readouterr().out
    assert printed.count("McNemar's test: ") == 2
    assert "2 tests: a difference is more than chance where p is below 0.025" in printed
    with pytest.raises(HfclsError, match="no model folder ./nowhere"):
        hfcls.evaluate(model=classifier_folder, compare=f"{swapped},./nowhere", dataset=held_out)


def test_models_of_several_labels_are_compared_by_the_score_that_is_tested():
    """Micro F1 alone stood beside a p that is about rows whose labels are all right."""
    labels = np.eye(2)[np.arange(20) % 2]
    analysis = analyse_multi_label(labels, labels, ["가", "나"], [0.5, 0.5])
    scores = {"metrics": analysis.metrics(), "rows_per_second": 1.0, "analysis": analysis}
    both = [Comparison("other", analysis, McNemar(3, 4, 1.0))]
    told = Evaluation(model="one", dataset="rows", split="test", num_rows=20, **scores, comparisons=both).details()[1]
    assert told.startswith(f"other on the same rows: micro_f1 {analysis.micro_f1}, subset accuracy {wilson(20, 20)}\n")


def test_a_file_of_one_class_is_scored(classifier_folder, table):
    texts = [text for text, label in reviews(60) if label == "1"]
    path = table("one.tsv", lines=["text\tlabel", *(f"{text}\t긍정" for text in texts)])
    result = hfcls.evaluate(model=classifier_folder, dataset=str(path))
    assert (result.num_rows, result.split) == (len(texts), "train")
    assert result.metrics["accuracy"] == pytest.approx(right(classifier_folder, [(text, "1") for text in texts]))
    assert [(row.label, row.support) for row in result.analysis.classes] == [("부정", 0), ("긍정", len(texts))]


def test_a_class_that_only_the_model_knows_takes_part(classifier_folder, table, tmp_path):
    """The folder's train split lacks it, and the test split too: the model may still give it."""
    model, _ = load_classifier(classifier_folder)
    three = hfcls.load_model(classifier_folder, ["긍정", "부정", "중립"])
    with torch.no_grad():
        for ours, theirs in zip(three.classifier.parameters(), model.classifier.parameters(), strict=True):
            ours.copy_(torch.cat([theirs[[1, 0]], theirs[:1] * 0 + 9]) if ours.ndim == 1 else theirs[[1, 0, 0]])
    three.save_pretrained(tmp_path / "three")
    hfcls.load_tokenizer(classifier_folder).save_pretrained(tmp_path / "three")
    table("data/train.tsv", lines=["text\tlabel", "가\t부정", "나\t부정"])
    folder = table("data/test.tsv", lines=["text\tlabel", "최고\t긍정", "별로\t부정"]).parent
    result = hfcls.evaluate(model=str(tmp_path / "three"), dataset=str(folder))
    assert [(row.label, row.support, row.predicted) for row in result.analysis.classes] == [
        ("긍정", 1, 0),
        ("부정", 1, 0),
        ("중립", 0, 2),
    ]
    assert result.metrics["accuracy"] == 0


def test_labels_that_are_missing_and_texts_that_are_numbers_do_not_stop_it(classifier_folder, tmp_path, caplog):
    rows = [{"text": "10", "label": "긍정"}, {"text": "9", "label": "-1"}, {"text": "8", "label": None}]
    path = tmp_path / "held.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in [*rows, {"text": None, "label": "부정"}]), encoding="utf-8")
    assert hfcls.evaluate(model=classifier_folder, dataset=str(path)).num_rows == 2
    assert "2 of 4 rows have no label in column 'label', rows 2, 3: not scored" in caplog.text
    assert "1 of 2 rows have no text (null), row 4 for one; it is read as an empty text" in caplog.text


def test_a_model_without_class_names_is_given_them(classifier_folder, held_out, tmp_path, capsys):
    named = hfcls.evaluate(model=classifier_folder, dataset=held_out)
    unnamed = renamed(classifier_folder, tmp_path / "unnamed", ["LABEL_0", "LABEL_1"])
    with pytest.raises(
        HfclsError, match=r"has the label 긍정, 부정, but the model only knows LABEL_0, LABEL_1; .*--label_n"
    ):
        hfcls.evaluate(model=unnamed, dataset=held_out)
    output = tmp_path / "scores.json"
    options = ["--model", unnamed, "--dataset", held_out, "--label_names", "부정, 긍정", "--output", str(output)]
    assert cli.main(["evaluate", *options]) == 0
    assert json.loads(output.read_text("utf-8"))["metrics"] == named.metrics
    assert "  긍정" in capsys.readouterr().out
    swapped = hfcls.evaluate(model=unnamed, dataset=held_out, label_names="긍정,부정")
    assert swapped.metrics["accuracy"] == pytest.approx(1 - named.metrics["accuracy"])
    # in a comparison, the one that has names keeps them
    for model, other in [(unnamed, classifier_folder), (classifier_folder, unnamed)]:
        result = hfcls.evaluate(model=model, compare=other, dataset=held_out, label_names="부정,긍정")
        assert result.comparisons[0].analysis.accuracy == result.analysis.accuracy == named.analysis.accuracy
    quoted = renamed(classifier_folder, tmp_path / "quoted", ["a", "b"])
    with pytest.raises(HfclsError, match="the model only knows 아니오, 예, 맞아요"):
        hfcls.evaluate(model=quoted, dataset=held_out, label_names='아니오,"예, 맞아요"')


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("부정", r"label_names must name each of the 2 classes of .* once \(부정, 긍정\), found 부정"),
        ("부정,부정", "found 부정, 부정"),
        ("부정,긍정,중립", "found 부정, 긍정, 중립"),
        (
            "긍정,부정",
            "has the classes 부정, 긍정 in this order of their ids, but label_names is 긍정, 부정: leave it out",
        ),
    ],
)
def test_names_that_would_mix_up_the_classes_are_refused(classifier_folder, held_out, names, message):
    with pytest.raises(HfclsError, match=message):
        hfcls.evaluate(model=classifier_folder, dataset=held_out, label_names=names)


def test_a_second_model_without_a_class_of_the_data_is_refused(classifier_folder, held_out, tmp_path):
    other = renamed(classifier_folder, tmp_path / "other", ["부정", "중립"])
    with pytest.raises(HfclsError, match=r"the data has the label 긍정, but .*other only knows 부정, 중립"):
        hfcls.evaluate(model=classifier_folder, compare=other, dataset=held_out)


def test_a_model_is_not_scored_on_the_columns_of_another(classifier_folder, held_out, tmp_path):
    folders = []
    for column in ("text", "body"):
        folders.append(tmp_path / column)
        shutil.copytree(classifier_folder, folders[-1])
        config = json.loads((folders[-1] / "config.json").read_text("utf-8"))
        config["data_columns"] = {"text_column": column, "label_column": "label"}
        (folders[-1] / "config.json").write_text(json.dumps(config), encoding="utf-8")
    first, other = map(str, folders)
    with pytest.raises(HfclsError, match="body was fine-tuned on body, .*text on text: evaluate each alone, or"):
        hfcls.evaluate(model=first, compare=other, dataset=held_out)
    assert hfcls.evaluate(model=first, compare=other, dataset=held_out, text_column="text").comparisons


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {"label_column": "분류", "label_separator": ";"}),
        ({"label_separator": "|"}, {"label_column": "분류", "label_separator": "|"}),
        ({"label_column": "y"}, {"label_column": "y"}),
        ({"label_columns": "a,b"}, {"label_column": "label", "label_columns": "a,b"}),
    ],
)
def test_a_separator_that_is_given_leaves_the_labels_in_the_column_of_training(given, wanted):
    """They were looked for in a column `label`, which may be there and hold something else."""
    trained = {"text_column": "글", "label_column": "분류", "label_separator": ";"}
    options = dict.fromkeys(("text_column", "label_column", "label_columns", "label_separator"))
    found = remembered_columns(options | given, trained)
    assert {name: column for name, column in found.items() if column} == {"text_column": "글", **wanted}


@pytest.mark.parametrize(
    ("trained", "warned"), [("dataset: {held}", True), ("dataset: other.csv", False), ("[", False)]
)
def test_a_score_on_the_file_of_training_is_called_memory(
    classifier_folder, held_out, tmp_path, caplog, trained, warned
):
    shutil.copytree(classifier_folder, run := tmp_path / "run")
    (run / "run.yaml").write_text(trained.format(held=held_out), encoding="utf-8")
    hfcls.evaluate(model=str(run), dataset=held_out, max_samples=8)
    assert ("shows memory" in caplog.text) == warned


@pytest.mark.parametrize(("name", "warned"), [("train.tsv", True), ("ratings_train.tsv", True), ("extra.tsv", False)])
def test_the_training_file_of_a_folder_is_known_too(classifier_folder, held_out, tmp_path, caplog, name, warned):
    shutil.copytree(classifier_folder, run := tmp_path / "run")
    (run / "run.yaml").write_text(f"dataset: {tmp_path / 'data'}", encoding="utf-8")
    (tmp_path / "data").mkdir()
    shutil.copy(held_out, file := tmp_path / "data" / name)
    hfcls.evaluate(model=str(run), dataset=str(file), max_samples=8)
    assert ("shows memory" in caplog.text) == warned
