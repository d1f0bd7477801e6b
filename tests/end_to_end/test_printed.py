"""What the commands print for a person: a last line that can be typed, and nothing that a terminal obeys."""

import ast
import contextlib
import io
import json
import logging
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hub_server import card_errors
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

import hfcls
from hfcls import cli
from hfcls.config.sources import load_recipe
from hfcls.runs.predictions import Example, sample_texts
from hfcls.runs.results import Result
from hfcls.system.next_steps import try_it
from hfcls.system.terminal import BesideBarsHandler, wrapped

EVIL = '-it\'s $(touch owned) `touch owned`; "x" \\ !! %s {{ 1 }} * ~ & | > owned # 한글'


def printed_trial(out: str) -> list[str]:
    (line,) = [line for line in out.splitlines() if line.startswith("Try it: ")]
    return shlex.split(line.removeprefix("Try it: "))


@settings(deadline=None, derandomize=True, max_examples=100)
@example(EVIL, EVIL)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).filter(str.strip),
)
def test_the_command_holds_folder_and_text_as_they_are(folder, text):
    result = Result(
        output_dir=folder, split="test", num_rows=1, seed=1, metrics={}, rows_per_second=1.0,
        examples=[Example(" ", "a", "a", 1.0), Example(text, "a", "a", 1.0, text)],
    )  # fmt: skip
    single, pair = (
        sample_texts(result.examples, Path("absent"), pair=False, width=40),
        sample_texts(result.examples, Path("absent"), pair=True, width=40),
    )
    args = cli._parser().parse_args(shlex.split(try_it(folder, single))[1:])
    assert (args.model, args.texts) == (folder, single)
    assert "\n" not in single[0]
    assert not single[0].startswith("\x1b")
    code = ast.parse(shlex.split(try_it(folder, pair))[2])
    strings = [node.value for node in ast.walk(code) if isinstance(node, ast.Constant)]
    assert sorted(strings) == sorted([folder, *pair])


def test_a_shell_reads_the_command_as_it_is_meant(tmp_path):
    command = try_it(EVIL, [EVIL]).split(" ", 1)[1]
    done = subprocess.run(
        ["bash", "-c", f'printf "%s\\0" {command}'], cwd=tmp_path, capture_output=True, check=True, text=True
    )
    assert done.stdout.split("\0")[:-1] == ["predict", f"--model={EVIL}", "--", EVIL]
    assert not list(tmp_path.iterdir())


def test_without_a_command_beside_python_the_module_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin/python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert try_it("out", ["좋다"]) == "bin/python -m hfcls.cli predict --model out '좋다'"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/hfcls").touch()
    assert try_it("out", ["좋다"]) == "bin/hfcls predict --model out '좋다'"


def test_the_demonstration_says_what_a_newcomer_needs_in_twelve_lines(tiny_model, tmp_path, capsys):
    options = {
        "dataset": "demo",
        "model": tiny_model,
        "max_steps": 1,
        "max_length": 32,
        "output_dir": tmp_path / "my run",
    }
    assert (
        cli.main(
            [
                "train",
                "--no-report",
                "--allow_unknown",
                "--no-calibrate",
                *(f"--{name}={value}" for name, value in options.items()),
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    printed = [line for line in out.splitlines() if line and not line.startswith("epoch ")]
    assert len(printed) <= 12, printed
    assert {line.split()[0] for line in printed} >= {"accuracy", "model", "The", "Try"}
    assert all(cell_len(line) <= 80 for line in printed if not line.startswith(("Try it: ", "  model ", "The model")))
    trial = printed_trial(out)
    held_out = json.loads((tmp_path / "my run/results.json").read_text("utf-8"))["examples"][0]["text"]
    assert held_out.startswith(trial[-1])
    assert (held_out + " ")[len(trial[-1])] == " ", "whole words"
    assert cli.main(trial[1:]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == trial[-1]


def test_a_pair_is_tried_as_a_pair(tiny_model, tmp_path, table, capsys):
    lines = [f"최고 {i}\t별로 {i} \x1b[31m'\"\t{i % 2}" for i in range(60)]
    path = table("pairs.tsv", lines=["text\tpair\tlabel", *(line.replace('"', "") for line in lines)])
    out = tmp_path / "out"
    flags = ["--text_pair_column=pair", "--max_steps=1", "--max_length=32", f"--output_dir={out}", "--no-report"]
    flags.append("--allow_unknown")
    assert cli.main(["train", f"--dataset={path}", f"--model={tiny_model}", *flags]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    kept = json.loads((out / "results.json").read_text("utf-8"))["examples"][0]
    assert f"{kept['text']} / {kept['text_pair']}".replace("\x1b", "\ufffd") in said
    python, flag, code = printed_trial(said)
    assert (Path(python).name, flag) == (Path(sys.executable).with_name("python").name, "-c")
    exec(code)
    assert capsys.readouterr().out.startswith("{'label': ")
    card = (out / "README.md").read_text("utf-8")
    assert f'"text": "{kept["text"]}", "text_pair": "별로' in card


def test_a_run_on_hostile_names_and_texts_leaves_whole_files(tiny_model, tmp_path, capsys, caplog):
    """File, folder, classes and texts, through every file that a run leaves."""
    names = ["<script>x</script>![a](b)|`c`", "=1+1 %s {{ 2 }}\x1b[31m\u202e: - #'\""]
    corpus = tmp_path / "a: {c} 'd' \"e\" #f %s \x1b <g> `h` & |.jsonl"
    rows = [{"text": f"{EVIL} {i}\n{names[i % 2]}", "label": names[i % 2]} for i in range(80)]
    corpus.write_text("\n".join(json.dumps(row) for row in rows))
    out = tmp_path / "o: {{ u }} <t> 'x' \"y\" `z` %d"
    flags = ["--max_steps=2", "--max_length=32", "--allow_unknown", f"--output_dir={out}"]
    assert cli.main(["train", f"--dataset={corpus}", f"--model={tiny_model}", *flags]) == 0
    assert not [record for record in caplog.records if "failed" in record.getMessage()]
    config = load_recipe(out / "run.yaml")
    assert (config.dataset, config.output_dir) == (str(corpus), str(out))
    assert set(hfcls.load_results(out).facts.splits["train"].classes) == set(names)
    assert card_errors((out / "README.md").read_text("utf-8")) == []
    for path in out.glob("report/*.svg"):
        ElementTree.parse(path)
    assert "<script" not in (out / "report.html").read_text("utf-8") + (out / "README.md").read_text("utf-8")
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert cli.main(printed_trial(said)[1:]) == 0
    assert json.loads(capsys.readouterr().out)["label"] in names


def test_a_terminal_obeys_nothing_in_the_data(classifier_folder, table, tmp_path, capsys):
    names = ["부정\x1b[2J", "긍정"]
    path = table(lines=["text\tlabel", *(f"글 {i} 하나\t{names[i % 2]}" for i in range(20))])
    model = shutil.copytree(classifier_folder, tmp_path / "model")
    config = json.loads((model / "config.json").read_text("utf-8"))
    config |= {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    (model / "config.json").write_text(json.dumps(config))
    assert cli.main(["check", f"--dataset={path}"]) == 0
    assert cli.main(["evaluate", f"--dataset={path}", f"--model={model}"]) == 0
    said = capsys.readouterr().out
    assert said.count("부정\ufffd[2J") >= 2
    assert "\x1b" not in said
    table("more\x1b[2J/train.csv", lines=["te\x1b[2Jxt,label", "좋다,1"])
    table("more\x1b[2J/notes\x1b[2J", lines=["passed over"])
    assert cli.main(["check", f"--dataset={tmp_path}/more\x1b[2J", "--label_column", "stars"]) == 1
    said = capsys.readouterr().err
    assert "\ufffd[2J" in said
    assert "\x1b" not in said


class Terminal(io.StringIO):
    """Standard error of a person."""

    def isatty(self) -> bool:
        return True


def test_lines_for_programs_are_not_broken_in_a_terminal(monkeypatch):
    """Of a server that was started by hand, or in a container with a terminal."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stderr", Terminal())
    line = json.dumps({"time": "2026-11-27T02:03:35", "path": "/predict", "status": 200})
    handler = BesideBarsHandler()
    for extra in ({"whole": True}, {}):
        handler.handle(logging.makeLogRecord({"msg": line, **extra}))
    first, *rest = sys.stderr.getvalue().splitlines()
    assert first == line
    assert len(rest) == 2


def test_a_terminal_breaks_between_words_and_counts_two_columns_for_a_syllable():
    text = "  긍정  81.0%  웅장한 합창이 깔리고 늙은 장군이  [긍정]\n\nshort\n" + "x" * 30
    lines = wrapped(text, 24)
    assert all(cell_len(line) <= 24 for line in lines if "x" not in line)
    assert lines[0] == "  긍정  81.0%  웅장한"
    assert lines[1].startswith(" " * 6)
    assert lines[-3:] == ["", "short", "x" * 30], "a word is never cut"
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    assert wrapped("McNemar's p = 0.016 and more", 16, 0) == ["McNemar's", "p = 0.016 and", "more"]


SCRIPT = """
import pandas as pd, hfcls
from datasets.utils import are_progress_bars_disabled
texts = [f"글 {i} {'좋다' if i % 2 else '싫다'}" for i in range(60)]
rows = pd.DataFrame({"text": texts, "label": ["싫다", "좋다"] * 30})
rows.to_csv("rows.csv", index=False)
result = hfcls.fine_tune(
    dataset="rows.csv", model="scratch", max_steps=2, max_length=32, output_dir="out", report=False, allow_unknown=True
)
hfcls.evaluate(model="out", dataset="rows.csv")
hfcls.predict_files(model="out", input="rows.csv", output="labelled", text_column="text")
hfcls.check(dataset="rows.csv", model="scratch")
hfcls.evaluate(model="out", dataset=rows)
hfcls.clean(dataset=rows, output="list.csv", apply="copy.csv")
assert not are_progress_bars_disabled(), "the program's own bars are left as they were"
"""


def test_a_script_whose_errors_go_to_a_file_draws_no_bars(tmp_path):
    """`hfcls` as a library, without the command line's settings."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "it/s" in line or "%|" in line]
    assert "\r" not in done.stdout + done.stderr


STOPPED = """
import fcntl, signal, termios, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that a typed Ctrl-C is a signal
from hfcls import cli, commands

def wait(args):
    from tqdm.auto import tqdm
    for _ in tqdm(range(600), desc="score"):
        time.sleep(0.05)

commands.run_check = wait
raise SystemExit(cli.main(["check", "demo"]))
"""


def test_after_ctrl_c_no_part_of_a_bar_stays_in_a_terminal():
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    keyboard, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("TQDM_", "COLUMNS"))}  # as a shell
    with subprocess.Popen([sys.executable, "-c", STOPPED], env=own, start_new_session=True, **streams) as process:
        os.close(terminal)
        written, typed = b"", False
        with contextlib.suppress(OSError):  # the terminal is gone with its last process
            while part := os.read(keyboard, 65536):
                written += part
                if b"score" in written and not typed:
                    typed = bool(os.write(keyboard, b"\x03"))
    os.close(keyboard)
    assert process.returncode == 130
    screen = shown(written.decode(), 80)
    assert screen[0] == "hfcls: interrupted"  # no word of --resume, which check does not know
    assert not any("score" in line or "^C" in line or len(line) > 80 for line in screen), screen


def shown(written: str, width: int) -> list[str]:
    """What a terminal shows of it in the end, line by line."""
    lines, at = [""], 0
    for part in re.findall(r"\x1b\[K|.", written, re.DOTALL):
        if part == "\n":
            lines, at = [*lines, ""], 0
        elif part == "\r":
            at = 0
        elif part == "\x1b[K":
            lines[-1] = lines[-1][:at]
        else:
            if at == width:
                lines, at = [*lines, ""], 0
            lines[-1] = lines[-1][:at].ljust(at) + part + lines[-1][at + 1 :]
            at += 1
    return [line.rstrip() for line in lines if line.strip()]
