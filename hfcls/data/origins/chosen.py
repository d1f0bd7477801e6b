"""The rows of a corpus from wherever it lies."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets import DatasetDict

from hfcls.data.formats.table import ReadOptions
from hfcls.data.origins import nsmc
from hfcls.data.origins.files import BUILT_IN
from hfcls.data.origins.hub import load_from_hub
from hfcls.data.readers import read_tables

logger = logging.getLogger(__name__)


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
    if dataset not in BUILT_IN:
        return read_tables(files, options)
    return read_tables(files, ReadOptions(delimiter="\t", quoting="csv")).rename_column("document", "text")


def shown_name(name: str, dataset: str) -> str:
    """What a class of this corpus is called: those of the built-in ones are 0 and 1."""
    return nsmc.LABEL_NAMES.get(name, name) if dataset in BUILT_IN else name
