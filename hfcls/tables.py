"""Read csv, tsv, json, jsonl and parquet files into a cached `datasets.DatasetDict`, naming the line that is broken."""

import csv
import json
from pathlib import Path
from typing import Any

from datasets import DatasetDict, Features, Value, load_dataset
from datasets.exceptions import DatasetGenerationError

from hfcls.errors import HfclsError

DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
SUFFIXES = (*DELIMITERS, ".json", ".jsonl", ".parquet")

csv.field_size_limit(2**31 - 1)  # the default refuses fields above 128 KiB


def read_tables(files: dict[str, Path]) -> DatasetDict:
    """One split for each file; csv, tsv and txt columns are all read as text, empty fields as "".

    Quoting is that of the csv module and of `pandas.read_csv`. Files are memory-mapped from the datasets cache, so the
    size of a corpus does not matter, and a second call reads the cache.

    Raises:
        HfclsError: a file is missing, empty, of an unknown kind, not UTF-8, or has a broken line; names file and line.
    """
    return DatasetDict({split: _read_table(path) for split, path in files.items()})


def _read_table(path: Path) -> Any:
    if not path.is_file():
        raise HfclsError(f"no file {path}: check the path")
    if path.suffix not in SUFFIXES:
        raise HfclsError(
            f"{path}: cannot read {path.suffix or 'a file without suffix'}; known are {' '.join(SUFFIXES)}"
        )
    if path.stat().st_size == 0:
        raise HfclsError(f"{path} is empty: it needs a header line and rows")
    if path.suffix in DELIMITERS:
        columns = check_delimited(path, DELIMITERS[path.suffix])
        return load_dataset(
            "csv",
            data_files=str(path),
            split="train",
            delimiter=DELIMITERS[path.suffix],
            features=Features({column: Value("string") for column in columns}),
            na_filter=False,  # an empty text is an empty text, and "null" is a word
        )
    kind = "parquet" if path.suffix == ".parquet" else "json"
    try:
        return load_dataset(kind, data_files=str(path), split="train")
    except DatasetGenerationError as error:
        if kind == "json":
            _check_json_lines(path)
        cause = error.__cause__ or error
        raise HfclsError(f"{path} is not readable as {kind}: {' '.join(str(cause).split())}") from error


def check_delimited(path: Path, delimiter: str) -> list[str]:
    """The column names of a csv or tsv file, after checking that each row has as many fields as the header.

    pandas would fill short rows and report long ones without the file's name, so the check comes first; it streams.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            header = next(reader, [])
            if "" in header or len(set(header)) < len(header):
                raise HfclsError(f"{path}, line 1: the header must name each column once, found {header}")
            row_count = 0
            for row in reader:
                row_count += bool(row)
                if row and len(row) != len(header):
                    raise HfclsError(
                        f"{path}, line {reader.line_num}: {len(row)} fields, but the header has {len(header)} "
                        f"({', '.join(header)}); a field that holds the delimiter or quotes must be quoted"
                    )
    except UnicodeDecodeError as error:
        raise HfclsError(not_utf8(path)) from error
    except csv.Error as error:
        raise HfclsError(f"{path}, line {reader.line_num}: {error}") from error
    if not row_count:
        raise HfclsError(f"{path} has a header line but no rows")
    return header


def not_utf8(path: Path) -> str:
    """What to tell about a file that is not UTF-8; names CP949, which Korean Windows programs write, if it fits."""
    with path.open("rb") as file:
        sample = file.read(1 << 20)
    try:
        sample[: sample.rfind(b"\n") + 1].decode("cp949")
    except UnicodeDecodeError:
        return f"{path} is not UTF-8 text; save it as UTF-8"
    return f"{path} is not UTF-8 but CP949 (EUC-KR); convert it: iconv -f cp949 -t utf-8 '{path}' > utf8{path.suffix}"


def _check_json_lines(path: Path) -> None:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.lstrip().startswith("[") and number == 1:
                    return
                if line.strip() and not isinstance(json.loads(line), dict):
                    raise HfclsError(f"{path}, line {number}: must be one JSON object per line")
    except UnicodeDecodeError as error:
        raise HfclsError(not_utf8(path)) from error
    except json.JSONDecodeError as error:
        raise HfclsError(f"{path}, line {number}: not JSON: {error}") from error
