"""A file that is whole or absent, and a look at whether it can be written before the work for it begins."""

import errno
import glob
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hfcls.errors import HfclsError

SIGNS_OF_A_FULL_DISK = (
    *map(os.strerror, (errno.ENOSPC, errno.EDQUOT)),  # safetensors and tokenizers quote the system
    *("PytorchStreamWriter failed", "file write failed", "iostream error", "unexpected pos"),  # torch.save
)


def beside(path: Path) -> Path:
    """A path beside `path` that no other writer has, and which `remove_leftovers` knows."""
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to: it takes the place of `path` when the block ends, unless the block raises.

    Each writer has a path of its own, and what is put in place has reached the disk.
    """
    aside = beside(path)
    try:
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """As `whole`, of a folder that is not there yet."""
    aside = beside(path)
    try:
        aside.mkdir(parents=True)
        yield aside
        aside.rename(path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def follow_umask(path: Path) -> None:
    """Let those read a new file who may read others: safetensors 0.8 writes files that only their owner can read."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)


def remove_leftovers(path: Path) -> None:
    """Delete what writers of `path` that were killed have left beside it; nobody may be writing it now."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.{'[0-9a-f]' * 8}.part"):
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write `text` in UTF-8, whole or not at all."""
    with whole(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON that a person can read, whole or not at all."""
    write_whole(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The object that a file of JSON holds; None if the file is not there. Raises `HfclsError` if it holds none."""
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HfclsError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise HfclsError(f"{path} holds {values!r:.80}, not a JSON object: put it back, or delete it")
    return values


def check_types(value: Any, hint: Any, name: str = "it") -> None:
    """See that a value out of JSON is what its annotation says, at any depth. Raises `TypeError`, which names it.

    Args:
        hint: a plain type, a union, list or dict of them, or a dataclass, whose fields are looked at.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return
    if origin in (Union, UnionType):
        hint = next((one for one in inner if _seems(value, one)), inner[0])
        return check_types(value, hint, name)
    if origin is Literal:
        if value not in inner:
            raise TypeError(f"{name} is {value!r:.80}, not {' or '.join(map(repr, inner))}")
        return None
    kind = (int, float) if hint is float else origin or hint
    if not isinstance(value, kind) or (isinstance(value, bool) and hint is not bool):
        raise TypeError(f"{name} is {type(value).__name__}, not {hint.__name__}")
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        for f in fields(hint):
            check_types(getattr(value, f.name), hints[f.name], f.name)
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        check_types(part, inner[-1] if inner else Any, name)


def _seems(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, whatever it holds."""
    return value in get_args(hint) if get_origin(hint) is Literal else isinstance(value, get_origin(hint) or hint)


@contextmanager
def writable_folder(folder: Path) -> Iterator[None]:
    """The output folder of a run, made if need be; if it was, and is empty when the context ends, it goes again.

    Raises:
        HfclsError: it cannot be made or written to.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise HfclsError(
            f"cannot write to output_dir {folder}: {error.strerror}; choose another --output_dir"
        ) from error
    try:
        yield
    finally:
        if made:
            with suppress(OSError):  # it holds something
                folder.rmdir()


def check_writable(path: Path, option: str) -> None:
    """Make the folder of `path` and see that a file can be written there; what is there already stays as it is.

    Raises:
        HfclsError: it cannot; names the `option` that chose the path.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        present = path.exists()
        with path.open("a"):
            pass
        if not present:
            path.unlink()
    except OSError as error:
        raise HfclsError(f"cannot write {path}: {error.strerror}; choose another --{option}") from error


def with_causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that led to it: what torch raises last often says least."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of Python, torch or safetensors means that the disk or quota is full.

    The writer of torch does not say why it failed: a drive that is gone looks the same.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(sign in str(error) for sign in SIGNS_OF_A_FULL_DISK)
