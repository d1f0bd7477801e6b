"""Files of every known kind are read as they are, and what is broken is named with its line."""

import json
import re

import pandas as pd
import pytest

from hfcls.data.readers import read_tables
from hfcls.errors import HfclsError

TRICKY = [
    "id\tdocument\tlabel",
    '1\t"그가 ""최고""라고 했다"\t1',
    "2\t\t0",
    "3\tnull\t1",
    "4\tNA\t0",
    '5\t따옴표 "안에" 있음\t1',
    "6\t 앞뒤 공백 \t0",
]


def test_a_tsv_reads_as_pandas_reads_it(table):
    path = table(lines=TRICKY)
    rows = read_tables({"train": path})["train"]
    expected = pd.read_csv(path, sep="\t", keep_default_na=False, dtype=str)
    assert rows.column_names == list(expected.columns)
    for column in expected.columns:
        assert list(rows[column]) == list(expected[column])
    assert rows[0]["document"] == '그가 "최고"라고 했다'
    assert rows[1]["document"] == ""


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".parquet"])
def test_every_kind_of_file_gives_the_same_rows(tmp_path, suffix):
    frame = pd.DataFrame({"text": ["좋아요, 정말", "", '"별로"'], "label": ["a", "b", "a"]})
    path = tmp_path / f"reviews{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=suffix == ".jsonl", force_ascii=False)
    assert read_tables({"train": path})["train"].to_dict() == frame.to_dict("list")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["text\tlabel", "좋다\t1", "탭이\t더\t있다"],
            ", line 3: 3 fields, but the header has 2 (text, label)",
        ),
        (["text\tlabel", "좋다"], ", line 2: 1 fields, but the header has 2"),
        (["text\ttext", "a\tb"], ", line 1: the header must name each column once"),
    ],
)
def test_a_broken_line_is_named(table, lines, message):
    path = table(lines=lines)
    with pytest.raises(HfclsError, match=re.escape(str(path) + message)):
        read_tables({"train": path})


def test_a_missing_empty_or_unknown_file_is_named(tmp_path):
    with pytest.raises(HfclsError, match="no file .*nowhere.csv"):
        read_tables({"train": tmp_path / "nowhere.csv"})
    (tmp_path / "empty.csv").touch()
    with pytest.raises(HfclsError, match="empty.csv is empty"):
        read_tables({"train": tmp_path / "empty.csv"})
    (tmp_path / "reviews.xlsx").write_bytes(b"PK")
    with pytest.raises(HfclsError, match="cannot read .xlsx: save the sheet as csv in UTF-8; known are .csv"):
        read_tables({"train": tmp_path / "reviews.xlsx"})


def test_a_cp949_file_is_called_by_its_encoding(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_bytes("text,label\n재미있다,1\n".encode("cp949"))
    with pytest.raises(HfclsError, match="not UTF-8 but CP949"):
        read_tables({"train": path})


def test_a_broken_json_line_is_named(tmp_path):
    path = tmp_path / "reviews.jsonl"
    path.write_text(json.dumps({"text": "a", "label": 1}) + '\n{"text": \n')
    with pytest.raises(HfclsError, match="reviews.jsonl, line 2: not JSON"):
        read_tables({"train": path})


def test_an_edited_file_is_read_again(table):
    path = table(lines=["text\tlabel", "하나\t1"])
    assert len(read_tables({"train": path})["train"]) == 1
    path = table(lines=["text\tlabel", "하나\t1", "둘\t0"])
    assert list(read_tables({"train": path})["train"]["text"]) == ["하나", "둘"]
