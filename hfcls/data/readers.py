"""Read files into a `datasets.DatasetDict`, through a cache that goes by their content."""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, config
from datasets.utils import tqdm
from filelock import FileLock
from numpy.typing import NDArray

from hfcls.data.formats.delimited import open_delimited
from hfcls.data.formats.jsonl import open_json
from hfcls.data.formats.parquet import open_parquet
from hfcls.data.formats.table import Table
from hfcls.errors import HfclsError
from hfcls.files import whole, write_whole

logger = logging.getLogger(__name__)

DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
SUFFIXES = (*DELIMITERS, ".json", ".jsonl", ".parquet")

READER = 1  # enters the key of the cache: raise it with each change of what reading a file gives
ROWS_FILE, FACTS_FILE = "rows.arrow", "facts.json"
SHOWN_NAMES = 10


def read_tables(files: dict[str, Path]) -> DatasetDict:
    """One split for each file; csv, tsv and txt columns are all read as text, empty fields as "".

    Quoting is that of the csv module and of `pandas.read_csv`. Rows are memory-mapped from the datasets cache, so the
    size of a corpus does not matter. The cache goes by the content of a file: a second call reads it, wherever the file
    lies by then, and an edited file is read again, whatever its time says.

    Raises:
        HfclsError: a file is missing, empty, of an unknown kind, not UTF-8, or has a broken line; names file and line.
    """
    return DatasetDict({split: _read_table(path) for split, path in files.items()})


def _read_table(path: Path) -> Dataset:
    with _reading(path):
        _check_file(path)
        sha256 = _sha256(path)
    # the suffix, since the same bytes are other rows as csv than as tsv
    folder = Path(config.HF_DATASETS_CACHE) / "hfcls" / f"{path.suffix.lower()[1:]}-{READER}-{sha256}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):  # one process reads, the others find what it has read
            if (rows := _kept(folder, path)) is None:
                _fill(folder, path, sha256)
                rows = _kept(folder, path)
    except OSError as error:
        raise HfclsError(
            f"cannot keep the rows of {path} in {folder}: {error.strerror or error}; HF_HOME chooses another place"
        ) from error
    if rows is None:
        raise HfclsError(
            f"the rows of {path} do not come back from {folder} as they were written: is the drive broken?"
        )
    return rows


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # no permission, or a drive that fails
        raise HfclsError(f"cannot read {path}: {error.strerror or error}") from error


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise HfclsError(f"no file {path}: check the path")
    if path.suffix.lower() not in SUFFIXES:
        hint = ": save the sheet as csv in UTF-8" if path.suffix.lower() in (".xls", ".xlsx", ".ods") else ""
        raise HfclsError(
            f"{path}: cannot read {path.suffix or 'a file without suffix'}{hint}; known are {' '.join(SUFFIXES)}"
        )
    if path.stat().st_size == 0:
        raise HfclsError(f"{path} is empty: it needs a header line and rows")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _fill(folder: Path, path: Path, sha256: str) -> None:
    """Write the rows of a file, and then their number, without which the folder counts as empty."""
    with _reading(path):
        table = _open(path)
    row_count = 0
    with (
        whole(folder / ROWS_FILE) as aside,
        aside.open("wb") as file,
        pa.ipc.new_stream(file, table.features.arrow_schema) as writer,
        tqdm(desc=f"read {path.name}", unit=" rows") as progress,
    ):
        for part in _parts(table, path):
            writer.write_table(part)
            row_count += len(part)
            progress.update(len(part))
    with _reading(path):
        if _sha256(path) != sha256:
            raise HfclsError(f"{path} was changed while it was read: give the same command again")
    facts = {"rows": row_count, "passed_over": table.passed_over}
    write_whole(folder / FACTS_FILE, json.dumps(facts, ensure_ascii=False) + "\n")


def _open(path: Path) -> Table:
    suffix = path.suffix.lower()
    if suffix in DELIMITERS:
        return open_delimited(path, DELIMITERS[suffix])
    return open_parquet(path) if suffix == ".parquet" else open_json(path)


def _parts(table: Table, path: Path) -> Iterator[pa.Table]:
    with _reading(path):
        yield from table.parts


def _kept(folder: Path, path: Path) -> Dataset | None:
    """The rows that `_fill` wrote; None if they are not there, or not all of them."""
    if not (folder / FACTS_FILE).is_file():
        return None
    facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
    try:
        rows = Dataset.from_file(str(folder / ROWS_FILE))
    except (OSError, pa.ArrowException):
        return None
    if len(rows) != facts["rows"]:
        return None
    for what in facts["passed_over"]:
        logger.warning("%s: passed over %s", path, what)
    return rows


def text_problem(rows: Dataset, column: str) -> str | None:
    """Why a column does not hold text in UTF-8, such as "is not text but int64"; None if it does."""
    kind = rows.features[column]
    if getattr(kind, "dtype", None) not in ("string", "large_string"):
        found = "of several types" if type(kind).__name__ == "Json" else getattr(kind, "dtype", kind)
        return f"is not text but {found}"
    try:
        rows.data.column(column).validate(full=True)  # a parquet file may hold any bytes
    except pa.ArrowInvalid as error:
        return f"holds text that is not UTF-8 ({error})"
    return None


def without_text(rows: Dataset, columns: Sequence[str]) -> NDArray[np.bool_]:
    """Bool [len(rows)]: whether one of these columns is null there; "" is a text."""
    table = rows.select_columns(list(columns)).with_format("arrow")[:]
    return np.any([pc.is_null(table[column]).to_numpy() for column in columns], axis=0)


def readable_files(folder: Path) -> list[Path]:
    """The files of a folder that `read_tables` knows, by name; one log line names all else that lies there."""
    found: list[Path] = []
    other: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith("._"):
            found.append(path)
        else:
            other.append(f"{path.name}/" if path.is_dir() else path.name)
    if other:
        more = f" and {len(other) - SHOWN_NAMES} more" if len(other) > SHOWN_NAMES else ""
        logger.warning("%s: passed over %s%s", folder, ", ".join(other[:SHOWN_NAMES]), more)
    return found
