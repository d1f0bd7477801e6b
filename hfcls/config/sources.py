"""Options as flags of the command line, over those of a recipe."""

import argparse
import dataclasses
from dataclasses import MISSING
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from hfcls.config.train import recipe_values
from hfcls.config.options import Config, parts

C = TypeVar("C", bound=Config)


def add_options(parser: argparse.ArgumentParser, config_class: type[Config]) -> None:
    """One flag for each option of `config_class`, grouped by the dataclass it comes from."""
    hints = get_type_hints(config_class)
    for group_class in reversed(config_class.__mro__):
        own = [f for f in dataclasses.fields(config_class) if f.name in vars(group_class).get("__annotations__", {})]
        if not own:
            continue
        group = parser.add_argument_group((group_class.__doc__ or "").strip().splitlines()[0].rstrip("."))
        for f in own:
            group.add_argument(f"--{f.name}", default=argparse.SUPPRESS, **_flag(f, hints[f.name]))


def config_from(namespace: argparse.Namespace, config_class: type[C]) -> C:
    """The parsed flags, over those of the namespace's recipe if it names one."""
    names = {f.name for f in dataclasses.fields(config_class)}
    flags = {name: value for name, value in vars(namespace).items() if name in names}
    recipe = getattr(namespace, "recipe", None)
    values = {} if recipe is None else recipe_values(Path(recipe), config_class)
    return config_class(**{**values, **flags})


def _flag(f: "dataclasses.Field[Any]", hint: Any) -> dict[str, Any]:
    kind, choices, _ = parts(hint)
    text = f.metadata["help"].replace("%", "%%")
    if f.default is not None and f.default is not MISSING:
        text += f" (default {f.default})"
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction, "help": text}
    if choices:
        return {"choices": choices, "help": text}
    return {"type": kind, "help": text, "metavar": {int: "N", float: "X"}.get(kind, "TEXT")}
