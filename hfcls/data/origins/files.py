"""The files of a corpus: one file, a folder, a pattern, or those of a corpus that is known by name."""

import logging
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from hfcls.data.formats import spreadsheets
from hfcls.data.formats.folders import (
    ORDER,
    class_folders,
    is_pattern,
    is_saved,
    matching_files,
    split_files,
    table_files,
    table_suffix,
)
from hfcls.data.origins import nsmc
from hfcls.data.readers import DELIMITERS, SUFFIXES, readable_files
from hfcls.data.splits import SPLITS
from hfcls.errors import HfclsError
from hfcls.system.quoting import shown

logger = logging.getLogger(__name__)

BUILT_IN = ("nsmc", "demo")  # whose labels are 0 and 1, shown by the names of `nsmc`


def local_files(dataset: str, data_dir: str | None) -> dict[str, list[Path]] | None:
    """What is read for each split: files or folders; None for the id of a dataset on the Hub."""
    if data_dir is not None and dataset != "nsmc":
        raise HfclsError(f"data_dir is where nsmc lies, found dataset {dataset}: give the path of the data in dataset")
    if dataset == "nsmc":
        return {split: [path] for split, path in nsmc.nsmc_files(data_dir).items()}
    if dataset == "demo":
        folder = Path(str(resources.files("hfcls") / "demo"))
        return {split: [folder / f"{split}.tsv"] for split in ORDER}
    path = Path(os.path.expanduser(dataset))
    try:
        if path.is_dir():
            return _of_folder(path)
        if not path.exists() and is_pattern(str(path)):
            return _of_pattern(str(path))
        return {"train": [path]} if table_suffix(path) in SUFFIXES or path.exists() else None
    except OSError as error:  # no permission, or a name longer than names can be
        raise HfclsError(f"cannot look for the dataset {dataset:.200}: {error.strerror}") from error


def _of_folder(folder: Path) -> dict[str, list[Path]]:
    """Files or folders of splits, a folder for each class, or what `save_to_disk` wrote; the log names all else."""
    if is_saved(folder) or class_folders(folder):
        return {"train": [folder]}
    tables, others = table_files(folder, SUFFIXES)
    tables = [path for path in tables if path.name != "dataset_dict.json"]  # of `DatasetDict.save_to_disk`
    inner = [path for path in others if path.is_dir()]
    found, unused = split_files(tables, str(folder))
    if not found and (parts := {split: path for path in inner if (split := SPLITS.get(path.name.lower()))}):
        found = {split: _of_part(parts[split]) for split in ORDER if split in parts}
        others = [path for path in others if path not in parts.values()]
    elif not found and len(inner) == 1 and not tables:  # such as data/ of a folder that was cloned from the Hub
        return _of_folder(inner[0])
    elif not found and len(tables) == 1:
        found, unused = {"train": tables}, []
    if not found:
        raise HfclsError(
            f"{folder} holds no file of a split: name the files train, validation and test, with one of the suffixes "
            f"{' '.join(SUFFIXES)}; or give the parts of one table as a pattern, '{folder}/*.csv' in quotes"
        )
    if unused or others:
        names = [f"{path.name}/" if path.is_dir() else path.name for path in [*unused, *others]]
        logger.warning("%s: passed over %s", folder, shown(names))
    return found


def _of_part(folder: Path) -> list[Path]:
    """All tables of a folder that is one split."""
    if is_saved(folder) or class_folders(folder):
        return [folder]
    tables, _ = table_files(folder, SUFFIXES)
    if not tables:
        raise HfclsError(f"{folder} holds no table; known are {' '.join(SUFFIXES)}")
    return tables


def _of_pattern(pattern: str) -> dict[str, list[Path]]:
    """All files of a pattern are one table, unless some have the name of a split."""
    paths = _tables_of(pattern)
    found, unused = split_files(paths, pattern)
    if not found:
        found, unused = {"train": paths}, []
    told = "; ".join(f"{split} is {shown([path.name for path in files])}" for split, files in found.items())
    logger.info("%s: %s%s", pattern, told, f"; passed over {shown([p.name for p in unused])}" if unused else "")
    return found


def _tables_of(pattern: str) -> list[Path]:
    paths = [path for path in matching_files(pattern) if table_suffix(path) in SUFFIXES]
    if not paths:
        raise HfclsError(f"no file or folder {pattern}: check the path, or the pattern")
    return paths


def has_header_line(files: Mapping[str, Sequence[Path]] | None) -> bool:
    """Whether the columns are called as the first line of a file says."""
    suffixes = (*DELIMITERS, *spreadsheets.SUFFIXES)
    return files is not None and any(table_suffix(path) in suffixes for paths in files.values() for path in paths)


def files_of(name: str) -> list[Path]:
    """The files of a name, folder or pattern, whatever split they are called after; a folder for each class is one.

    Raises:
        HfclsError: a folder without a file that can be read, or a pattern of none.
    """
    path = Path(os.path.expanduser(name))
    if not path.exists() and is_pattern(str(path)):
        return _tables_of(str(path))
    if not path.is_dir() or is_saved(path) or class_folders(path):
        return [path]
    files = [inner for inner in sorted(path.iterdir()) if is_saved(inner)] or readable_files(path)
    if not files:
        raise HfclsError(f"{path} holds no file of texts; known are {' '.join(SUFFIXES)}")
    return files


def input_files(name: str) -> list[Path]:
    """`files_of`, each a table of its own, which its name tells from the others.

    Raises:
        HfclsError: as `files_of`; two files of one name.
    """
    files = files_of(name)
    if twice := {path.name for path in files if [other.name for other in files].count(path.name) > 1}:
        raise HfclsError(f"{name} names several files called {shown(sorted(twice))}: label the folders one by one")
    return files
