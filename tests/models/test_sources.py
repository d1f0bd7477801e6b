"""A model that cannot be had is told in one line, soon, and with what to do."""

import os
import re
import socket
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from hfcls import cli
from hfcls.errors import HfclsError
from hfcls.models import sources
from hfcls.models.sources import hub_answers, load_config, local_folder

CODE = """
import time
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from hfcls.errors import HfclsError
from hfcls.models.loading import load_classifier, model_and_tokenizer
for load in (load_classifier, lambda name: model_and_tokenizer(name, ["a", "b"], max_length=8, texts=[])):
    start = time.perf_counter()
    try:
        load("nobody/nothing")
    except HfclsError as error:
        print(f"{time.perf_counter() - start:.1f} {error}")
"""


COMMANDS = """
import shlex, sys
from pathlib import Path
from hfcls import cli
from hfcls.models.sources import check_reachable
for words in sys.argv[2:]:
    print(cli.main(shlex.split(words)), "torch" in sys.modules)
kept = Path(sys.argv[1], "hub/models--some--kept")
for name, text in (("refs/main", "abc"), ("snapshots/abc/config.json", "{}")):
    (kept / name).parent.mkdir(parents=True)
    (kept / name).write_text(text)
check_reachable("some/kept")
check_reachable("no name of the Hub")
"""


def test_a_command_tells_that_a_model_is_out_of_reach_before_it_imports_torch(table, classifier_folder, tmp_path):
    """The imports alone took five seconds on a busy machine. What is kept from an earlier download is let through."""
    data = str(table())
    commands = [
        f"train --dataset {data} --model a/b --output_dir {tmp_path}/out",
        f"adapt --dataset {data} --model a/b --output_dir {tmp_path}/out",
        f"distill --dataset {data} --teacher a/b --output_dir {tmp_path}/out",
        f"distill --dataset {data} --model a/b --output_dir {tmp_path}/out",
        f"evaluate --dataset {data} --model a/b",
        f"evaluate --dataset {data} --model {classifier_folder} --compare a/b",
        f"check {data} --model a/b",
        f"clean {data} --model a/b",
        f"predict --input {data} --output {tmp_path}/labelled --model a/b",
        *("predict --model a/b text", "export a/b", "serve a/b"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, str(tmp_path), *commands],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "HF_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["1 False"] * len(commands), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(commands)
    assert all(
        "could not load the model of 'a/b'" in line and "is not asked (HF_HUB_OFFLINE)" in line for line in lines
    )
    assert not (tmp_path / "out").exists()


@pytest.fixture
def silent():
    """The address of a port that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


# huggingface_hub asks for its own list of agents first, for 3 seconds at most
@pytest.mark.parametrize(("kind", "limit"), [("refused", 5), ("silent", 8)])
def test_without_the_hub_a_name_fails_within_seconds_and_in_one_line(kind, limit, silent, tmp_path):
    endpoint = silent if kind == "silent" else "http://127.0.0.1:9"
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
        cwd=ROOT,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    for line, what in zip(lines, ("model", "tokenizer"), strict=True):
        seconds, message = line.split(" ", 1)
        assert float(seconds) < limit
        assert message == (
            f"could not load the {what} of 'nobody/nothing' (there is no folder of that name here): {endpoint} does "
            "not answer, and no earlier download of it is kept here: give --model a folder, or train hfcls-small-ko, "
            "which comes with hfcls"
        )
    assert "Retrying" not in done.stderr


def test_the_hub_is_asked_again_in_the_next_minute(monkeypatch):
    """So that a notebook goes on once the network is back, and a load does not ask for each file."""
    codes, now = iter([404]), [30.0]  # whatever it answers, then nothing

    class Session:
        def head(self, url, timeout):
            return type("Answer", (), {"status_code": next(codes)})

    monkeypatch.setattr(sources, "is_offline_mode", lambda: False)
    monkeypatch.setattr(sources, "get_session", Session)
    monkeypatch.setattr(sources.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sources, "_heard", {})
    assert [hub_answers(), hub_answers()] == [True, True]
    now[0] += 60
    assert hub_answers()
    now[0] += 1
    assert not hub_answers()


def test_offline_mode_is_named():
    with pytest.raises(HfclsError, match=r"is not asked \(HF_HUB_OFFLINE\), and no earlier download of it is kept"):
        load_config("nobody/nothing")


def test_the_folder_of_runs_is_no_hub_name_before_the_first_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    start = time.perf_counter()
    assert cli.main(["predict", "영화 최고"]) == 1
    assert time.perf_counter() - start < 5
    message = "no model folder outputs/run: name one that hfcls train wrote, or a model on the Hub"
    assert capsys.readouterr().err.splitlines()[-1] == f"hfcls: error: {message}"
    (tmp_path / "outputs" / "run").mkdir(parents=True)  # a run that has not got as far as a model
    assert cli.main(["predict", "영화 최고"]) == 1
    message = "outputs/run is not a model folder: it has no config.json, as a finished run of hfcls train has"
    assert capsys.readouterr().err.splitlines()[-1] == f"hfcls: error: {message}"


def test_a_path_is_told_from_a_name(tmp_path):
    assert local_folder(str(tmp_path)) == tmp_path
    assert local_folder("beomi/kcbert-base") is None
    for path in ("./nowhere", "outputs/run", "a/b/c", "~/nowhere", f"{tmp_path}/nowhere"):
        with pytest.raises(HfclsError, match=re.escape(f"no model folder {path}: name one that hfcls train wrote")):
            load_config(path)


def test_an_adapter_without_its_model_is_told_from_a_model(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(HfclsError, match="is an adapter of peft without its model: save the two as one"):
        load_config(str(tmp_path))
