"""Columns that declare their classes, lists of 0 and 1, tables given as objects: no label, name or row is lost."""

import json
import os
import subprocess
import sys
from functools import partial

import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from hfcls.data.corpora import load_corpus
from hfcls.data.origins.held_out import load_held_out
from hfcls.errors import HfclsError

TEXTS = [f"글 {i} 번" for i in range(12)]
NAMES = ["기쁨", "슬픔", "분노"]


def dataset(labels, kind):
    return Dataset.from_dict({"text": TEXTS, "label": labels}, Features({"text": Value("string"), "label": kind}))


def names_of(rows):
    names = rows.features["label"].feature.names
    return [[names[i] for i in label] for label in rows["label"]]


def test_minus_one_is_no_label_among_declared_ones_in_lists_too():
    rows = dataset([[0], [1, 0], [-1]] * 4, List(ClassLabel(names=NAMES)))
    with pytest.raises(HfclsError, match="4 of 12 rows have no label"):
        load_corpus(rows)
    assert names_of(load_corpus(rows, drop_unlabelled=True)["train"]) == [["기쁨"], ["기쁨", "슬픔"]] * 4
    _, held_out = load_held_out(rows, NAMES, problem_type="multi_label_classification")
    assert names_of(held_out) == [["기쁨"], ["기쁨", "슬픔"]] * 4
    with pytest.raises(HfclsError, match="holds 3 in a list of labels"):
        load_corpus(
            dataset([[0], [1, 0], [3]] * 4, List(Value("int64"))).cast_column("label", List(ClassLabel(num_classes=3)))
        )


def test_lists_of_one_declared_class_keep_its_name():
    corpus = load_corpus(dataset([[0], [2], [1]] * 4, List(ClassLabel(names=NAMES))))
    kind = corpus["train"].features["label"]
    assert [kind.int2str(i) for i in corpus["train"]["label"]] == ["기쁨", "분노", "슬픔"] * 4


def test_the_targets_of_a_regression_are_the_names_of_declared_classes_not_their_ids():
    rows = dataset([0, 1, 2] * 4, ClassLabel(names=["1", "2", "5"]))
    assert list(load_corpus(rows, task="regression")["train"]["label"]) == [1, 2, 5] * 4
    assert list(load_held_out(rows, ["label"], problem_type="regression")[1]["label"]) == [1, 2, 5] * 4


@pytest.mark.parametrize("label", [[0, 1, 0], ["1", "1", "0"], [1, 1]])
def test_lists_of_0_and_1_for_each_label_are_no_names(label):
    rows = [{"text": text, "label": label if i % 2 else [1, 0]} for i, text in enumerate(TEXTS)]
    with pytest.raises(
        HfclsError, match="row 2: column 'label' holds .*, 0 and 1 for each label, where names of labels"
    ):
        load_corpus(rows)


def test_a_missing_number_among_others_is_a_row_without_a_label():
    rows = dataset([0.5, 1.5, float("nan")] * 4, Value("float64"))
    assert load_corpus(rows, task="classification", drop_unlabelled=True)["train"].num_rows == 8
    assert len(load_held_out(rows, ["0.5", "1.5"])[1]) == 8


def test_several_paths_into_nested_values():
    rows = [{"text": {"a": text, "b": "!"}, "y": {"p": i % 2, "q": 1 - i % 2}} for i, text in enumerate(TEXTS)]
    corpus = load_corpus(rows, text_column="text.a,text.b", label_columns="y.p,y.q")
    assert corpus["train"]["text"][0] == f"{TEXTS[0]} [SEP] !"
    assert names_of(corpus["train"])[:2] == [["y.q"], ["y.p"]]


@pytest.mark.parametrize("make", [partial(pd.DataFrame, dtype=object), list], ids=["DataFrame", "list"])
def test_half_a_character_is_named(make):
    rows = [{"text": f"글 \ud800 {i}", "label": "ab"[i % 2]} for i in range(4)]
    with pytest.raises(HfclsError, match=r"holds U\+D800, half a character: read its source"):
        load_corpus(make(rows))


def test_no_row_and_no_split_of_what_is_given_is_lost():
    with pytest.raises(HfclsError, match=r"the columns are of different length \(text 12, label 10\)"):
        load_corpus({"text": TEXTS, "label": ["a", "b"] * 5})
    rows = [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(TEXTS)]
    with pytest.raises(HfclsError, match="two of the splits train, val, dev mean the same"):
        load_corpus({"train": rows, "val": rows, "dev": rows})


@pytest.mark.parametrize(
    ("columns", "row", "message"),
    [
        (["text", "label", "label"], ["글", "a", "b"], "several columns 'label'"),
        (
            ["text", "label"],
            ["글", "a", "b"],
            "each row of 'data' must be a list with a value for each of its 'columns'",
        ),
        (["text", "label"], 1, "each row of 'data' must be a list with a value for each of its 'columns'"),
        ([0, 1], ["글", "a"], "has no column 'text'; it has '0', '1'"),
    ],
)
def test_json_of_columns_and_data_is_a_table_or_refused(tmp_path, columns, row, message):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"columns": columns, "data": [row, row]}), encoding="utf-8")
    with pytest.raises(HfclsError, match=message):
        load_corpus(str(path))
    rows = [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(TEXTS)]
    path.write_text(json.dumps({"columns": ["text", "label"], "data": rows}), encoding="utf-8")
    assert list(load_corpus(str(path))["train"]["text"]) == TEXTS


def test_classes_that_are_one_number_stand_in_one_order_in_every_process():
    """Their order was that of a set: two processes trained on different ids."""
    code = (
        "from hfcls.data.corpora import load_corpus\n"
        "rows = [{'text': f'{i}', 'label': ('01', '1', '2', '02', '１')[i % 5]} for i in range(20)]\n"
        "print(load_corpus([{**row, 'text': '글 ' + row['text']} for row in rows])['train'].features['label'].names)"
    )
    told = {
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
        for env in ({**os.environ, "PYTHONHASHSEED": str(seed)} for seed in range(3))
    }
    assert told == {"['01', '1', '１', '02', '2']\n"}
