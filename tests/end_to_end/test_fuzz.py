"""Odd input of every kind: it is read, or refused by an HfclsError; nothing else gets out.

The default run is short; `HYPOTHESIS_PROFILE=fuzz` tries 100 times as many inputs.
"""

import csv
import io
import json
import logging
import os
import re
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hfcls import cli, commands
from hfcls.config.commands import CheckConfig, EvaluateConfig, PredictConfig
from hfcls.config.sources import config_from, load_recipe
from hfcls.config.train import TrainConfig
from hfcls.data.corpora import load_corpus
from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.models.loading import load_model
from hfcls.models.tokenizers import load_tokenizer

checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
settings.register_profile("default", max_examples=25, deadline=None, suppress_health_check=checks, derandomize=True)
settings.register_profile("fuzz", max_examples=2500, deadline=None, suppress_health_check=checks)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

ODD = [
    *("\ud800", "\udfff가", "\0", "a\0b", "\u202e거꾸로\u202c", "مرحبا 안녕", "👨\u200d👩\u200d👧\u200d👦" * 9, "🇰🇷🇰"),
    *("e\u0301" * 20, "\u1100\u1161\u11a8", "\ufffd", "\ufeff", "\u2028", "\x85", "\x1c", "\r", "\r\n", "\n", "\t"),
    *('"', '""', "'", ",", "null", "NaN", "", " ", "\u3000", "\U0010ffff", "가" * 5000, "ㅋ" * 3000, "\\", "\\ud800"),
    *("[PAD]", "[CLS][SEP]", "<s></s>", "-1", "1e999", "\x7f\x80"),
]
TEXT = st.one_of(st.sampled_from(ODD), st.text(), st.lists(st.sampled_from(ODD), max_size=4).map("".join))
VALID = TEXT.map(lambda text: text.encode("utf-8", "ignore").decode())
MEGABYTE = "가나다 " * 90_000


def refused(error: HfclsError, expected: str) -> None:
    """The message says where to look."""
    assert re.search(expected, str(error)), error


def read(path: Path) -> list[str] | None:
    """The texts of a corpus file, or None if it was refused."""
    try:
        return list(load_corpus(str(path))["train"]["text"])
    except HfclsError as error:
        return refused(error, re.escape(str(path)) + "|labels|row ")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".jsonl", ".json", ".parquet"])
@given(content=st.one_of(st.binary(), TEXT.map(lambda text: text.encode("utf-8", "surrogatepass"))))
@example(content=b"\xe1\x80")  # the beginning of a character
@example(content=b"null\n")  # ends the process in pyarrow 26
@example(content=b"text,label\n\x00,\x00\n")
@example(content=b"[" * 5000)
@example(content=b'{"text": "a", "label": 1}\n{"text": "b", "label": NaN}\n')
def test_any_bytes_are_read_or_refused(tmp_path, suffix, content):
    path = tmp_path / f"any{suffix}"
    path.write_bytes(content)
    read(path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@given(texts=st.lists(VALID, min_size=2, max_size=6))
@example(texts=[MEGABYTE, "짧다"])
def test_a_csv_that_the_csv_module_wrote_is_read_as_it_was(tmp_path, suffix, texts):
    path = tmp_path / f"written{suffix}"
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter="," if suffix == ".csv" else "\t", quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "label"), *((text, i % 2) for i, text in enumerate(texts))])
    path.write_bytes(buffer.getvalue().encode())
    found = read(path)
    assert found in (None, texts)
    assert found is not None or all(is_a_number(text) for text in texts)


@given(texts=st.lists(TEXT, min_size=2, max_size=6), ascii_only=st.booleans())
@example(texts=[MEGABYTE, "짧다"], ascii_only=False)
def test_json_lines_are_read_as_they_were_or_the_line_is_named(tmp_path, texts, ascii_only):
    path = tmp_path / "written.jsonl"
    lines = [json.dumps({"text": text, "label": i % 2}, ensure_ascii=ascii_only) for i, text in enumerate(texts)]
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "surrogatepass"))
    found = read(path)
    assert found in (None, texts)
    valid = all(text.encode("utf-8", "ignore").decode() == text for text in texts)
    assert found is not None or not valid or all(is_a_number(text) for text in texts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
@given(
    rows=st.lists(JSON | st.fixed_dictionaries({"text": TEXT | JSON, "label": st.integers(0, 2) | JSON}), max_size=4)
)
@example(rows=[{"text": "a", "label": 0, "more": {"\0": None, "": None}}, {"text": "b", "label": 1}])
def test_any_json_is_read_or_refused(tmp_path, suffix, rows):
    path = tmp_path / f"any{suffix}"
    lines = "\n".join(json.dumps(row) for row in rows) if suffix == ".jsonl" else json.dumps(rows)
    path.write_text(lines, encoding="utf-8")
    read(path)


@given(texts=st.lists(st.binary(max_size=20) | VALID.map(str.encode), min_size=2, max_size=6))
def test_parquet_of_any_bytes_is_read_or_refused(tmp_path, texts):
    offsets = [sum(map(len, texts[:i])) for i in range(len(texts) + 1)]
    buffers = [pa.array(offsets, pa.int32()).buffers()[1], pa.py_buffer(b"".join(texts) or b"\0")]
    column = pa.StringArray.from_buffers(len(texts), *buffers)
    pq.write_table(pa.table({"text": column, "label": [i % 2 for i in range(len(texts))]}), tmp_path / "any.parquet")
    found = read(tmp_path / "any.parquet")
    assert found is None or [text.encode() for text in found] == texts


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
@pytest.mark.parametrize(
    ("encoding", "name"),
    [("cp949", "CP949"), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16")],
)
def test_another_encoding_is_read_and_named(tmp_path, caplog, suffix, encoding, name):
    rows = {
        ".csv": "text,label\n좋다,1\n나쁘다,0\n",
        ".tsv": "text\tlabel\n좋다\t1\n나쁘다\t0\n",
        ".jsonl": '{"text": "좋다", "label": 1}\n{"text": "나쁘다", "label": 0}\n',
    }
    path = tmp_path / f"reviews{suffix}"
    path.write_bytes((rows[suffix] + "").encode(encoding))
    caplog.set_level(logging.INFO)
    assert load_corpus(str(path))["train"]["text"][:] == ["좋다", "나쁘다"]
    assert name.lower() in caplog.text.lower()


def test_mixed_encodings_are_named_with_their_first_line(tmp_path):
    path = tmp_path / "mixed.csv"
    path.write_bytes("text,label\n웃프다 뷁,1\n".encode() + "좋다,0\n".encode("cp949") + b"\xff\xff\xff,1\n")
    with pytest.raises(HfclsError, match="mixed.csv, line 3 is not UTF-8 text; save the file as UTF-8"):
        load_corpus(str(path))


OPTIONS = sorted({name for config in (TrainConfig, CheckConfig) for name in config.__dataclass_fields__})


@given(content=st.one_of(st.binary(), TEXT.map(lambda text: text.encode("utf-8", "surrogatepass"))))
@example(content=b"[" * 5000)
@example(content=b"dataset: &a [*a]")
@example(content=b"dataset: 2020-99-99")
@example(content=b"? {a: b}\n: c")
@example(content=b"seed: !!python/object/apply:os.system [exit 1]")
def test_any_recipe_is_loaded_or_refused(tmp_path, content):
    path = tmp_path / "any.yaml"
    path.write_bytes(content)
    try:
        load_recipe(path)
    except HfclsError as error:
        refused(error, re.escape(str(path)))


@given(values=st.dictionaries(st.sampled_from(OPTIONS), JSON, max_size=4))
def test_any_values_in_a_recipe_are_taken_or_refused(tmp_path, values):
    path = tmp_path / "any.yaml"
    path.write_bytes(yaml.safe_dump(values, allow_unicode=True).encode("utf-8", "surrogatepass"))
    try:
        load_recipe(path)
    except HfclsError as error:
        refused(error, re.escape(str(path)))


ARGUMENT = TEXT | st.sampled_from([f"--{name}" for name in OPTIONS]) | st.integers().map(str)


@pytest.mark.parametrize("command", ["train", "check", "evaluate", "predict"])
@given(arguments=st.lists(ARGUMENT, max_size=5))
@example(arguments=["가" * 5000])
@example(arguments=["\ud800"])
@example(arguments=["\0"])
def test_any_command_line_ends_with_a_status(tmp_path, monkeypatch, command, arguments):
    """Up to where work begins: the readers are fuzzed above, and Hub ids would ask the network."""
    monkeypatch.chdir(tmp_path)
    stderr = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")  # as Python's own
    monkeypatch.setattr(sys, "stderr", stderr)
    for name in ("run_train", "run_check", "run_evaluate", "run_predict"):
        monkeypatch.setattr(commands, name, only_options)
    try:
        status = cli.main([command, *arguments])
    except SystemExit as end:  # argparse
        status = end.code
    stderr.flush()
    assert status in (0, 1, 2)
    assert "Traceback" not in stderr.buffer.getvalue().decode()


def only_options(args: object) -> None:
    for config in (TrainConfig, CheckConfig, EvaluateConfig, PredictConfig):
        config_from(args, config)


@pytest.fixture(scope="module")
def classifier(tiny_model):
    torch.manual_seed(0)
    return Classifier(load_model(tiny_model, ["부정", "긍정"]), load_tokenizer(tiny_model), max_length=16, batch_size=8)


@given(texts=st.lists(TEXT | st.tuples(TEXT, TEXT) | st.none() | st.integers() | st.binary(), max_size=5))
@example(texts=[MEGABYTE, MEGABYTE[::-1]])
@example(texts=["\ud83d\ude00"])
def test_any_texts_are_labelled_or_refused(classifier, texts):
    try:
        answers = classifier(texts)
    except HfclsError as error:
        return refused(error, r"text \d+ ")
    assert len(answers) == len(texts)
    assert all(0.5 <= answer["score"] <= 1 for answer in answers)


def is_a_number(text: str) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True
