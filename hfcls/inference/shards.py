"""Label files of any size: shard by shard, continued where it stopped, divided over processes."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from tqdm import tqdm

from hfcls.config.command_line.habits import TABLES
from hfcls.config.commands import PredictConfig
from hfcls.config.options import with_options
from hfcls.data.origins.files import input_files
from hfcls.errors import HfclsError
from hfcls.inference.files.labelling import (
    InputTable,
    added_columns,
    check_texts_of,
    input_table,
    integers_everywhere,
    labelled,
    loaded,
    rows_without_text,
    shards_of,
    warn_of_rows_without_text,
    with_rows,
)
from hfcls.inference.files.sources import claim, given_back, sources_of, sums_of_files
from hfcls.inference.files.tables import is_whole, join_tables, write_table
from hfcls.runs.folder import holds_run
from hfcls.system.launch import rank_and_size
from hfcls.system.terminal import bars_are_seen

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hfcls.config.typed import PredictOptions

PARTS_FOLDER = "_parts"  # of shards that are to become one file; who reads the folder passes over it


class _Shard(NamedTuple):
    source: Path
    path: Path
    table: InputTable
    indices: range


def predict_files(
    config: PredictConfig | None = None, /, **options: "Unpack[PredictOptions]"
) -> list[Path] | list[str]:
    """Label every row of the files of `input`; returns the shards that this process answers for.

    A shard, `NAME-00000-of-00042.parquet`, holds up to `shard_size` consecutive rows of one input file: all columns of
    the file or `output_columns`, whole numbers of text files as integers, and `predicted_label`, `predicted_score` and,
    with `all_scores`, `probability_LABEL` for each class; of several labels it is `predicted_labels`, a list (in csv
    between commas), of a regression `predicted_score` alone. These are null where the text is null; the log says how
    often. A shard is written aside and renamed; a whole one of the same model and input is not made again. No batch
    reaches over the end of a shard: neither a restart nor the number of processes changes what is in it. Under
    `accelerate launch`, process `RANK` of `WORLD_SIZE` makes every WORLD_SIZE-th shard and needs to know nothing of the
    others. With `engine="ray"` the workers of a Ray cluster make the same shards, from and to any file system of
    pyarrow; where `output` is an address, so are the names of the shards.

    Args:
        config: options; default `PredictConfig()`.
        **options: any field of `PredictConfig`, over those of `config`.

    Raises:
        HfclsError: no `input` or `output`; the input cannot be read or lacks the text column; the output folder is that
            of the input, holds the shards of something else or cannot be written to; or the model is no classifier.
    """
    config = with_options(PredictConfig() if config is None else config, options)
    if config.input is None:
        raise HfclsError("predict_files needs input and output: the file or folder to label, and where the result goes")
    rank, world_size = rank_and_size()
    _check_engine(config, world_size)
    output = Path(config.output or "")
    if holds_run(output):
        raise HfclsError(f"{output} holds a run of hfcls train: choose another --output, such as {output / 'labelled'}")
    if config.engine == "ray":
        from hfcls.inference.cluster.engine import predict_on_cluster

        return predict_on_cluster(config)
    files = input_files(config.input)
    if output.suffix.lower() in TABLES and output.suffix != ".parquet" and not output.is_dir():
        raise HfclsError(
            f"output is a folder, found {output.name}: one csv file comes of --output {output.with_suffix('')} "
            "--format csv --single_file"
        )
    if output.resolve() == Path(config.input or "").resolve():
        raise HfclsError(f"{output} is the input: choose another --output, or the shards would become input as well")
    if config.single_file and world_size > 1:
        raise HfclsError(f"single_file is for one process, found {world_size}: drop it, and read the folder as a table")
    device = torch.accelerator.current_accelerator()
    classifier, config = loaded(config, f"{device.type}:{os.environ.get('LOCAL_RANK', '0')}" if device else "cpu")
    read = [input_table(path, config, classifier.task, classifier.joint) for path in files]
    tables = dict(with_rows(files, read, quiet=rank > 0))
    if rank == 0:
        counts = ((str(path), rows_without_text(table), len(table.rows)) for path, table in tables.items())
        warn_of_rows_without_text(counts)
    for table in tables.values():  # before the output is claimed for it
        check_texts_of(table, classifier.columns)
    folder = output / PARTS_FOLDER if config.single_file else output
    shards = [
        _Shard(path, folder / name, table, indices)
        for path, table in tables.items()
        for name, indices in shards_of(path.name, len(table.rows), config)
    ]
    single = _by_file(shards, output, config.format) if config.single_file else {}
    if taken := [path for path in single if path.resolve() in [file.resolve() for file in files]]:
        raise HfclsError(f"{taken[0]} is the input and would be the output: choose another --output")
    try:
        everywhere = integers_everywhere((table.rows.column_names, table.integers) for table in tables.values())
        sources = sources_of(config, classifier, sums_of_files(list(tables)), everywhere)
        integers = claim(output, sources, [*single, *(shard.path for shard in shards)])
        shards = shards[rank::world_size]
        added = added_columns(classifier.task, all_scores=config.all_scores)
        single_left = {path: parts for path, parts in single.items() if not _is_whole(path, parts, added)}
        done = {part.path for path, parts in single.items() if path not in single_left for part in parts}
        missing = [shard for shard in shards if shard.path not in done and not _is_whole(shard.path, [shard], added)]
        total, left = (sum(len(shard.indices) for shard in some) for some in (shards, missing))
        bar = tqdm(
            total=total, initial=total - left, unit=" rows", desc="predict", disable=bool(rank) or not bars_are_seen()
        )
        with bar as progress, given_back(output, folder, alone=world_size == 1):
            for shard in missing:
                table = labelled(shard.table, shard.indices, integers, classifier, config, progress.update)
                write_table(table, shard.path, bom=config.bom)
        for path, parts in single_left.items():
            join_tables([part.path for part in parts], path, _columns(parts[0], added), bom=config.bom)
    except OSError as error:
        raise HfclsError(
            f"cannot write to {output}: {error.strerror or error}; finished shards are kept: solve that and give the "
            "same command again to continue"
        ) from error
    return list(single) or [shard.path for shard in shards]


def _check_engine(config: PredictConfig, world_size: int) -> None:
    if config.engine == "ray":
        if world_size > 1:
            raise HfclsError(f"engine ray is for one process, found {world_size}: Ray starts its workers itself")
        if config.single_file:
            raise HfclsError("single_file is for engine local: drop it, and read the folder as a table")
        return
    for name in ("input", "output"):  # not shown: an address may hold a key
        if "://" in (getattr(config, name) or ""):
            raise HfclsError(f"{name} is an address, and engine local takes paths: add --engine ray")
    if config.workers is not None:
        raise HfclsError("workers is for engine ray: add --engine ray, or drop workers")


def _by_file(shards: list[_Shard], output: Path, format: str) -> dict[Path, list[_Shard]]:
    """The shards of each file that is to be one file: `comments.csv` becomes `comments.parquet`.

    Raises:
        HfclsError: it has become that already, and now there is a `comments.tsv` beside it.
    """
    sources = dict.fromkeys(shard.source for shard in shards)
    stems = [path.name.split(".")[0] for path in sources]
    for stem in {stem for stem in stems if stems.count(stem) > 1}:
        if (made := output / f"{stem}.{format}").exists():
            raise HfclsError(
                f"{made} is of the one input that was called {stem}, and now several are: choose another --output"
            )
    names = {path: path.name if stems.count(stem) > 1 else stem for path, stem in zip(sources, stems, strict=True)}
    return {
        output / f"{name}.{format}": [shard for shard in shards if shard.source == path] for path, name in names.items()
    }


def _is_whole(path: Path, parts: list[_Shard], added_columns: list[str]) -> bool:
    """Whether a file is there with all columns and all rows of these shards."""
    return is_whole(path, _columns(parts[0], added_columns), sum(len(part.indices) for part in parts))


def _columns(shard: _Shard, added_columns: list[str]) -> list[str]:
    return [*shard.table.rows.column_names, *added_columns]
