"""`accelerate launch` with and without a config, over a network, and when one of its processes dies."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow
ACCELERATE = str(Path(sys.executable).with_name("accelerate"))


@pytest.fixture
def flags(table, tiny_model, tmp_path) -> list[str]:
    """Of a run of 12 steps that ends in `out`; dropout is off."""
    for seed, (split, count) in enumerate([("train", 166), ("validation", 31), ("test", 33)]):
        data = table(f"data/{split}.tsv", count=count, seed=seed).parent
    values = {"dataset": data, "model": tiny_model, "max_length": 64, "num_train_epochs": 2, "logging_steps": 1,
              "learning_rate": 1e-3, "output_dir": tmp_path / "out"}  # fmt: skip
    return [str(word) for name, value in values.items() for word in (f"--{name}", value)]


def launch(*command: str, **env: str) -> subprocess.Popen[str]:
    """Started with no terminal to ask on, and no configuration in the home directory."""
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | env, start_new_session=True,
    )  # fmt: skip


def losses(folder: Path) -> list[float]:
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_without_a_config_it_asks_nothing(flags, tmp_path):
    run = launch(ACCELERATE, "launch", str(ROOT / "train.py"), *flags, HF_HOME=str(tmp_path / "home"))
    output, _ = run.communicate(timeout=300)
    assert run.returncode == 0, output
    assert "on the CPU, batches of 16, float32" in output


def test_cpu_multi_starts_two_processes_that_write_once(flags):
    """`--cpu --num_processes 2` and `distributed_type: MULTI_CPU` would start one and say nothing."""
    config = str(ROOT / "accelerate_configs/cpu_multi.yaml")
    run = launch(ACCELERATE, "launch", "--config_file", config, str(ROOT / "train.py"), *flags)
    output, _ = run.communicate(timeout=300)
    assert run.returncode == 0, output
    assert output.count("on 2 x cpu, batches of 16, float32") == 1
    assert output.count("split       test (33 rows, scored once)") == 1


def errors(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("hfcls: ")]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--text_column", "body"], "hfcls: error: "),  # in the main process, then in the others
        (["--batch_size", "0"], "hfcls: error: batch_size must be at least 1, found 0"),  # before they are joined
        (["--batch_size", "31"], "hfcls: error: batch_size 31 does not divide by 2 processes"),  # in both at once
        (["--learning_rate", "1e30"], "hfcls: error: "),  # in the middle of the run
    ],
)
def test_one_of_several_processes_says_what_is_wrong(flags, changed, message):
    config = str(ROOT / "accelerate_configs/cpu_multi.yaml")
    run = launch(ACCELERATE, "launch", "--config_file", config, str(ROOT / "train.py"), *flags, *changed)
    output, _ = run.communicate(timeout=300)
    assert run.returncode != 0
    assert len(errors(output)) == 1, output
    assert errors(output)[0].startswith(message), output


def test_an_error_of_another_process_is_said_by_it_alone(flags, tmp_path):
    """The second process refuses the output folder, and the first one hears of it."""
    script = tmp_path / "train.py"
    script.write_text(
        "import os, sys\n"
        "from hfcls import cli, finetune\n"
        "from hfcls.errors import HfclsError\n"
        "def fail(*args, **options):\n"
        "    if os.environ['RANK'] == '1':\n"
        "        raise HfclsError('only here')\n"
        "finetune.check_output_dir = fail\n"
        "sys.exit(cli.main(['train', *sys.argv[1:]]))\n"
    )
    config = str(ROOT / "accelerate_configs/cpu_multi.yaml")
    begun = time.monotonic()
    run = launch(ACCELERATE, "launch", "--config_file", config, str(script), *flags)
    output, _ = run.communicate(timeout=300)
    assert errors(output) == ["hfcls: error: only here"], output
    assert time.monotonic() - begun < 120


def test_of_two_runs_in_a_folder_one_goes_on(flags, tmp_path):
    """Started together: whichever is second is refused, in one line, and harms nothing."""
    more = ["--num_train_epochs", "12", "--save_minutes", "0"]
    runs = [launch(sys.executable, str(ROOT / "train.py"), *flags, *more, "--resume") for _ in range(2)]
    outputs = [run.communicate(timeout=300)[0] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 1], "\n".join(outputs)
    (refused,) = (output for run, output in zip(runs, outputs, strict=True) if run.returncode)
    (line,) = errors(refused)
    (lives,) = (run for run in runs if not run.returncode)
    assert f"output_dir {tmp_path / 'out'} is in use by another run (process {lives.pid} on " in line
    alone = launch(sys.executable, str(ROOT / "train.py"), *flags[:-1], str(tmp_path / "alone"), *more)
    output, _ = alone.communicate(timeout=300)
    assert alone.returncode == 0, output
    assert losses(tmp_path / "out") == losses(tmp_path / "alone")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the processes in /proc")
def test_a_process_that_dies_ends_the_run_within_a_minute(flags, tmp_path):
    """The other one waits in a collective operation then, where it would wait for half an hour."""
    config = str(ROOT / "accelerate_configs/cpu_multi.yaml")
    run = launch(
        ACCELERATE, "launch", "--config_file", config, str(ROOT / "train.py"), *flags, "--num_train_epochs", "999"
    )
    while not (tmp_path / "out/run.yaml").exists() or len(list((tmp_path / "out").glob("checkpoint-*"))) == 0:
        assert run.poll() is None, run.communicate()[0]
        time.sleep(0.2)
    processes = children(run.pid)
    assert len(processes) == 2
    os.kill(processes[1], signal.SIGKILL)
    killed = time.monotonic()
    output, _ = run.communicate(timeout=60)
    assert time.monotonic() - killed < 60
    assert run.returncode != 0
    assert "Signal 9 (SIGKILL)" in output
    assert "gloo/transport" not in output  # the survivor says in one line what happened, if it is given the time
    assert not any(Path(f"/proc/{pid}").exists() for pid in processes)


@pytest.fixture
def hosts() -> Iterator[list[list[str]]]:
    """How to start a command on each of two hosts: network namespaces that a cable of their own joins."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("making network namespaces needs root and iproute2's ip")
    names = [f"hfcls-{os.getpid()}-{rank}" for rank in (0, 1)]
    commands = [f"ip netns add {name}" for name in names]
    commands += [f"ip link add veth0 netns {names[0]} type veth peer name veth1 netns {names[1]}"]
    for rank, name in enumerate(names):
        commands += [
            f"ip -n {name} addr add 10.77.0.{rank + 1}/24 dev veth{rank}",
            f"ip -n {name} link set veth{rank} up",
            f"ip -n {name} link set lo up",
        ]
    try:
        for command in commands:
            done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"{command}: {done.stderr.strip()}")
        yield [["ip", "netns", "exec", name] for name in names]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def test_two_machines_take_the_steps_of_one(flags, hosts, tmp_path):
    """multi_node.yaml over a network, the addresses put in: one process on each of two hosts."""
    config = str(ROOT / "accelerate_configs/multi_node.yaml")
    runs = [
        launch(
            *host, ACCELERATE, "launch", "--config_file", config, "--mixed_precision", "no",
            "--main_process_ip", "10.77.0.1", "--machine_rank", str(rank), str(ROOT / "train.py"), *flags,
            GLOO_SOCKET_IFNAME=f"veth{rank}",
        )
        for rank, host in enumerate(hosts)
    ]  # fmt: skip
    outputs = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(outputs)
    assert "on 2 x cpu, batches of 16" in outputs[0]
    assert "split       test (33 rows, scored once)" in outputs[0]
    assert "split" not in outputs[1]
    one = launch(sys.executable, str(ROOT / "train.py"), *flags[:-1], str(tmp_path / "one"))
    output, _ = one.communicate(timeout=300)
    assert one.returncode == 0, output
    assert losses(tmp_path / "out") == pytest.approx(losses(tmp_path / "one"), abs=1e-5)
