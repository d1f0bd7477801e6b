"""A file that is whole or absent, and a look at whether it can be written before the work for it begins."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hfcls.errors import HfclsError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to: it takes the place of `path` when the block ends, unless the block raises."""
    aside = path.with_name(path.name + ".part")
    try:
        yield aside
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str) -> None:
    """Write `text` in UTF-8, whole or not at all."""
    with whole(path) as aside:
        aside.write_text(text, encoding="utf-8")


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
