"""One run at a time in an output folder, whatever becomes of the one that was there."""

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from hfcls.errors import HfclsError
from hfcls.runs.folder import LOCK_FILE
from hfcls.system.locks import sole_run

# Holds the lock, forks as a loader of data does, says so, and waits.
HOLDER = """
import os, sys, time
from pathlib import Path
from hfcls.runs.folder import LOCK_FILE
from hfcls.system.locks import sole_run
with sole_run(Path(sys.argv[1]) / LOCK_FILE):
    child = os.fork()
    if child:
        print(child, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock, and its child that does not."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    yield process
    process.kill()
    os.kill(child, signal.SIGKILL)
    process.communicate()


def test_who_holds_it_is_named(tmp_path, holder):
    who = rf"in use by another run \(process {holder.pid} on {socket.gethostname()}\): wait for its end, stop it, or"
    with pytest.raises(HfclsError, match=who), sole_run(tmp_path / LOCK_FILE):
        pass
    with (
        pytest.raises(HfclsError, match=who),
        sole_run(tmp_path / LOCK_FILE),
    ):  # the first refusal did not blot out the name
        pass


def test_it_ends_with_the_process_though_its_children_live(tmp_path, holder):
    holder.kill()
    holder.wait()
    with sole_run(tmp_path / LOCK_FILE):
        assert (tmp_path / ".hfcls-lock").read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"
    assert list(tmp_path.iterdir()) == []


def test_the_run_that_waits_gets_it_although_its_file_is_gone(tmp_path):
    """Who opened the file before it was deleted must not share the folder with who makes a new one."""
    waiting = FileLock(tmp_path / ".hfcls-lock")
    with sole_run(tmp_path / LOCK_FILE), pytest.raises(HfclsError), sole_run(tmp_path / LOCK_FILE):
        pass
    with waiting, pytest.raises(HfclsError, match="in use by another run"), sole_run(tmp_path / LOCK_FILE):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_drive_without_locks_gets_a_line(tmp_path, monkeypatch, caplog, number):
    def fail(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", fail)
    with sole_run(tmp_path / LOCK_FILE):
        pass
    assert f"{tmp_path} cannot be locked ({os.strerror(number)}): start no second run in it" in caplog.text
    assert Path(tmp_path).exists()
