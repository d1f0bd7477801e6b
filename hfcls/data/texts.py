"""Texts without labels, for pretraining: read, held out in part, and cut into tokens that know their words."""

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, Features, Sequence, Value, concatenate_datasets
from datasets.exceptions import DatasetGenerationError
from transformers import PreTrainedTokenizerBase

from hfcls.data.columns import likely_columns, text_columns
from hfcls.data.duplicates import normalized
from hfcls.data.formats.encodings import open_text, sniff_encoding
from hfcls.data.formats.folders import is_pattern, split_of, table_suffix
from hfcls.data.formats.table import ReadOptions
from hfcls.data.origins.chosen import raw_splits
from hfcls.data.origins.files import BUILT_IN, files_of
from hfcls.data.origins.joined import with_joined_texts
from hfcls.data.origins.selection import prepared_columns
from hfcls.data.readers import SUFFIXES, read_tables
from hfcls.data.targets.names import label_tokens, with_class_names
from hfcls.errors import HfclsError, NoRowsError
from hfcls.system.quoting import shown

logger = logging.getLogger(__name__)

TEXT_FILE = ".txt"


def load_texts(
    dataset: str, text_column: str = "text", label_column: str | None = None, options: ReadOptions | None = None
) -> Dataset:
    """The texts of a corpus without its held-out splits: a column `text`.

    With `label_column` a column `label` too, as text; null where there is none.

    Args:
        dataset: what `load_corpus` takes: `nsmc`, `demo`, a file, a folder, a pattern or the id of a dataset on the
            Hub. A .txt file has a text on each line, unless its first line names columns, the text's among them, with
            tabs between. All files of a folder are read, but for those called test, validation or dev.
        text_column: as in `load_corpus`.
        options: how files are read; with `delimiter` or `no_header` a .txt file is a table.

    Raises:
        HfclsError: no such file, one that cannot be read, no such column, or no text in it.
    """
    parts = [*_parts(dataset, text_column, label_column, options or ReadOptions())]
    texts = concatenate_datasets(parts) if parts else Dataset.from_dict({"text": []})
    kept = texts.filter(_has_text, batched=True, fn_kwargs={"version": 1}, desc="texts")
    if len(kept) == 0:
        raise HfclsError(f"{dataset} holds no text")
    if len(kept) < len(texts):
        logger.info("%s: %d of %d texts are empty and left out", dataset, len(texts) - len(kept), len(texts))
    return kept


def _parts(dataset: str, column: str, label_column: str | None, options: ReadOptions) -> Iterator[Dataset]:
    """The texts of each file, or of the train split of a corpus that is known by name."""
    path = Path(dataset).expanduser()
    if dataset in BUILT_IN or not (is_pattern(dataset) or path.exists() or table_suffix(path) in SUFFIXES):
        splits, _ = raw_splits(dataset, None, None, options)
        if "train" not in splits:
            raise HfclsError(f"{dataset} has no split train to learn from; it has {', '.join(splits)}")
        yield _wanted(splits["train"], dataset, column, label_column)
        return
    try:
        files = files_of(dataset)
    except OSError as error:
        raise HfclsError(f"cannot look for the texts {dataset:.200}: {error.strerror}") from error
    for file in files if files == [path] else _to_learn_from(files, dataset):
        try:
            if table_suffix(file) == TEXT_FILE and not _is_table(file, column, options):
                yield _read_lines(file, label_column, options.encoding)
            else:
                yield _wanted(read_tables({"train": file}, options)["train"], str(file), column, label_column)
        except NoRowsError:
            if len(files) == 1:
                raise
            logger.warning("passed over %s: no rows", file)


def _to_learn_from(files: list[Path], where: str) -> list[Path]:
    held_out = [file for file in files if split_of(file) in ("validation", "test")]
    if held_out:
        logger.info("%s: left out, since one learns nothing from them: %s", where, shown([f.name for f in held_out]))
    if files := [file for file in files if file not in held_out and not file.name.startswith(".")]:
        return files
    raise HfclsError(f"{where} holds no file to learn from: those called test, validation or dev are left out")


def _is_table(path: Path, column: str, options: ReadOptions) -> bool:
    """Whether the first line of a text file is the header of a table with the column of the text, or options say so."""
    if options.delimiter or options.no_header:
        return True
    try:
        with open_text(path, options.encoding or sniff_encoding(path)) as lines:
            names = next(lines, "").rstrip("\r\n").split("\t")
    except (OSError, HfclsError):  # the reader tells what is wrong
        return False
    found = len(names) > 1 and all(likely_columns(names, "text_column", name) for name in text_columns(column))
    if not found and column != "text":
        logger.info("%s: each line is a text, since the first line names no column %r", path, column)
    return found


def _wanted(rows: Dataset, where: str, column: str, label_column: str | None) -> Dataset:
    wanted = {"text_column": column} | ({"label_column": label_column} if label_column else {})
    rows = prepared_columns(with_joined_texts(rows, where, column), where, wanted, None)
    names = ["text", "label"][: len(wanted)]
    if label_column:
        rows = with_class_names(rows, wanted["label_column"])
    table = rows.select_columns(list(wanted.values())).with_format("arrow")[:].rename_columns(names)
    table = table.cast(pa.schema([(name, pa.large_string()) for name in names]))
    if label_column:  # a blank cell is no label, as in training
        empty = pc.equal(pc.utf8_trim_whitespace(table["label"]), "")
        labels = pc.if_else(empty, pa.scalar(None, pa.large_string()), table["label"])
        table = table.set_column(1, "label", labels)
    return Dataset(table)


def _read_lines(path: Path, label_column: str | None, encoding: str | None) -> Dataset:
    if label_column:
        raise HfclsError(f"{path} has a text on each line and so no column {label_column!r}: drop --label_column")
    if not path.is_file():
        raise HfclsError(f"no file {path}: check the path")
    if path.stat().st_size == 0:
        raise NoRowsError(f"{path} is empty: it needs a text on each line")
    try:
        digest = hashlib.sha256()  # the cache goes by the content
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
        return Dataset.from_generator(
            _lines,
            features=Features({"text": Value("large_string")}),
            gen_kwargs={"path": path, "encoding": encoding or sniff_encoding(path), "sha256": digest.hexdigest()},
        )
    except OSError as error:
        raise HfclsError(f"cannot read {path}: {error.strerror or error}") from error
    except DatasetGenerationError as error:
        cause = error.__cause__ if isinstance(error.__cause__, HfclsError) else error
        raise HfclsError(f"could not read {path}: {' '.join(str(cause).split()):.500}") from error


def _lines(path: Path, encoding: str, sha256: str) -> Iterator[dict[str, str]]:
    with open_text(path, encoding) as lines:
        for line in lines:
            yield {"text": line.rstrip("\r\n")}


def _has_text(batch: dict[str, list[Any]], *, version: int) -> list[bool]:
    return [bool(text and text.strip()) for text in batch["text"]]


def hold_out(texts: Dataset, size: int, seed: int) -> DatasetDict:
    """`train`, and `validation` with `size` of the texts (at most a tenth), drawn by `seed`, without their labels.

    A text that stands among the held-out ones too (normalised, see `hfcls.data.duplicates`) is left out of train.
    """
    size = min(size, len(texts) // 10)
    if size == 0:
        return DatasetDict({"train": texts})
    order = np.random.default_rng(seed).permutation(len(texts))
    validation = texts.select(np.sort(order[:size]))
    train = texts.select(np.sort(order[size:])).filter(
        _is_not_held_out,
        batched=True,
        fn_kwargs={"held_out": sorted({normalized(text) for text in validation["text"]}), "version": 1},
        desc="not held out",
    )
    if len(train) == 0:
        raise HfclsError("the texts are too few, or all the same: none is left to learn from beside the held-out ones")
    if repeated := len(texts) - size - len(train):
        logger.info("%d texts are left out that also stand among the %d held-out ones", repeated, size)
    return DatasetDict({"train": train, "validation": validation.select_columns(["text"])})


def _is_not_held_out(batch: dict[str, list[str]], *, held_out: list[str], version: int) -> list[bool]:
    seen = set(held_out)
    return [normalized(text) not in seen for text in batch["text"]]


def token_count(encoded: Dataset) -> int:
    """Tokens of all rows of a split of `encode_texts`, special tokens included."""
    column = encoded.with_format("arrow")[:]["input_ids"]
    return int(pc.sum(pc.list_value_length(column)).as_py())


def encode_texts(texts: DatasetDict, tokenizer: PreTrainedTokenizerBase, max_length: int) -> DatasetDict:
    """`input_ids` with special tokens, and `words`: which word of its text each token belongs to, -1 for special ones.

    A text of more than `max_length` tokens becomes several rows. Words are what the tokenizer splits a text into
    before it looks for tokens: between spaces and at punctuation, for most.

    Of texts with a `label`, `label_id` too: the token that stands for it, null without one.

    Raises:
        HfclsError: a label that is not one token.
    """
    return DatasetDict({split: _encode_split(rows, tokenizer, max_length) for split, rows in texts.items()})


def _encode_split(rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    labels = label_tokens(rows, tokenizer) if "label" in rows.column_names else None
    features = {"input_ids": Sequence(Value("int32")), "words": Sequence(Value("int32"))}
    return rows.map(
        _encode_batch,
        batched=True,
        remove_columns=rows.column_names,
        features=Features(features | ({"label_id": Value("int32")} if labels else {})),
        # `version` enters datasets' fingerprint, which hashes this function by name only: raise it with each change.
        fn_kwargs={"tokenizer": tokenizer, "max_length": max_length, "labels": labels, "version": 2},
        desc="tokenize",
    )


def _encode_batch(
    batch: dict[str, list[Any]],
    *,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    labels: dict[str, int] | None,
    version: int,
) -> dict[str, list[Any]]:
    encoded = tokenizer(
        batch["text"],
        truncation=True,
        max_length=max_length,
        return_overflowing_tokens=True,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    special = set(tokenizer.all_special_ids)  # also where one was written in the text
    words = [
        [-1 if word is None or token in special else word for word, token in zip(row.word_ids, row.ids, strict=True)]
        for row in encoded.encodings
    ]
    columns = {"input_ids": encoded["input_ids"], "words": words}
    if labels is None:
        return columns
    of_row = [batch["label"][text] for text in encoded["overflow_to_sample_mapping"]]
    return columns | {"label_id": [labels.get(label) for label in of_row]}
