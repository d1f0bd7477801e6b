"""Where the rows of a corpus come from: NSMC, the demonstration, files, or the Hub."""

import logging
import os
from importlib import resources
from pathlib import Path

from datasets import DatasetDict, load_dataset
from datasets.exceptions import DatasetNotFoundError
from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from hfcls.data import nsmc
from hfcls.data.readers import SUFFIXES, read_tables, readable_files
from hfcls.data.splits import SPLITS
from hfcls.errors import HfclsError

logger = logging.getLogger(__name__)

BUILT_IN = ("nsmc", "demo")  # whose labels are 0 and 1, shown by the names of `nsmc`


def local_files(dataset: str, data_dir: str | None) -> dict[str, Path] | None:
    """The file of each split, or None for the id of a dataset on the Hub."""
    if data_dir is not None and dataset != "nsmc":
        raise HfclsError(f"data_dir is where nsmc lies, found dataset {dataset}: give the path of the data in dataset")
    if dataset == "nsmc":
        return nsmc.nsmc_files(data_dir)
    if dataset == "demo":
        folder = Path(str(resources.files("hfcls") / "demo"))
        return {split: folder / f"{split}.tsv" for split in ("train", "validation", "test")}
    path = Path(os.path.expanduser(dataset))
    try:
        if path.is_dir():
            return _split_files(path)
        return {"train": path} if path.suffix.lower() in SUFFIXES or path.exists() else None
    except OSError as error:  # no permission, or a name longer than names can be
        raise HfclsError(f"cannot look for the dataset {dataset:.200}: {error.strerror}") from error


def _split_files(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    unnamed = []
    for path in readable_files(folder):
        split = SPLITS.get(path.stem.lower())
        if split is None:
            unnamed.append(path.name)
        elif split in found:
            raise HfclsError(f"{folder} holds two files for {split}: {found[split].name} and {path.name}; keep one")
        else:
            found[split] = path
    if not found:
        raise HfclsError(
            f"{folder} holds no file of a split: name the files train, validation and test, "
            f"with one of the suffixes {' '.join(SUFFIXES)}"
        )
    if unnamed:
        logger.warning("%s: passed over %s, which have no split's name", folder, ", ".join(unnamed))
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def read_splits(dataset: str, files: dict[str, Path] | None, dataset_config: str | None) -> DatasetDict:
    if files is None:
        return load_from_hub(dataset, dataset_config)
    if dataset_config is not None:
        logger.warning(
            "dataset_config %s is for datasets of the Hub: %s, which is here, has none", dataset_config, dataset
        )
    raw = read_tables(files)
    return raw.rename_column("document", "text") if dataset in BUILT_IN else raw


def load_from_hub(dataset: str, config: str | None) -> DatasetDict:
    """The splits of a dataset on the Hub that have a known name, under ours: train, validation, test.

    Raises:
        HfclsError: no id of the Hub, not found there, out of reach, or without a split of a known name.
    """
    check_hub_id(dataset)
    try:
        raw = load_dataset(dataset, config)
    except DatasetNotFoundError as error:
        raise HfclsError(
            f"no dataset {dataset!r}: neither a file or folder here nor one on the Hub ({error})"
        ) from error
    except Exception as error:  # its own errors, and those of the HTTP client and of a dozen readers, have no base
        why = " ".join(str(error).split()) or type(error).__name__
        raise HfclsError(
            f"could not load the Hub dataset {dataset!r} (there is no file or folder of that name here): {why}"
        ) from error
    return known_splits(dataset, raw)


def check_hub_id(dataset: str) -> None:
    """Raises HfclsError for what is no id of the Hub, since `load_dataset` has other uses for it.

    It looks for paths and patterns of paths, and takes `csv` to mean all csv files of the working folder.
    """
    try:
        validate_repo_id(dataset)
    except HFValidationError as error:
        raise HfclsError(f"no file or folder {dataset:.200}: check the path") from error
    if dataset in _PACKAGED_DATASETS_MODULES:
        raise HfclsError(
            f"no file or folder {dataset} here, and {dataset} is no dataset but a kind of file: give its path"
        )


def known_splits(dataset: str, raw: DatasetDict) -> DatasetDict:
    """Ours of a Hub dataset's splits; where two have one meaning, that of the more usual name, which the log tells."""
    chosen: dict[str, str] = {}
    for name, split in SPLITS.items():  # the more usual name first
        if name in raw:
            chosen.setdefault(split, name)
    if not chosen:
        raise HfclsError(
            f"the Hub dataset {dataset!r} has no split of a known name; it has {', '.join(raw)}: load it in "
            "Python, and save the splits you need as train.parquet and test.parquet in a folder"
        )
    if passed_over := [name for name in raw if name not in chosen.values()]:
        taken = ", ".join(f"{name} as {split}" for split, name in chosen.items())
        logger.warning("%s: passed over the splits %s; taken are %s", dataset, ", ".join(passed_over), taken)
    return DatasetDict({split: raw[name] for split, name in chosen.items()})
