"""A test split whose labels are kept secret is left out of the corpus, and comes with its own columns."""

import csv
import json
import logging
from pathlib import Path

import pytest
from conftest import reviews

from hfcls.checks.inspect import check
from hfcls.data.corpora import load_corpus, load_splits
from hfcls.errors import HfclsError

TRAIN = [(f"TRAIN_{i}", text, ["부정", "긍정"][int(label)]) for i, (text, label) in enumerate(reviews(40))]
TEXTS = [text for text, _ in reviews(9, seed=1)]


def write(path: Path, header: list[str], rows: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def split(folder: Path, header: list[str], rows: list, train: list = TRAIN, of_train=("id", "text", "label")) -> str:
    write(folder / "train.csv", list(of_train), train)
    write(folder / "test.csv", header, rows)
    return str(folder)


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (["id", "text"], [(f"T{i}", text) for i, text in enumerate(TEXTS)]),
        (["id", "text", "label"], [(f"T{i}", text, "") for i, text in enumerate(TEXTS)]),
        (["id", "text", "Label "], [(f"T{i}", text, " ") for i, text in enumerate(TEXTS)]),
        (["id", "text", "label"], [(f"T{i}", text, -1) for i, text in enumerate(TEXTS)]),
        (["id", "text", "label"], [(f"T{i}", text, ["-1.0", ""][i % 2]) for i, text in enumerate(TEXTS)]),
    ],
    ids=["no column", "blank", "blank, another spelling", "-1", "-1.0 and blank"],
)
def test_a_test_split_without_labels_is_left_out_and_kept_in_its_order(tmp_path, header, rows, caplog):
    folder = split(tmp_path, header, rows)
    corpus, unlabelled = load_splits(folder)
    assert {name: len(part) for name, part in corpus.items()} == {"train": 40}
    assert unlabelled.texts["text"] == TEXTS
    assert unlabelled.rows["id"] == [f"T{i}" for i in range(9)]
    assert (unlabelled.columns, unlabelled.answers) == (["id", "label"], ["label"])
    assert f"{folder} (test) has no labels: it is not scored; hfcls train predicts it to submission.csv" in caplog.text
    assert list(check(dataset=folder, baseline=False).splits) == ["train"]


def test_a_column_of_test_that_train_holds_beside_its_label_is_no_label(tmp_path):
    train = [(*row, "영화") for row in TRAIN]
    folder = split(
        tmp_path, ["text", "category"], [(t, "영화") for t in TEXTS], train, ("id", "text", "label", "category")
    )
    assert load_splits(folder)[1].columns == ["category", "label"]
    other = split(tmp_path / "b", ["text", "분류"], [(t, "긍정") for t in TEXTS])  # another name for the label
    assert len(load_corpus(other)["test"]) == 9


def test_labels_that_are_there_are_scored(tmp_path):
    numbers = [(i, text, -1 if label == "부정" else 1) for i, text, label in TRAIN]
    folder = split(tmp_path, ["id", "text", "label"], [(i, text, -1) for i, text in enumerate(TEXTS)], numbers)
    assert load_corpus(folder)["test"].unique("label") == [0]
    folder = split(tmp_path / "b", ["text", "label"], [(text, "긍정" if i else "") for i, text in enumerate(TEXTS)])
    with pytest.raises(HfclsError, match=r"\(test\): 1 of 9 rows has no label in column 'label', row 1"):
        load_corpus(folder)


@pytest.mark.parametrize(
    ("options", "label", "secret", "answers"),
    [
        ({"label_columns": "배송,가격"}, {"배송": 1, "가격": 0}, {}, ["배송", "가격"]),
        ({"label_columns": "배송,가격"}, {"배송": 1, "가격": 0}, {"배송": -1, "가격": -1}, ["배송", "가격"]),
        ({}, {"label": ["배송", "가격"]}, {"label": []}, ["label"]),
        ({"label_separator": "|"}, {"label": "배송|가격"}, {}, ["label"]),
        ({"task": "regression", "label_column": "점수"}, {"점수": 4.5}, {"점수": None}, ["점수"]),
        ({"label_column": "a.b"}, {"a": {"b": "긍정"}}, {"a": {"c": 1}}, ["a.b"]),
        ({}, {"label": ["긍정"]}, {"label": None}, ["label"]),
    ],
)
def test_labels_of_every_kind_may_be_secret(tmp_path, options, label, secret, answers):
    other = {
        name: {"b": "부정"} if name == "a" else ["부정"] if value == ["긍정"] else 2.5 if value == 4.5 else value
        for name, value in label.items()
    }
    for name, rows in (("train", [label, other, label]), ("test", [secret] * 2)):
        lines = [json.dumps({"text": f"글 {i}", "n": i, **row}) for i, row in enumerate(rows)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    corpus, unlabelled = load_splits(str(tmp_path), **options)
    assert list(corpus) == ["train"]
    assert unlabelled.answers == answers
    assert unlabelled.columns == ["n", *answers]


def test_chosen_columns_come_in_their_order_and_must_be_there(tmp_path):
    folder = split(tmp_path, ["id", "text"], list(enumerate(TEXTS)))
    assert load_splits(folder, output_columns="label, text,id")[1].columns == ["label", "text", "id"]
    with pytest.raises(HfclsError, match=r"\(test\) has no column 'ID'; it has 'id', 'text': set --output_columns"):
        load_splits(folder, output_columns="ID")
    (tmp_path / "test.csv").unlink()
    with pytest.raises(HfclsError, match="output_columns are of a test split without labels, and .* has none"):
        load_splits(folder, output_columns="id")


@pytest.mark.parametrize("packed", ["beside", "class folders", "one folder within"])
def test_what_a_mac_leaves_beside_the_data_is_passed_over(tmp_path, packed, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    data = tmp_path / "data" if packed == "one folder within" else tmp_path
    if packed == "class folders":
        for i, (_, text, label) in enumerate(TRAIN):
            (data / label).mkdir(exist_ok=True)
            (data / label / f"{i}.txt").write_text(text, encoding="utf-8")
    else:
        write(data / "train.csv", ["id", "text", "label"], TRAIN)
    for name in ("__MACOSX/._train.csv", "__MACOSX/data/._train.csv", "._train.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
    assert len(load_corpus(str(tmp_path))["train"]) == 40
    assert "passed over" not in caplog.text
