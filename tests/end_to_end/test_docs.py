"""What README, docs and examples tell people to type exists, parses, and takes the options that are given."""

import argparse
import ast
import dataclasses
import importlib
import inspect
import re
import runpy
import shlex
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env
from conftest import ROOT

from hfcls import cli, config
from hfcls.config.commands import EvaluateConfig
from hfcls.config.pretraining import AdaptConfig
from hfcls.config.train import TrainConfig

PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[Path, str]]:
    """(page, text) of each fenced block of a language; also those that stand indented in a list."""
    return [
        (page, inspect.cleandoc(text))
        for page in PAGES
        for _, kind, text in BLOCK.findall(page.read_text("utf-8"))
        if kind == language
    ]


def commands() -> list[tuple[Path, str]]:
    found = []
    for page, text in blocks("bash"):
        for line in text.replace("\\\n", " ").splitlines():
            if line.strip() and not line.startswith("#"):
                found.append((page, line.split("  #")[0].strip()))
    for script in (ROOT / "examples").glob("*.py"):
        docstring = ast.get_docstring(ast.parse(script.read_text("utf-8"))) or ""
        found += [(script, line.split(" # ")[0]) for line in docstring.splitlines() if line.startswith("python ")]
    return found


def check_hfcls(words: list[str]) -> None:
    cli._parser().parse_args(words)
    assert not words[0].startswith("-") or words == ["--version"]


def check_accelerate(words: list[str]) -> None:
    """Files exist; what follows the script are options of hfcls."""
    for word in words:
        assert not word.endswith((".yaml", ".py")) or (ROOT / word).is_file(), word
    if "train.py" in words:
        check_hfcls(["train", *words[words.index("train.py") + 1 :]])
    elif "predict.py" in words:
        check_hfcls(["predict", *words[words.index("predict.py") + 1 :]])
    elif "hfcls.cli" in words:
        check_hfcls(words[words.index("hfcls.cli") + 1 :])
    else:
        assert words[:1] in (["config"], ["env"], ["test"]), words


def check_pip(words: list[str]) -> None:
    """Extras are those of pyproject.toml."""
    assert words[0] == "install"
    for extra in re.findall(r"(?:hfcls|\.)\[([\w,]+)\]", " ".join(words)):
        for name in extra.split(","):
            assert f"\n{name} = [" in (ROOT / "pyproject.toml").read_text("utf-8"), extra


def check_command(words: list[str]) -> str:
    """Raises unless the command can be run as it stands; returns its kind."""
    words = [word for word in words if not re.fullmatch(r"[A-Z_]+=\S*", word)]  # variables set for the command
    name = Path(words[0]).name
    if name == "make":
        assert all(f"\n{target}:" in (ROOT / "Makefile").read_text("utf-8") for target in words[1:]), words
    elif name == "accelerate":
        assert words[1] in ("launch", "config", "env", "test")
        check_accelerate(words[2:] if words[1] == "launch" else words[1:])
    elif name == "hfcls":
        check_hfcls(words[1:])
    elif name == "pip":
        check_pip(words[1:])
    elif name in ("python", "bash"):
        assert (ROOT / words[1]).is_file() or words[1] == "-m", words
    elif name == "source":
        assert words[1:] == [".venv/bin/activate"], words  # what `make train` makes
    elif name in ("cat", "curl", "cut", "cd", "git", "apt-get", "export", "hf", "tensorboard", "docker"):
        pass
    else:
        raise AssertionError(f"a command that no test knows: teach this test to check it: {words}")
    return name


def test_every_command_is_one_that_exists():
    seen: Counter[str] = Counter()
    for page, command in commands():
        for part in re.split(r" \| | && ", command.split(" > ")[0]):
            try:
                seen[check_command(shlex.split(part))] += 1
            except SystemExit as error:
                if error.code != 0:  # 0: it asked for help
                    raise AssertionError(f"{page.name}: not accepted: {part}") from error
    assert seen["make"] >= 6
    assert seen["accelerate"] >= 3
    assert seen["hfcls"] >= 5
    assert seen["python"] >= 5


def public_calls(text: str) -> list[tuple[str, list[str]]]:
    """(name, keywords) of each call of `hfcls.NAME(...)`, after checking that every `hfcls.NAME` is public."""
    import hfcls

    calls = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "hfcls":
            assert node.attr in hfcls.__all__, node.attr
        if isinstance(node, ast.ImportFrom) and node.module == "hfcls":
            assert {alias.name for alias in node.names} <= set(hfcls.__all__)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("hfcls."):
            calls.append((ast.unparse(node.func)[6:], [word.arg for word in node.keywords if word.arg]))
    return calls


def test_python_blocks_are_python_and_call_public_names_with_their_own_arguments():
    import hfcls

    found = blocks("python")
    assert len(found) >= 2
    options = {"adapt": AdaptConfig, "fine_tune": TrainConfig, "evaluate": EvaluateConfig}
    checked = 0
    for page, text in found:
        for name, keywords in public_calls(text):
            takes = options.get(name) or hfcls
            for part in [] if name in options else name.split("."):
                takes = getattr(takes, part)
            known = inspect.signature(takes).parameters
            open_ended = any(p.kind is p.VAR_KEYWORD for p in known.values())
            assert open_ended or set(keywords) <= set(known), (
                f"{page.name}: {name} takes no {set(keywords) - set(known)}"
            )
            checked += 1
    assert checked >= 8


def korean_pages() -> list[tuple[Path, Path]]:
    """(Korean page, English page)."""
    return [
        (page, page.with_name(page.name.replace(".ko.md", ".md"))) for page in PAGES if page.name.endswith(".ko.md")
    ]


def test_korean_pages_have_the_commands_the_code_and_the_links_of_the_english_ones():
    english_only = {ROOT / "docs/reference/python.md"}  # made from the code
    pages = {page for page in PAGES if page.parent != ROOT and not page.name.endswith(".ko.md")}
    assert {english for _, english in korean_pages()} == pages - english_only | {ROOT / "README.md"}
    for korean, english in korean_pages():
        assert english.is_file(), f"{korean.name} translates nothing"
        assert [c for page, c in commands() if page == korean] == [c for page, c in commands() if page == english]
        code = [[ast.unparse(ast.parse(t)) for page, t in blocks("python") if page == p] for p in (korean, english)]
        assert code[0] == code[1], korean.name
        for kind in ("", "text", "json", "yaml"):  # what is printed, and files
            shown = [[text for page, text in blocks(kind) if page == p] for p in (korean, english)]
            assert shown[0] == shown[1], korean.name
        texts = [
            re.sub(r"\]\(README(\.ko)?\.md\)|\.ko(?=\.png)", "", page.read_text("utf-8")) for page in (korean, english)
        ]
        links = [set(re.findall(r"\]\(([^)#\s]+)", text)) for text in texts]
        assert links[0] == links[1], f"{korean.name}: {links[0] ^ links[1]}"


def test_figures_are_those_that_the_code_draws():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        drawn = importlib.import_module("figures").figures()
    finally:
        sys.path.remove(str(ROOT / "docs"))
    assert len(drawn) == 5
    for name, content in drawn.items():
        assert (ROOT / "docs/images" / name).read_text("utf-8") == content, f"{name}: run python docs/figures.py"


def test_yaml_blocks_are_recipes():
    for page, text in blocks("yaml"):
        values = yaml.safe_load(text)
        if "dataset" in values:
            TrainConfig(**values)
        else:
            assert page.parent.name != "how-to", page


def test_every_block_is_of_a_kind_that_some_test_reads():
    kinds = Counter(kind for page in PAGES for _, kind, _ in BLOCK.findall(page.read_text("utf-8")))
    assert set(kinds) <= {"bash", "python", "yaml", "json", "text", ""}, kinds
    assert kinds["bash"] >= 5


def test_options_named_in_the_text_exist():
    """`--name` in a sentence is an option of hfcls, or of a command that hfcls does not own."""
    parsers = [action for action in cli._parser()._actions if isinstance(action, argparse._SubParsersAction)]
    known = {flag for sub in parsers for parser in sub.choices.values() for flag in parser._option_string_actions}
    foreign = {
        "--config_file",
        "--num_processes",
        "--num_machines",
        "--machine_rank",
        "--main_process_ip",
        "--resume_from_checkpoint",
    }
    for page in PAGES:
        text = re.sub(r"--no-\w+|```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        for code in re.findall(r"`([^`\n]+)`", text):
            if not code.startswith(("pip ", "accelerate ", "curl ", "git ", "mkdocs ", "iconv ")):
                named = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", code))
                assert named <= known | foreign, f"{page.name}: {named - known - foreign}"


def test_no_page_installs_what_others_may_publish_under_our_name():
    """hfcls is on no package index yet: it is installed from its checkout."""
    for page in PAGES:
        assert not re.search(r"pip install [^\n`]*(?<![\w/-])hfcls\b", page.read_text("utf-8")), page.name


def test_the_reference_lists_the_options_of_every_command():
    groups = set(re.findall(r"add_options\(\w+, (\w+)\)", (ROOT / "hfcls/cli.py").read_text("utf-8")))
    assert len(groups) >= 6
    for name in ("options.md", "options.ko.md"):
        text = (ROOT / "docs/reference" / name).read_text("utf-8")
        assert set(re.findall(r"<!-- options: (\w+) -->", text)) == groups, name


def test_links_lead_somewhere():
    count = 0
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"
            count += 1
    assert count >= 4


CONFIGS = {"cpu", "cpu_multi", "fsdp", "multi_gpu", "multi_node", "single_gpu", "tpu_1", "tpu_8"}


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_accelerate_configs_load_and_hold_their_command(name):
    path = ROOT / f"accelerate_configs/{name}.yaml"
    text = path.read_text()
    assert f"accelerate launch --config_file accelerate_configs/{name}.yaml train.py" in text
    loaded = load_config_from_file(str(path))
    assert loaded.main_training_function == "main"
    assert loaded.num_processes >= 1
    raw = yaml.safe_load(text)
    assert all(isinstance(raw[key], str) for key in ("distributed_type", "mixed_precision"))  # bare NO would be false
    keys = [line for line in text.splitlines() if not line.startswith("#") and not line.endswith(":")]
    assert all("  # " in line for line in keys), "a key without a comment"


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_accelerate_configs_lead_to_their_launcher(name):
    """As Accelerate reads them before it starts anything; nothing is asked for or filled in."""
    path = str(ROOT / f"accelerate_configs/{name}.yaml")
    args, _, _ = _validate_launch_command(launch_command_parser().parse_args(["--config_file", path, "train.py"]))
    torchrun = name in ("cpu_multi", "fsdp", "multi_gpu", "multi_node")
    assert (args.multi_gpu or args.use_fsdp, args.tpu) == (torchrun, name.startswith("tpu"))
    assert args.num_processes == {"cpu": 1, "single_gpu": 1, "tpu_1": 1, "tpu_8": 8}.get(name, 2)
    if name == "cpu_multi":
        assert prepare_multi_gpu_env(args)["CUDA_VISIBLE_DEVICES"] == "-1,-1"
    if name.startswith("tpu"):
        main = runpy.run_path(str(ROOT / "train.py"))[args.main_training_function]
        assert all(p.default is not p.empty for p in inspect.signature(main).parameters.values())


def test_no_accelerate_config_is_left_untested():
    assert {path.stem for path in (ROOT / "accelerate_configs").glob("*.yaml")} == CONFIGS


def test_the_scaling_table_is_that_of_its_program():
    program = runpy.run_path(str(ROOT / "benchmarks/scaling.py"))
    table = program["table"](reviews_per_second=10.8, fixed_seconds=0.3, gigabytes_per_second=[0.125, 1.25, 12.5])
    assert table in (ROOT / "docs/devices.md").read_text("utf-8")


def test_pages_tell_the_names_of_all_code_blocks_of_the_chapter():
    text = (ROOT / "docs/from-ratsnlp.md").read_text("utf-8")
    assert all(re.search(rf"\| 4-{n}\b|, 4-{n}\b", text) for n in range(1, 16))


def test_links_to_colab_and_kaggle_name_the_repository():
    """`[project.urls] Repository` in pyproject.toml defines it; until it is there, the pages say OWNER/REPO."""
    found = re.search(
        r'^Repository = "https://github.com/([^"]+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    repository = found[1] if found else "OWNER/REPO"
    for name in ("README.md", "README.ko.md"):
        text = (ROOT / name).read_text("utf-8")
        notebook = f"{repository}/blob/main/notebooks/nsmc_kcbert.ipynb"
        assert f"https://colab.research.google.com/github/{notebook}" in text
        assert f"https://kaggle.com/kernels/welcome?src=https://github.com/{notebook}" in text


def test_the_tables_of_options_are_those_of_all_commands():
    """`make docs` looks them up by these names."""
    configs = {name for name in config.__all__ if name.endswith("Config")}
    for page in ("options.md", "options.ko.md"):
        text = (ROOT / "docs/reference" / page).read_text("utf-8")
        assert set(re.findall(r"<!-- options: (\w+) -->", text)) == configs


def test_every_option_has_its_help_in_korean():
    """With the same flags and numbers; a help that changes wants its Korean line changed with it."""
    configs = [getattr(config, name) for name in config.__all__ if name.endswith("Config")]
    helps = {field.metadata["help"] for group in configs for field in dataclasses.fields(group)}
    korean = yaml.safe_load((ROOT / "docs/options_ko.yaml").read_text("utf-8"))
    assert set(korean) == helps, "docs/options_ko.yaml: English help -> Korean help"
    for english, text in korean.items():
        assert re.search("[가-힣]", text), english
        for same in (r"--[a-z_]+", r"\d[\d,.]*(?<![.,])"):
            assert set(re.findall(same, english)) <= set(re.findall(same, text)), text
