"""Read csv, tsv, json, jsonl and parquet files into a cached `datasets.DatasetDict`, naming the line that is broken."""

import codecs
import csv
import json
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Features, Value, load_dataset
from pyarrow import ArrowInvalid

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
    splits = {}
    for split, path in files.items():
        try:
            splits[split] = _read_table(path)
        except OSError as error:  # no permission, or a drive that fails
            raise HfclsError(f"cannot read {path}: {error.strerror or error}") from error
    return DatasetDict(splits)


def _read_table(path: Path) -> Any:
    if not path.is_file():
        raise HfclsError(f"no file {path}: check the path")
    if path.suffix not in SUFFIXES:
        hint = ": save the sheet as csv in UTF-8" if path.suffix in (".xls", ".xlsx", ".ods") else ""
        raise HfclsError(
            f"{path}: cannot read {path.suffix or 'a file without suffix'}{hint}; known are {' '.join(SUFFIXES)}"
        )
    if path.stat().st_size == 0:
        raise HfclsError(f"{path} is empty: it needs a header line and rows")
    options: dict[str, Any] = {}
    if path.suffix in DELIMITERS:
        kind, delimiter = "csv", DELIMITERS[path.suffix]
        columns = read_header(path, delimiter)
        features = Features({column: Value("string") for column in columns})
        # without na_filter an empty text is an empty text, and "null" is a word
        options = {"delimiter": delimiter, "features": features, "na_filter": False}
    elif path.suffix == ".parquet":
        kind = "parquet"
    else:
        kind = "json"
        check_json(path)  # pyarrow ends the process at a line that is `null`
    try:
        return load_dataset(kind, data_files=str(path), split="train", **options)
    except Exception as error:  # datasets, pandas and pyarrow raise some twenty kinds for a file they cannot read
        cause = error.__cause__ or error
        raise HfclsError(f"could not read {path} as {kind}: {' '.join(str(cause).split()):.500}") from error


def text_problem(rows: Dataset, column: str) -> str | None:
    """Why a column does not hold text in UTF-8, such as "is not text but int64"; None if it does."""
    kind = rows.features[column]
    if getattr(kind, "dtype", None) not in ("string", "large_string"):
        found = "of several types" if type(kind).__name__ == "Json" else getattr(kind, "dtype", kind)
        return f"is not text but {found}"
    try:
        rows.data.column(column).validate(full=True)  # a parquet file may hold any bytes
    except ArrowInvalid as error:
        return f"holds text that is not UTF-8 ({error})"
    return None


def read_header(path: Path, delimiter: str) -> list[str]:
    """The column names of a csv or tsv file, after checking that each row has as many fields as the header.

    pandas would fill short rows and report long ones without the file's name, so the check comes first; it streams.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            header = next(reader, [])
            if any("\0" in name for name in header):
                raise HfclsError(f"{path}, line 1: the header holds NUL characters; save the file as UTF-8")
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


def check_json(path: Path) -> None:
    """Check that a file holds JSON objects of valid Unicode, one a line (streamed) or all in one array."""
    place = str(path)
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            is_array = file.read(4096).lstrip().startswith("[")
            file.seek(0)
            texts = [file.read()] if is_array else file
            row_count = 0
            for line_number, text in enumerate(texts, start=1):
                if not text.strip():
                    continue
                place = str(path) if is_array else f"{path}, line {line_number}"
                value = json.loads(text, parse_constant=_refuse_constant)
                for record in value if is_array else [value]:
                    row_count += 1
                    if not (isinstance(record, dict) and record):
                        where = f"{path}, element {row_count}" if is_array else place
                        raise HfclsError(f"{where}: must be one JSON object with fields, found {record!r:.80}")
                if "\\ud" in text or "\\uD" in text:
                    json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise HfclsError(not_utf8(path)) from error
    except UnicodeEncodeError as error:
        raise HfclsError(
            f"{place}: holds the unpaired surrogate {error.object[error.start]!r}, which is no character: remove it"
        ) from error
    except RecursionError as error:
        raise HfclsError(f"{place}: nested too deeply") from error
    except ValueError as error:
        raise HfclsError(f"{place}: not JSON: {error!s:.300}") from error
    if not row_count:
        raise HfclsError(f"{path} holds no rows")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value; write null")


def not_utf8(path: Path) -> str:
    """What to tell about a file that is not UTF-8: its first such line, and its encoding if that can be guessed.

    Windows programs write Korean as CP949; Excel's "Unicode text" is UTF-16.
    """
    with path.open("rb") as file:
        sample = file.read(1 << 20)
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in sample[:2]:
        encoding = "utf-16"
    elif _decodes(sample, "cp949", final=len(sample) < 1 << 20):
        encoding = "cp949"
    else:
        with path.open("rb") as file:
            number = next(n for n, line in enumerate(file, start=1) if not _decodes(line, "utf-8", final=True))
        return f"{path}, line {number} is not UTF-8 text; save the file as UTF-8"
    name = {"utf-16": "UTF-16", "cp949": "CP949 (EUC-KR)"}[encoding]
    return f"{path} is not UTF-8 but {name}; convert it: iconv -f {encoding} -t utf-8 '{path}' > utf8{path.suffix}"


def _decodes(sample: bytes, encoding: str, *, final: bool) -> bool:
    """Unless this is the `final` part, its last character may be cut in half."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample, final)
    except UnicodeDecodeError:
        return False
    return True
