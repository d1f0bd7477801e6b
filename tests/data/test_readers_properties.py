"""Whatever a table holds and whatever its file is called: it is read as it was written, row for row.

The default run is short; `HYPOTHESIS_PROFILE=fuzz` tries 100 times as many tables (see `test_fuzz.py`).
"""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Json
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hfcls.data.corpora import load_corpus
from hfcls.data.readers import read_tables

checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
count = 2000 if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else 25
many = settings(max_examples=count, deadline=None, suppress_health_check=checks, derandomize=count == 25)

# What means something to a glob, a URL, a shell, a URI of pyarrow or a chain of fsspec
SIGNS = "[]*?{}!#%:;,~@=&$'\"\\ \n\t^+-.ab가é"
NAMES = st.one_of(
    st.sampled_from(
        ["reviews[12]", "star*", "a::b", "only[ab]", "~root", "~nobody", "-", "%41", "http:", "s3:x", "a=1"]
    ),
    st.text(st.sampled_from(SIGNS), min_size=1, max_size=12),
)
ODD = [
    *(
        "",
        " ",
        "   ",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\u3000",
        "\u2028",
        "\x85",
        "\x1c",
        "\ufeff",
        "\x0b",
        '"',
        '""',
        "'",
        ",",
    ),
    *(
        "null",
        "NA",
        "nan",
        "None",
        "true",
        "1",
        "-0",
        "1e5",
        "12345678901234567890",
        "2024-01-01",
        "2024-01-01T09:00:00+09:00",
    ),
    *('"그가 ""최고""라고', 'a"b"c', "\\", '\\"', "\\N", "#", "=1+1", "줄\n둘", "끝 ", " 앞", "<b>", "가" * 3000),
]
VALUES = st.one_of(st.sampled_from(ODD), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12))
COLUMNS = st.lists(st.sampled_from(["text", "label", "id", "열 이름", "a,b", 'q"', "x\ty"]), min_size=1, unique=True)
SUFFIX = st.sampled_from([str.lower, str.upper])


@st.composite
def tables(draw: Any) -> dict[str, list[str]]:
    columns, height = draw(COLUMNS), draw(st.integers(1, 5))
    return {name: draw(st.lists(VALUES, min_size=height, max_size=height)) for name in columns}


def read(path: Path) -> dict[str, list[Any]]:
    """The columns of a file; what is kept as JSON is decoded here, since datasets makes texts of large integers."""
    rows = read_tables({"train": path})["train"]
    columns = rows.with_format("arrow")[:].to_pydict()
    for name, feature in rows.features.items():
        if isinstance(feature, Json):
            columns[name] = [None if value is None else json.loads(value) for value in columns[name]]
    return columns


def delimited(table: dict[str, list[str]], delimiter: str, quoting: int, line_end: str, end: bool) -> str:
    buffer = io.StringIO()
    if quoting == csv.QUOTE_MINIMAL:
        line_end = "\r\n"  # else the csv module leaves a \r without quotes, which then ends a line
    writer = csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator=line_end)
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return buffer.getvalue() if end else buffer.getvalue().removesuffix(line_end)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
@many
@given(
    table=tables(),
    name=NAMES,
    case=SUFFIX,
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    end=st.booleans(),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
@example(table={"text": [" ", "나", "  "]}, name="a[1]", case=str.upper, quoting=0, line_end="\n", end=False, mark=b"")
def test_delimited_text(tmp_path, suffix, table, name, case, quoting, line_end, end, mark):
    path = tmp_path / f"{name}{case(suffix)}"
    delimiter = "," if suffix == ".csv" else "\t"
    path.write_bytes(mark + delimited(table, delimiter, quoting, line_end, end).encode())
    assert read(path) == table


JSON_VALUES = st.one_of(
    VALUES,
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(2**53 - 2, 2**64 + 2),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(VALUES | st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), VALUES | st.none(), max_size=2),
)


@st.composite
def json_columns(draw: Any) -> list[Any]:
    """Of one type, as columns are, or of any."""
    kinds = [
        VALUES,
        st.integers(),
        st.integers(0, 2**65),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
    ]
    kind = draw(st.sampled_from([*(kind | st.none() for kind in kinds), *kinds, kinds[1] | kinds[3], JSON_VALUES]))
    return [draw(kind) for _ in range(4)]


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
@many
@given(columns=st.lists(json_columns(), min_size=1, max_size=3), name=NAMES, case=SUFFIX, ascii_only=st.booleans())
@example(columns=[[12345678901234567890, None, 1, 2]], name="a", case=str.lower, ascii_only=True)
@example(columns=[[-1, 2**63, 0, 0]], name="a", case=str.lower, ascii_only=True)
@example(columns=[[2**53 + 1, 0.5, 0, 0]], name="a", case=str.lower, ascii_only=True)
@example(columns=[["2024-01-01T09:00:00+09:00"] * 4], name="a", case=str.lower, ascii_only=True)
def test_json_values_keep_their_type_and_their_digits(tmp_path, suffix, columns, name, case, ascii_only):
    path = tmp_path / f"{name}{case(suffix)}"
    table = {f"c{i}": column for i, column in enumerate(columns)}
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    path.write_text("\n".join(lines) if suffix == ".jsonl" else f"[{','.join(lines)}]", encoding="utf-8", newline="\n")
    found = read(path)
    assert found == table  # True == 1 == 1.0 in Python, so the types are looked at as well
    for name_, column in table.items():
        if len({type(value) for value in column} - {type(None)}) == 1:
            assert list(map(type, found[name_])) == list(map(type, column))


STRINGS = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]


@many
@given(table=tables(), name=NAMES, case=SUFFIX, kind=st.sampled_from(STRINGS), nulls=st.booleans())
def test_parquet_text_of_every_type(tmp_path, table, name, case, kind, nulls):
    path = tmp_path / f"{name}{case('.parquet')}"
    if nulls:
        table = {column: [None, *values] for column, values in table.items()}
    arrays = {column: pa.array(values, pa.string()).cast(kind) for column, values in table.items()}
    with path.open("wb") as file:
        pq.write_table(pa.table(arrays), file)
    assert read(path) == table


@many
@given(name=NAMES, folder=NAMES, case=SUFFIX)
def test_a_corpus_of_any_name_is_that_file_and_no_other(tmp_path_factory, name, folder, case):
    place = tmp_path_factory.mktemp("names") / folder
    place.mkdir()
    path = place / f"{name}{case('.csv')}"
    for i, other in enumerate(["reviews1", "reviews2", "star1", "a", "b"]):  # what a pattern may find
        (place / f"{other}.csv").write_text(f"text,label\n남 {i},0\n남 {i}{i},1\n", encoding="utf-8")
    path.write_text("text,label\n내 글,0\n네 글,1\n", encoding="utf-8")
    assert list(load_corpus(str(path))["train"]["text"]) == ["내 글", "네 글"]
