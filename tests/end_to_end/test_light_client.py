"""The light client in an environment of its own: three packages and ours, none of those that training needs."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import hfcls

PROGRAM = """
import sys, time
began = time.process_time()  # of the processor: other processes of a busy machine do not count
from hfcls import OnnxClassifier
seconds = time.process_time() - began
print(OnnxClassifier.from_pretrained(sys.argv[1])("영화 최고")["label"], seconds)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Python of a fresh environment, made as docs/export.md says, with the versions that the tests run with."""
    folder = tmp_path_factory.mktemp("light") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin/python")
    pip = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-c",
        str(ROOT / "constraints.txt"),
    ]
    for words in (["--no-deps", str(ROOT)], ["numpy", "onnxruntime", "tokenizers"]):
        done = subprocess.run([*pip, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"needs a package index: {done.stderr[-300:]}")
    return python


@pytest.mark.slow
def test_it_answers_is_small_and_imports_fast(environment, classifier_folder, tmp_path):
    hfcls.export(model=classifier_folder, output=str(tmp_path / "out"))
    expected = hfcls.Classifier.from_pretrained(classifier_folder)("영화 최고")["label"]
    clean = {"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8"}  # not the checkout that PYTHONPATH may name
    seconds = []
    for _ in range(5):
        done = subprocess.run(
            [environment, "-c", PROGRAM, str(tmp_path / "out")],
            capture_output=True, text=True, timeout=120, check=True, env=clean, cwd=tmp_path,
        )  # fmt: skip
        label, taken = done.stdout.split()
        assert label == expected
        seconds.append(float(taken))
    site = Path(environment).parents[1]
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"environment {size / 1e6:.0f} MB, import {min(seconds):.2f} s")
    assert not list(site.glob("lib/python*/site-packages/torch*"))
    assert size < 300e6
    assert min(seconds) < 0.5
