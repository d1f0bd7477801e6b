"""What an option is: a dataclass field with a line of help, checked against its annotation."""

import contextlib
import difflib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from hfcls.config.command_line.habits import OTHER_NAMES
from hfcls.errors import HfclsError
from hfcls.system.files import check_types

C = TypeVar("C", bound="Config")
MOST_TOKENS = MOST_ROWS = 2**16  # of a text, of a batch: what is more would end in a lack of memory
MOST_WINDOWS = 64  # of a text, for the same reason: a book may stand among the reviews


def option(
    default: Any,
    help: str,
    *,
    path: bool = False,
    address: bool = False,
    resumable: bool = False,
    recorded: bool = True,
    in_card: Literal["always", "changed", "never"] = "changed",
    alias: str | None = None,
    several: bool = False,
    before: Any = MISSING,
) -> Any:
    """A dataclass field, and all that is to be known about the option.

    Args:
        help: the one line that `--help` and the docs show.
        path: `~` is the home folder in it.
        address: a path that may also be an address, such as s3://bucket/folder.
        resumable: may differ between a run and its continuation, since it does not enter what is learned.
        recorded: stands in results.json where it is not at its default; not so what says where the run lives.
        in_card: whether the model card lists it: always, where it is not at its default, or never.
        alias: a second name on the command line.
        several: values between commas; on the command line also between spaces, in Python and YAML also a list.
        before: what runs did before there was this option, where that is not the default.
    """
    return field(
        default=default,
        metadata={
            "help": help,
            "path": path,
            "address": address,
            "resumable": resumable,
            "recorded": recorded,
            "in_card": in_card,
            "alias": alias,
            "several": several,
            "before": default if before is MISSING else before,
        },
    )


@dataclass(kw_only=True)
class Config:
    """Base of all option groups: checks each value against its annotation, then the group's own rules.

    Raises:
        HfclsError: a value of the wrong type, an unknown choice or a number out of range; names the option.
    """

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for f in fields(self):
            value = getattr(self, f.name)
            if f.metadata["several"] and isinstance(value, list | tuple):
                value = ",".join(map(str, value)) or None
            value = coerced(f.name, value, hints[f.name])
            if f.metadata["path"] and value:
                here = f.metadata["address"] or "://" not in value
                check_range(f.name, value, here, "a path on this machine, not an address")
                paths = value.split(",") if f.metadata["several"] else [value]
                value = ",".join(map(os.path.expanduser, paths))
            setattr(self, f.name, value)
        for group in type(self).__mro__:
            if "check" in vars(group):
                group.check(self)  # type: ignore[attr-defined]


def with_options(config: C, options: Mapping[str, Any]) -> C:
    """`config` with these values in place of its own.

    Raises:
        HfclsError: an option that it does not have, a bad value, or something else in place of the config.
    """
    _check_is_config(config)
    known = [f.name for f in fields(config)]
    if unknown := [name for name in options if name not in known]:
        raise HfclsError(f"unknown option {', '.join(unknown)}; {suggestion(unknown[0], known)}")
    return replace(config, **options)


def with_data(config: C, options: Mapping[str, Any]) -> tuple[C, Any]:
    """`with_options`, and the dataset: its name or path, or an object of Python, which the config knows by its type."""
    _check_is_config(config)
    data = options.get("dataset", config.dataset)  # type: ignore[attr-defined]
    if isinstance(data, str | Path):
        return (config := with_options(config, options)), config.dataset  # type: ignore[attr-defined]
    return with_options(config, {**options, "dataset": f"a {type(data).__name__}"}), data


def _check_is_config(given: object) -> None:
    """Options come by their names; a path or a table alone is easily given in their place."""
    if not isinstance(given, Config):
        raise HfclsError(
            f"a {type(given).__name__} stands where a config may: say which option it is, such as dataset=..."
        )


def suggestion(name: str, known: Collection[str]) -> str:
    """Which of the known names may be meant by `name`, which may be that of another program."""
    other = OTHER_NAMES.get(name, "").removeprefix("--")
    if close := [other] if other in known else difflib.get_close_matches(name, known, n=1):
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(sorted(known))}"


def fixed_options(config: Config) -> dict[str, Any]:
    """The options that a run and its continuation have in common; with each, what a run did that did not know it."""
    return {f.name: f.metadata["before"] for f in fields(config) if not f.metadata["resumable"]}


def changed_options(config: Config) -> dict[str, Any]:
    """The options of `config` that are not at their defaults, but for those that are not recorded."""
    changed = {f: getattr(config, f.name) for f in fields(config) if getattr(config, f.name) != f.default}
    return {f.name: value for f, value in changed.items() if f.metadata["recorded"]}


def parse_annotation(hint: Any) -> tuple[type, tuple[Any, ...], bool]:
    """(type, allowed values, may be None) of an annotation such as `int | None` or `Literal["a", "b"]`."""
    if get_origin(hint) in (Union, UnionType):
        inner = next(arg for arg in get_args(hint) if arg is not NoneType)
        return (*parse_annotation(inner)[:2], True)
    if get_origin(hint) is Literal:
        return str, get_args(hint), False
    return hint, (), False


def coerced(name: str, value: Any, hint: Any) -> Any:
    """The value of an option in the type of its annotation; raises `HfclsError` if it cannot be that."""
    kind, choices, optional = parse_annotation(hint)
    if value is None and optional:
        return None
    if kind is float and isinstance(value, str):  # YAML 1.1 reads 5e-5, without a dot, as a string
        with contextlib.suppress(ValueError):
            value = float(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            value = float(value)
    if kind is str and isinstance(value, Path):
        value = str(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)) or value != value:
        wanted = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}[kind]
        if kind is str and isinstance(value, int | float):  # of YAML, where 4 and no are none
            wanted = "a text, in quotes"
        # not the content of a container: YAML aliases make some that are endless when written out
        found = repr(value) if isinstance(value, str | int | float) else type(value).__name__
        raise HfclsError(f"{name} must be {wanted}, found {found:.200}")
    if isinstance(value, int) and abs(value) >= 2**32:
        raise HfclsError(f"{name} must be a whole number below 2**32, found {value!r:.40}")
    if value == "":
        raise HfclsError(f"{name} must not be empty: give a value, or leave {name} out")
    if isinstance(value, str) and ("\0" in value or value.encode(errors="ignore").decode() != value):
        raise HfclsError(f"{name} holds a NUL or an unpaired surrogate (an argument that is not UTF-8?): {value!r}")
    if choices and value not in choices:
        raise HfclsError(f"{name} must be one of {', '.join(choices)}, found {value!r}")
    return value


def check_range(name: str, value: Any, good: bool, wanted: str) -> None:
    """Raises `HfclsError`, with what was found and what is wanted, unless the value is `good`."""
    if not good:
        raise HfclsError(f"{name} must be {wanted}, found {value}")


def check_at_least(name: str, value: Any, least: Any, most: int | None = None) -> None:
    """Raises `HfclsError` if a value that is set lies below `least`, or above `most`."""
    check_range(name, value, value is None or value >= least, f"at least {least}")
    check_range(name, value, value is None or most is None or value <= most, f"at most {most}")


def check_values(
    of: Any,
    *,
    kinds: Mapping[str, Any],
    least: Mapping[str, float],
    known: Mapping[str, Collection[Any]],
    keys: Mapping[str, Collection[str]],
) -> None:
    """Raises `HfclsError` for a value of a dataclass that is of another type than its annotation, too low or unknown.

    A number that is written as a text becomes one, as in `coerced`.

    Args:
        kinds: annotations in place of those of the dataclass.
        least: the lowest that a number may be.
        known: what a value, or each of a list, must be one of, beside `choices` in the metadata of its field.
        keys: what a dict may hold.
    """
    hints = {**get_type_hints(type(of)), **kinds}
    for f in fields(of):
        name, value, hint = f.name, getattr(of, f.name), hints[f.name]
        if {*(get_args(hint) if get_origin(hint) in (Union, UnionType) else [hint])} <= {int, float, bool, NoneType}:
            value = value.item() if hasattr(value, "item") else value  # of numpy
            number = coerced(name, value, hint)
            if isinstance(value, str):
                setattr(of, name, number)
            check_at_least(name, number, least.get(name, number))
            continue
        if isinstance(value, str) and value.startswith("{") and str not in get_args(hint):  # Trainer reads JSON there
            with contextlib.suppress(ValueError):
                value = json.loads(value)
        _check_kind(name, value, hint)
        choices = [*known.get(name, f.metadata.get("choices", ()))]
        if choices and value != f.default:
            each = value if isinstance(value, list) else [value]
            check_range(name, value, all(one in choices for one in each), f"one of {_listed(choices)}")
        if isinstance(value, dict) and (unknown := [key for key in value if key not in keys.get(name, value)]):
            raise HfclsError(f"{name} knows no {unknown[0]!r:.80}; {suggestion(str(unknown[0]), keys[name])}")


def _listed(choices: Collection[Any]) -> str:
    return ", ".join(str(getattr(choice, "value", choice)) for choice in choices)


def _check_kind(name: str, value: Any, hint: Any) -> None:
    try:
        check_types(value, hint, name)
    except TypeError as error:
        wanted = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
        raise HfclsError(f"{name} must be {wanted}, found {value!r:.200}") from error


def check_divides(batch_size: int, gradient_accumulation_steps: int) -> None:
    """Raises `HfclsError` unless an optimizer step can be taken in so many parts."""
    if batch_size % gradient_accumulation_steps:
        raise HfclsError(
            f"batch_size {batch_size} does not divide by gradient_accumulation_steps {gradient_accumulation_steps}; "
            "change one of them"
        )
