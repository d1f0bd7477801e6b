"""What README and docs tell people to type exists and parses."""

import ast
import re
import shlex
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from conftest import ROOT

from hfcls import cli

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[Path, str]]:
    return [(page, text) for page in PAGES for kind, text in BLOCK.findall(page.read_text("utf-8")) if kind == language]


def commands() -> list[str]:
    lines = "\n".join(text for _, text in blocks("bash")).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


def test_every_command_is_one_that_exists():
    seen = {"make": 0, "accelerate": 0, "hfcls": 0, "other": 0}
    makefile = (ROOT / "Makefile").read_text()
    for command in commands():
        words = shlex.split(command)
        kind = words[0] if words[0] in seen else "other"
        seen[kind] += 1
        if kind == "make":
            assert f"\n{words[1]}:" in makefile
        elif kind == "accelerate":
            if "train.py" in words:
                cli._parser().parse_args(["train", *words[words.index("train.py") + 1 :]])
            else:
                cli._parser().parse_args(words[words.index("hfcls.cli") + 1 :])
            for word in words:
                assert not word.endswith((".yaml", ".py")) or (ROOT / word).is_file(), word
        elif kind == "hfcls":
            cli._parser().parse_args(words[1:])
    assert seen["make"] >= 2
    assert seen["accelerate"] >= 2
    assert seen["hfcls"] >= 3
    assert seen["other"] == 0, "a command that no test knows: teach this test to check it"


def test_python_blocks_are_python_and_use_public_names():
    import hfcls

    found = blocks("python")
    assert len(found) >= 2
    for _, text in found:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "hfcls":
                assert node.attr in hfcls.__all__


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", ["cpu", "single_gpu", "tpu_8"])
def test_accelerate_configs_load_and_hold_their_command(name):
    path = ROOT / f"accelerate_configs/{name}.yaml"
    assert f"accelerate launch --config_file accelerate_configs/{name}.yaml train.py" in path.read_text()
    assert load_config_from_file(str(path)).main_training_function == "main"


def test_no_accelerate_config_is_left_untested():
    assert len(list((ROOT / "accelerate_configs").glob("*.yaml"))) == 3


def test_pages_tell_the_names_of_all_code_blocks_of_the_chapter():
    text = (ROOT / "docs/from-ratsnlp.md").read_text("utf-8")
    assert all(re.search(rf"\| 4-{n}\b|, 4-{n}\b", text) for n in range(1, 16))
