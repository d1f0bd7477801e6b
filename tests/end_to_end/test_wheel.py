"""What is built for an index: a wheel that works alone, with recipes, configs, the demonstration and the encoder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

from hfcls.models.sources import SHIPPED


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_wheel_and_sdist_are_what_an_index_takes(built):
    files = sorted(map(str, built.iterdir()))
    assert len(files) == 2
    assert all(Path(file).stat().st_size < 20 * 2**20 for file in files)
    done = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_wheel_alone_takes_the_first_steps(built, tmp_path):
    """Unpacked as pip does, with the dependencies of this environment, in an empty folder."""
    zipfile.ZipFile(next(built.glob("*.whl"))).extractall(tmp_path / "site")
    (tmp_path / "work").mkdir()

    def hfcls(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
        command = [sys.executable, "-m", "hfcls.cli", *arguments]
        done = subprocess.run(command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = hfcls("recipes")
    assert f"{tmp_path}/site/hfcls/recipes/nsmc.yaml" in listed
    assert f"{tmp_path}/site/hfcls/accelerate_configs/cpu.yaml" in listed
    options = ["--max_steps", "2", "--no-report", "--report_to", "none", "--output_dir", "run"]
    assert "accuracy" in hfcls("train", "recipes/quickstart.yaml", *options)
    assert '"label": ' in hfcls("predict", "--model", "run", "재미있다")
    assert (tmp_path / "site/hfcls/models/encoders" / SHIPPED[0] / "LICENSE").is_file()
