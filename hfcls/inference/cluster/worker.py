"""What runs on a machine of the cluster: a look at a file, and an actor that makes shards."""

import json
import os
import shutil
import weakref
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, NamedTuple, TypedDict

import numpy as np
from datasets import config as datasets_config
from numpy.typing import NDArray

from hfcls.config.commands import PredictConfig
from hfcls.data.readers import content_sha256
from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.inference.cluster.places import Place
from hfcls.inference.files.labelling import InputTable, input_table, labelled, rows_without_text
from hfcls.inference.files.tables import is_whole, write_table
from hfcls.scoring.tasks import Task

Batch = dict[str, NDArray[Any]]  # of Ray Data; it has one row: the number of a file or of a shard
ModelFiles = dict[str, tuple[int, NDArray[np.uint8]]]  # time of change in ns, and content, by name


class Job(NamedTuple):
    """What every worker knows."""

    config: PredictConfig
    task: Task
    joint: str


class Shard(NamedTuple):
    source: Place
    place: Place
    indices: range
    columns: list[str]


class Facts(TypedDict):
    """Of an input file.

    Attributes:
        null: rows without a text.
        integers: columns of text that hold whole numbers alone.
    """

    rows: int
    null: int
    columns: list[str]
    integers: list[str]
    sha256: str


def look(batch: Batch, files: list[Place], job: Job) -> dict[str, list[Any]]:
    """The facts of a file, as JSON: Ray Data would make arrays of lists; null of a file without rows."""
    number = int(batch["number"][0])
    with TemporaryDirectory(prefix="hfcls-") as folder:
        try:
            table, local = _read(files[number], Path(folder), job)
        except (HfclsError, OSError) as error:
            return _result(number, error=_in_words(error, files[number], Path(folder)))
        if table is None:
            return _result(number)
        facts = {
            "rows": len(table.rows),
            "null": rows_without_text(table),
            "columns": table.rows.column_names,
            "integers": sorted(table.integers),
            "sha256": content_sha256(local),
        }
    return _result(number, facts=json.dumps(facts))


class Labeller:
    """An actor: it holds the model, and the input file that it read last."""

    def __init__(
        self,
        shards: list[Shard],
        integers: list[str],
        job: Job,
        model_files: Callable[[], ModelFiles],
        context: Callable[[], Any],
    ) -> None:
        """
        Args:
            model_files: fetches the files of the model, none for one of the Hub.
            context: `ray.get_runtime_context`.
        """
        self.was_restarted = bool(context().was_current_actor_reconstructed)
        self.shards, self.integers, self.job, self.model_files = shards, integers, job, model_files
        self.folder = Path(mkdtemp(prefix="hfcls-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.read: tuple[str, InputTable] | None = None

    def __call__(self, batch: Batch) -> dict[str, list[Any]]:
        """Make the shard of that number, unless it is there; what goes wrong is returned, not raised.

        The facts say whether this actor takes the place of one that has died.
        """
        number = int(batch["number"][0])
        shard = self.shards[number]
        try:
            self._make(shard)
        except (HfclsError, OSError) as error:
            said = _in_words(error, shard.source, self.folder / "input")
            return _result(number, error=said.replace(str(self.folder / "model"), self.job.config.model))
        return _result(number, facts=json.dumps(self.was_restarted))

    @cached_property
    def classifier(self) -> Classifier:
        config, folder = self.job.config, self.folder / "model"
        files = self.model_files()
        folder.mkdir(exist_ok=True)
        for name, (changed, content) in files.items():
            content.tofile(folder / name)
            os.utime(folder / name, ns=(changed, changed))  # by which what is known of int8 is known to be of these
        return Classifier.from_pretrained(
            str(folder) if files else config.model,
            trust_remote_code=config.trust_remote_code,
            batch_size=config.batch_size,
            batching=config.batching,
            precision=config.precision,
        )

    def _make(self, shard: Shard) -> None:
        with TemporaryDirectory(prefix="hfcls-") as aside:
            local = Path(aside) / shard.place.name
            if shard.place.exists() and is_whole(shard.place.fetch(local), shard.columns, len(shard.indices)):
                return
            table, config = self._table(shard.source), self.job.config
            rows = labelled(table, shard.indices, self.integers, self.classifier, config, lambda _: None)
            write_table(rows, local, bom=config.bom)
            shard.place.put(local)

    def _table(self, source: Place) -> InputTable:
        if self.read is None or self.read[0] != source.address:
            self.read = None  # before its file goes
            folder = self.folder / "input"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            table, _ = _read(source, folder, self.job)
            assert table is not None, "a file without rows has no shard"
            self.read = (source.address, table)
        return self.read[1]


def _read(place: Place, folder: Path, job: Job) -> tuple[InputTable | None, Path]:
    datasets_config.HF_DATASETS_CACHE = folder / "cache"  # it goes with the folder
    local = place.fetch(folder / place.name)
    return input_table(local, job.config, job.task, job.joint), local


def _in_words(error: Exception, source: Place, folder: Path) -> str:
    """An error about the copy of a file, as one about the file."""
    said = str(error).replace(f"{folder}/{source.name}", source.address)
    return said if isinstance(error, HfclsError) else f"{source.address}: {' '.join(said.split())}"


def _result(number: int, *, facts: str = "null", error: str = "") -> dict[str, list[Any]]:
    return {"number": [number], "facts": [facts], "error": [error]}
