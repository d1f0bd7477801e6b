"""What an option is: a dataclass field with a line of help, checked against its annotation."""

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hfcls.errors import HfclsError

PATHS = ("model", "compare", "dataset", "data_dir", "output_dir", "input", "output")  # where ~ is the home folder


def option(default: Any, help: str) -> Any:
    """A dataclass field with its default and the one line that `--help` and the docs show."""
    return field(default=default, metadata={"help": help})


@dataclass
class Config:
    """Base of all option groups: checks each value against its annotation, then the group's own rules.

    Raises:
        HfclsError: a value of the wrong type, an unknown choice or a number out of range; names the option.
    """

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            value = checked(name, getattr(self, name), hint)
            setattr(self, name, os.path.expanduser(value) if name in PATHS and value else value)
        for group in type(self).__mro__:
            if "check" in vars(group):
                group.check(self)  # type: ignore[attr-defined]


def parts(hint: Any) -> tuple[type, tuple[Any, ...], bool]:
    """(type, allowed values, may be None) of an annotation such as `int | None` or `Literal["a", "b"]`."""
    if get_origin(hint) in (Union, UnionType):
        inner = next(arg for arg in get_args(hint) if arg is not NoneType)
        return (*parts(inner)[:2], True)
    if get_origin(hint) is Literal:
        return str, get_args(hint), False
    return hint, (), False


def checked(name: str, value: Any, hint: Any) -> Any:
    """The value of an option in the type of its annotation; raises `HfclsError` if it cannot be that."""
    kind, choices, optional = parts(hint)
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


def in_range(name: str, value: Any, good: bool, wanted: str) -> None:
    """Raises `HfclsError`, with what was found and what is wanted, unless the value is `good`."""
    if not good:
        raise HfclsError(f"{name} must be {wanted}, found {value}")


def at_least(name: str, value: int | None, least: int, most: int | None = None) -> None:
    """Raises `HfclsError` if a value that is set lies below `least`, or above `most`."""
    in_range(name, value, value is None or value >= least, f"at least {least}")
    in_range(name, value, value is None or most is None or value <= most, f"at most {most}")
