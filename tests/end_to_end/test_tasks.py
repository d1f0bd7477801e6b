"""Several labels, and numbers, from the file to the answer; what is saved is a plain model that says the same."""

import csv
import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import reviews
from pyarrow import parquet
from transformers import AutoModelForSequenceClassification, pipeline

import hfcls
from hfcls.data.tasks import task_of, true_labels
from hfcls.errors import HfclsError
from hfcls.runs.results import load_results
from hfcls.scoring.multi_label import MultiLabelAnalysis
from hfcls.scoring.regression import RegressionAnalysis

WORDS = {"배송": "배송 빠르다", "품질": "품질 좋다", "가격": "가격 싸다"}


def write(path: Path, header: list[str], rows: list) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def labelled(count: int, seed: int) -> list[tuple[str, list[str]]]:
    """Texts and the labels that their words say; every eighth has none."""
    rows = []
    for i, (text, _) in enumerate(reviews(count, seed)):
        chosen = [name for j, name in enumerate(WORDS) if (i + seed) >> j & 1]
        rows.append((" ".join([*(WORDS[name] for name in chosen), *text.split()[2:5]]), chosen))
    return rows


@pytest.fixture
def several(tmp_path) -> str:
    """A folder of three splits, with a column of 0 and 1 for each label."""
    for split, count, seed in (("train", 160, 0), ("validation", 60, 1), ("test", 50, 2)):
        rows = [(text, *(int(name in chosen) for name in WORDS)) for text, chosen in labelled(count, seed)]
        write(tmp_path / "several" / f"{split}.csv", ["text", *WORDS], rows)
    return str(tmp_path / "several")


@pytest.fixture
def scores(tmp_path) -> str:
    """A folder of two splits of texts with a number between 10 and 50, most of them with decimals."""
    for split, count, seed in (("train", 200, 0), ("test", 50, 2)):
        rows = [
            (text, 40.25 + i % 8 if label == "1" else 17.5 - i % 8)
            for i, (text, label) in enumerate(reviews(count, seed))
        ]
        write(tmp_path / "scores" / f"{split}.csv", ["text", "별점"], rows)
    return str(tmp_path / "scores")


@pytest.fixture
def options(tiny_model, tmp_path) -> dict:
    return {
        "model": tiny_model,
        "max_length": 64,
        "learning_rate": 2e-3,
        "num_train_epochs": 4,
        "batch_size": 16,
        "output_dir": str(tmp_path / "out"),
        "report": False,
        "report_to": "none",
    }


def test_several_labels_from_columns_to_answers(several, options, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    result = hfcls.fine_tune(**options, dataset=several, label_columns="배송,품질,가격")
    out = options["output_dir"]
    assert isinstance(result.analysis, MultiLabelAnalysis)
    assert result.metrics["micro_f1"] > 0.9
    assert result.unseen is not None
    assert isinstance(result.baseline.analysis, MultiLabelAnalysis)
    assert result.baseline.mcnemar is not None
    assert "micro_f1" in result.table()
    assert load_results(out).analysis == result.analysis
    config = json.loads((Path(out) / "config.json").read_text())
    assert (config["problem_type"], list(config["id2label"].values())) == (
        "multi_label_classification",
        list(WORDS),
    )
    assert config["thresholds"] == [row.threshold for row in result.analysis.labels]

    # the plain pipeline gives our probabilities, and ours are those above their thresholds
    text = labelled(8, 0)[7][0]
    classifier = hfcls.Classifier.from_pretrained(out)
    answer = classifier(text, all_scores=True)
    plain = {row["label"]: row["score"] for row in pipeline("text-classification", model=out)(text, top_k=None)}
    assert answer["scores"] == pytest.approx(plain, abs=1e-6)
    assert answer["labels"] == [n for n, t in zip(WORDS, config["thresholds"], strict=True) if plain[n] > t]
    assert classifier(text)["scores"].keys() == set(answer["labels"])

    scored = hfcls.evaluate(model=out, dataset=several, label_columns="배송,품질,가격", output=str(tmp_path / "s.json"))
    assert scored.metrics == pytest.approx(result.metrics, abs=1e-6)
    assert "average_precision" in scored.details()[0]
    pytest.importorskip("matplotlib", reason="needs the extra `report`")
    page = hfcls.write_report(out).read_text("utf-8")
    assert "Scores by label" in page and "Beside the baseline" in page  # noqa: PT018
    card = (Path(out) / "README.md").read_text("utf-8")
    assert "any number of 3 labels: 배송, 품질, 가격." in card
    assert f"| 가격 | {config['thresholds'][2]:.3f} |" in card
    assert "Pearson" not in card
    both = hfcls.evaluate(model=out, dataset=several, compare=out)  # the model remembers its columns
    (beside,) = both.comparisons
    assert (beside.mcnemar.only_first, beside.mcnemar.only_second) == (0, 0)

    table = parquet.read_table(Path(out) / "predictions.parquet")
    assert table["label"].to_pylist() == [chosen for _, chosen in labelled(50, 2)]
    right = sum(a == b for a, b in zip(table["label"].to_pylist(), table["predicted"].to_pylist(), strict=True))
    assert right / 50 == result.metrics["subset_accuracy"]


def test_labels_of_predict_are_lists_that_a_run_can_be_trained_on(several, options, tmp_path):
    out = hfcls.fine_tune(**options, dataset=several, label_columns="배송,품질,가격", max_steps=2).output_dir
    source = write(tmp_path / "new.csv", ["text"], [[text] for text, _ in labelled(9, 3)] + [[""]])
    [shard] = hfcls.predict_files(model=out, input=source, output=str(tmp_path / "a"), all_scores=True)
    table = parquet.read_table(shard)
    assert table.column_names == ["text", "predicted_labels", *(f"probability_{name}" for name in WORDS)]
    expected = hfcls.Classifier.from_pretrained(out)([text for text, _ in labelled(9, 3)])
    assert table["predicted_labels"].to_pylist()[:9] == [answer["labels"] for answer in expected]
    [shard] = hfcls.predict_files(model=out, input=source, output=str(tmp_path / "b"), format="csv")
    with shard.open(encoding="utf-8") as file:
        assert [row["predicted_labels"] for row in csv.DictReader(file)][:9] == [
            ",".join(a["labels"]) for a in expected
        ]


def test_labels_with_commas_are_not_joined_by_commas(options, tmp_path):
    rows = [
        {"text": f"{text} {i}", "label": ["좋음, 매우", "가격"][i % 2 :]} for i, (text, _) in enumerate(labelled(40, 0))
    ]
    out = hfcls.fine_tune(**options, dataset=rows, allow_unknown=True, baseline=False, max_steps=1).output_dir
    source = write(tmp_path / "new.csv", ["text"], [["배송"]])
    with pytest.raises(
        HfclsError, match="a label has a comma, which stands between labels in csv: use --format parquet"
    ):
        hfcls.predict_files(model=out, input=source, output=str(tmp_path / "a"), format="csv")
    assert hfcls.predict_files(model=out, input=source, output=str(tmp_path / "b"))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([3.0, 3.0], "'label' holds 3 in every row: there is nothing to learn"),
        ([1e9, 1e9 + 1], "numbers from 1000000000 to 1000000001, which float32 cannot tell apart: subtract a constant"),
        ([0.0, 1e300], "numbers from 0 to 1e+300, which float32"),
        ([1e-300, 2e-300], "numbers from 1e-300 to 2e-300, which float32"),
        ([None, None], "no row has a label in column 'label'"),
    ],
)
def test_targets_that_no_model_in_float32_can_tell_are_refused(numbers, message):
    rows = [{"text": f"글 {i}", "label": number} for i, number in enumerate(numbers * 10)]
    with pytest.raises(HfclsError, match=re.escape(message)):
        hfcls.load_corpus(rows, task="regression", drop_unlabelled=True)


def test_targets_are_scored_as_they_are_given_not_rounded_to_float32():
    years = [
        {"text": f"글 {i}", "label": 16_777_216 + i} for i in range(4000)
    ]  # beyond which float32 has even ones only
    train = hfcls.load_corpus(years, task="regression")["train"]
    assert true_labels(train).tolist() == [row["label"] for row in years]
    assert task_of(train).mean == 16_777_216 + 1999.5


def test_lists_and_separated_labels_are_the_corpus_that_columns_are(tmp_path):
    rows = labelled(16, 0)
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"text": text, "label": chosen}, ensure_ascii=False) + "\n" for text, chosen in rows)
    )
    lists = hfcls.load_corpus(str(tmp_path / "a.jsonl"))["train"]
    assert lists.features["label"].feature.names == sorted(WORDS)
    columns = write(
        tmp_path / "b.csv", ["text", *WORDS], [(t, *("1" if n in c else "0" for n in WORDS)) for t, c in rows]
    )
    columns = hfcls.load_corpus(columns, label_columns="가격,배송,품질")["train"]
    assert list(columns["label"]) == list(lists["label"])
    some = [(text, chosen) for text, chosen in rows if chosen]
    cells = write(tmp_path / "c.csv", ["text", "label"], [(text, " , ".join(chosen)) for text, chosen in some])
    cells = hfcls.load_corpus(cells, label_separator=",")["train"]
    assert list(cells["label"]) == [ids for ids in lists["label"] if ids]


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["text,a,b", "가,1,2"], {"label_columns": "a,b"}, r"row 1: column 'b' of label_columns holds '2', not 0 or 1"),
        (["text,a,b", "가,1,0"], {"label_columns": "a"}, "label_columns must name several different columns"),
        (["text,a,b", "가,1,0"], {"label_columns": "a,c"}, "no column 'c'"),
        (["text,a,b", "가,1,0", "나,,0"], {"label_columns": "a,b"}, "1 of 2 rows has no label in column 'a,b', row 2"),
        (["text,label", "가,1", "나,x"], {"task": "regression"}, "row 2: column 'label' holds 'x'; a regression needs"),
        (["text,label", *(f"가,{i / 2}" for i in range(6))], {}, "3 of them with decimals: are they what"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_in_one_line(tmp_path, lines, options, message):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(HfclsError, match=message):
        hfcls.load_corpus(str(path), **options)


def test_labels_between_commas_are_warned_of(several, table, options, caplog):
    lines = ["text\tlabel", *(f"글 {i}\t{label}" for i, label in enumerate(["가격,친절", "친절", "가격"] * 10))]
    hfcls.fine_tune(
        **options | {"max_steps": 1, "baseline": False, "allow_unknown": True}, dataset=str(table(lines=lines))
    )
    assert "are these several labels of one text? then add --label_separator ','" in caplog.text
    assert "--label_separator" in "".join(hfcls.check(dataset=str(table(lines=lines)), baseline=False).warnings())
    found = hfcls.check(dataset=several, label_columns="배송,품질,가격")
    assert set(found.splits["train"].classes) == set(WORDS)
    assert "subset_accuracy" in found.text()


def test_many_numbers_are_a_question_and_never_classes(tmp_path):
    path = write(tmp_path / "a.csv", ["text", "label"], [("글", i) for i in range(230)])
    with pytest.raises(HfclsError, match="230 different numbers.*--task regression.*--task classification"):
        hfcls.load_corpus(path)
    assert len(hfcls.load_corpus(path, task="classification")["train"].features["label"].names) == 230


def test_a_regression_answers_in_the_units_of_its_data(scores, options, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    with pytest.raises(HfclsError, match="--task regression"):
        hfcls.fine_tune(**options, dataset=scores, label_column="별점")
    options |= {"num_train_epochs": 8}
    result = hfcls.fine_tune(**options, dataset=scores, label_column="별점", task="regression")
    out = options["output_dir"]
    assert isinstance(result.analysis, RegressionAnalysis)
    assert result.metrics["pearson"] > 0.9
    assert result.metrics["r2"] > 0.8
    assert result.unseen is None
    assert result.baseline.analysis.pearson.value > 0.5
    assert result.baseline.mcnemar is None
    assert load_results(out).analysis == result.analysis

    texts = [text for text, _ in reviews(50, 2)]
    table = parquet.read_table(Path(out) / "predictions.parquet")
    classifier = hfcls.Classifier.from_pretrained(out)
    ours = [answer["score"] for answer in classifier(texts)]
    assert ours == pytest.approx(table["predicted"].to_pylist(), abs=1e-3)
    plain = pipeline("text-classification", model=out)(texts)
    assert ours == pytest.approx([row["score"] for row in plain], abs=1e-3)
    assert {row["label"] for row in plain} == {"별점"}
    model = AutoModelForSequenceClassification.from_pretrained(out)
    assert (model.config.problem_type, model.config.num_labels) == ("regression", 1)

    scored = hfcls.evaluate(model=out, dataset=scores, label_column="별점")
    assert scored.metrics == pytest.approx(result.metrics, rel=1e-3)
    source = write(tmp_path / "new.csv", ["text"], [[text] for text in texts[:5]])
    [shard] = hfcls.predict_files(model=out, input=source, output=str(tmp_path / "a"))
    assert parquet.read_table(shard)["predicted_score"].to_pylist() == pytest.approx(ours[:5], abs=1e-3)
    card = (Path(out) / "README.md").read_text("utf-8")
    assert "Gives Korean text a number, 별점" in card
    assert f"| Pearson | {result.metrics['pearson']:.2f} [" in card
    pytest.importorskip("matplotlib", reason="needs the extra `report`")
    assert "Targets and answers" in hfcls.write_report(out).read_text("utf-8")
    assert (Path(out) / "report" / "scatter.png").is_file()
    with pytest.raises(HfclsError, match="evaluate each alone"):
        hfcls.evaluate(model=out, dataset=scores, label_column="별점", compare=out)


def test_a_run_starts_from_a_model_of_another_kind(several, scores, table, options, tmp_path):
    """The saved type is that of the run, so that the pipeline's numbers are ours."""
    first = hfcls.fine_tune(**options, dataset=several, label_columns="배송,품질,가격", max_steps=2).output_dir
    options |= {"model": first, "max_steps": 2}
    single = hfcls.fine_tune(**options | {"output_dir": str(tmp_path / "single")}, dataset=str(table())).output_dir
    config = json.loads((Path(single) / "config.json").read_text())
    assert config["problem_type"] == "single_label_classification"
    assert "thresholds" not in config
    answer = hfcls.Classifier.from_pretrained(single)("최고 추천")
    assert pipeline("text-classification", model=single)("최고 추천")[0] == pytest.approx(answer, abs=1e-6)
    number = {"dataset": scores, "label_column": "별점", "task": "regression"}
    regression = hfcls.fine_tune(**options | {"output_dir": str(tmp_path / "r")}, **number).output_dir
    again = hfcls.fine_tune(**options | {"output_dir": str(tmp_path / "s"), "model": regression}, **number)
    assert np.isfinite(again.metrics["loss"])


@pytest.mark.parametrize("kind", ["several", "scores"])
def test_a_resumed_run_is_the_whole_run(kind, request, options, tmp_path):
    import shutil

    options |= {"dataset": request.getfixturevalue(kind), "num_train_epochs": 2}
    options |= (
        {"label_columns": "배송,품질,가격"} if kind == "several" else {"label_column": "별점", "task": "regression"}
    )
    whole = hfcls.fine_tune(**options)
    cut = tmp_path / "cut"
    shutil.copytree(options["output_dir"], cut)
    for name in ("results.json", "model.safetensors"):
        (cut / name).unlink()
    assert hfcls.fine_tune(**options | {"output_dir": str(cut)}, resume=True).metrics == whole.metrics


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"metric_for_best_model": "accuracy"}, "metric_for_best_model accuracy is not measured for regression"),
        ({"class_weights": "balanced"}, "class_weights is for classes, and these labels are numbers"),
        ({"focal_gamma": 2.0}, "focal_gamma is for classes, and this model gives a number"),
        ({"rdrop": 1.0}, "rdrop is for classes, and this model gives a number"),
        ({"label_smoothing": 0.1}, "label_smoothing is for classes, and this model gives a number"),
    ],
)
def test_what_does_not_go_with_numbers_is_refused_before_an_earlier_run_is_replaced(scores, options, choice, message):
    options = {**options, "dataset": scores, "label_column": "별점", "task": "regression", "max_steps": 1}
    hfcls.fine_tune(**options)
    before = load_results(options["output_dir"])
    with pytest.raises(HfclsError, match=message):
        hfcls.fine_tune(**options, **choice, overwrite_output_dir=True)
    assert load_results(options["output_dir"]) == before


def test_a_checkpoint_of_a_regression_may_be_chosen_by_its_correlation(scores, options):
    options = {**options, "dataset": scores, "label_column": "별점", "task": "regression", "max_steps": 2}
    result = hfcls.fine_tune(**options, metric_for_best_model="pearson")
    assert "the highest Pearson correlation on the validation split" in result.facts.protocol
