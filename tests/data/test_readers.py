"""Files of every known kind are read as they are, and what is broken is named with its line."""

import csv
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, config
from pyarrow import parquet

from hfcls.data import readers
from hfcls.data.formats.table import ReadOptions
from hfcls.data.origins.files import input_files
from hfcls.data.readers import read_tables, readable_files
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


@pytest.mark.parametrize("name", ["utf-9", "hex", "rot13"])
def test_an_encoding_that_gives_no_text_is_named(name):
    """Python knows the last two, as ways from bytes to bytes and from text to text: they ended in a traceback."""
    with pytest.raises(HfclsError, match=f"encoding '{name}' is not known: such as utf-8, cp949 or utf-16"):
        ReadOptions(encoding=name)


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


def write(path: Path, texts: list[str]) -> None:
    rows = [{"text": text, "label": str(i % 2)} for i, text in enumerate(texts)]
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        pd.DataFrame(rows).to_csv(path, index=False, sep=readers.DELIMITERS[path.suffix])


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet"])
@pytest.mark.parametrize("after", [["셋", "넷"], ["하나", "둘", "셋"], ["둘"]])
def test_other_content_under_the_same_name_and_time_is_read(tmp_path, suffix, after):
    """As in images with fixed times, and after `cp -p` and `rsync -t`."""
    path = tmp_path / f"data{suffix}"
    for texts in (["하나", "둘"], after):
        write(path, texts)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        assert list(read_tables({"train": path})["train"]["text"]) == texts


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet"])
def test_a_file_is_read_once_whatever_it_is_called_by_then(tmp_path, own_cache, monkeypatch, suffix):
    write(tmp_path / f"a{suffix}", ["하나", "둘"])
    first = read_tables({"train": tmp_path / f"a{suffix}"})["train"]
    (tmp_path / f"a{suffix}").rename(tmp_path / f"b{suffix}")
    monkeypatch.setattr(readers, "_open", None)
    second = read_tables({"test": tmp_path / f"b{suffix}"})["test"]
    assert second.to_dict() == first.to_dict()
    assert second._fingerprint == first._fingerprint  # so that what `map` has cached is found as well


def test_the_same_bytes_are_other_rows_under_another_suffix(tmp_path):
    for suffix in (".csv", ".tsv"):
        (tmp_path / f"a{suffix}").write_text("a\tb,c\n1\t2,3\n")
    assert read_tables({"train": tmp_path / "a.csv"})["train"].to_dict() == {"a\tb": ["1\t2"], "c": ["3"]}
    assert read_tables({"train": tmp_path / "a.tsv"})["train"].to_dict() == {"a": ["1"], "b,c": ["2,3"]}


def cut_at_a_part(rows: Path) -> None:
    with rows.open("rb") as file:
        first = pa.ipc.open_stream(file).read_next_batch()
    with rows.open("wb") as file, pa.ipc.new_stream(file, first.schema) as writer:
        writer.write_batch(first)


@pytest.mark.parametrize(
    "damage",
    [
        cut_at_a_part,
        Path.unlink,
        lambda rows: rows.write_bytes(rows.read_bytes()[:-2000]),
        lambda rows: rows.write_bytes(b""),
        lambda rows: (rows.parent / "facts.json").unlink(),
    ],
)
def test_rows_that_do_not_come_back_whole_from_the_cache_are_read_again(tmp_path, own_cache, damage):
    texts = [f"글 {i}" for i in range(2500)]
    write(tmp_path / "a.csv", texts)
    read_tables({"train": tmp_path / "a.csv"})
    (rows,) = own_cache.glob("hfcls/*/rows.arrow")
    damage(rows)
    assert list(read_tables({"train": tmp_path / "a.csv"})["train"]["text"]) == texts


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, own_cache, monkeypatch):
    path = tmp_path / "a.csv"
    write(path, ["하나", "둘"])
    opened = readers._open

    def changed(path, *options):
        table = opened(path, *options)
        write(path, ["셋", "넷"])
        return table

    monkeypatch.setattr(readers, "_open", changed)
    with pytest.raises(HfclsError, match="a.csv was changed while it was read: give the same command again"):
        read_tables({"train": path})
    monkeypatch.undo()
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", own_cache)
    assert list(read_tables({"train": path})["train"]["text"]) == ["셋", "넷"]


def test_a_cache_that_cannot_be_written_is_told_apart_from_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    write(tmp_path / "a.csv", ["하나", "둘"])
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", Path("/proc/none"))
    with pytest.raises(HfclsError, match=r"cannot keep the rows of .*a.csv in /proc/none.*; HF_HOME chooses another"):
        read_tables({"train": tmp_path / "a.csv"})

    def fails(path, *options):
        raise OSError(5, "Input/output error")

    monkeypatch.undo()
    monkeypatch.setattr(readers, "_open", fails)
    write(tmp_path / "a.csv", ["아직 읽지 않은 글", "둘"])
    with pytest.raises(HfclsError, match="cannot read .*a.csv: Input/output error"):
        read_tables({"train": tmp_path / "a.csv"})


def test_the_limit_of_the_csv_module_stays_as_it_is_in_the_process(tmp_path):
    code = "import csv; import hfcls.data.corpora, hfcls.data.formats.delimited; print(csv.field_size_limit())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(found.stdout) == 128 * 1024
    limit = csv.field_size_limit(1000)
    try:
        write(tmp_path / "a.csv", ["가" * 300_000, "둘"])
        assert len(read_tables({"train": tmp_path / "a.csv"})["train"]["text"][0]) == 300_000
        (tmp_path / "b.csv").write_text("text,label\n가,0\n나\n")
        with pytest.raises(HfclsError):
            read_tables({"train": tmp_path / "b.csv"})
        assert csv.field_size_limit() == 1000
    finally:
        csv.field_size_limit(limit)


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_quote_that_is_never_closed_swallows_no_rows(table, end):
    path = table(lines=["text\tlabel", "가\t0", '"나\t1', "다\t0"])
    path.write_text(path.read_text("utf-8").rstrip() + end, encoding="utf-8")
    assert list(read_tables({"train": path})["train"]["text"]) == ["가", '"나', "다"]
    path.write_text(f'text\tlabel\n가\t0\n"나\n나\t"\t1{end}', encoding="utf-8")
    assert list(read_tables({"train": path})["train"]["text"]) == ["가", "나\n나\t"]


def test_blank_lines_between_rows_are_named_each_time_and_those_at_the_end_are_none(tmp_path, caplog):
    path = tmp_path / "a.csv"
    path.write_text("text\n\n가\n\n  \n나\n\n\n", encoding="utf-8")
    for _ in range(2):  # from the file, and from the cache
        caplog.clear()
        assert list(read_tables({"train": path})["train"]["text"]) == ["가", "  ", "나"]
        assert caplog.messages == [f"{path}: passed over 2 blank lines between its rows, line 2 for one"]
    caplog.clear()
    path.write_text("text,label\n가,0\n나,1\n\n\n", encoding="utf-8")
    assert len(read_tables({"train": path})["train"]) == 2
    assert caplog.messages == []


def test_columns_of_json_that_no_type_holds_exactly_stay_json(tmp_path):
    rows = [
        {"id": -1, "mixed": 1, "tags": ["a"], "more": {"x": 1}, "day": "2024-01-01T09:00:00+09:00", "late": None},
        {"id": 2**64, "mixed": "가", "tags": [], "more": {"y": None}, "day": "2024-01-02", "late": 1.5},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    found = read_tables({"train": path})["train"].with_format("arrow")[:].to_pydict()
    assert found == {
        "id": ["-1", "18446744073709551616"],
        "mixed": ["1", '"가"'],
        "tags": ['["a"]', "[]"],
        "more": ['{"x": 1}', '{"y": null}'],
        "day": ["2024-01-01T09:00:00+09:00", "2024-01-02"],
        "late": [None, 1.5],
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a", "text": "b"}', "line 2: not JSON: the name 'text' stands in one object twice"),
        ('{"text": "a", "score": 1e999}', "line 2: not JSON: 1e999 is beyond the largest float"),
        ('{"text": NaN}', "line 2: not JSON: NaN is not a JSON value; write null"),
    ],
)
def test_json_that_would_lose_something_is_refused(tmp_path, line, message):
    (tmp_path / "a.jsonl").write_text(f'{{"text": "a"}}\n{line}\n')
    with pytest.raises(HfclsError, match=re.escape(message)):
        read_tables({"train": tmp_path / "a.jsonl"})


def test_parquet_that_cannot_be_read_says_why(tmp_path, caplog):
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": ["가"], "m": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))}), path)
    assert read_tables({"train": path})["train"].to_dict() == {"text": ["가"]}
    assert "passed over the columns 'm', of types that cannot be read" in caplog.text
    parquet.write_table(pa.Table.from_arrays([pa.array(["가"]), pa.array(["나"])], names=["text", "text"]), path)
    assert read_tables({"train": path})["train"].to_dict() == {"text (1)": ["가"], "text (2)": ["나"]}
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(HfclsError, match="could not read .*a.parquet as parquet: "):
        read_tables({"train": path})


def test_classes_that_a_parquet_file_declares_are_kept(tmp_path):
    rows = Dataset.from_dict({"text": ["가", "나"], "label": [1, 0]}).cast_column("label", ClassLabel(names=["a", "b"]))
    rows.to_parquet(tmp_path / "a.parquet")
    assert read_tables({"train": tmp_path / "a.parquet"})["train"].features["label"].names == ["a", "b"]


def test_what_is_packed_is_not_taken_for_what_is_not(tmp_path):
    """Not even where the bytes are those of a file that was read before."""
    for name in ("a.csv", "a.csv.gz"):
        (tmp_path / name).write_text("text,label\n그대로,1\n", encoding="utf-8")
    assert len(read_tables({"train": tmp_path / "a.csv"})["train"]) == 1
    with pytest.raises(HfclsError, match="cannot unpack .*a.csv.gz"):
        read_tables({"train": tmp_path / "a.csv.gz"})


def test_a_pattern_of_inputs_is_all_of_them_whatever_they_are_called(tmp_path):
    for name in ("test.csv", "dev-1.csv", "reviews.csv", ".hidden.csv"):
        (tmp_path / name).write_text("text\n가\n", encoding="utf-8")
    assert [path.name for path in input_files(f"{tmp_path}/*.csv")] == ["dev-1.csv", "reviews.csv", "test.csv"]


def test_notes_of_programs_are_no_tables_of_a_folder(tmp_path, caplog):
    for name in ("rows.csv", "_notes.csv", ".hidden.csv", "_hfcls.json"):
        (tmp_path / name).write_text("text\n가\n", encoding="utf-8")
    assert [path.name for path in readable_files(tmp_path)] == [".hidden.csv", "rows.csv"]
    assert "passed over _hfcls.json, _notes.csv" in caplog.text
