"""What a process makes of the environment and of its parent, and which of several speaks."""

import gc
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hfcls.errors import HfclsError
from hfcls.system import launch

JOINED = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setattr(launch, "LOOK_UP", 0.0)
    for name in (*JOINED, *launch.MPI_RANKS):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"WORLD_SIZE": "1"},
        {"WORLD_SIZE": "1", "RANK": "0"},
        {"LOCAL_RANK": "-1"},
        {"LOCAL_RANK": "0"},  # on XLA
        JOINED,
        {"WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "MASTER_ADDR": "localhost"},
        {**JOINED, "MASTER_ADDR": "::1"},
        {"WORLD_SIZE": "1", "MASTER_ADDR": "nowhere.invalid"},  # nobody is met
    ],
)
def test_environments_that_are_whole(monkeypatch, given):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    launch.check_launch()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"MASTER_ADDR": None}, "the environment has WORLD_SIZE=2 but no MASTER_ADDR, where the processes meet: start"),
        ({"MASTER_ADDR": ""}, "no MASTER_ADDR"),
        ({"MASTER_ADDR": "nowhere.invalid"}, "MASTER_ADDR='nowhere.invalid', where the processes meet, and no machine"),
        ({"MASTER_ADDR": "a" * 70}, f"MASTER_ADDR='{'a' * 70}', where the processes meet, and no machine"),
        ({"WORLD_SIZE": "two"}, "the environment has WORLD_SIZE='two', which is no whole number: start all"),
        ({"WORLD_SIZE": ""}, "WORLD_SIZE='', which is no whole number"),
        ({"RANK": "1.0"}, "RANK='1.0', which is no whole number"),
        ({"LOCAL_RANK": "x"}, "LOCAL_RANK='x'"),
        ({"MASTER_PORT": "80x"}, "MASTER_PORT='80x'"),
        ({"RANK": None}, "WORLD_SIZE=2 and no RANK, which should be from 0 to 1: start all processes with `accelerate"),
        ({"RANK": "2"}, "WORLD_SIZE=2 and RANK=2, which should be from 0 to 1"),
        ({"RANK": "-1"}, "WORLD_SIZE=2 and RANK=-1"),
    ],
)
def test_environments_that_are_not(monkeypatch, changed, message):
    for name, value in {**JOINED, **changed}.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(HfclsError) as error:
        launch.check_launch()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_machine_that_is_known_a_moment_later_is_waited_for(monkeypatch):
    """As another pod's is, whose service is only starting."""
    known = iter([socket.gaierror(socket.EAI_NONAME, "Name or service not known"), None])

    def getaddrinfo(host: str, port: None) -> None:
        if error := next(known):
            raise error

    monkeypatch.setattr(launch, "LOOK_UP", 60.0)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    for name, value in {**JOINED, "MASTER_ADDR": "master-0"}.items():
        monkeypatch.setenv(name, value)
    launch.check_launch()
    assert next(known, "asked twice") == "asked twice"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (0, 1)),
        ({"WORLD_SIZE": "3", "RANK": "2"}, (2, 3)),  # which need not meet
        ({"RANK": "1"}, "RANK=1, which should be from 0 to 0"),
        ({"RANK": "3", "WORLD_SIZE": "3"}, "RANK=3, which should be from 0 to 2"),
        ({"RANK": "-1", "WORLD_SIZE": "3"}, "RANK=-1, which"),
        ({"WORLD_SIZE": "3"}, "WORLD_SIZE=3 and no RANK"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE=0, which should be 1 or more"),
        ({"WORLD_SIZE": "-2"}, "WORLD_SIZE=-2, which should be 1 or more"),
        ({"RANK": "x"}, "RANK='x', which is no whole number"),
        ({"LOCAL_RANK": ""}, "LOCAL_RANK='', which is no whole number"),
    ],
)
def test_a_share_of_the_work_is_that_of_a_process_there_is(monkeypatch, given, expected):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    if isinstance(expected, tuple):
        assert launch.rank_and_size() == expected
    else:
        with pytest.raises(HfclsError, match=expected):
            launch.rank_and_size()


@pytest.mark.parametrize("command", ["train", "adapt", "distill"])
def test_a_stray_world_size_gets_one_line_at_once(hfcls, tmp_path, command):
    begun = time.monotonic()
    done = hfcls(command, "--output_dir", str(tmp_path / "out"), env={**os.environ, "WORLD_SIZE": "2"})
    assert time.monotonic() - begun < 5
    assert done.returncode == 1
    assert done.stderr == (
        "hfcls: error: the environment has WORLD_SIZE=2 but no MASTER_ADDR, where the processes meet: start all "
        "processes with `accelerate launch` or torchrun, or unset it to run alone\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["train", "adapt"])
def test_processes_that_do_not_meet_get_one_line(monkeypatch, command):
    from accelerate import PartialState

    from hfcls.config.pretraining import AdaptConfig
    from hfcls.config.train import TrainConfig
    from hfcls.training.arguments import training_arguments
    from hfcls.training.masked_lm import pretraining_arguments

    adapts = command == "adapt"
    make, config = (pretraining_arguments, AdaptConfig()) if adapts else (training_arguments, TrainConfig())

    PartialState._reset_state()  # other tests of this process have made one
    monkeypatch.setenv("LOCAL_RANK", "0")  # and nothing else, as somebody may have it left over
    try:
        with pytest.raises(
            HfclsError, match=r"do not meet \(.*MASTER_ADDR expected, but not set\): start all processes"
        ):
            make(**config.training_options())
    finally:
        PartialState._reset_state()
        for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT"):  # which accelerate has set
            os.environ.pop(name, None)


# Makes a file when it knows its parent, waits for the end of it, and says whether it was a launcher.
CHILD = """
import os, sys, time
from hfcls.system.launch import check_launch
from hfcls.training.preemption import StopSignals
parent, early = os.getppid(), len(sys.argv) > 2
signals = check_launch() if early else StopSignals()
assert early or signals.received is None
open(sys.argv[1], "w").close()
while os.getppid() == parent:
    time.sleep(0.01)
print(int((signals or StopSignals()).received or 0))
"""
PARENT = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", *sys.argv[1:]])
while not os.path.exists(sys.argv[2]):
    time.sleep(0.01)
"""


@pytest.fixture(params=["torchrun", "accelerate", "shell"])
def parent(request, tmp_path) -> tuple[list[str], bool]:
    """A command that starts a child and ends before it, and whether that is a launcher."""
    if request.param == "shell":
        return ["sh", "-c", f'{sys.executable} -c "$0" "$@" & while [ ! -e "$1" ]; do sleep 0.01; done'], False
    script = tmp_path / request.param
    script.write_text(PARENT)
    return [sys.executable, str(script)], True


@pytest.mark.parametrize("when", [[], ["before the training"]])
@pytest.mark.parametrize("variables", [{}, {"ACCELERATE_MIXED_PRECISION": "no", "TORCHELASTIC_RUN_ID": "x"}])
def test_only_the_end_of_a_launcher_counts_as_sigterm(parent, variables, when, tmp_path):
    """A run in the background outlives its shell, whatever variables an earlier launcher has left there."""
    command, is_launcher = parent
    words = [*command, CHILD, str(tmp_path / "ready"), *when]
    done = subprocess.run(words, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == ("15" if is_launcher else "0"), done.stderr


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (["/usr/bin/python3", "/venv/bin/accelerate", "launch", "train.py"], True),
        (["python", "-m", "accelerate.commands.launch", "train.py"], True),
        (["python", "-m", "torch.distributed.run", "train.py"], True),
        (["python", "-u", "-m", "torch.distributed.launch", "train.py"], True),
        (["/venv/bin/torchrun", "train.py"], True),
        (["bash", "-c", "accelerate launch train.py"], False),
        (["python", "train.py", "accelerate"], False),
        (["bash"], False),
        ([], False),
    ],
)
def test_a_launcher_is_known_by_its_command(monkeypatch, words, known):
    monkeypatch.setattr("psutil.Process.cmdline", lambda process: words)
    assert launch.launcher_pid.__wrapped__() == (os.getppid() if known else None)


def test_before_they_are_joined_the_others_wait_for_their_launcher(monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    assert launch.speaks_first()
    for name, value in JOINED.items():
        monkeypatch.setenv(name, value)
    assert launch.speaks_first()
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert launch.speaks_first()
    assert waited == [launch.PATIENCE]


def test_of_joined_processes_the_first_that_asks_speaks(monkeypatch, tmp_path):
    from torch import distributed

    for name, value in JOINED.items():
        monkeypatch.setenv(name, value)
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        assert [launch.speaks_first() for _ in range(3)] == [True, False, False]
    finally:
        distributed.destroy_process_group()
    assert Path(tmp_path).exists()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # what earlier tests left open is collected here
def test_no_thread_of_the_process_group_is_left(monkeypatch, tmp_path):
    """A wrapped model in a reference cycle keeps the group's threads, one of which may abort Python's end."""
    import torch
    from torch import distributed

    for name, value in JOINED.items():
        monkeypatch.setenv(name, value)
    gc.collect()
    before = psutil.Process().num_threads()
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    cycle: dict[str, object] = {"model": torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 2))}
    cycle["itself"] = cycle
    del cycle
    assert psutil.Process().num_threads() > before
    launch.leave_process_group()
    assert psutil.Process().num_threads() == before
