"""Every script of examples/, run as a person runs it."""

import json
import re
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from conftest import ROOT

from hfcls import Classifier

EXAMPLES = ROOT / "examples"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs a script with a model and returns what it prints; its own folder is tmp_path / "out"."""

    def run_script(script: str, model: str) -> str:
        monkeypatch.setattr(sys, "argv", [script, "--model", model, "--output_dir", str(tmp_path / "out")])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return capsys.readouterr().out

    return run_script


def test_no_example_is_left_untested():
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    assert scripts == {"own_csv.py", "sentence_pairs.py", "web_handler.py"}
    assert all(f'"{script}"' in (ROOT / "tests/end_to_end/test_examples.py").read_text() for script in scripts)


def test_own_csv_ends_in_a_model_of_three_classes(run, tmp_path):
    output = run("own_csv.py", "scratch")
    assert "validation (18 rows, held out" in output
    assert len(re.findall(r"^(배송|환불|칭찬) \d+%  ", output, re.MULTILINE)) == 3
    assert Classifier.from_pretrained(str(tmp_path / "out")).labels == ["배송", "칭찬", "환불"]


def test_sentence_pairs_ends_in_a_model_of_pairs(run):
    output = run("sentence_pairs.py", "scratch")
    assert "test (200 rows, scored once)" in output
    assert len(re.findall(r"^(맞음|딴소리) \d+%  .* / ", output, re.MULTILINE)) == 2


@pytest.mark.slow
def test_with_a_pretrained_model_the_csv_of_the_example_is_learned(run, shared):
    output = run("own_csv.py", str(shared / "models/me5-small-ko"))
    assert re.findall(r"^(\w+) \d+%  ", output, re.MULTILINE) == ["배송", "환불", "칭찬"]
    assert float(re.search(r"accuracy    ([\d.]+)", output)[1]) >= 0.8


@pytest.fixture
def address(tiny_model, tmp_path):
    """Where examples/web_handler.py listens, with a classifier of two classes."""
    from hfcls import load_model, load_tokenizer

    load_model(tiny_model, ["부정", "긍정"]).save_pretrained(tmp_path)
    load_tokenizer(tiny_model).save_pretrained(tmp_path)
    server = subprocess.Popen(
        [sys.executable, EXAMPLES / "web_handler.py", tmp_path, "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        yield server.stdout.readline().split()[-1], str(tmp_path)
    finally:
        server.kill()
        server.communicate()


def post(url: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    try:
        with urlopen(Request(url, body, headers or {}), timeout=60) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        return error.code, json.load(error)


def test_web_handler_answers_many_at_once_as_the_classifier_does(address):
    url, folder = address
    texts = ["최고 추천", "별로 실망", "", "영화 정말 너무 재미 있다"]
    expected = Classifier.from_pretrained(folder)(texts)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(url, json.dumps(texts).encode()), range(24)))
    assert answers == [(200, expected)] * 24
    assert post(url, b"[]") == (200, [])
    for body in (b"not json", b'"one text"', b'["a", 1]', b"\xff"):
        assert post(url, body) == (400, {"error": 'send a JSON list of texts, such as ["좋아요"]'})
    status, answer = post(url, rb'["\ud800"]')
    assert status == 400
    assert "text 0 has half a character" in answer["error"]
    for length in ("-1", "many", "9999999"):  # a negative one would be read until the client hangs up
        status, answer = post(url, b"[]", {"Content-Length": length})
        assert status == 413
        assert answer == {"error": f"Content-Length {length}, at most 1000000 bytes are taken"}
    assert post(url, json.dumps(["a"] * 257).encode()) == (413, {"error": "257 texts, at most 256 are taken"})
