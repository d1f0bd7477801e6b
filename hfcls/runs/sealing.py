"""A folder that is whole or absent: written aside, sealed with a manifest, then renamed."""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from hfcls.errors import HfclsError
from hfcls.runs.folder import ASIDE, REPLACED, SEAL_FILE
from hfcls.system.files import follow_umask


def seal(folder: Path) -> None:
    """Bring every file of `folder` to the disk and write their sizes and SHA-256 sums to `manifest.json`."""
    for path in _files(folder):
        follow_umask(path)
    files = {path.relative_to(folder).as_posix(): _size_and_sum(path) for path in _files(folder)}
    with (folder / SEAL_FILE).open("w", encoding="utf-8") as file:
        json.dump(files, file, indent=2)
        file.flush()
        os.fsync(file.fileno())


def is_sealed(folder: Path) -> bool:
    """Whether `seal` was here: what it did not seal is not ours to delete."""
    return (folder / SEAL_FILE).is_file()


def put_in_place(aside: Path, folder: Path) -> None:
    """Rename the sealed `aside` to `folder`; an older `folder` is kept until the new one stands there.

    Raises:
        HfclsError: `folder` holds something that `seal` did not seal.
    """
    replaced = folder.parent / REPLACED / folder.name
    if is_sealed(folder):
        shutil.rmtree(replaced, ignore_errors=True)
        replaced.parent.mkdir(exist_ok=True)
        folder.rename(replaced)
    elif folder.is_dir() and any(folder.iterdir()):
        raise HfclsError(
            f"{folder} is in the way, and hfcls did not write it: move it away, then continue with --resume"
        )
    aside.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)
    with suppress(OSError):  # it is not there, or holds what another kill has left
        replaced.parent.rmdir()


def discard(folder: Path) -> None:
    """Delete the sealed `folder`, moved aside first: a kill half-way leaves no `folder` that seems to be another's."""
    aside = folder.parent / ASIDE
    aside.mkdir(exist_ok=True)
    shutil.rmtree(aside / folder.name, ignore_errors=True)
    folder.rename(aside / folder.name)
    shutil.rmtree(aside / folder.name, ignore_errors=True)
    with suppress(OSError):  # something else is being written there
        aside.rmdir()


def tidy(parent: Path) -> None:
    """After a kill: what `put_in_place` had moved is put back or deleted, and what was half-written is deleted.

    Nobody else may be writing there (`hfcls.system.locks`), but several processes of one run may tidy at once.
    """
    for replaced in (parent / REPLACED).glob("*"):
        if not (parent / replaced.name).exists():
            with suppress(FileNotFoundError):
                replaced.rename(parent / replaced.name)
    for left in (ASIDE, REPLACED):
        shutil.rmtree(parent / left, ignore_errors=True)


def why_broken(folder: Path) -> str | None:
    """None if every file is as `seal` found it, else what differs: a missing, cut or altered file."""
    try:
        sealed = json.loads((folder / SEAL_FILE).read_text(encoding="utf-8"))
        for name, expected in sealed.items():
            if not (folder / name).is_file():
                return f"{name} is missing"
            found = _size_and_sum(folder / name)
            if found["size"] != expected["size"]:
                return f"{name} has {found['size']:,} bytes of {expected['size']:,}"
            if found != expected:
                return f"{name} was altered"
    except FileNotFoundError:
        return f"{SEAL_FILE} is missing"
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        return f"{SEAL_FILE} cannot be read: {error}"
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SEAL_FILE)


def _size_and_sum(path: Path) -> dict[str, int | str]:
    digest = hashlib.sha256()
    with path.open("rb+" if os.access(path, os.W_OK) else "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
        os.fsync(file.fileno())
        return {"size": file.tell(), "sha256": digest.hexdigest()}
