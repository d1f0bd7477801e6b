"""`hfcls predict` in a pipe: real processes and real pipes."""

import json
import os
import subprocess
import sys
import time

import pytest
from conftest import reviews

from hfcls import cli
from hfcls.errors import HfclsError
from hfcls.inference.stream import BLOCK, arriving_lines


def pipe(data: bytes) -> list[list[str]]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(data)
    try:
        return list(arriving_lines(reading))
    finally:
        os.close(reading)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        ("좋다\n나쁘다\n".encode(), ["좋다", "나쁘다"]),
        ("\ufeff좋다\r\n\r\n끝".encode(), ["좋다", "", "끝"]),  # of Windows, and without a last line end
    ],
)
def test_lines_are_those_of_the_file(data, lines):
    assert [line for chunk in pipe(data) for line in chunk] == lines


def test_a_character_may_lie_across_two_blocks(tmp_path):
    path = tmp_path / "long.txt"
    lines = ["가" * BLOCK, "나" * (BLOCK - 1), "다"]
    path.write_text("\n".join(lines), encoding="utf-8")
    with path.open("rb") as file:
        assert [line for chunk in arriving_lines(file.fileno()) for line in chunk] == lines


def test_the_time_of_a_line_is_as_its_length(tmp_path):
    path = tmp_path / "long.txt"
    path.write_bytes(b"a" * 24_000_000 + b"\nb")  # 11 s where each block is joined to all before it
    start = time.process_time()
    with path.open("rb") as file:
        assert [len(line) for chunk in arriving_lines(file.fileno()) for line in chunk] == [24_000_000, 1]
    assert time.process_time() - start < 3


def test_what_is_not_utf8_is_named_after_the_lines_before_it():
    with pytest.raises(HfclsError, match="standard input, line 3 is not UTF-8; .* CP949"):
        pipe("좋다\n나쁘다\n".encode() + "별로\n".encode("cp949"))


def start(model: str, *flags: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "hfcls.cli", "predict", "--model", model, *flags],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_each_line_is_answered_as_it_comes_and_a_closed_pipe_ends_it_quietly(classifier_folder):
    process = start(classifier_folder)
    assert process.stdin
    assert process.stdout
    assert process.stderr
    with process.stdin, process.stdout, process.stderr:
        for text in ("최고 추천", "", "별로 실망"):  # the writer waits for each answer before it goes on
            process.stdin.write(text.encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["text"] == text
        process.stdout.close()  # as `head` does
        process.stdin.write("더 있다\n".encode() * 10)
        process.stdin.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_stream(classifier_folder):
    """Peak resident memory of 100,000 lines and of 2,000 lines."""
    peaks = []
    for count in (2_000, 100_000):
        text = "".join(text + "\n" for text, _ in reviews(2_000)) * (count // 2_000)
        code = (
            "import resource, sys; from hfcls import cli; cli.main(['predict', '--model', sys.argv[1]])\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, classifier_folder], input=text.encode(), capture_output=True, check=True
        )
        assert done.stdout.count(b"\n") == count
        peaks.append(int(done.stderr.split()[-1]))
    assert peaks[1] < peaks[0] + 50 * 1024, peaks


def test_a_person_at_a_terminal_is_told_what_is_waited_for(classifier_folder, monkeypatch, capsys):
    keyboard, terminal = os.openpty()
    os.write(keyboard, "최고\n\x04".encode())
    with os.fdopen(terminal, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert cli.main(["predict", "--model", classifier_folder]) == 0
    os.close(keyboard)
    out, err = capsys.readouterr()
    assert json.loads(out)["text"] == "최고"
    assert err == "type a text and press Enter; Ctrl-D ends\n"


def test_what_the_output_has_no_character_for_is_escaped(classifier_folder):
    """As a pipe of Korean Windows, which is CP949, has none for emoji."""
    done = subprocess.run(
        [sys.executable, "-m", "hfcls.cli", "predict", "--model", classifier_folder, "최고 😀", "별로"],
        env={**os.environ, "PYTHONIOENCODING": "cp949"}, capture_output=True, check=True,
    )  # fmt: skip
    lines = done.stdout.decode("cp949").splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["최고 😀", "별로"]
    assert "별로" in lines[1]


def test_a_process_without_standard_input_is_told_what_to_give(classifier_folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["predict", "--model", classifier_folder]) == 1
    assert "there is no standard input" in capsys.readouterr().err
