"""Which files of a folder, or of a pattern of names, are which split."""

import glob
import logging
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
from datasets import Features, Value

from hfcls.data.formats.encodings import PACKED, open_text, sniff_encoding
from hfcls.data.formats.table import ROWS_AT_ONCE, ReadOptions, Table
from hfcls.data.splits import SPLITS
from hfcls.errors import HfclsError
from hfcls.system.quoting import shown, visible

logger = logging.getLogger(__name__)

SHARD = re.compile(r"(.*?)[-_.]?(\d+)(?:[-_.]of[-_.](\d+))?", re.DOTALL)  # train-00000-of-00002, part-3, train_1
ORDER = ("train", "validation", "test")


def is_pattern(dataset: str) -> bool:
    """Whether a path that does not exist is meant for several files."""
    return glob.has_magic(dataset)


def matching_files(pattern: str) -> list[Path]:
    """The files of a pattern such as `data/part-*.csv`, numbers by value; hidden ones are passed over."""
    found = [Path(name) for name in glob.glob(pattern, recursive=True)]
    found = _sorted(path for path in found if path.is_file() and not _of_mac(path))
    _check_names(found)
    return found


def table_files(folder: Path, suffixes: Collection[str]) -> tuple[list[Path], list[Path]]:
    """The files of a folder that are tables, and all else that a person would see there.

    What begins with `_` is a note of a program, such as `_SUCCESS` or our `_hfcls.json`, and none of the tables.
    """
    paths = [path for path in _sorted(folder.iterdir()) if not _of_mac(path)]
    named = [path for path in paths if not path.name.startswith("_")]
    tables = [path for path in named if path.is_file() and table_suffix(path) in suffixes]
    _check_names(tables)
    return tables, [path for path in paths if path not in tables and not path.name.startswith(".")]


def _check_names(paths: Iterable[Path]) -> None:
    """Raises HfclsError for a name that is not UTF-8, as of a zip from Korean Windows: no JSON can hold it."""
    if bad := [str(path) for path in paths if re.search("[\ud800-\udfff]", str(path))]:
        raise HfclsError(
            f"the name of {visible(bad[0])} is not UTF-8 (unpacked from a zip of Windows?): rename it, for instance "
            "with `convmv -f cp949 -t utf-8 --notest`"
        )


def _of_mac(path: Path) -> bool:
    """Whether a Mac put it there, or into a zip, for itself."""
    return path.name.startswith("._") or path.name == "__MACOSX"


def table_suffix(path: Path) -> str:
    """The suffix of a file in small letters, before that of its packing."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in PACKED else suffix


def _sorted(paths: Iterable[Path]) -> list[Path]:
    """part-2 before part-10."""
    return sorted(paths, key=lambda path: [(part.isdecimal(), int(part) if part.isdecimal() else 0, part)
                                           for part in re.split(r"(\d+)", str(path))])  # fmt: skip


def split_files(paths: list[Path], where: str) -> tuple[dict[str, list[Path]], list[Path]]:
    """The files of each split, and those that are of none.

    A file is of the split that is its name (`dev.csv`), else of the one whose name is a part of its name
    (`ratings_train.txt`). Numbered files of one name are one table.

    Raises:
        HfclsError: two files for one split, or a shard is missing.
    """
    found: dict[str, list[Path]] = {}
    for split in ORDER:
        exact = [path for path in paths if SPLITS.get(_stem(path).lower()) == split]
        sharded = [path for path in paths if SPLITS.get(_shard(path)[0].lower()) == split and path not in exact]
        named = [path for path in paths if path not in (*exact, *sharded) and _split_within(path) == split]
        if candidates := exact or sharded or named:
            found[split] = _one_table(candidates, split, where)
    used = {path for files in found.values() for path in files}
    return found, [path for path in paths if path not in used]


def split_of(path: Path) -> str | None:
    """The split that the name of a file tells: of `dev.csv`, `test-00000-of-00002.parquet` and `ratings_train.txt`."""
    for name in (_stem(path), _shard(path)[0]):
        if split := SPLITS.get(name.lower()):
            return split
    return _split_within(path)


def _stem(path: Path) -> str:
    return Path(path.stem).stem if path.suffix.lower() in PACKED else path.stem


def _shard(path: Path) -> tuple[str, int | None, int | None]:
    """(name, number, how many there are) of `name-00000-of-00002.csv`; None: not told."""
    if match := SHARD.fullmatch(_stem(path)):
        return match[1], int(match[2]), int(match[3]) if match[3] else None
    return _stem(path), None, None


def _split_within(path: Path) -> str | None:
    words = re.split(r"[^0-9A-Za-z]+", _shard(path)[0].lower())
    splits = {SPLITS[word] for word in words if word in SPLITS}
    if splits == {"train", "validation"}:  # train_val: both of them, before anyone has cut it
        return "train"
    return splits.pop() if len(splits) == 1 else None


def _one_table(paths: list[Path], split: str, where: str) -> list[Path]:
    shards = [_shard(path) for path in paths]
    numbers = [number for _, number, _ in shards]
    if len(paths) > 1 and (
        None in numbers or len({name for name, _, _ in shards}) > 1 or len(set(numbers)) < len(paths)
    ):
        count = "two" if len(paths) == 2 else str(len(paths))
        names = " and ".join(path.name for path in paths) if len(paths) == 2 else shown([path.name for path in paths])
        raise HfclsError(f"{where} holds {count} files for {split}: {names}; keep one")
    wanted = {count for _, _, count in shards if count}
    if wanted and wanted != {len(paths)}:
        raise HfclsError(
            f"{where} holds {len(paths)} of the {max(wanted)} parts of {split} ({paths[0].name}): some are missing"
        )
    return paths


def is_saved(folder: Path) -> bool:
    """Whether `Dataset.save_to_disk` wrote a folder."""
    return (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()


# A folder for each class


def class_folders(folder: Path) -> dict[str, list[Path]] | None:
    """The text files of each class, if all that a folder holds is folders of .txt files; else None."""
    classes: dict[str, list[Path]] = {}
    for inner in _sorted(folder.iterdir()):
        if inner.name.startswith(".") or _of_mac(inner):
            continue
        if not inner.is_dir() or inner.name.lower() in SPLITS:
            return None
        texts, others = table_files(inner, (".txt",))
        if others or not texts:
            return None
        classes[inner.name] = texts
    return classes or None


def open_class_folders(folder: Path, options: ReadOptions) -> Table:
    """A row for each file of the folders, its text and the name of its folder."""
    classes = class_folders(folder) or {}
    features = Features({"text": Value("string"), "label": Value("string")})

    def parts() -> Iterator[pa.Table]:
        for label, paths in classes.items():
            for start in range(0, len(paths), ROWS_AT_ONCE):
                texts = [_text(path, options) for path in paths[start : start + ROWS_AT_ONCE]]
                yield pa.table({"text": texts, "label": [label] * len(texts)}, schema=features.arrow_schema)

    table = Table(features, parts())
    table.decided.append(f"a folder for each of the classes {shown(classes)}")
    return table


def _text(path: Path, options: ReadOptions) -> str:
    with open_text(path, options.encoding or sniff_encoding(path)) as file:
        return file.read().rstrip("\r\n")
