"""Read files into a `datasets.DatasetDict`, through a cache that goes by their content."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, Value, concatenate_datasets, config
from datasets.utils import tqdm
from filelock import FileLock
from numpy.typing import NDArray

from hfcls.data.formats import spreadsheets
from hfcls.data.formats.delimited import open_delimited
from hfcls.data.formats.encodings import kind_of, unpacking
from hfcls.data.formats.folders import class_folders, is_saved, open_class_folders, table_files
from hfcls.data.formats.json_tables import open_json
from hfcls.data.formats.parquet import open_parquet
from hfcls.data.formats.table import ReadOptions, Table
from hfcls.errors import HfclsError, NoRowsError
from hfcls.system.files import whole, write_whole
from hfcls.system.quoting import shown
from hfcls.system.terminal import bars_are_seen

logger = logging.getLogger(__name__)

DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
SUFFIXES = (*DELIMITERS, ".json", ".jsonl", ".parquet", *spreadsheets.SUFFIXES, ".zip")
FOLDER = "/folder"  # the kind of a folder for each class

READER = 4  # enters the key of the cache: raise it with each change of what reading a file gives
ROWS_FILE, FACTS_FILE = "rows.arrow", "facts.json"


def read_tables(files: Mapping[str, Path | Sequence[Path]], options: ReadOptions | None = None) -> DatasetDict:
    """One split for each file, or for several files that are parts of one table.

    All columns of delimited files and of workbooks are read as text, empty fields as "". Rows are memory-mapped from
    the datasets cache, so the size of a corpus does not matter. The cache goes by the content of a file: a second call
    reads it, wherever the file lies by then, and an edited file is read again, whatever its time says.

    Raises:
        HfclsError: a file is missing, empty, of an unknown kind, or has a broken line; names file and line.
    """
    chosen = options or ReadOptions()
    return DatasetDict(
        {
            split: _joined(
                [(path, read_table(path, chosen)) for path in ([paths] if isinstance(paths, Path) else paths)]
            )
            for split, paths in files.items()
        }
    )


def _joined(parts: list[tuple[Path, Dataset]]) -> Dataset:
    """The rows of all parts, with the columns that stand in each of them; of two types, as text."""
    (first_path, first), *others = parts
    if not others:
        return first
    columns = [name for name in first.column_names if all(name in rows.column_names for _, rows in others)]
    for path, rows in parts:
        if left_out := [name for name in rows.column_names if name not in columns]:
            logger.warning("%s: passed over the columns %s, which other parts lack", path, shown(left_out))
    if not columns:
        raise HfclsError(f"{first_path} and {others[0][0]} have no column in common: they are not parts of one table")
    joined = [rows.select_columns(columns) for _, rows in parts]
    for name in columns:
        kinds = {str(rows.features[name]): rows.features[name] for rows in joined if len(rows)}
        if len(kinds) > 1 and all(isinstance(kind, Value) for kind in kinds.values()):
            joined = [rows.cast_column(name, Value("string")) for rows in joined]
    try:
        return concatenate_datasets(joined)
    except (ValueError, pa.ArrowException) as error:
        raise HfclsError(f"{first_path} and the other parts hold columns of different types: {error!s:.300}") from error


def read_table(path: Path, options: ReadOptions) -> Dataset:
    """The rows of a file, of a folder for each class, or of what `Dataset.save_to_disk` wrote; see `read_tables`."""
    if is_saved(path):
        return _saved(path)
    with _reading(path):
        kind = _checked_kind(path)
        sha256 = content_sha256(path)
    if options.sheet is not None and kind not in spreadsheets.SUFFIXES:
        logger.warning("sheet %s is for workbooks: %s has no sheets", options.sheet, path)
    # the kind, since the same bytes are other rows as csv than as tsv
    packed = path.suffix.lower() if path.suffix.lower() != kind and kind != FOLDER else ""
    chosen = "" if options == ReadOptions() else f"-{hashlib.sha256(repr(options).encode()).hexdigest()[:12]}"
    folder = Path(config.HF_DATASETS_CACHE) / "hfcls" / f"{kind[1:]}{packed}-{READER}-{sha256}{chosen}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):  # one process reads, the others find what it has read
            if (rows := _kept(folder, path)) is None:
                _fill(folder, path, kind, options, sha256)
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


def _saved(folder: Path) -> Dataset:
    try:
        return Dataset.load_from_disk(str(folder)).with_format(None)  # which is saved, too
    except Exception as error:  # datasets and pyarrow raise many kinds for files that are missing or cut off
        raise HfclsError(f"could not load the saved dataset {folder}: {' '.join(str(error).split()):.300}") from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        with unpacking(path):
            yield
    except OSError as error:  # no permission, or a drive that fails
        raise HfclsError(f"cannot read {path}: {error.strerror or error}") from error


def _checked_kind(path: Path) -> str:
    if path.is_dir() and class_folders(path):
        return FOLDER
    if not path.is_file():
        raise HfclsError(f"no file {path}: check the path")
    if path.stat().st_size == 0:
        raise NoRowsError(f"{path} is empty: it needs a header line and rows")
    kind = kind_of(path)
    if kind not in SUFFIXES or kind == ".zip":
        raise HfclsError(
            f"{path}: cannot read {kind or 'a file without suffix'}; known are {' '.join(SUFFIXES)}, and these with .gz"
        )
    return kind


def content_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes; of a folder's files, with their names."""
    digest = hashlib.sha256()
    for part in [path] if path.is_file() else sorted(inner for inner in path.rglob("*") if inner.is_file()):
        if part != path:
            digest.update(f"{part.relative_to(path)}\0{part.stat().st_size}\0".encode(errors="surrogateescape"))
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _fill(folder: Path, path: Path, kind: str, options: ReadOptions, sha256: str) -> None:
    """Write the rows of a file, and then their number, without which the folder counts as empty."""
    with _reading(path):
        table = _open(path, kind, options)
    row_count = 0
    with (
        whole(folder / ROWS_FILE) as aside,
        aside.open("wb") as file,
        pa.ipc.new_stream(file, table.features.arrow_schema) as writer,
        tqdm(desc=f"read {path.name}", unit=" rows", disable=not bars_are_seen()) as progress,
    ):
        for part in _parts(table, path):
            writer.write_table(part)
            row_count += len(part)
            progress.update(len(part))
    with _reading(path):
        if content_sha256(path) != sha256:
            raise HfclsError(f"{path} was changed while it was read: give the same command again")
    facts = {"rows": row_count, "passed_over": table.passed_over, "decided": table.decided}
    write_whole(folder / FACTS_FILE, json.dumps(facts, ensure_ascii=False) + "\n")


def open_table(path: Path, options: ReadOptions | None = None) -> Table:
    """The columns of a file, and its rows as they are read from it: nothing is kept. Raises `HfclsError`."""
    with _reading(path):
        return _open(path, _checked_kind(path), options or ReadOptions())


def _open(path: Path, kind: str, options: ReadOptions) -> Table:
    if kind == FOLDER:
        return open_class_folders(path, options)
    if kind in DELIMITERS:
        return open_delimited(path, DELIMITERS[kind], options)
    if kind in spreadsheets.SUFFIXES:
        return spreadsheets.open_workbook(path, options)
    return open_parquet(path) if kind == ".parquet" else open_json(path, options)


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
    for what in facts["decided"]:
        logger.info("%s: %s", path, what)
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
    """The files of a folder that `read_tables` knows; one log line names all else that lies there."""
    tables, others = table_files(folder, SUFFIXES)
    if others:
        names = [f"{path.name}/" if path.is_dir() else path.name for path in others]
        logger.warning("%s: passed over %s", folder, shown(names))
    return tables
