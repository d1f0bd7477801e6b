"""Labelled texts of any source come as one kind of corpus, or with an error that names the place."""

import collections
import json
import logging
import re

import pandas as pd
import pyarrow.parquet
import pytest
from conftest import ROOT
from datasets import Dataset, DatasetDict
from datasets.exceptions import DatasetGenerationError

from hfcls.data import sources
from hfcls.data.corpora import load_corpus
from hfcls.data.encoding import encode
from hfcls.data.splits import carve_validation
from hfcls.errors import HfclsError
from hfcls.models.tokenizers import load_tokenizer


def test_nsmc_is_read_exactly(shared, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    corpus = load_corpus("nsmc", data_dir=str(shared))
    assert {split: len(rows) for split, rows in corpus.items()} == {"train": 150_000, "test": 50_000}
    assert corpus["train"].features["label"].names == ["부정", "긍정"]
    for split, rows in corpus.items():
        expected = pd.read_csv(shared / f"nsmc/ratings_{split}.txt", sep="\t", keep_default_na=False)
        assert list(rows["text"]) == list(expected["document"])
        assert list(rows["label"]) == list(expected["label"])
    assert "train: 5 of 150000 texts are empty; they are kept" in caplog.messages
    assert any(
        message.endswith("differs from the official NSMC file; it is used as it is") for message in caplog.messages
    )


def test_demo_is_balanced_varied_and_without_copies():
    corpus = load_corpus("demo")
    texts = [text for rows in corpus.values() for text in rows["text"]]
    assert len(texts) >= 1000
    assert len({re.sub(r"\W", "", text) for text in texts}) == len(texts)
    assert all(5 <= len(text) <= 140 for text in texts)
    for rows in corpus.values():
        counts = collections.Counter(rows["label"])
        assert counts[0] == counts[1]
    assert set(corpus) == {"train", "validation", "test"}
    assert (ROOT / "hfcls/demo/LICENSE").read_text(encoding="utf-8").count("CC0")


def test_int_labels_sort_by_value_and_strings_by_name(table):
    path = table(lines=["text\tlabel", *(f"글 하나\t{i}" for i in (10, 9, 2))])
    assert load_corpus(str(path))["train"].features["label"].names == ["2", "9", "10"]
    path = table(lines=["text\tlabel", "글 하나\t보통", "글 둘\t나쁨", "글 셋\t좋음"])
    rows = load_corpus(str(path))["train"]
    assert rows.features["label"].names == ["나쁨", "보통", "좋음"]
    assert list(rows["label"]) == [1, 0, 2]


def test_pairs_and_other_columns_from_a_folder_of_splits(tmp_path):
    for split, count in [("train", 4), ("dev", 2)]:
        rows = [{"q1": "밥 먹었니", "q2": "먹었다", "same": i % 2 == 0, "extra": i} for i in range(count)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    corpus = load_corpus(str(tmp_path), text_column="q1", text_pair_column="q2", label_column="same")
    assert set(corpus) == {"train", "validation"}
    assert corpus["train"].column_names == ["text", "text_pair", "label"]
    assert corpus["train"].features["label"].names == ["False", "True"]


def test_null_texts_become_empty_texts(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": null, "label": 0}\n{"text": "b", "label": 1}\n')
    assert list(load_corpus(str(path))["train"]["text"]) == ["", "b"]


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (
            ["글\tlabel", "가\t1", "나\t0"],
            {},
            "(train) has no column 'text'; it has '글', 'label': set --text_column",
        ),
        (
            ["text\tlabel", "가\t1", "나\t0"],
            {"label_column": "y"},
            "no column 'y'; it has 'text', 'label': set --label_column",
        ),
        (["text\tlabel", "가\t1", "나\t1"], {}, "column 'label' holds one class only (1)"),
        (
            ["text\tlabel", "가\t1", "나\t0", "다\t"],
            {},
            "(train): 1 of 3 rows has no label in column 'label', row 3: --drop_unlabelled leaves them out",
        ),
        (["text\tlabel"], {}, "has a header line but no rows"),
        (["text\tlabel", "1\t1", "2\t0"], {}, "column 'text' holds numbers, not text"),
        (["text\tlabel"], {"label_column": "text"}, "label_column must be different columns, found text and text"),
        (["text\tlabel"], {"text_pair_column": "text"}, "must be different columns, found text, text and label"),
        (["text\tlabel"], {"data_dir": "data"}, "data_dir is where nsmc lies, found dataset "),
    ],
)
def test_unusable_columns_are_named(table, lines, options, message):
    with pytest.raises(HfclsError, match=re.escape(message)):
        load_corpus(str(table(lines=lines)), **options)


def test_a_configuration_of_local_files_is_called_out(table, caplog):
    load_corpus(str(table(lines=["text\tlabel", "가\t1", "나\t0"])), dataset_config="ynat")
    assert "dataset_config ynat is for datasets of the Hub" in caplog.text


def test_a_label_that_train_does_not_know_is_named(table):
    table("data/train.tsv", lines=["text\tlabel", "가\t1", "나\t0"])
    test = table("data/test.tsv", lines=["text\tlabel", "가\t1", "나\t2"])
    with pytest.raises(HfclsError, match=re.escape("test, row 2: the unknown label '2' in column 'label'")):
        load_corpus(str(test.parent))


def test_a_text_column_of_another_type_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": 1.5, "label": 0}\n{"text": 2.5, "label": 1}\n')
    with pytest.raises(HfclsError, match="column 'text' is not text but float64"):
        load_corpus(str(path))


def test_a_hub_id_without_a_network_is_one_message():
    with pytest.raises(HfclsError, match="nobody/nothing"):
        load_corpus("nobody/nothing")


def test_a_hub_dataset_without_known_splits_or_with_a_failing_reader_is_one_message(monkeypatch):
    rows = Dataset.from_dict({"text": ["가", "나"], "label": [0, 1]})
    monkeypatch.setattr(sources, "load_dataset", lambda *args: DatasetDict({"unlabelled": rows, "extra": rows}))
    with pytest.raises(HfclsError, match="'a/b' has no split of a known name; it has unlabelled, extra: load it in"):
        load_corpus("a/b")

    def fail(*args):
        raise DatasetGenerationError("An error occurred while generating the dataset")

    monkeypatch.setattr(sources, "load_dataset", fail)
    with pytest.raises(HfclsError, match=r"'a/b' \(there is no file or folder of that name here\): An error occurred"):
        load_corpus("a/b")


def test_labels_of_more_digits_than_python_reads_are_names(table):
    long = "9" * 5000
    corpus = load_corpus(str(table(lines=["text\tlabel", f"가\t{long}", "나\t8"])))
    assert corpus["train"].features["label"].names == ["8", long]


def test_missing_labels_that_made_floats_of_integers_are_told_and_left_out(tmp_path, caplog):
    path = tmp_path / "a.parquet"
    labels = [1.0, float("nan"), 0.0, None]
    pyarrow.parquet.write_table(pyarrow.table({"text": ["가", "나", "다", "라"], "label": labels}), path)
    with pytest.raises(HfclsError, match="2 of 4 rows have no label in column 'label', rows 2, 4: --drop_unlabelled"):
        load_corpus(str(path))
    rows = load_corpus(str(path), drop_unlabelled=True)["train"]
    assert list(rows["text"]) == ["가", "다"]
    assert rows.features["label"].names == ["0", "1"]
    assert "rows 2, 4: left out" in caplog.text
    pyarrow.parquet.write_table(pyarrow.table({"text": ["가", "나"], "label": [1.5, 2.0]}), path)
    with pytest.raises(HfclsError, match="holds float64, not class labels: write them as whole numbers or text"):
        load_corpus(str(path))


def test_an_empty_folder_is_told_what_to_hold(tmp_path):
    with pytest.raises(HfclsError, match="name the files train, validation and test"):
        load_corpus(str(tmp_path))


@pytest.mark.parametrize(
    ("labels", "size", "message"),
    [
        (
            "aab",
            0.1,
            "cannot keep 0.1 of 3 training rows for validation: b has one text only, and each class",
        ),
        ("aabb" * 9, 0.001, "keep 0.001 of 36 .* a part of 1 rows cannot hold each of 2 classes; choose another --val"),
        ("aabb" * 9, 0.999, "keep 0.999 of 36 .* a part of 0 rows cannot hold each of 2 classes; choose another --val"),
    ],
)
def test_a_validation_split_that_cannot_be_cut_is_explained(table, labels, size, message):
    corpus = load_corpus(str(table(lines=["text\tlabel", *(f"글 {i}\t{label}" for i, label in enumerate(labels))])))
    with pytest.raises(HfclsError, match=message):
        carve_validation(corpus, size, seed=7)


@pytest.mark.parametrize(("count", "size"), [(4, 0.5), (5, 0.4), (9, 0.21), (40, 0.04), (41, 0.95)])
def test_whatever_can_be_cut_is_cut(table, count, size):
    corpus = load_corpus(str(table(lines=["text\tlabel", *(f"글 {i}\t{'ab'[i % 2]}" for i in range(count))])))
    parts = carve_validation(corpus, size, seed=7)
    assert len(parts["train"]) + len(parts["validation"]) == count
    assert all(len(set(parts[split]["label"])) == 2 for split in parts)


def test_validation_is_carved_seeded_stratified_and_without_loss(table, tiny_model):
    lines = ["text\tlabel", *(f"글 {i}\t{'ab'[i % 5 == 0]}" for i in range(100))]
    corpus = load_corpus(str(table(lines=lines)))
    parts = carve_validation(corpus, 0.2, seed=7)
    assert collections.Counter(parts["validation"]["label"]) == {0: 16, 1: 4}
    assert sorted([*parts["train"]["text"], *parts["validation"]["text"]]) == sorted(corpus["train"]["text"])
    assert list(parts["validation"]["text"]) == list(carve_validation(corpus, 0.2, seed=7)["validation"]["text"])
    assert list(parts["validation"]["text"]) != list(carve_validation(corpus, 0.2, seed=8)["validation"]["text"])
    with pytest.raises(HfclsError, match="call carve_validation before encode"):
        carve_validation(encode(corpus, load_tokenizer(tiny_model), 16), 0.2, seed=7)
    with pytest.raises(HfclsError, match="set --validation_size 0 to train without one"):
        carve_validation(load_corpus(str(table(lines=["text\tlabel", "가\ta", "나\tb"]))), 0.5, seed=7)
