"""A dataset of the Hugging Face Hub."""

import logging

from datasets import DatasetDict, load_dataset
from datasets.exceptions import DatasetNotFoundError
from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from hfcls.data.splits import SPLITS
from hfcls.errors import HfclsError

logger = logging.getLogger(__name__)


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
