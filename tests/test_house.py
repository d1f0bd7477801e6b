"""The house is as CONTRIBUTING.md says: small rooms, a tree and walks that are true, names that follow the rules."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from conftest import ROOT

from hfcls.runs import folder

PACKAGE = ROOT / "hfcls"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
FOLDERS = sorted({path.parent for path in MODULES})
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
MOST_POSITIONAL = 6  # arguments; with more of them a call does not say which is which
OF_TRAINER = {"_get_dataloader"}  # overridden: the arguments are Trainer's


PARSED = {path: list(ast.walk(ast.parse(path.read_text("utf-8")))) for path in MODULES}


def nodes(kind: type[ast.AST]) -> Iterator[tuple[Path, ast.AST]]:
    """(module, node) of every node of a kind in the package."""
    yield from ((path, node) for path, found in PARSED.items() for node in found if isinstance(node, kind))


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{node.lineno}"  # type: ignore[attr-defined]


def test_rooms_are_small():
    for path in MODULES:
        lines = len(path.read_text("utf-8").splitlines())
        assert lines <= (320 if path == PACKAGE / "finetune.py" else 250), f"{path} has {lines} lines: cut it in two"
    for room in FOLDERS:
        count = sum(path.parent == room for path in MODULES)
        assert 2 <= count <= 9, f"{room} has {count} modules: a folder has 2 to 9"


def test_importing_a_folder_imports_nothing():
    """Or `hfcls --help` would load what no help needs; only `config` gives its classes on."""
    for room in FOLDERS:
        if room not in (PACKAGE, PACKAGE / "config"):
            (docstring,) = ast.parse((room / "__init__.py").read_text("utf-8")).body
            assert ast.get_docstring(ast.Module([docstring], [])), room


def tree() -> dict[Path, str]:
    """What the tree of CONTRIBUTING.md says of each folder, without what stands in brackets."""
    (text,) = re.findall(r"```\nhfcls/\n(.*?)```", CONTRIBUTING, re.DOTALL)
    found, room = {PACKAGE: ""}, PACKAGE
    for line in re.sub(r"\([^)]*\)", "", text).splitlines():
        if heading := re.match(r"  (  )?(\w+)/ +", line):
            top = room if room.parent == PACKAGE else room.parent
            room, line = (top if heading[1] else PACKAGE) / heading[2], line[heading.end() :]
        elif re.match(r"  \S", line):
            room = PACKAGE
        found[room] = f"{found.get(room, '')} {line}"
    return found


def test_the_tree_names_every_module():
    said = tree()
    assert set(said) == set(FOLDERS)
    for room, text in said.items():
        there = {path.stem for path in MODULES if path.parent == room}
        if room == PACKAGE:
            named = set(re.findall(r"(\w+)\.py", text))
        else:
            named = {word.strip() for word in re.split(r"[|,+]", text)} - {"template"}
        assert named == there, f"{room}: the tree and the folder differ in {named ^ there}"


def test_the_layers_are_those_of_the_linter():
    layers = re.search(r"^layers = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    told = re.search(r"`make lint` checks:(.*?)\. A folder", CONTRIBUTING, re.DOTALL)
    assert layers
    assert told
    kept = [set(re.findall(r"\w+", line)) for line in layers[1].strip().splitlines()]
    assert [set(re.findall(r"`(\w+)`", part)) for part in told[1].split(";")] == kept


def walks() -> list[tuple[int, list[tuple[str, str | None]]]]:
    """(files that a walk says it has, (file, name that it says is there) of each numbered step)."""
    (section,) = re.findall(r"### Three walks\n(.*?)\n## ", CONTRIBUTING, re.DOTALL)
    found = []
    for count, text in re.findall(r"\*\*: (\d+) files\.\n\n(.*?)\n\n", section, re.DOTALL):
        found.append((int(count), re.findall(r"^\d+\. `([\w/]+\.py)`(?:, `(\w+)`)?", text, re.MULTILINE)))
    return found


def test_walks_are_as_long_as_they_say():
    (review, _), (option, _) = walks()
    assert review <= 6
    assert option <= 4
    assert all(count == len(steps) == len(set(steps)) for count, steps in walks())


def test_walks_pass_what_is_there():
    for _, steps in walks():
        for file, name in steps:
            text = (PACKAGE / file).read_text("utf-8")
            assert not name or re.search(rf"^(def|class) {name}\b", text, re.MULTILINE), f"no {name} in {file}"
    (section,) = re.findall(r"### Three walks\n(.*?)\n## ", CONTRIBUTING, re.DOTALL)
    named = re.findall(r"`([\w/]+\.py)`", section)
    assert len(named) >= 15
    assert all((PACKAGE / file).is_file() for file in named), named
    assert "training_arguments(**config.training_options())" in (PACKAGE / "finetune.py").read_text("utf-8")


def test_tests_stand_in_the_same_folders():
    rooms = {path.name for path in (ROOT / "tests").iterdir() if list(path.rglob("test_*.py"))}
    assert rooms - {"end_to_end", "xla"} == {room.name for room in FOLDERS if room.parent == PACKAGE} - {"fitting"}


def test_a_test_file_opens_with_what_it_holds():
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), path


def test_check_validates_and_returns_nothing():
    for path, node in nodes(ast.FunctionDef):
        if re.match("_?check_", node.name):
            assert ast.unparse(node.returns or ast.Constant("?")) == "None", place(path, node)


def test_callbacks_are_called_so_and_trainers_have_one_room():
    callbacks = 0
    for path, node in nodes(ast.ClassDef):
        bases = [ast.unparse(base) for base in node.bases]
        if any(base.endswith("Callback") for base in bases):
            assert node.name.endswith("Callback"), place(path, node)
            callbacks += 1
        if any(base.endswith("Trainer") for base in bases):
            assert PACKAGE / "training" in path.parents, place(path, node)
    assert callbacks >= 9


def test_many_arguments_are_given_by_name():
    for path, node in nodes(ast.FunctionDef):
        names = [argument.arg for argument in node.args.posonlyargs + node.args.args]
        count = len([name for name in names if name != "self"])
        assert count <= MOST_POSITIONAL or node.name in OF_TRAINER, f"{place(path, node)} takes {count} by position"
    for path, node in nodes(ast.ClassDef):
        kinds = [ast.unparse(kind) for kind in [*node.decorator_list, *node.bases]]
        by_position = any("dataclass" in kind and "kw_only=True" not in kind for kind in kinds) or "NamedTuple" in kinds
        count = sum(isinstance(line, ast.AnnAssign) for line in node.body)
        assert not by_position or count <= MOST_POSITIONAL, f"{place(path, node)} takes {count} by position"


def test_the_options_of_a_command_are_given_by_name():
    for path, node in nodes(ast.ClassDef):
        if path.parent == PACKAGE / "config" and any("dataclass" in ast.unparse(kind) for kind in node.decorator_list):
            assert "kw_only=True" in ast.unparse(node.decorator_list[0]), place(path, node)


def test_file_names_of_a_run_stand_in_one_module():
    names = {name: value for name, value in vars(folder).items() if name.endswith("_FILE")}
    del names["CONFIG_FILE"]  # the name is transformers', and the rooms below read it too
    assert len(names) >= 12
    for path, node in nodes(ast.Constant):
        if path != PACKAGE / "runs/folder.py":
            assert node.value not in names.values(), f"{place(path, node)}: {node.value} has a name in runs/folder.py"


def test_type_checkers_see_the_public_names_that_are_imported_lazily():
    import hfcls

    body = ast.parse((PACKAGE / "__init__.py").read_text("utf-8")).body
    (seen,) = [node for node in body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [(line.module, name.asname) for line in seen.body for name in line.names]
    assert sorted(imports) == sorted((f"hfcls.{home}", name) for name, home in hfcls._HOME.items())
