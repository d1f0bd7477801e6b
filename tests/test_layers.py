"""Modules import only from their own row of the table in CONTRIBUTING.md or from rows above it, never in a circle."""

import ast
import re
from graphlib import TopologicalSorter

from conftest import ROOT

ROWS = [
    [name.removeprefix("hfcls/").removesuffix(".py") for name in re.findall(r"`([\w/]+\.py)`", line.split("|")[1])]
    for line in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| `hfcls/")
]


def imports(module: str) -> set[str]:
    """The modules of hfcls that this one imports when it runs, at its top or within a function."""
    tree = ast.parse((ROOT / f"hfcls/{module}.py").read_text(encoding="utf-8"))
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in for_types and node.module:
            names = [f"hfcls.{name.name}" for name in node.names] if node.module == "hfcls" else [node.module]
            found |= {name.split(".")[1] for name in names if name.startswith("hfcls.")}
    return found - {"__version__"}


def test_every_module_has_one_place():
    placed = sorted(module for row in ROWS for module in row)
    assert placed == sorted(path.stem for path in (ROOT / "hfcls").glob("*.py") if path.stem != "__init__")


def test_imports_point_upwards_and_not_in_circles():
    row_of = {module: i for i, row in enumerate(ROWS) for module in row}
    graph = {module: imports(module) for module in row_of}
    assert sum(map(len, graph.values())) > 100
    wrong = [f"{a} imports {b}" for a in graph for b in graph[a] if row_of[b] > row_of[a]]
    assert not wrong
    TopologicalSorter(graph).prepare()  # raises CycleError
