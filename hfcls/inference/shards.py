"""Label files of any size: shard by shard, continued where it stopped, divided over processes."""

import json
import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from pyarrow import csv, parquet
from tqdm import tqdm

from hfcls.config.commands import PredictConfig
from hfcls.config.options import with_options
from hfcls.data.columns import with_columns
from hfcls.data.formats.table import ReadOptions, quoted
from hfcls.data.readers import read_table, text_problem, without_text
from hfcls.data.sources import input_files
from hfcls.errors import HfclsError
from hfcls.files import remove_leftovers, whole, write_whole
from hfcls.inference.classifier import Classifier

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hfcls.config.typed import PredictOptions

logger = logging.getLogger(__name__)

SOURCES_FILE = "predict.json"  # what the shards beside it were made from


def predict_files(config: PredictConfig | None = None, /, **options: "Unpack[PredictOptions]") -> list[Path]:
    """Label every row of the files of `input`; returns the shards that this process answers for.

    A shard, `NAME-00000-of-00042.parquet`, holds up to `shard_size` consecutive rows of one input file: all columns of
    the file, and `predicted_label`, `predicted_score` and, with `all_scores`, `probability_LABEL` for each class. These
    are null where the text is null; the log says how often. A shard is written aside and renamed, so one that is there
    is whole and is not made again. No batch reaches over the end of a shard: neither a restart nor the number of
    processes changes what is in it. Under `accelerate launch`, process `RANK` of `WORLD_SIZE` makes every
    WORLD_SIZE-th shard and needs to know nothing of the others.

    Args:
        config: options; default `PredictConfig()`.
        **options: any field of `PredictConfig`, over those of `config`.

    Raises:
        HfclsError: no `input` or `output`; the input cannot be read or lacks the text column; the output folder is that
            of the input, holds the shards of something else or cannot be written to; or the model is no classifier.
    """
    config = with_options(config or PredictConfig(), options)
    if config.input is None:
        raise HfclsError("predict_files needs input and output: the file or folder to label, and where the result goes")
    output, files = Path(config.output or ""), input_files(config.input)
    if output.resolve() == Path(config.input or "").resolve():
        raise HfclsError(f"{output} is the input: choose another --output, or the shards would become input as well")
    reading = ReadOptions(config.delimiter, config.encoding, config.quoting, config.no_header, config.sheet)
    tables = {path: read_table(path, reading) for path in files}
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.accelerator.current_accelerator()
    classifier = Classifier.from_pretrained(
        config.model,
        device=f"{device.type}:{os.environ.get('LOCAL_RANK', '0')}" if device else "cpu",
        trust_remote_code=config.trust_remote_code,
        batch_size=config.batch_size,
        batching=config.batching,
    )
    shards = []
    for path, rows in tables.items():
        texts = _texts(path, rows, config, classifier.labels)
        if rank == 0 and (missing := without_text(texts, texts.column_names).sum()):
            logger.warning("%s: %d of %d rows have no text (null) and get no label", path, missing, len(rows))
        count = math.ceil(len(rows) / config.shard_size)
        for i in range(count):
            indices = range(i * config.shard_size, min((i + 1) * config.shard_size, len(rows)))
            shards.append((output / f"{path.name}-{i:05d}-of-{count:05d}.{config.format}", rows, texts, indices))
    shards = shards[rank::world_size]
    try:
        _claim(output, config, files)
        done = sum(len(indices) for path, *_, indices in shards if path.exists())
        total = sum(len(indices) for *_, indices in shards)
        with tqdm(total=total, initial=done, unit="rows", desc="predict", disable=True if rank else None) as progress:
            for path, rows, texts, indices in shards:
                if not path.exists():
                    _write(_labelled(rows, texts, indices, classifier, config, progress), path)
    except OSError as error:
        raise HfclsError(
            f"cannot write to {output}: {error.strerror or error}; finished shards are kept: mend it and give the same "
            "command again to continue"
        ) from error
    return [path for path, *_ in shards]


def _texts(path: Path, rows: Dataset, config: PredictConfig, labels: list[str]) -> Dataset:
    """The columns to label."""
    wanted = {option: getattr(config, option) for option in ("text_column", "text_pair_column")}
    wanted = {option: column for option, column in wanted.items() if column is not None}
    texts = with_columns(rows, str(path), wanted, no_header=config.no_header)
    for option, column in wanted.items():
        if problem := text_problem(texts, column):
            raise HfclsError(f"{path}: column {column!r} {problem}: set --{option}, or mend the file")
    ours = ["predicted_label", "predicted_score", *(f"probability_{label}" for label in labels)]
    if taken := [column for column in ours if column in rows.column_names]:
        raise HfclsError(f"{path} already has the column {quoted(taken)}: rename it, since predictions go there")
    return texts


def _claim(output: Path, config: PredictConfig, files: list[Path]) -> None:
    """Write down what the shards of this folder are made from; another such note there is an error.

    Every process does so, with the same bytes: none has to wait for another.
    """
    weights = Path(config.model) / "model.safetensors"
    stamped = [*files, *([weights] if weights.is_file() else [])]
    options = {name: value for name, value in vars(config).items() if name != "output"}
    stamps = {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in stamped}
    output.mkdir(parents=True, exist_ok=True)
    manifest = output / SOURCES_FILE
    if manifest.exists():
        try:
            earlier = json.loads(manifest.read_text(encoding="utf-8"))
            known = dict(earlier.pop("files"))
            changed = [name for name in options if earlier.get(name) != options[name]]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise HfclsError(
                f"{manifest} is not what hfcls wrote, so it is not known what the shards beside it are: choose another "
                "--output, or delete that folder"
            ) from error
        if changed := changed + [path for path, stamp in stamps.items() if known.get(path, stamp) != stamp]:
            raise HfclsError(
                f"{output} holds predictions with another {', '.join(changed)}: choose another --output, or delete it"
            )
        stamps = {**known, **stamps}  # files may be added to the folder: finished shards stay as they are
    write_whole(manifest, json.dumps({**options, "files": stamps}, ensure_ascii=False, indent=2) + "\n")


def _labelled(
    rows: Dataset, of: Dataset, indices: range, classifier: Classifier, config: PredictConfig, progress: "tqdm[Any]"
) -> pa.Table:
    table, text_table = (part.with_format("arrow")[indices.start : indices.stop] for part in (rows, of))
    columns = [text_table[name].to_pylist() for name in of.column_names]
    texts = list(zip(*columns, strict=True))
    there = np.array([None not in text for text in texts], bool)  # null is not the empty text: nothing is known of it
    texts = [text if len(text) > 1 else text[0] for text in texts if None not in text]
    size = 32 * config.batch_size
    probabilities = np.zeros((len(table), len(classifier.labels)), np.float32)
    for start in range(0, len(texts), size):
        part = classifier.probabilities(texts[start : start + size])
        probabilities[np.flatnonzero(there)[start : start + size]] = part.numpy()
        progress.update(len(part))
    progress.update(len(table) - len(texts))
    names = np.array(classifier.labels, object)[probabilities.argmax(axis=-1)]
    table = table.append_column("predicted_label", pa.array(names, pa.string(), mask=~there))
    table = table.append_column("predicted_score", pa.array(probabilities.max(axis=-1), mask=~there))
    if config.all_scores:
        for label, column in zip(classifier.labels, probabilities.T, strict=True):
            table = table.append_column(f"probability_{label}", pa.array(column, mask=~there))
    return table


def _write(table: pa.Table, path: Path) -> None:
    remove_leftovers(path)  # a shard is one process's
    with whole(path) as aside:
        if path.suffix == ".parquet":
            with aside.open("wb") as file:  # pyarrow takes `run:1/...` for an address, not for a path
                parquet.write_table(table.replace_schema_metadata(), file)
            return
        try:
            csv.write_csv(
                pa.table([_without_json(column) for column in table.columns], names=table.column_names), aside
            )
        except pa.ArrowInvalid as error:
            raise HfclsError(f"csv cannot hold these columns ({error}): use --format parquet") from error


def _without_json(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """What is kept as JSON, as the text that it is: pyarrow writes no other to csv."""
    if not isinstance(column.type, pa.JsonType):
        return column
    return pa.chunked_array([part.storage for part in column.chunks], column.type.storage_type)
