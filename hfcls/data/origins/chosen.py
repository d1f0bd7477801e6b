"""The rows of a corpus from wherever it lies."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from hfcls.data.formats import spreadsheets
from hfcls.data.formats.delimited import row_lines
from hfcls.data.formats.encodings import kind_of
from hfcls.data.formats.table import ReadOptions
from hfcls.data.origins import nsmc
from hfcls.data.origins.files import BUILT_IN, local_files
from hfcls.data.origins.given import described, given_splits
from hfcls.data.origins.hub import load_from_hub
from hfcls.data.readers import DELIMITERS, read_table, read_tables

logger = logging.getLogger(__name__)


def raw_splits(
    dataset: Any, data_dir: str | None, dataset_config: str | None, options: ReadOptions
) -> tuple[DatasetDict, Mapping[str, Sequence[Path]] | None]:
    """All columns of all splits as they stand, and the files of each split; None of an object or of a Hub dataset."""
    if (given := given_splits(dataset)) is not None:
        return given, None
    name = described(dataset)
    files = local_files(name, data_dir)
    return read_splits(name, files, dataset_config, options), files


def read_splits(
    dataset: str, files: Mapping[str, Sequence[Path]] | None, dataset_config: str | None, options: ReadOptions
) -> DatasetDict:
    """The rows of local files, or of a dataset on the Hub."""
    if files is None:
        return load_from_hub(dataset, dataset_config)
    if dataset_config is not None:
        logger.warning(
            "dataset_config %s is for datasets of the Hub: %s, which is here, has none", dataset_config, dataset
        )
    rows = read_tables(files, _options_of(dataset, options))
    return rows.rename_column("document", "text") if dataset in BUILT_IN else rows


def _options_of(dataset: str, options: ReadOptions) -> ReadOptions:
    return ReadOptions(delimiter="\t", quoting="csv") if dataset in BUILT_IN else options


def row_places(dataset: str, files: Sequence[Path], options: ReadOptions) -> list[tuple[str, int | None]]:
    """The name of the file of each row of a split, and its line there, from 1; None in a file that has no lines.

    Of a workbook it is the number that a spreadsheet shows before the row.
    """
    options, places = _options_of(dataset, options), []
    for path in files:
        lines: Sequence[int | None]
        if (kind := "" if path.is_dir() else kind_of(path)) in DELIMITERS:
            lines = row_lines(path, DELIMITERS[kind], options)
        elif kind in spreadsheets.SUFFIXES:
            lines = spreadsheets.sheet_rows(path, options)
        else:
            lines = [None] * len(read_table(path, options))
        places += [(path.name, line) for line in lines]
    return places


def shown_name(name: str, dataset: str) -> str:
    """What a class of this corpus is called: those of the built-in ones are 0 and 1."""
    return nsmc.LABEL_NAMES.get(name, name) if dataset in BUILT_IN else name
