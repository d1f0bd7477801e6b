"""Labelled texts of any source come as one kind of corpus, or with an error that names the place."""

import collections
import json
import logging
import os
import re

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from conftest import ROOT
from datasets import ClassLabel, Dataset, DatasetDict, concatenate_datasets
from datasets.exceptions import DatasetGenerationError
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from hfcls.data.corpora import load_corpus
from hfcls.data.duplicates import seen_in_train, text_keys
from hfcls.data.encoding import encode
from hfcls.data.origins import hub as sources
from hfcls.data.origins.held_out import load_held_out
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


def test_null_texts_become_empty_texts_and_are_counted(tmp_path, caplog):
    path = tmp_path / "a.jsonl"
    rows = [{"a": "가", "b": None, "label": 0}, {"a": "", "b": "나", "label": 1}, {"a": None, "b": None, "label": 0}]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    columns = {"text_column": "a", "text_pair_column": "b"}
    for _ in range(2):  # the second time, datasets' cache has the rows
        caplog.clear()
        corpus = load_corpus(str(path), **columns)["train"]
        assert list(corpus["text"]) == ["가", "", ""]
        assert list(corpus["text_pair"]) == ["", "나", ""]
        assert "train: 2 of 3 rows have no text (null), row 1 for one; it is read as an empty text" in caplog.messages


def test_rows_are_named_by_their_place_among_all_also_where_others_are_left_out(tmp_path, caplog):
    rows = [("글 하나", None), ("글 둘", "긍정"), (None, "부정"), ("글 셋", None), ("글 넷", "부정")]
    for name, others in (("train", []), ("test", [("글 다섯", None), ("글 여섯", "중립")])):
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows + others]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(HfclsError, match="test, row 7: the unknown label '중립'"):
        load_corpus(str(tmp_path), drop_unlabelled=True)
    assert "train: 1 of 3 rows have no text (null), row 3 for one; it is read as an empty text" in caplog.messages
    caplog.clear()
    load_held_out(str(tmp_path), ["긍정", "부정", "중립"])
    assert "test: 1 of 4 rows have no text (null), row 3 for one; it is read as an empty text" in caplog.messages


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
        (
            ["text\t가격\t배송\t품질", "가\t1\t0\t2", "나\t0\t0\t1"],
            {},
            "no header, set --no_header; '가격', '배송' hold 0 and 1: --label_columns",
        ),
        (["text\tlabel"], {}, "has a header line but no rows"),
        (["text\tlabel", "1\t1", "2\t0"], {}, "column 'text' holds numbers, not text"),
        (
            ["text\tn\tlabel", "가\t1\t1", "나\t2\t0"],
            {"text_pair_column": "n"},
            "column 'n' holds numbers, not text; its columns are 'text', 'n', 'label': set --text_pair_column",
        ),
        (["text\tlabel"], {"label_column": "text"}, "label_column must be different columns, found text and text"),
        (["text\tlabel"], {"text_pair_column": "text"}, "must be different columns, found text, text and label"),
        (["text\tlabel"], {"data_dir": "data"}, "data_dir is where nsmc lies, found dataset "),
    ],
)
def test_unusable_columns_are_named(table, lines, options, message):
    with pytest.raises(HfclsError, match=re.escape(message)):
        load_corpus(str(table(lines=lines)), **options)


def test_line_ends_and_blanks_within_the_name_of_a_column_count_as_one_blank(tmp_path):
    path = tmp_path / "forms.csv"
    path.write_text('"영화에 대한\n감상을  적어 주세요", 만족도 \n가,만족\n나,불만족\n', encoding="utf-8")
    corpus = load_corpus(str(path), text_column="영화에 대한 감상을 적어 주세요", label_column="만족도")
    assert list(corpus["train"]["text"]) == ["가", "나"]


def test_a_configuration_of_local_files_is_called_out(table, caplog):
    load_corpus(str(table(lines=["text\tlabel", "가\t1", "나\t0"])), dataset_config="ynat")
    assert "dataset_config ynat is for datasets of the Hub" in caplog.text
    load_corpus(str(table(lines=["text\tlabel", "가\t1", "나\t0"])), sheet="자료")
    assert "sheet 자료 is for workbooks: " in caplog.text


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
    with pytest.raises(HfclsError, match="holds 2 different numbers, 1 of them with decimals: are they what"):
        load_corpus(str(path))


@pytest.mark.parametrize("labels", [[{}], [{"a": 1}, {"b": 2}], [1, "가"], [10**30, -1], [1.5, 2]])
def test_labels_of_json_that_name_no_classes_are_refused(tmp_path, labels):
    path = tmp_path / "a.jsonl"
    path.write_text(
        "".join(json.dumps({"text": f"글 {i}", "label": label}) + "\n" for i, label in enumerate(labels * 2))
    )
    with pytest.raises(HfclsError, match="column 'label' holds .*, not class labels|label"):
        load_corpus(str(path))
    with pytest.raises(HfclsError):
        load_held_out(str(path), ["가", "나"])


def test_another_content_under_the_same_name_and_time_is_another_corpus(table):
    """datasets' own cache of what `map` gives follows."""
    for texts in (["가", "나"], ["다", "라"]):
        path = table(lines=["text\tlabel", *(f"{text}\t{i}" for i, text in enumerate(texts))])
        os.utime(path, (1_700_000_000, 1_700_000_000))
        assert list(load_corpus(str(path))["train"]["text"]) == texts


def test_what_of_a_folder_is_not_read_is_named(table, caplog):
    lines = ["text\tlabel", "가\t1", "나\t0"]
    for name in ("Train.TSV", "dev.tsv", "extra.tsv", "._train.tsv", "README.md", "more/test.tsv"):
        table(f"data/{name}", lines=lines)
    folder = table("data/train.pdf").parent
    corpus = load_corpus(str(folder))
    assert {split: len(rows) for split, rows in corpus.items()} == {"train": 2, "validation": 2}
    assert caplog.messages == [f"{folder}: passed over extra.tsv, README.md, more/, train.pdf"]


def test_a_name_that_no_file_and_no_dataset_has_is_not_looked_for_as_a_pattern(table, monkeypatch):
    folder = table("data/train.csv", lines=["text,label", "가,1", "나,0"]).parent
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sources, "load_dataset", None)
    for name in ("csv", "json", "text", "parquet", "imagefolder"):  # which datasets takes for all such files here
        with pytest.raises(HfclsError, match=f"no file or folder {name} here, and {name} is no dataset but a kind of"):
            load_corpus(name)
    for name in ("./nowhere", "a::b", "trai[m]", "trb*", "hf://datasets/a/b", "a b", "%41", "x/y/z", "한글"):
        with pytest.raises(HfclsError, match=f"no file or folder {re.escape(name)}: check the path"):
            load_corpus(name)
    for name in ("https://x.org/a.csv", "u*.csv", "s3://x/a.parquet"):
        with pytest.raises(HfclsError, match="no file .*: check the path"):
            load_corpus(name)


def test_of_two_hub_splits_with_one_meaning_the_more_usual_name_is_taken_and_told(monkeypatch, caplog):
    splits = {
        name: Dataset.from_dict({"text": [name, "나"], "label": [0, 1]})
        for name in ("train", "validation", "dev", "val", "test", "unlabelled")
    }
    for order in (list(splits), list(splits)[::-1]):
        caplog.clear()
        raw = DatasetDict({name: splits[name] for name in order})
        asked = []
        monkeypatch.setattr(sources, "load_dataset", lambda *args, raw=raw, asked=asked: asked.append(args) or raw)
        corpus = load_corpus("a/b", dataset_config="c")
        assert asked == [("a/b", "c")]
        assert {split: rows["text"][0] for split, rows in corpus.items()} == {
            "train": "train",
            "validation": "validation",
            "test": "test",
        }
        (message,) = [message for message in caplog.messages if "passed over" in message]
        assert message.startswith("a/b: passed over the splits ")
        assert all(name in message for name in ("dev", "val", "unlabelled"))
        assert message.endswith("; taken are train as train, validation as validation, test as test")


def test_classes_that_splits_declare_in_another_order_are_matched_by_name(tmp_path):
    for split, names in (("train", ["부정", "긍정"]), ("test", ["긍정", "부정"])):
        rows = Dataset.from_dict({"text": ["최고", "별로"], "label": [names.index("긍정"), names.index("부정")]})
        rows.cast_column("label", ClassLabel(names=names)).to_parquet(tmp_path / f"{split}.parquet")
    corpus = load_corpus(str(tmp_path))
    assert corpus["train"].features["label"].names == ["부정", "긍정"]
    assert list(corpus["test"]["label"]) == list(corpus["train"]["label"]) == [1, 0]


def test_a_text_column_is_one_of_numbers_only_if_all_of_it_is(table):
    lines = ["text\tlabel", *(f"{i}\t{i % 2}" for i in range(150)), "백점\t0"]
    assert len(load_corpus(str(table(lines=lines)))["train"]) == 151
    with pytest.raises(HfclsError, match="column 'text' holds numbers, not text"):
        load_corpus(str(table(lines=lines[:-1])))


def test_what_is_scored_need_not_be_fit_for_training(table, caplog):
    known = ["부정", "긍정", "-1점"]
    one_class = table("one.tsv", lines=["text\tlabel", "10\t긍정", "9\t긍정"])
    split, rows = load_held_out(str(one_class), known)
    assert (split, rows.features["label"].names, list(rows["label"])) == ("train", known, [1, 1])
    assert caplog.messages == [
        f"{one_class} (train): every text in column 'text' is a number: is it the right --text_column?"
    ]
    # a train split that is broken, and one that lacks a class of the test split
    table("a/train.tsv", lines=["text\tlabel", "가"])
    table("b/train.tsv", lines=["text\tlabel", "가\t부정", "나\t긍정"])
    for name in ("a", "b"):
        folder = table(f"{name}/test.tsv", lines=["text\tlabel", "가\t-1점", "나\t긍정"]).parent
        assert list(load_held_out(str(folder), known)[1]["label"]) == [2, 1]
    folder = table("c/valid.tsv", lines=["text\tlabel", "가\t부정"]).parent
    assert load_held_out(str(folder), known)[0] == "validation"
    with pytest.raises(HfclsError, match="has no test split; it has validation: set --split"):
        load_held_out(str(folder), known, split="test")
    table("d/train.tsv", lines=["text\tlabel", "가\t부정"])
    folder = table("d/dev.tsv", lines=["text\tlabel", "가\t부정"]).parent
    with pytest.raises(HfclsError, match="has no test split; it has train, validation: set --split"):
        load_held_out(str(folder), known)


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl", ".parquet"])
def test_rows_without_a_label_are_not_scored_and_are_counted(tmp_path, caplog, suffix):
    path = tmp_path / f"test{suffix}"
    labels = ["1", "-1", "0", "-1", "1"] if suffix == ".tsv" else [1, -1, 0, None, 1]
    rows = [{"text": f"글 {i}", "label": label} for i, label in enumerate(labels)]
    if suffix == ".tsv":
        path.write_text("text\tlabel\n" + "".join(f"{row['text']}\t{row['label']}\n" for row in rows), encoding="utf-8")
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    _, found = load_held_out(str(path), ["0", "1"])
    assert (list(found["text"]), list(found["label"])) == (["글 0", "글 2", "글 4"], [1, 0, 1])
    where = f"{path} (train)"
    assert caplog.messages == [f"{where}: 2 of 5 rows have no label in column 'label', rows 2, 4: not scored"]
    _, first = load_held_out(str(path), ["0", "1"], max_rows=3)
    assert list(first["text"]) == ["글 0", "글 2"]
    if suffix == ".tsv":  # a class of that name is one
        _, found = load_held_out(str(path), ["-1", "0", "1"])
        assert list(found["label"]) == [2, 0, 1, 0, 2]
    path.write_text("text\tlabel\n가\t-1\n" if suffix == ".tsv" else '{"text": "가", "label": -1}\n', encoding="utf-8")
    if suffix != ".parquet":
        with pytest.raises(HfclsError, match="no row has a label in column 'label', so nothing can be scored"):
            load_held_out(str(path), ["0", "1"])


def test_a_hub_split_whose_labels_are_secret_does_not_keep_another_from_being_scored(monkeypatch):
    labels = ClassLabel(names=["부정", "긍정", "중립"])
    raw = DatasetDict(
        validation=Dataset.from_dict({"text": ["가", "나"], "label": [1, 0]}).cast_column("label", labels),
        test=Dataset.from_dict({"text": ["다", "라"], "label": [-1, -1]}).cast_column("label", labels),
    )
    monkeypatch.setattr(sources, "load_dataset", lambda *args: raw)
    _, rows = load_held_out("a/b", ["긍정", "부정"], split="validation")  # by name; nobody is 중립
    assert list(rows["label"]) == [0, 1]
    with pytest.raises(HfclsError, match="no row has a label"):
        load_held_out("a/b", ["긍정", "부정"])


def test_a_label_that_the_model_does_not_know_is_named_with_the_way_out(table):
    path = table(lines=["text\tlabel", "가\t부정", "나\t중립", "다\t보통"])
    expected = (
        "has the label 보통, 중립, but the model only knows LABEL_0, 부정; if the classes are the same, --label_names"
    )
    with pytest.raises(HfclsError, match=expected):
        load_held_out(str(path), ["LABEL_0", "부정"])


def test_an_empty_folder_is_told_what_to_hold(tmp_path):
    with pytest.raises(HfclsError, match="name the files train, validation and test"):
        load_corpus(str(tmp_path))


@pytest.mark.parametrize(
    ("labels", "size", "message"),
    [
        (
            "ab",
            0.1,
            "cannot keep 0.1 of 2 training rows for validation: each class has one text only; bring",
        ),
        ("a" * 9 + "b" * 9, 0.5, "keep 0.5 of 18 training rows for validation: each text is repeated so often"),
        ("aabb" * 9, 0.001, "keep 0.001 of 36 .* a part of 1 rows cannot hold each of 2 classes; choose another --val"),
        ("aabb" * 9, 0.999, "keep 0.999 of 36 .* a part of 0 rows cannot hold each of 2 classes; choose another --val"),
    ],
)
def test_a_validation_split_that_cannot_be_cut_is_explained(table, labels, size, message):
    texts = [f"글 {'같다' * 3 if labels.startswith('aaaa') else i}{label}" for i, label in enumerate(labels)]
    lines = [f"{text}\t{label}" for text, label in zip(texts, labels, strict=True)]
    corpus = load_corpus(str(table(lines=["text\tlabel", *lines])))
    with pytest.raises(HfclsError, match=message):
        carve_validation(corpus, size, seed=7)


@pytest.mark.parametrize(("count", "size"), [(4, 0.5), (5, 0.4), (9, 0.21), (40, 0.04), (41, 0.95)])
def test_whatever_can_be_cut_is_cut(table, count, size):
    corpus = load_corpus(str(table(lines=["text\tlabel", *(f"글 {i}\t{'ab'[i % 2]}" for i in range(count))])))
    parts = carve_validation(corpus, size, seed=7)
    assert len(parts["train"]) + len(parts["validation"]) == count
    assert all(len(set(parts[split]["label"])) == 2 for split in parts)


def test_a_class_with_one_row_stays_in_train_and_is_named(table, caplog):
    """By its name; and the others are cut as if it were not there."""
    lines = ["text\tlabel", *(f"글 {i}\t{'ab'[i % 5 == 0]}" for i in range(100))]
    expected = carve_validation(load_corpus(str(table("a.tsv", lines=lines))), 0.2, seed=7)
    corpus = load_corpus(str(table("b.tsv", lines=[*lines, "하나뿐인 글\t딱 하나"])))
    parts = carve_validation(corpus, 0.2, seed=7)
    assert list(parts["validation"]["text"]) == list(expected["validation"]["text"])
    assert parts["train"][-1]["text"] == "하나뿐인 글"
    assert "딱 하나: one text only, which stays in train; validation has none of it" in caplog.messages


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


def as_corpus(texts: list[str], labels: list[int], names: str) -> DatasetDict:
    rows = Dataset.from_dict({"text": texts, "label": labels})
    return DatasetDict(train=rows.cast_column("label", ClassLabel(names=list(names))))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rows=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2), st.sampled_from(["", "!", "!!", " "])), min_size=4),
    size=st.sampled_from([0.01, 0.1, 0.25, 0.5, 0.9]),
    seed=st.integers(0, 3),
)
@example(rows=[(0, 0, "")] * 30, size=0.1, seed=0)
@example(rows=[(0, 0, "")] * 20 + [(1, 1, ""), (2, 1, ""), (3, 1, "")], size=0.25, seed=0)
def test_no_text_stands_on_both_sides_of_a_carved_split(rows, size, seed):
    corpus = as_corpus([f"글 {text}{end}" for text, _, end in rows], [label for _, label, _ in rows], "abc")
    try:
        parts = carve_validation(corpus, size, seed)
    except HfclsError as error:
        assert "set --validation_size 0 to train without one" in str(error)  # noqa: PT017
        return
    assert not set(text_keys(parts["train"])) & set(text_keys(parts["validation"]))
    both = concatenate_datasets([parts["train"], parts["validation"]])
    assert collections.Counter(map(str, both)) == collections.Counter(map(str, corpus["train"]))
    assert len(parts["train"])
    assert len(parts["validation"])


def test_texts_without_copies_are_carved_as_ever_and_copies_change_little():
    labels = [i % 3 == 0 for i in range(600)]
    _, expected = train_test_split(np.arange(600), test_size=0.1, random_state=7, stratify=labels)
    alone = carve_validation(as_corpus([f"글 {i}" for i in range(600)], labels, "ab"), 0.1, 7)["validation"]
    assert list(alone["text"]) == [f"글 {i}" for i in sorted(expected)]
    copies = as_corpus([f"글 {i if i % 20 else 0}" for i in range(600)], labels, "ab")  # one text stands there 30 times
    carved = carve_validation(copies, 0.1, 7)["validation"]
    assert len(carved) == 60
    assert 38 <= list(carved["label"]).count(0) <= 42
    assert len(set(carved["text"]) & set(alone["text"])) >= 50


def test_a_text_that_would_fill_validation_stays_in_train():
    texts = ["" if i % 2 else f"글 {i}" for i in range(400)]
    for seed in range(20):
        parts = carve_validation(as_corpus(texts, [i % 4 > 1 for i in range(400)], "ab"), 0.1, seed)
        assert "" not in parts["validation"]["text"]
        assert len(parts["validation"]) == 40


@pytest.mark.slow
def test_the_carved_split_of_nsmc_holds_no_copies_of_training_rows(shared):
    parts = carve_validation(load_corpus("nsmc", data_dir=str(shared)), 0.1, seed=7)
    assert {split: len(rows) for split, rows in parts.items()} == {
        "train": 135_000,
        "validation": 15_000,
        "test": 50_000,
    }
    assert not seen_in_train(parts, "validation").any()
    shares = [np.mean(parts[split].with_format("numpy")["label"][:]) for split in ("train", "validation")]
    assert shares[0] == pytest.approx(shares[1], abs=0.003)
