"""The real command, in a process of its own, as a person types it."""

import errno
import importlib
import json
import os
import re
import resource
import shlex
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from rich.cells import cell_len
from safetensors import SafetensorError

from hfcls import cli
from hfcls.config.command_line.help import EXAMPLES


def seconds(*command: str) -> float:
    """Of the processor, the best of three: the clock on the wall depends on what else runs."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def test_help_answers_within_a_second_and_import_within_a_third():
    assert seconds("-m", "hfcls.cli", "train", "--help") < 1
    assert seconds("-c", "import hfcls") - seconds("-c", "") < 0.3


@pytest.mark.parametrize("command", ["train", "adapt", "evaluate", "predict"])
def test_help_names_each_option(hfcls, command):
    done = hfcls(command, "--help")
    assert done.returncode == 0
    assert "--model TEXT" in done.stdout
    assert "(default " in done.stdout


def test_alone_it_shows_help_and_every_command_gives_two_examples_that_it_takes(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    parser = cli._parser()
    with pytest.raises(SystemExit, match="0"):
        cli.main([])
    alone = capsys.readouterr().out
    for command, lines in EXAMPLES.items():
        assert re.search(rf"^  {command}  ", alone, re.MULTILINE)
        with pytest.raises(SystemExit, match="0"):
            cli.main([command, "--help"])
        shown = capsys.readouterr().out
        assert all(cell_len(line) <= 80 for line in shown.splitlines())
        assert len(lines) == 2
        for line in lines:
            assert line in " ".join(shown.replace("\\\n", "").split())
            words = shlex.split(line.split(" > ")[0])
            assert words[0] == "hfcls"
            assert parser.parse_args(words[1:]).run
        assert "--no-" not in shown.split("examples:")[0].replace("--[no-]", "")


@pytest.mark.parametrize(("shell", "check"), [("bash", ["bash", "-n"]), ("zsh", None), ("fish", None)])
def test_a_shell_completes_commands_and_options(hfcls, tmp_path, shell, check):
    done = hfcls("completion", shell)
    assert done.returncode == 0
    assert "_ARGCOMPLETE" in done.stdout
    if check:
        (tmp_path / "script").write_text(done.stdout)
        subprocess.run([*check, tmp_path / "script"], check=True)


def test_what_a_shell_asks_for_is_answered(tmp_path):
    """As argcomplete's scripts ask: by variables, and an answer on descriptor 8."""
    line = "hfcls train --drop_d"
    asked = f"{sys.executable} -m hfcls.cli 8>{tmp_path}/answer 9>/dev/null"
    environment = {**os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    subprocess.run(["bash", "-c", asked], env=environment, check=True, timeout=60)
    assert (tmp_path / "answer").read_text().split("\x0b")[0].strip() == "--drop_duplicates"


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_a_pipe_gets_no_bars_and_quiet_only_the_result(hfcls, table, tmp_path, quiet):
    options = ["--model", "scratch", "--max_steps", "4", "--logging_steps", "2", "--no-report", "--report_to", "none"]
    done = hfcls("train", "--dataset", str(table(count=40)), *options, "--output_dir", str(tmp_path / "run"), *quiet)
    assert done.returncode == 0, done.stderr
    assert "\r" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert ("learning_rate" in done.stdout) == (not quiet)
    assert "accuracy" in done.stdout
    assert ("batches of" in done.stderr) == (not quiet)


@pytest.mark.parametrize("arguments", [["train", "--seed", "seven"], ["predict", "--batching", "tight"], ["report"]])
def test_bad_usage_is_two_lines(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    usage, error = capsys.readouterr().err.strip().splitlines()
    assert usage.startswith(f"usage: hfcls {arguments[0]} [--help] [options]")
    assert error.startswith(f"hfcls {arguments[0]}: error: ")


def test_public_names_exist():
    import hfcls

    assert all(getattr(hfcls, name) is not None for name in hfcls.__all__)
    with pytest.raises(AttributeError, match="module 'hfcls' has no attribute 'nothing'; it has .*Classifier, "):
        _ = hfcls.nothing


def test_the_reference_page_holds_every_public_name():
    import hfcls

    page = (ROOT / "docs/reference/python.md").read_text("utf-8")
    listed = re.findall(r"^::: (hfcls[\w.]*)\.(\w+)$", page, re.MULTILINE)
    assert sorted(name for _, name in listed) == hfcls.__all__
    for module, name in listed:
        assert getattr(importlib.import_module(module), name) is getattr(hfcls, name)


def test_no_module_has_the_name_of_a_public_function():
    """Importing it would put the module in the place of the function."""
    import hfcls

    modules = {path.stem for path in (ROOT / "hfcls").rglob("*.py")} | {p.name for p in (ROOT / "hfcls").iterdir()}
    assert not modules & set(hfcls.__all__)


def test_train_evaluate_predict_in_a_row(hfcls, table, tiny_model, tmp_path):
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "a run"
    recipe.write_text(
        f"dataset: {table(count=200)}\nmodel: {tiny_model}\nmax_length: 64\nlearning_rate: 1e-3\n"
        f"output_dir: {out}\nnum_train_epochs: 9\n"
    )
    launched = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--config_file", ROOT / "accelerate_configs/cpu.yaml",
         ROOT / "train.py", recipe, "--num_train_epochs", "3"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert launched.returncode == 0, launched.stderr
    for text in (
        "epoch  3.00  eval_loss",
        "split       validation (20 rows",
        "accuracy    ",
        "macro_f1    ",
        "texts/s",
    ):
        assert text in launched.stdout
    assert "epoch  4.00" not in launched.stdout  # the flag won over the recipe
    assert "Traceback" not in launched.stderr
    assert f"predict --model '{out}' " in launched.stdout
    again = hfcls("train", str(recipe))
    assert again.returncode == 1
    assert again.stderr.strip().splitlines()[-1].startswith(f"hfcls: error: output_dir {out} holds a finished run")

    scored = hfcls("evaluate", "--model", str(out), "--dataset", str(table(count=30, seed=5)))
    assert scored.returncode == 0, scored.stderr
    assert "split       train (30 rows)" in scored.stdout

    predicted = hfcls("predict", "--model", str(out), input="최고 추천\n별로 실망\n")
    assert [json.loads(line)["label"] for line in predicted.stdout.splitlines()] == ["1", "0"]
    scores = json.loads(hfcls("predict", "--model", str(out), "--all_scores", "최고 추천").stdout)
    assert set(scores) == {"text", "label", "score", "scores"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "nowhere.csv", "--model", "{tiny}"], "no file nowhere.csv"),
        (
            ["--dataset", "{table}", "--text_column", "글", "--model", "{tiny}"],
            "has no column '글'; it has 'text', 'label'",
        ),
        (["--dataset", "{table}", "--model", "./nowhere"], "no model folder ./nowhere"),
        (["--dataset", "{table}", "--model", "nobody/nothing"], "could not load the model of 'nobody/nothing'"),
        (
            ["--dataset", "{table}", "--model", "{tiny}", "--max_length", "65"],
            "max_length 65 is more than the model's 64",
        ),
        (["--dataset", "{table}", "--model", "{tiny}", "--output_dir", "/proc/none"], "cannot write to output_dir"),
        (["--dataset", "{table}", "--batch_size", "0"], "batch_size must be at least 1, found 0"),
        (["nowhere.yaml"], "no recipe nowhere.yaml"),
        (["--dataset", "nobody/nothing", "--model", "{tiny}"], "'nobody/nothing'"),
        (["--dataset", "nsmc", "--data_dir", "{tmp}", "--model", "{tiny}"], "could not fetch NSMC"),
    ],
)
def test_bad_input_gets_one_line_and_a_status(capsys, table, tiny_model, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    values = {"table": table(), "tiny": tiny_model, "tmp": tmp_path}
    status = cli.main(["train", "--output_dir", "out", *(argument.format(**values) for argument in arguments)])
    assert status == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("hfcls: error: ")
    assert message in error


def test_the_process_group_ends_before_the_process(classifier_folder, tmp_path, capsys):
    """Otherwise a thread of gloo aborts, now and then, a process whose work is done."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        assert cli.main(["predict", "--model", classifier_folder, "최고 추천"]) == 0
        assert not torch.distributed.is_initialized()
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    assert capsys.readouterr().out


def test_the_messages_of_other_libraries_come_once():
    """The Hub client prints its own; a handler of ours on the root logger would print them again."""
    script = (
        "import logging, sys; from hfcls.cli import main; main(['check', 'nowhere.csv']); "
        "logging.getLogger('hfcls.x').info('ours'); sys.exit(len(logging.getLogger().handlers))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == "ours"


def test_a_real_process_ends_bad_input_without_a_traceback(hfcls, tmp_path):
    broken = tmp_path / "broken.tsv"
    broken.write_text("text\tlabel\n좋다\t1\n나쁘다\n", encoding="utf-8")
    done = hfcls("train", "--dataset", str(broken), "--model", "hfcls-small-ko", "--output_dir", str(tmp_path / "out"))
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"hfcls: error: {broken}, line 3: 1 fields, but the header has 2 ('text', 'label'); "
        "a field that holds the delimiter or quotes must be quoted"
    )
    assert done.stdout == ""


def test_predict_says_where_its_files_are_and_no_key_of_the_address(capsys, monkeypatch, tiny_model):
    monkeypatch.setattr("hfcls.inference.shards.predict_files", lambda config: ["s3://bucket/out/a-0.parquet"] * 2)
    output = "s3://AKIDOFATEST:a-secret@bucket/out?region=us-east-1"
    assert (
        cli.main(["predict", "--engine", "ray", "--model", tiny_model, "--input", "s3://b/in", "--output", output]) == 0
    )
    assert capsys.readouterr().out == "2 files in s3://bucket/out\n"


STOPPED = """
import os, signal, sys
from hfcls import cli, commands

class Late:
    def __del__(self):  # when Python takes its modules apart
        os.kill(os.getpid(), signal.SIGINT)

class Told:
    def write(self, text):  # right after the last message
        sys.__stderr__.write(text)
        os.kill(os.getpid(), signal.SIGINT)

    def flush(self):
        sys.__stderr__.flush()

    def isatty(self):
        return False

def stop(args):
    raise KeyboardInterrupt

signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
commands.run_recipes, late = stop, Late()
late.itself, sys.stderr = late, Told()
sys.exit(cli.main(["recipes"]))
"""


def test_a_second_ctrl_c_does_not_break_the_exit():
    done = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.startswith("hfcls: interrupted")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 3422080 vs 3421968"),
    ],
    ids=["system", "safetensors", "torch"],
)
def test_a_full_drive_is_one_line_wherever_it_is_met(monkeypatch, capsys, error):
    def full(args):
        raise error

    monkeypatch.setattr("hfcls.commands.run_recipes", full)
    assert cli.main(["recipes"]) == 1
    assert capsys.readouterr().err == (
        "hfcls: error: no space left on the drive of the output or of the caches (TMPDIR, HF_HOME): free some, then "
        "try again\n"
    )
