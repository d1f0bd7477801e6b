"""Label files of any size: shard by shard, continued where it stopped, divided over processes."""

import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from tqdm import tqdm

from hfcls.config.commands import PredictConfig
from hfcls.config.options import with_options
from hfcls.data.columns import remembered_columns, whole_numbers, with_columns
from hfcls.data.formats.table import ReadOptions
from hfcls.data.origins.files import has_header_line, input_files
from hfcls.data.origins.joined import with_joined_texts
from hfcls.data.readers import read_table, text_problem, without_text
from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.inference.files.sources import claim
from hfcls.inference.files.tables import is_whole, join_tables, write_table
from hfcls.scoring.tasks import MultiLabel, Task
from hfcls.system.quoting import quoted

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hfcls.config.typed import PredictOptions

logger = logging.getLogger(__name__)

PARTS_FOLDER = "_parts"  # of shards that are to become one file; who reads the folder passes over it


class _Shard(NamedTuple):
    source: Path
    path: Path
    rows: Dataset
    texts: Dataset
    indices: range
    integers: set[str]  # columns that were read as text and hold whole numbers alone


def predict_files(config: PredictConfig | None = None, /, **options: "Unpack[PredictOptions]") -> list[Path]:
    """Label every row of the files of `input`; returns the shards that this process answers for.

    A shard, `NAME-00000-of-00042.parquet`, holds up to `shard_size` consecutive rows of one input file: all columns of
    the file or `output_columns`, whole numbers of text files as integers, and `predicted_label`, `predicted_score` and,
    with `all_scores`, `probability_LABEL` for each class; of several labels it is `predicted_labels`, a list (in csv
    between commas), of a regression `predicted_score` alone. These are null where the text is null; the log says how
    often. A shard is written aside and renamed; a whole one of the same model and input is not made again. No batch
    reaches over the end of a shard: neither a restart nor the number of processes changes what is in it. Under
    `accelerate launch`, process `RANK` of `WORLD_SIZE` makes every WORLD_SIZE-th shard and needs to know nothing of the
    others.

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
    reading = ReadOptions.of(config)
    tables = {path: read_table(path, reading) for path in files}
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if config.single_file and world_size > 1:
        raise HfclsError(f"single_file is for one process, found {world_size}: drop it, and read the folder as a table")
    device = torch.accelerator.current_accelerator()
    classifier = Classifier.from_pretrained(
        config.model,
        device=f"{device.type}:{os.environ.get('LOCAL_RANK', '0')}" if device else "cpu",
        trust_remote_code=config.trust_remote_code,
        batch_size=config.batch_size,
        batching=config.batching,
        precision=config.precision,
    )
    columns = {option: getattr(config, option) for option in ("text_column", "text_pair_column")}
    config = with_options(config, remembered_columns(columns, classifier.columns))
    if config.format == "csv" and isinstance(classifier.task, MultiLabel) and "," in "".join(classifier.labels):
        raise HfclsError("a label has a comma, which stands between labels in csv: use --format parquet")
    shards = _shards(tables, output, config, classifier, is_main=rank == 0)
    single = _by_file(shards, output, config.format) if config.single_file else {}
    if taken := [path for path in single if path.resolve() in [file.resolve() for file in files]]:
        raise HfclsError(f"{taken[0]} is the input and would be the output: choose another --output")
    try:
        sources = {name: value for name, value in vars(config).items() if name != "output"}
        outcome = [*single, *(shard.path for shard in shards)]
        integers = claim(output, sources, files, classifier, outcome, _integers_everywhere(shards))
        shards = [shard._replace(integers=shard.integers & set(integers)) for shard in shards]
        shards = shards[rank::world_size]
        added = _added_columns(classifier.task, all_scores=config.all_scores)
        single_left = {path: parts for path, parts in single.items() if not _is_whole(path, parts, added)}
        done = {part.path for path, parts in single.items() if path not in single_left for part in parts}
        missing = [shard for shard in shards if shard.path not in done and not _is_whole(shard.path, [shard], added)]
        total, left = (sum(len(shard.indices) for shard in some) for some in (shards, missing))
        with tqdm(
            total=total, initial=total - left, unit="rows", desc="predict", disable=bool(rank) or None
        ) as progress:
            for shard in missing:
                write_table(_labelled(shard, classifier, config, progress), shard.path, bom=config.bom)
        for path, parts in single_left.items():
            join_tables([part.path for part in parts], path, _columns(parts[0], added), bom=config.bom)
    except OSError as error:
        raise HfclsError(
            f"cannot write to {output}: {error.strerror or error}; finished shards are kept: solve that and give the "
            "same command again to continue"
        ) from error
    return list(single) or [shard.path for shard in shards]


def _shards(
    tables: dict[Path, Dataset], output: Path, config: PredictConfig, classifier: Classifier, *, is_main: bool
) -> list[_Shard]:
    shards, folder = [], output / PARTS_FOLDER if config.single_file else output
    for path, rows in tables.items():
        texts = _texts(path, rows, config, classifier)
        if is_main and (missing := without_text(texts, texts.column_names).sum()):
            logger.warning("%s: %d of %d rows have no text (null) and get no label", path, missing, len(rows))
        kept = _kept_columns(path, rows, config.output_columns)
        integers = whole_numbers(kept) - set(texts.column_names) if has_header_line({"rows": [path]}) else set()
        count = math.ceil(len(rows) / config.shard_size)
        for i in range(count):
            indices = range(i * config.shard_size, min((i + 1) * config.shard_size, len(rows)))
            name = f"{path.name}-{i:05d}-of-{count:05d}.{config.format}"
            shards.append(_Shard(path, folder / name, kept, texts, indices, integers))
    return shards


def _by_file(shards: list[_Shard], output: Path, format: str) -> dict[Path, list[_Shard]]:
    """The shards of each file that is to be one file: `comments.csv` becomes `comments.parquet`."""
    sources = dict.fromkeys(shard.source for shard in shards)
    stems = [path.name.split(".")[0] for path in sources]
    names = {path: path.name if stems.count(stem) > 1 else stem for path, stem in zip(sources, stems, strict=True)}
    return {
        output / f"{name}.{format}": [shard for shard in shards if shard.source == path] for path, name in names.items()
    }


def _is_whole(path: Path, parts: list[_Shard], added_columns: list[str]) -> bool:
    """Whether a file is there with all columns and all rows of these shards."""
    return is_whole(path, _columns(parts[0], added_columns), sum(len(part.indices) for part in parts))


def _columns(shard: _Shard, added_columns: list[str]) -> list[str]:
    return [*shard.rows.column_names, *added_columns]


def _kept_columns(path: Path, rows: Dataset, chosen: str | None) -> Dataset:
    if chosen is None:
        return rows
    names = [name.strip() for name in chosen.split(",")]
    if missing := [name for name in names if name not in rows.column_names]:
        raise HfclsError(
            f"{path} has no column {quoted(missing)}; it has {quoted(rows.column_names)}: set --output_columns"
        )
    return rows.select_columns(list(dict.fromkeys(names)))


def _integers_everywhere(shards: list[_Shard]) -> list[str]:
    """The columns that are integers in every file that has them: the folder is read as one table."""
    names = {name for shard in shards for name in shard.integers}
    others = {name for shard in shards for name in shard.rows.column_names if name not in shard.integers}
    return sorted(names - others)


def _texts(path: Path, rows: Dataset, config: PredictConfig, classifier: Classifier) -> Dataset:
    """The columns to label."""
    wanted = {"text_column": str(config.text_column), "text_pair_column": config.text_pair_column or ""}
    wanted = {option: column for option, column in wanted.items() if column}
    no_header = config.no_header if has_header_line({"rows": [path]}) else None
    joined = with_joined_texts(rows, str(path), wanted["text_column"], classifier.joint)
    texts = with_columns(joined, str(path), wanted, no_header=no_header)
    for option, column in wanted.items():
        if problem := text_problem(texts, column):
            raise HfclsError(f"{path}: column {column!r} {problem}: set --{option}, or mend the file")
    ours = _added_columns(classifier.task, all_scores=True)
    if taken := [column for column in ours if column in rows.column_names]:
        raise HfclsError(f"{path} already has the column {quoted(taken)}: rename it, since predictions go there")
    return texts


def _added_columns(task: Task, *, all_scores: bool) -> list[str]:
    return list(task.columns(np.zeros((0, len(task.names)), np.float32), all_scores=all_scores))


def _labelled(shard: _Shard, classifier: Classifier, config: PredictConfig, progress: "tqdm[Any]") -> pa.Table:
    table, text_table = (
        part.with_format("arrow")[shard.indices.start : shard.indices.stop] for part in (shard.rows, shard.texts)
    )
    for name in shard.integers:
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.int64()))
    columns = [text_table[name].to_pylist() for name in shard.texts.column_names]
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
    for name, column in classifier.task.columns(probabilities, all_scores=config.all_scores).items():
        kind = {"predicted_label": pa.string(), "predicted_labels": pa.list_(pa.string())}.get(name)
        table = table.append_column(name, pa.array(column, kind, mask=~there))
    return table
