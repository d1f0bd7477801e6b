"""`hfcls predict --engine ray`: the workers of a cluster make the shards that one process would make."""

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from hfcls.config.commands import PredictConfig
from hfcls.config.options import with_options
from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.inference.cluster.places import Place, input_places, place_of
from hfcls.inference.cluster.worker import Facts, Job, Labeller, ModelFiles, Shard, look
from hfcls.inference.files.labelling import (
    added_columns,
    integers_everywhere,
    loaded,
    shards_of,
    warn_of_rows_without_text,
    with_rows,
)
from hfcls.inference.files.sources import SOURCES_FILE, as_note, continued, sources_of
from hfcls.models.sources import local_folder
from hfcls.system.next_steps import INSTALL_EXTRA
from hfcls.system.terminal import bars_are_seen

logger = logging.getLogger(__name__)

SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # a frame of HTTP/2: length, type, flags, stream


def predict_on_cluster(config: PredictConfig) -> list[str]:
    """Label the files of `input`; returns the addresses of the shards. See `hfcls.predict_files`.

    Each file is first read once, by any worker, for its rows and columns. Then each shard is made by one of the actors,
    which hold the model. Ray starts an actor that has died anew, and gives out again what it was at; a shard gets its
    name when it is whole, so there is one of each.

    Raises:
        HfclsError: Ray is missing or does not answer, a worker failed, or see `hfcls.predict_files`.
    """
    ray = _ray()
    output, files = place_of(str(config.output)), input_places(str(config.input))
    if output.path == place_of(str(config.input)).path:
        raise HfclsError(f"{output.address} is the input: choose another --output, or the shards would become input")
    classifier, config = loaded(config, "cpu")
    job = Job(config, classifier.task, classifier.joint)
    with _connected(ray):
        try:
            found: dict[int, Facts | None] = dict(_results(ray, look, len(files), num_cpus=1, fn_args=(files, job)))
            by_file = with_rows(files, [found[i] for i in range(len(files))])
            shards, integers = _claimed(output, by_file, job, classifier)
            _label(ray, shards, integers, job)
            there = set(output.without_leftovers(shard.place.name for shard in shards))
        except OSError as error:
            raise HfclsError(f"cannot write to {output.address}: {' '.join(str(error).split())}") from error
        except ray.exceptions.RayError as error:
            raise HfclsError(
                f"the cluster ended the work: {str(error).strip().splitlines()[-1]}; finished shards are kept: solve "
                "that and give the same command again to continue"
            ) from error
    if lost := [shard.place.address for shard in shards if shard.place.name not in there]:
        raise HfclsError(f"a worker wrote {lost[0]}, and it is not to be found from here: choose an --output for all")
    return [shard.place.address for shard in shards]


def _claimed(
    output: Place, by_file: list[tuple[Place, Facts]], job: Job, classifier: Classifier
) -> tuple[list[Shard], list[str]]:
    """The shards to make, and the columns that are integers in them, once the output folder is ours."""
    warn_of_rows_without_text((file.address, facts["null"], facts["rows"]) for file, facts in by_file)
    added = added_columns(job.task, all_scores=job.config.all_scores)
    shards = [
        Shard(file, output / name, indices, [*facts["columns"], *added])
        for file, facts in by_file
        for name, indices in shards_of(file.name, facts["rows"], job.config)
    ]
    everywhere = integers_everywhere((facts["columns"], set(facts["integers"])) for _, facts in by_file)
    sums = {file.address: facts["sha256"] for file, facts in by_file}
    there, note = set(output.file_names()), output / SOURCES_FILE
    present = next((shard.place.name for shard in shards if shard.place.name in there), None)
    options = with_options(job.config, {"input": place_of(str(job.config.input)).address})  # without its keys
    sources = continued(sources_of(options, classifier, sums, everywhere), note.read(), present, output.address)
    with TemporaryDirectory() as folder:
        local = Path(folder) / SOURCES_FILE
        local.write_text(as_note(sources), encoding="utf-8")
        note.put(local)
    return shards, list(sources["integer_columns"])


def _label(ray: Any, shards: list[Shard], integers: list[str], job: Job) -> None:
    resources = ray.cluster_resources()
    gpu = 1 if resources.get("GPU") else 0
    count = job.config.workers or int(resources.get("GPU" if gpu else "CPU", 1))
    actors = ray.data.ActorPoolStrategy(size=max(1, min(count, len(shards))))
    files = partial(ray.get, ray.put(_model_files(job.config.model)))
    arguments = (shards, integers, job, files, ray.get_runtime_context)
    results = _results(
        ray, Labeller, len(shards), compute=actors, num_cpus=1, num_gpus=gpu, fn_constructor_args=arguments
    )
    total, told = sum(len(shard.indices) for shard in shards), False
    with tqdm(total=total, unit=" rows", desc="predict", disable=not bars_are_seen()) as progress:
        for number, was_restarted in results:
            progress.update(len(shards[number].indices))
            if was_restarted and not told:
                told = True
                logger.warning("a worker has died and Ray has started another, which goes on: Ray's logs tell why")


def _results(ray: Any, work: Any, count: int, **options: Any) -> Iterator[tuple[int, Any]]:
    """Each of the numbers below `count`, with what `work` found, in the order in which it is done."""
    if not count:
        return
    numbers = ray.data.from_items([{"number": i} for i in range(count)], override_num_blocks=count)
    for row in numbers.map_batches(work, batch_size=1, **options).iter_rows():
        if row["error"]:
            raise HfclsError(row["error"])
        yield row["number"], json.loads(row["facts"])


def _model_files(name: str) -> ModelFiles:
    """The files of a model folder, which the workers may not see; none of a model of the Hub, which they load.

    What a run has in folders of its own stays: checkpoints, the report, all that a teacher has said.
    """
    folder = local_folder(name)
    if folder is None:
        return {}
    paths = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    return {path.name: (path.stat().st_mtime_ns, np.fromfile(path, np.uint8)) for path in paths}


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # a busy machine needs more than 30
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # else a line that looks like an error for each pool
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")  # else 25 lines for each dead worker; ours is one
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise HfclsError(f"engine ray needs {error.name}: {INSTALL_EXTRA.format(extra='ray')}") from error
    return ray


@contextmanager
def _connected(ray: Any) -> Iterator[None]:
    """The cluster at `RAY_ADDRESS`; without one, the cores of this machine, out of reach of others."""
    ours, quiet = not ray.is_initialized(), {"log_to_driver": False, "logging_level": logging.ERROR}
    on_sigterm = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
    address = os.environ.get("RAY_ADDRESS", "")  # an empty one is none
    try:
        if ours and address:
            _check_reachable(address)
            ray.init(**quiet)
        elif ours:
            ray.init("local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
    except Exception as error:  # Ray raises plain ones, too
        where = f" at {address}" if address else ""
        raise HfclsError(f"Ray does not answer{where}: {' '.join(str(error).split()):.300}") from error
    if ours:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray's handler waits for the cluster, which may be gone
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield
    finally:
        if ours:
            ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raises OSError within seconds if no server of gRPC, as Ray's is, listens at a host and port; Ray tries on and on.

    Who listens is greeted as in HTTP/2, and has to answer with its settings.
    """
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if not port.isdigit():
        return
    with socket.create_connection((host.strip("[]"), int(port)), timeout=5) as connection:
        if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
            return
        connection.settimeout(15)  # of a busy machine
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS)
        if connection.recv(len(SETTINGS))[3:4] != SETTINGS[3:4]:
            raise ConnectionError("what listens there is not Ray")
