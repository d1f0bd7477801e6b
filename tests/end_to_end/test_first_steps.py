"""The first 60 lines of the README, typed as they stand, from a fresh checkout to a classifier of one's own csv."""

import csv
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import ROOT

import hfcls

BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CHECKOUT = ("hfcls", "recipes", "accelerate_configs", "train.py", "pyproject.toml", "constraints.txt", "Makefile")
SCRIPT = "#!{python}\nfrom {module} import main\n\nraise SystemExit(main())\n"


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A fresh one, with what `make` would install: pip needs a network, and `test_wheel.py` tries what it builds."""
    if not (ROOT / "Makefile").exists():
        pytest.skip("an sdist has no Makefile")
    for name in CHECKOUT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, tmp_path / name)
    made = tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True)
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    site = Path(sysconfig.get_path("purelib", vars={"base": str(made), "platbase": str(made)}))
    (site / "installed.pth").write_text("\n".join([str(tmp_path), *libraries]) + "\n")
    for name, module in (("hfcls", "hfcls.cli"), ("accelerate", "accelerate.commands.accelerate_cli")):
        script = made / "bin" / name
        script.write_text(SCRIPT.format(python=made / "bin/python", module=module))
        script.chmod(0o755)
    (made / ".hfcls").touch()
    return tmp_path


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the README's commands are those of a POSIX shell")
def test_the_first_60_lines_end_in_a_classifier_of_ones_own_csv(checkout):
    first = "\n".join((ROOT / "README.md").read_text("utf-8").splitlines()[:60])
    blocks = BLOCK.findall(first)
    typed = "\n".join(text if kind == "bash" else f"python <<'END'\n{text}END" for kind, text in blocks)
    assert all(step in typed for step in ("make train", "hfcls train", "hfcls predict", "hfcls.fine_tune("))
    rows = hfcls.load_corpus("demo")["train"].select(range(120))
    with (checkout / "reviews.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([("comment", "grade"), *zip(rows["text"], rows["label"], strict=True)])
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(["bash", "-e", "-c", typed], cwd=checkout, env=kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("accuracy") >= 4, "of the demonstration, of check, of both runs"
    assert '"label": ' in done.stdout, "what hfcls predict prints"
    assert re.search(r"^\{'label': '[01]', 'score': 0\.\d+", done.stdout, re.MULTILINE), "what the six lines print"
    for name in ("quickstart", "first", "second"):
        assert (checkout / "outputs" / name / "model.safetensors").is_file()
