"""Files of every known kind are read as they are, and what is broken is named with its line."""

import json
import logging
import re

import pandas as pd
import pytest

from hfcls.data.formats.table import ReadOptions
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
            ", line 3: 3 fields, but the header has 2 ('text', 'label')",
        ),
        (["text\tlabel", "좋다"], ", line 2: 1 fields, but the header has 2"),
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
    (tmp_path / "reviews.pdf").write_bytes(b"PK")
    with pytest.raises(HfclsError, match="cannot read .pdf; known are .csv"):
        read_tables({"train": tmp_path / "reviews.pdf"})


def test_what_was_decided_is_told_each_time(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    path = tmp_path / "reviews.csv"
    path.write_bytes("text;label\n재미있다;1\n".encode("cp949"))
    for _ in range(2):  # from the file, from the cache
        caplog.clear()
        assert read_tables({"train": path})["train"].to_dict() == {"text": ["재미있다"], "label": ["1"]}
        assert caplog.messages == [f"{path}: read as CP949 (EUC-KR), delimiter semicolon, csv quoting"]
    options = ReadOptions(delimiter=",")
    assert read_tables({"train": path}, options)["train"].column_names == ["text;label"]


def test_parts_of_one_table_are_joined(tmp_path, caplog):
    (tmp_path / "a.jsonl").write_text('{"text": "가", "label": 1, "id": 1}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "나", "label": "x"}\n{"text": "다", "label": null}\n')
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    assert read_tables({"train": paths})["train"].to_dict() == {"text": ["가", "나", "다"], "label": ["1", "x", None]}
    assert "passed over the columns id, which other parts lack" in caplog.text
    (tmp_path / "b.jsonl").write_text('{"글": "나"}\n')
    with pytest.raises(HfclsError, match="have no column in common: they are not parts of one table"):
        read_tables({"train": paths})


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
