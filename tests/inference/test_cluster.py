"""The workers of a cluster make the shards that one process makes, once each, whatever happens to them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pandas
import psutil
import pyarrow
import pyarrow.parquet
import pytest
from conftest import ROOT, reviews
from pyarrow import fs

from hfcls.config.commands import PredictConfig
from hfcls.errors import HfclsError
from hfcls.inference import agreement
from hfcls.inference.classifier import Classifier
from hfcls.inference.cluster import engine
from hfcls.inference.cluster.places import input_places, place_of
from hfcls.inference.cluster.worker import Job, Shard
from hfcls.inference.shards import predict_files

KEYS = {"access_key": "AKIDOFATEST", "secret_key": "a-secret", "region": "us-east-1", "scheme": "http"}


class OneProcess:
    """Ray as far as the engine needs it, in this process: the last pieces come first, and each worker has a few."""

    class exceptions:
        RayError = RuntimeError

    def __init__(self):
        self.data = self
        self.DataContext = SimpleNamespace(get_current=SimpleNamespace)
        self.put = self.get = lambda value: value

    def get_runtime_context(self):
        return SimpleNamespace(was_current_actor_reconstructed=False)

    def is_initialized(self):
        return True

    def cluster_resources(self):
        return {"CPU": 2.0}

    def ActorPoolStrategy(self, size):
        return size

    def from_items(self, items, override_num_blocks):
        assert len(items) == override_num_blocks
        return SimpleNamespace(map_batches=lambda work, **options: self.mapped(work, items, **options))

    def mapped(self, work, items, compute=None, fn_args=(), fn_constructor_args=(), **options):
        assert options.pop("batch_size") == 1
        workers = [work(*fn_constructor_args) if isinstance(work, type) else work for _ in range(compute or 1)]
        answers = [
            workers[i % len(workers)]({name: [value] for name, value in item.items()}, *fn_args)
            for i, item in reversed(list(enumerate(items)))
        ]
        return SimpleNamespace(
            iter_rows=lambda: ({name: value[0] for name, value in answer.items()} for answer in answers)
        )


@pytest.fixture
def one_process(monkeypatch):
    monkeypatch.setattr(engine, "_ray", OneProcess)


def write_inputs(folder: Path, count: int = 90) -> None:
    """A file of each kind, with numbers, zeros before a number, nested values, nulls and texts of several lines."""
    folder.mkdir()
    rows = [{"text": f'{text},\n"{i}"', "id": i, "code": f"{i:04}"} for i, (text, _) in enumerate(reviews(count))]
    pyarrow.csv.write_csv(pyarrow.Table.from_pylist(rows[: count // 3]), folder / "한글 1.csv")
    rest = [row | {"text": None if row["id"] % 10 == 0 else row["text"]} for row in rows[count // 3 :]]
    nested = [row | {"tags": ["a", {"b": row["id"]}] if row["id"] % 2 else "없음"} for row in rest[: count // 3]]
    (folder / "b.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in nested), encoding="utf-8")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rest[count // 3 :]), folder / "c.parquet")
    (folder / "a.csv").write_text("text,id,code\n", encoding="utf-8")  # an hour without texts
    (folder / "_SUCCESS").touch()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "_hfcls.json"}


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_the_shards_are_those_of_the_local_engine(classifier_folder, tmp_path, one_process, caplog, format):
    write_inputs(tmp_path / "in")
    options = {"model": classifier_folder, "input": str(tmp_path / "in"), "shard_size": 7, "all_scores": True}
    options |= {"format": format}
    local = predict_files(**options, output=str(tmp_path / "local"))
    told = caplog.messages
    caplog.clear()
    shards = predict_files(**options, output=str(tmp_path / "ray"), engine="ray")
    assert [Path(shard).name for shard in shards] == [path.name for path in local]
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    notes = [json.loads((tmp_path / name / "_hfcls.json").read_text("utf-8")) for name in ("ray", "local")]
    assert notes[0] == notes[1]
    nulls = [message for message in told if "have no text (null)" in message]
    assert len(nulls) == 2
    assert [message for message in caplog.messages if "have no text" in message] == nulls


def test_one_engine_goes_on_where_another_was_stopped(classifier_folder, tmp_path, one_process):
    write_inputs(tmp_path / "in")
    options = {"model": classifier_folder, "input": str(tmp_path / "in"), "output": str(tmp_path / "out")}
    options |= {"shard_size": 9, "format": "jsonl"}
    shards = predict_files(**options)
    whole = contents(tmp_path / "out")
    shards[0].unlink()
    shards[3].write_bytes(shards[3].read_bytes()[:-20])
    left = shards[0].with_name(f"_{shards[0].name}.0a1b2c3d.part")
    left.write_bytes(b"half")
    mine = left.with_name("_mine.0a1b2c3d.part")
    mine.write_bytes(b"mine")
    kept = {path: path.stat().st_mtime_ns for path in shards if path not in (shards[0], shards[3])}
    predict_files(**options, engine="ray")
    mine.unlink()
    assert contents(tmp_path / "out") == whole
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    predict_files(**options)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    with pytest.raises(HfclsError, match="holds predictions with another format"):
        predict_files(**options | {"format": "parquet"}, engine="ray")


@pytest.mark.parametrize(
    ("resources", "workers", "count"),
    [({"CPU": 3.0}, None, 3), ({"CPU": 8.0, "GPU": 2.0}, None, 2), ({"CPU": 8.0}, 4, 4), ({"CPU": 8.0}, None, 6)],
)
def test_a_worker_for_each_gpu_or_core_and_no_more_than_shards(monkeypatch, resources, workers, count):
    job = Job(PredictConfig(input="in", output="out", engine="ray", workers=workers), None, "")
    shards = [Shard(None, None, range(1), [])] * 6
    asked = []
    monkeypatch.setattr(OneProcess, "cluster_resources", lambda self: resources)
    monkeypatch.setattr(engine, "_model_files", lambda name: {})
    monkeypatch.setattr(engine, "_results", lambda *given, **options: asked.append(options) or [])
    engine._label(OneProcess(), shards, [], job)
    assert (asked[0]["compute"], asked[0]["num_gpus"]) == (count, int("GPU" in resources))


def test_the_model_travels_with_the_work(classifier_folder, tmp_path, one_process, monkeypatch):
    """Workers load its files from a folder of their own; what a run has in folders stays."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("text\n영화 최고\n", encoding="utf-8")
    (tmp_path / "model/checkpoint-1").mkdir(parents=True)
    for path in Path(classifier_folder).iterdir():
        (tmp_path / "model" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model/checkpoint-1/optimizer.pt").write_bytes(b"large")
    (tmp_path / "model/teacher").mkdir()  # what a student has learned from
    (tmp_path / "model/teacher/comments.csv-00000-of-00001.parquet").write_bytes(b"large")
    (tmp_path / "model/.hfcls-lock").touch()
    files = engine._model_files(str(tmp_path / "model"))
    assert files.keys() == {path.name for path in Path(classifier_folder).iterdir()}
    assert engine._model_files("someone/a-model") == {}
    options = {"model": str(tmp_path / "model"), "input": str(tmp_path / "in"), "output": str(tmp_path / "out")}
    assert len(predict_files(**options, engine="ray")) == 1


def test_int8_is_held_to_the_run_once_and_workers_know_what_was_found(
    classifier_folder, tmp_path, one_process, monkeypatch
):
    """The rows of the run travel with it, since a worker's processor may be another."""
    model = shutil.copytree(classifier_folder, tmp_path / "model")
    texts = [text for text, _ in reviews(60)]
    labels = [answer["label"] for answer in Classifier.from_pretrained(classifier_folder)(texts)]
    columns = {"text": texts, "label": labels, "predicted": labels}
    pyarrow.parquet.write_table(pyarrow.table(columns), model / "predictions.parquet")
    monkeypatch.setattr(agreement, "MOST_CHANGED", 0.05)  # the tiny model is unsure of many rows
    monkeypatch.setattr(agreement, "MOST_LOST", 0.05)
    looks = []
    compared = agreement.compared
    monkeypatch.setattr(agreement, "compared", lambda *given: looks.append(given) or compared(*given))
    write_inputs(tmp_path / "in")
    options = {"model": str(model), "input": str(tmp_path / "in"), "precision": "int8", "shard_size": 20}
    predict_files(**options, output=str(tmp_path / "local"))
    predict_files(**options, output=str(tmp_path / "ray"), engine="ray")
    assert len(looks) == 1
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")

    given = Classifier.from_pretrained

    def refused_on_workers(name, **options):
        if name != str(model):
            raise HfclsError(f"int8 changes too much of {name}: 9 of 60 labels changed (15.00%)")
        return given(name, **options)

    monkeypatch.setattr(Classifier, "from_pretrained", refused_on_workers)
    with pytest.raises(HfclsError, match=f"^int8 changes too much of {model}: 9 of 60 labels changed"):
        predict_files(**options, output=str(tmp_path / "other"), engine="ray")


def test_workers_that_had_to_be_replaced_are_told_once(classifier_folder, tmp_path, one_process, monkeypatch, caplog):
    write_inputs(tmp_path / "in")
    options = {"model": classifier_folder, "input": str(tmp_path / "in"), "shard_size": 10, "engine": "ray"}
    predict_files(**options, output=str(tmp_path / "whole"))
    assert "has died" not in caplog.text
    replaced = SimpleNamespace(was_current_actor_reconstructed=True)
    monkeypatch.setattr(OneProcess, "get_runtime_context", lambda self: replaced)
    predict_files(**options, output=str(tmp_path / "replaced"))
    assert caplog.text.count("a worker has died and Ray has started another") == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"input": "s3://key:secret@bucket/in"},
            "^input is an address, and engine local takes paths: add --engine ray",
        ),
        ({"workers": 2}, "workers is for engine ray: add --engine ray, or drop workers"),
        ({"engine": "ray", "single_file": True}, "single_file is for engine local: drop it"),
        ({"engine": "ray", "workers": 0}, "workers must be at least 1"),
        ({"engine": "ray", "input": "nowhere.csv"}, "no file nowhere.csv: check the path"),
        ({"engine": "ray", "input": "ftp://me:secret@host/in"}, r"^cannot open ftp://host/in: "),
        ({"engine": "ray", "input": "file://{folder}/none"}, "none holds no file to label"),
        ({"engine": "ray", "output": "{folder}"}, "is the input: choose another --output"),
        ({"engine": "ray", "text_column": "글"}, r"^{folder}/a.csv has no column '글'; it has 'text': set --text_col"),
        ({"engine": "ray", "output": "/proc/none"}, "cannot write to /proc/none: "),
        ({"engine": "ray", "input": None, "output": None}, "engine is about the files of input"),
    ],
)
def test_bad_input_is_named(classifier_folder, tmp_path, one_process, changed, message):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.csv").write_text("text\n영화 최고\n", encoding="utf-8")
    options = {"model": classifier_folder, "input": str(folder), "output": str(tmp_path / "out")}
    changed = {
        name: value.format(folder=folder) if isinstance(value, str) else value for name, value in changed.items()
    }
    with pytest.raises(HfclsError, match=message.replace("{folder}", str(folder))):
        predict_files(**options | changed)
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_one_line(classifier_folder, table, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HfclsError, match=r"engine ray needs ray: pip install -e '\.\[ray\]'"):
        predict_files(model=classifier_folder, input=str(table()), output=str(tmp_path / "out"), engine="ray")


def test_a_cluster_that_does_not_answer_is_one_line(classifier_folder, table, tmp_path, one_process, monkeypatch):
    def init(*arguments, **options):
        raise Exception("The current node timed out\n  during startup.")  # as Ray does

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(OneProcess, "is_initialized", lambda self: False)
    monkeypatch.setattr(OneProcess, "init", init, raising=False)
    with pytest.raises(HfclsError, match=r"Ray does not answer: The current node timed out during startup\."):
        predict_files(model=classifier_folder, input=str(table()), output=str(tmp_path / "out"), engine="ray")


@pytest.fixture
def started(monkeypatch):
    """With what Ray was started."""
    calls = []
    monkeypatch.setattr(OneProcess, "is_initialized", lambda self: False)
    monkeypatch.setattr(
        OneProcess, "init", lambda self, *given, **options: calls.append((given, options)), raising=False
    )
    monkeypatch.setattr(OneProcess, "shutdown", lambda self: None, raising=False)
    return calls


def answering(server: socket.socket, answer: bytes) -> None:
    """Whoever connects gets this answer, until the server is closed."""

    def answer_all() -> None:
        with suppress(OSError):
            while True:
                with server.accept()[0] as connection:
                    connection.recv(100)
                    connection.sendall(answer)

    threading.Thread(target=answer_all, daemon=True).start()


def test_an_address_where_ray_does_not_listen_is_one_line_at_once(started, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering(server, engine.SETTINGS)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        for name in (address, f"ray://{address}", "auto"):
            monkeypatch.setenv("RAY_ADDRESS", name)
            with engine._connected(OneProcess()):
                pass
        server.shutdown(socket.SHUT_RDWR)
    assert [given for given, _ in started] == [()] * 3
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(HfclsError, match=f"^Ray does not answer at {address}: "), engine._connected(OneProcess()):
        pass
    for answer in (b"", b"HTTP/1.1 505 HTTP Version Not Supported\r\n\r\n"):
        with socket.create_server(("127.0.0.1", 0)) as server:
            answering(server, answer)
            monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
            with pytest.raises(HfclsError, match="what listens there is not Ray"), engine._connected(OneProcess()):
                pass
            server.shutdown(socket.SHUT_RDWR)
    assert len(started) == 3


def test_a_signal_ends_the_command_whatever_ray_waits_for(started, monkeypatch):
    """Ray's own handler asks the cluster first, which may be gone."""
    before = signal.getsignal(signal.SIGTERM)
    init = OneProcess.init
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def init_of_ray(self, *given, **options):
        signal.signal(signal.SIGTERM, lambda *_: None)
        init(self, *given, **options)

    monkeypatch.setattr(OneProcess, "init", init_of_ray)
    with engine._connected(OneProcess()):
        assert signal.getsignal(signal.SIGTERM) == before
    assert len(started) == 1


@pytest.mark.parametrize("address", [None, ""])
def test_without_an_address_ray_is_out_of_reach_of_others(started, monkeypatch, address):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address is not None:
        monkeypatch.setenv("RAY_ADDRESS", address)
    with engine._connected(OneProcess()):
        pass
    ((given, options),) = started
    assert given == ("local",)
    assert options["_node_ip_address"] == "127.0.0.1"
    assert options["include_dashboard"] is False


def test_files_of_an_address_are_found(tmp_path):
    for name in ("b.csv", "a.jsonl", "c.parquet.gz", ".hidden.csv", "_note.csv", "README.md", "한글 %20.csv"):
        (tmp_path / name).write_text("text\n")
    (tmp_path / "folder.csv").mkdir()
    names = ["a.jsonl", "b.csv", "한글 %20.csv"]
    assert [place.name for place in input_places(f"file://{tmp_path}") if place.name != "c.parquet.gz"] == names
    assert [place.name for place in input_places(f"file://{tmp_path}/*.csv")] == names[1:]
    assert [place.name for place in input_places(f"file://{tmp_path}/b.csv")] == ["b.csv"]
    with pytest.raises(HfclsError, match="holds no file to label"):
        input_places(f"file://{tmp_path}/*.tsv")
    place = place_of("s3://key:secret@bucket/a/b?endpoint_override=127.0.0.1:9&scheme=http&region=x") / "c.csv"
    assert (place.path, place.address) == ("bucket/a/b/c.csv", "s3://bucket/a/b/c.csv")


def test_files_of_any_kind_at_an_address_are_read_as_on_this_machine(classifier_folder, tmp_path, one_process):
    pytest.importorskip("xlsxwriter", reason="needs the extra serve")
    (tmp_path / "in").mkdir()
    rows = pandas.DataFrame({"text": [text for text, _ in reviews(12)], "code": [f"{i:03}" for i in range(12)]})
    rows.to_csv(tmp_path / "in/a.tsv", sep="\t", index=False)
    rows.to_csv(tmp_path / "in/b.csv.gz", index=False)
    rows.to_excel(tmp_path / "in/c.xlsx", index=False, engine="xlsxwriter")
    predict_files(model=classifier_folder, input=str(tmp_path / "in"), output=str(tmp_path / "local"))
    given = {"input": f"file://{tmp_path}/in", "output": f"file://{tmp_path}/ray", "engine": "ray"}
    assert len(predict_files(model=classifier_folder, **given)) == 3
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ftp://me:a-secret@host/in", "cannot open ftp://host/in: Unrecognized filesystem type in URI; "),
        ("s3://me:a-/secret@bucket/in?region=x", "cannot open s3://bucket/in: Cannot parse URI; a / within a key is "),
        ("s3://me:a-#secret@bucket/in", "cannot open s3://bucket/in: Cannot parse URI; "),
        ("s3://me:a- secret@bucket/in/*.csv", "cannot open s3://bucket/in: Cannot parse URI; "),
        ("s3://bucket/in?key=a-secret", "cannot open s3://bucket/in: Unexpected query parameter in S3 URI"),
    ],
)
def test_no_message_shows_a_key(name, message):
    with pytest.raises(HfclsError) as raised:
        input_places(name)
    assert str(raised.value).startswith(message)
    assert "secret" not in str(raised.value)


def test_a_key_may_hold_what_an_address_cannot():
    place = place_of("s3://me:a%2Fb@bucket/in?region=x&scheme=http")
    assert place.filesystem == fs.S3FileSystem(access_key="me", secret_key="a/b", region="x", scheme="http")


def test_a_file_is_put_in_place_whole_or_not_at_all(tmp_path, monkeypatch):
    local, place = tmp_path / "a", place_of(f"{tmp_path}/out") / "b"
    local.write_text("new")
    place.put(local)
    place.put(local)
    assert contents(tmp_path / "out") == {"b": b"new"}
    local.unlink()
    with pytest.raises(OSError, match="No such file"):
        place.put(local)
    assert contents(tmp_path / "out") == {"b": b"new"}


@pytest.fixture(scope="module")
def s3():
    """A bucket on a server of this machine, and the address of a path in it."""
    for package in ("moto", "flask", "flask_cors"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install -c constraints.txt -e '.[dev]'")
    server = subprocess.Popen(
        [sys.executable, ROOT / "tests/s3_server.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        endpoint = server.stdout.readline().strip()
        filesystem = fs.S3FileSystem(**KEYS, endpoint_override=endpoint, allow_bucket_creation=True)
        filesystem.create_dir("bucket")
        query = f"endpoint_override={endpoint}&scheme=http&region={KEYS['region']}"
        keys = f"{KEYS['access_key']}:{KEYS['secret_key']}"
        yield SimpleNamespace(
            filesystem=filesystem, endpoint=endpoint, address=lambda path: f"s3://{keys}@bucket/{path}?{query}"
        )
    finally:
        server.communicate(timeout=60)


def objects(s3, folder):
    """Content and time of each file; the folder itself is one, too, in a store of objects."""
    found = s3.filesystem.get_file_info(fs.FileSelector(f"bucket/{folder}", allow_not_found=True))
    return {i.base_name: (s3.filesystem.open_input_stream(i.path).read(), i.mtime) for i in found if i.is_file}


def s3_names(s3, folder):
    """The names of the shards that are whole."""
    found = s3.filesystem.get_file_info(fs.FileSelector(f"bucket/{folder}", allow_not_found=True))
    return [i.base_name for i in found if i.is_file and not i.base_name.startswith("_")]


def test_from_and_to_s3_the_shards_are_the_same(s3, classifier_folder, tmp_path, one_process, caplog):
    write_inputs(tmp_path / "in", count=60)
    options = {"model": classifier_folder, "shard_size": 10}
    predict_files(**options, input=str(tmp_path / "in"), output=str(tmp_path / "local"))
    fs.copy_files(str(tmp_path / "in"), "bucket/in", fs.LocalFileSystem(), s3.filesystem)
    options |= {"input": s3.address("in"), "output": s3.address("out"), "engine": "ray"}
    shards = predict_files(**options)
    assert shards[0].startswith("s3://bucket/out/")
    made = objects(s3, "out")
    note, _ = made.pop("_hfcls.json")
    assert b"a-secret" not in note
    assert not any("a-secret" in message for message in caplog.messages)
    assert {name: content for name, (content, _) in made.items()} == contents(tmp_path / "local")

    # Started again, it makes what is missing and what is not whole.
    cut, gone, *others = sorted(made)
    with s3.filesystem.open_output_stream(f"bucket/out/{cut}") as file:
        file.write(made[cut][0][:-10])
    s3.filesystem.delete_file(f"bucket/out/{gone}")
    predict_files(**options)
    again = objects(s3, "out")
    assert again[cut][0] == made[cut][0]
    assert again[gone][0] == made[gone][0]
    assert all(again[name] == made[name] for name in others)


@pytest.fixture
def aws(s3, monkeypatch):
    """The variables of AWS's own programs, by which an address needs no more than bucket and path."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["access_key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["secret_key"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{s3.endpoint}")
    monkeypatch.setenv("AWS_REGION", KEYS["region"])


def test_keys_and_server_come_from_the_variables_of_aws(aws, s3, classifier_folder, tmp_path, one_process, caplog):
    write_inputs(tmp_path / "variables", count=30)
    fs.copy_files(str(tmp_path / "variables"), "bucket/variables", fs.LocalFileSystem(), s3.filesystem)
    options = {"model": classifier_folder, "input": "s3://bucket/variables", "output": "s3://bucket/by-variables"}
    shards = predict_files(**options, engine="ray")
    assert len(shards) == 3
    assert sorted(s3_names(s3, "by-variables")) == sorted(shard.rpartition("/")[2] for shard in shards)
    note, _ = objects(s3, "by-variables")["_hfcls.json"]
    assert not any(key in note.decode() + caplog.text for key in (KEYS["access_key"], KEYS["secret_key"]))


def test_a_broken_file_of_s3_is_named_by_its_address(s3, classifier_folder, one_process):
    s3.filesystem.create_dir("bucket/bad")
    with s3.filesystem.open_output_stream("bucket/bad/a.csv") as file:
        file.write(b"text,n\nfine,1\nbroken\n")
    options = {"model": classifier_folder, "input": s3.address("bad"), "output": s3.address("never"), "engine": "ray"}
    with pytest.raises(HfclsError, match="^s3://bucket/bad/a.csv, line 3: 1 fields, but the header has 2"):
        predict_files(**options)
    assert objects(s3, "never") == {}


@pytest.mark.slow
def test_ray_on_this_machine_makes_the_same_shards(classifier_folder, tmp_path):
    if find_spec("ray") is None:
        pytest.skip("needs ray: pip install -c constraints.txt -e '.[dev]'")
    write_inputs(tmp_path / "in")
    options = {"model": classifier_folder, "input": str(tmp_path / "in"), "shard_size": 7}
    predict_files(**options, output=str(tmp_path / "local"))
    flags = [f"--{name}={value}" for name, value in (options | {"output": tmp_path / "ray", "workers": 2}).items()]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment["RAY_worker_niceness"] = "0"  # as in the cluster below
    done = subprocess.run(
        [sys.executable, "-m", "hfcls.cli", "predict", "--engine=ray", *flags],
        env=environment | {"HOME": str(tmp_path)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


@pytest.fixture
def cluster(tmp_path):
    """A Ray cluster of two machines, as processes of this one."""
    if find_spec("ray") is None:
        pytest.skip("needs ray: pip install -c constraints.txt -e '.[dev]'")
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0a" * 32}
    environment |= {"HOME": str(tmp_path), "RAY_raylet_start_wait_time_s": "300"}
    environment["RAY_worker_niceness"] = "0"  # else 15, and on a busy machine its workers hardly ever have their turn
    # Else Ray takes another address of this machine for 127.0.0.1.
    environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    with (tmp_path / "cluster.log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, ROOT / "tests/ray_cluster.py"],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        try:
            line = process.stdout.readline()
            log.seek(0)
            assert line, log.read()
            found = json.loads(line)
            environment["RAY_ADDRESS"] = found["address"]
            yield SimpleNamespace(environment=environment, pid=process.pid, logs=Path(found["logs"]))
        finally:
            everything = [*psutil.Process(process.pid).children(recursive=True), process]
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=120)
            for one in everything:  # what is left after a fault
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()


@contextmanager
def running(cluster, **options):
    """`hfcls predict` on the cluster, in a process of its own, which is ended whatever happens."""
    flags = [f"--{name}={value}" for name, value in options.items()]
    process = subprocess.Popen(
        [sys.executable, "-m", "hfcls.cli", "predict", "--engine=ray", *flags],
        env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def actors_of(cluster):
    found = []
    for process in psutil.Process(cluster.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found += [process] if "ray::MapWorker" in " ".join(process.cmdline()) else []
    return found


def kill(actor, what):
    """With -9: the actor, or the machine that it runs on, with all that runs there."""
    machine = actor.parent()
    assert machine.name() == "raylet"
    for process in [actor] if what == "actor" else [machine, *machine.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.slow
def test_killed_actors_and_machines_cost_no_row_and_make_none_twice(cluster, s3, classifier_folder, tmp_path):
    write_inputs(tmp_path / "rows", count=360)
    options = {"model": classifier_folder, "shard_size": 4}
    local = predict_files(**options, input=str(tmp_path / "rows"), output=str(tmp_path / "local"))
    fs.copy_files(str(tmp_path / "rows"), "bucket/rows", fs.LocalFileSystem(), s3.filesystem)
    options |= {"input": s3.address("rows"), "output": s3.address("labelled"), "workers": 2}
    kills = {len(local) // 10: "actor", len(local) // 2: "machine"}  # after so many shards
    with running(cluster, **options) as process:
        while kills and process.poll() is None:
            actors = actors_of(cluster)
            if actors and len(s3_names(s3, "labelled")) >= min(kills):
                kill(actors[0], kills.pop(min(kills)))
            else:
                time.sleep(0.05)
        said = process.communicate(timeout=600)[0]
    assert process.returncode == 0, said
    assert not kills
    made = objects(s3, "labelled")
    note, _ = made.pop("_hfcls.json")
    assert b"a-secret" not in note
    assert "a-secret" not in said
    assert {name: content for name, (content, _) in made.items()} == contents(tmp_path / "local")
    logs = [path for path in cluster.logs.rglob("*") if path.is_file()]
    assert logs
    assert [path.name for path in logs if b"a-secret" in path.read_bytes()] == []


@pytest.mark.slow
def test_a_command_that_is_stopped_goes_on_where_it_was(aws, cluster, s3, classifier_folder, tmp_path):
    """On a cluster and in a store: what was finished stays as it is, the rest is made, and nothing is there twice."""
    write_inputs(tmp_path / "some", count=360)
    options = {"model": classifier_folder, "shard_size": 4}
    local = predict_files(**options, input=str(tmp_path / "some"), output=str(tmp_path / "local"))
    fs.copy_files(str(tmp_path / "some"), "bucket/some", fs.LocalFileSystem(), s3.filesystem)
    options |= {"input": "s3://bucket/some", "output": "s3://bucket/stopped", "workers": 2}
    with running(cluster, **options) as process:
        while process.poll() is None and len(s3_names(s3, "stopped")) < len(local) // 4:
            time.sleep(0.05)
        process.terminate()
        said = process.communicate(timeout=120)[0]
    assert process.returncode == -signal.SIGTERM, said
    while actors_of(cluster):  # Ray ends those of a command that is gone
        time.sleep(0.05)
    before = objects(s3, "stopped")
    finished = [name for name in before if not name.startswith("_")]
    assert 0 < len(finished) < len(local)
    with running(cluster, **options) as process:
        said += process.communicate(timeout=600)[0]
    assert process.returncode == 0, said
    made = objects(s3, "stopped")
    assert {name: made[name] for name in finished} == {name: before[name] for name in finished}
    note, _ = made.pop("_hfcls.json")
    assert {name: content for name, (content, _) in made.items()} == contents(tmp_path / "local")
    logs = b"".join(path.read_bytes() for path in cluster.logs.rglob("*") if path.is_file())
    for key in (KEYS["access_key"], KEYS["secret_key"]):
        assert key not in said + note.decode()
        assert key.encode() not in logs
