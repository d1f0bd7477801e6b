"""Where the value of an option comes from: a flag of the command line, else a recipe in YAML, else its default."""

import argparse
import dataclasses
from dataclasses import MISSING
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from hfcls.config.command_line.habits import RECIPES, Once, is_data
from hfcls.config.options import Config, parse_annotation, suggestion
from hfcls.config.train import TrainConfig
from hfcls.errors import HfclsError

C = TypeVar("C", bound=Config)
READ = ("dataset", "input", "model")  # on the command line once; of any other option the last value is taken, as ever


def add_options(parser: argparse.ArgumentParser, config_class: type[Config]) -> None:
    """One flag for each option of `config_class`, grouped by the dataclass it comes from."""
    hints = get_type_hints(config_class)
    owners = {  # of an option that is declared again, the last one
        name: group for group in reversed(config_class.__mro__) for name in vars(group).get("__annotations__", {})
    }
    groups: dict[str, Any] = {}
    for group_class in reversed(config_class.__mro__):
        own = [f for f in dataclasses.fields(config_class) if owners[f.name] is group_class]
        if not own:
            continue
        title = (group_class.__doc__ or "").strip().splitlines()[0].rstrip(".")
        if title.startswith("All options of "):  # those that come after the groups above
            title = f"More options of {title.removeprefix('All options of ').partition(' and ')[0]}"
        group = groups[title] = groups.get(title) or parser.add_argument_group(title)
        for f in own:
            names = [f"--{name}" for name in (f.name, f.metadata["alias"]) if name]
            group.add_argument(*names, dest=f.name, default=argparse.SUPPRESS, **_flag(f, hints[f.name]))


def config_from(namespace: argparse.Namespace, config_class: type[C]) -> C:
    """The parsed flags, over those of the namespace's recipe if it names one."""
    names = {f.name for f in dataclasses.fields(config_class)}
    flags = {name: value for name, value in vars(namespace).items() if name in names}
    recipe = getattr(namespace, "recipe", None)
    values = {} if recipe is None else recipe_values(Path(recipe), config_class)
    return config_class(**{**values, **flags})


def _flag(f: "dataclasses.Field[Any]", hint: Any) -> dict[str, Any]:
    kind, choices, _ = parse_annotation(hint)
    text = f.metadata["help"].replace("%", "%%")
    if f.default is not None and f.default is not MISSING and f.default is not False:
        text += f" (default {'yes' if f.default is True else f.default})"
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction, "help": text}
    if choices:
        return {"choices": choices, "help": text}
    if f.metadata["several"]:
        return {"nargs": "+", "action": _Joined, "help": text, "metavar": "NAME"}
    action = {"action": Once} if f.name in READ else {}
    return {"type": kind, "help": text, "metavar": {int: "N", float: "X"}.get(kind, "TEXT"), **action}


class _Joined(argparse.Action):
    """Several words as one value, with commas between them; the option may be given again for more of them."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        earlier = [getattr(namespace, self.dest)] if hasattr(namespace, self.dest) else []
        setattr(namespace, self.dest, ",".join([*earlier, *values]))


def load_recipe(path: str | Path, config_class: type[C] = TrainConfig) -> C:  # type: ignore[assignment]
    """The options of a YAML file.

    Raises:
        HfclsError: no such file, not YAML, not a mapping, an unknown key or a bad value; names file and key.
    """
    return config_class(**recipe_values(Path(path), config_class))


def recipe_values(path: Path, config_class: type[Config]) -> dict[str, Any]:
    """What a YAML file says of the options of `config_class`; raises as `load_recipe`."""
    if path.name and path.suffix.lower() not in RECIPES and is_data(str(path)):  # the name "" is no folder
        raise HfclsError(f"{path} is data, and no recipe in YAML: did you mean --dataset {path}?")
    path = shipped_recipe(path) or path
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that holds a NUL or a surrogate
        reason = getattr(error, "strerror", None) or error
        raise HfclsError(
            f"no recipe {path} ({reason}): give the path of a YAML file, such as recipes/nsmc.yaml"
        ) from error
    try:
        values = yaml.load(content.decode("utf-8"), _EachKeyOnce)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, or a date such as 2020-99-99
        raise HfclsError(f"{path} is not valid YAML: {' '.join(str(error).split()):.500}") from error
    if not isinstance(values, dict):
        raise HfclsError(f"{path} must be a mapping of option: value, found {type(values).__name__}")
    known = {f.name for f in dataclasses.fields(config_class)}
    if unknown := [str(key) for key in values if key not in known]:
        raise HfclsError(f"{path}: unknown option {', '.join(unknown)}; {suggestion(unknown[0], known)}")
    try:
        config_class(**values)
    except HfclsError as error:
        raise HfclsError(f"{path}: {error}") from error
    return values


def shipped_files() -> list[Path]:
    """The recipes and Accelerate configs that come with hfcls: inside the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    home = package if (package / "recipes").is_dir() else package.parent
    return [path for folder in ("recipes", "accelerate_configs") for path in sorted((home / folder).glob("*.yaml"))]


def shipped_recipe(path: Path) -> Path | None:
    """What `recipes/NAME.yaml` means where there is no such file; None for any other path."""
    if path.parent != Path("recipes") or path.exists():
        return None
    return next((file for file in shipped_files() if file.parts[-2:] == path.parts), None)


class _EachKeyOnce(yaml.SafeLoader):
    """YAML as ever, but a key that stands twice is an error: PyYAML would silently take the second."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if repeated := sorted({key for key in keys if keys.count(key) > 1}):
            raise yaml.YAMLError(f"{', '.join(repeated)} is given twice: keep one")
        return super().construct_mapping(node, deep)
