"""Corpora given as objects of Python: how they are held changes neither texts nor labels."""

import logging
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from hfcls.data.corpora import load_corpus
from hfcls.errors import HfclsError

TEXTS = [f"글 {i} 번" for i in range(6)]
LISTS = [["a"], ["b", "a"], [], ["a", "b"], ["b"], ["c"]]


@pytest.mark.parametrize(
    "label", [[1, 0, 0, None, 1, 0], [["a"], ["b", "a"], [], ["a"], None, ["c"]]], ids=["one", "several"]
)
@pytest.mark.parametrize("form", ["torch", "numpy", "pandas", "arrow"])
def test_the_format_of_a_dataset_changes_nothing(tmp_path, label, form):
    rows = Dataset.from_dict({"text": [*TEXTS[:5], None], "label": label})
    plain = load_corpus(rows, drop_unlabelled=True)["train"]
    formatted = rows.with_format(form)
    formatted.save_to_disk(tmp_path / "saved")  # which keeps the format
    for given in (formatted, rows.with_format(form, columns=["label"]), str(tmp_path / "saved")):
        found = load_corpus(given, drop_unlabelled=True)["train"]
        assert (found.features, found[:]) == (plain.features, plain[:])


def test_a_transform_is_not_applied_and_the_log_says_so(caplog):
    rows = Dataset.from_dict({"text": TEXTS, "label": [1, 0] * 3}).with_transform(lambda batch: {"ids": batch["text"]})
    assert load_corpus(rows)["train"]["text"][:] == TEXTS
    assert "its rows are read as they are stored" in caplog.text


@pytest.mark.parametrize(
    "labels",
    [
        [np.array(labels, dtype=object) for labels in LISTS],
        [np.array(labels) for labels in LISTS],  # an empty one is of another type
        [set(labels) for labels in LISTS],
        [labels[0] if len(labels) == 1 else labels for labels in LISTS],
    ],
    ids=["objects", "arrays", "sets", "a text alone"],
)
def test_labels_in_arrays_and_sets_are_lists(labels):
    frame = pd.DataFrame({"text": TEXTS, "label": labels})
    for given in (frame, frame.to_dict("records"), frame.to_dict("list")):
        rows = load_corpus(given)["train"]
        assert rows.features["label"] == List(ClassLabel(names=["a", "b", "c"]))
        assert rows["label"][:] == [[0], [0, 1], [], [0, 1], [1], [2]]


def test_what_pandas_writes_for_nothing_is_no_label():
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, "ab" * 3, strict=True)]
    for nothing in (pd.NA, pd.NaT, np.nan):
        assert len(load_corpus([*rows, {"text": "글", "label": nothing}], drop_unlabelled=True)["train"]) == 6


def test_columns_of_types_without_a_name_are_passed_over(caplog):
    odd = {
        "month": pd.period_range("2020-01", periods=6, freq="M"),
        "age": pd.interval_range(0, 6),
        "key": [uuid.uuid4() for _ in TEXTS],
    }
    frame = pd.DataFrame({"text": TEXTS, "label": [1, 0] * 3, **odd})
    table = pa.table(
        {"text": TEXTS, "label": [1, 0] * 3, "map": pa.array([[("a", 1)]] * 6, pa.map_("string", "int64"))}
    )
    for given in (frame, table):
        assert load_corpus(given)["train"]["label"][:] == [1, 0] * 3
    assert "passed over the columns 'month', 'age', 'key'" in caplog.text
    assert "passed over the columns 'map'" in caplog.text


def test_splits_of_other_names_are_passed_over_as_those_of_the_hub_are(caplog):
    rows = Dataset.from_dict(
        {"text": TEXTS, "label": [1, 0] * 3},
        Features({"text": Value("string"), "label": ClassLabel(names=["나쁨", "좋음"])}),
    )
    with caplog.at_level(logging.WARNING):
        assert [*load_corpus(DatasetDict({"unsupervised": rows, "train": rows, "test": rows}))] == ["train", "test"]
    assert "passed over the splits unsupervised" in caplog.text
    with pytest.raises(HfclsError, match="no split of a known name; it has part1, part2"):
        load_corpus(DatasetDict({"part1": rows, "part2": rows}))


def test_rows_in_another_order_are_not_copied(monkeypatch):
    """Which took as long as all else that reads them does."""
    rows = Dataset.from_dict({"text": TEXTS, "label": [1, 0] * 3}).shuffle(seed=1)
    shuffled = rows["text"][:]
    monkeypatch.delattr(Dataset, "flatten_indices")
    assert load_corpus(rows)["train"]["text"][:] == shuffled != TEXTS
