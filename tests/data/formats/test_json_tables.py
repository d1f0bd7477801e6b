"""Rows of JSON, in whichever of its shapes a program wrote them."""

import json
import re

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfcls.data.formats.json_tables import open_json
from hfcls.data.formats.table import ReadOptions
from hfcls.errors import HfclsError

ROWS = [{"text": f"{i}번째 주문\n두 줄", "label": ["긍정", "부정"][i % 2], "n": i} for i in range(12)]
SHAPES = {
    "array": json.dumps,
    "indented": lambda rows: json.dumps(rows, indent=2, ensure_ascii=False),
    "lines": lambda rows: "\n".join(map(json.dumps, rows)),
    "blank lines": lambda rows: "\n\n".join(map(json.dumps, rows)) + "\n\n",
    "one behind the other": lambda rows: "".join(map(json.dumps, rows)),
    "indented objects": lambda rows: "\n".join(json.dumps(row, indent=4) for row in rows),
    "data": lambda rows: json.dumps({"version": 1, "data": rows}),
    "data, indented": lambda rows: json.dumps({"rows": rows, "by": {"a": 1}}, indent=1),
    "by id": lambda rows: json.dumps({f"id{i}": row for i, row in enumerate(rows)}),
    "by number": lambda rows: json.dumps(dict(enumerate(rows))),
    "to_json": lambda rows: pd.DataFrame(rows).to_json(),
    "to_json(orient=split)": lambda rows: pd.DataFrame(rows).to_json(orient="split"),
    "to_json(orient=index)": lambda rows: pd.DataFrame(rows).to_json(orient="index", indent=1),
    "columns": lambda rows: json.dumps({name: [row[name] for row in rows] for name in rows[0]}),
}


def rows_of(path, **options):
    table = open_json(path, ReadOptions(**options))
    return [row for part in table.parts for row in part.to_pylist()], table


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_the_rows_are_the_same_in_every_shape(tmp_path, shape, encoding):
    path = tmp_path / "t.json"
    path.write_bytes(SHAPES[shape](ROWS).encode(encoding))
    assert rows_of(path)[0] == ROWS


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=2, max_size=9),
    shape=st.sampled_from([name for name in SHAPES if not name.startswith("to_json")]),
)
def test_any_texts_come_back(tmp_path, texts, shape):
    rows = [{"text": text, "label": i % 3} for i, text in enumerate(texts)]
    (tmp_path / "t.json").write_text(SHAPES[shape](rows), encoding="utf-8", newline="")
    assert rows_of(tmp_path / "t.json")[0] == rows


def test_what_was_taken_for_the_rows_is_told(tmp_path):
    path = tmp_path / "t.json"
    for shape, told in {
        "data": "its rows are what 'data' holds",
        "by id": "read as an object of rows by their ids",
        "to_json": "read as an object of columns",
        "array": "",
    }.items():
        path.write_text(SHAPES[shape](ROWS))
        assert "".join(rows_of(path)[1].decided) == told


def test_one_line_of_a_jsonl_file_is_one_row(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "가", "spans": [{"at": 1}]}\n', encoding="utf-8")
    (row,), _ = rows_of(path)
    assert row["text"] == "가"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": 1}\n{"text": \n', ", line 2: not JSON"),
        ('{"a": 1}\n\n{"a": }\n{"a": 2}', ", line 3: not JSON: Expecting value"),
        ('[{"a": 1},\n{"a": }]', ", line 2: not JSON: Expecting value"),
        ('{"a": 1}{"a": 2}\n{"a": 3}x', ", line 2: not JSON"),
        ('{"a": 1,\n"b": 2}\n{"a": 1,\n\n"b": 2}\n{"a":\n}', ", line 7: not JSON: Expecting value"),
        ('{"a": {"b": 1}', ", line 1: not JSON"),
        ('{"a": 1, "a": 2}', ", line 1: not JSON: the name 'a' stands in one object twice"),
        ('{"a": NaN}', ", line 1: not JSON: NaN is not a JSON value; write null"),
        ('{"a": "\\ud800"}', ", line 1: holds the unpaired surrogate"),
        ("[1, 2]", ", element 1: must be one JSON object with fields, found 1"),
        ('{"a": [{"x": 1}], "b": [{"x": 2}]}', " holds several lists of objects ('a', 'b')"),
        ('{"a": [1, 2], "b": [1]}', ": its columns have 1 to 2 rows"),
        (" \n", " holds no rows"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_broken_is_named_with_its_line(tmp_path, content, message):
    path = tmp_path / "t.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(HfclsError, match=re.escape(str(path)) + ".*" + re.escape(message)):
        rows_of(path)
