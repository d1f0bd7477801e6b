"""A folder that is whole or absent: written aside, sealed with a manifest, then renamed."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from hfcls.runs.folder import ASIDE, REPLACED, SEAL_FILE


def seal(folder: Path) -> None:
    """Bring every file of `folder` to the disk and write their sizes and SHA-256 sums to `manifest.json`."""
    files = {path.relative_to(folder).as_posix(): _size_and_sum(path) for path in _files(folder)}
    with (folder / SEAL_FILE).open("w", encoding="utf-8") as file:
        json.dump(files, file, indent=2)
        file.flush()
        os.fsync(file.fileno())


def put_in_place(aside: Path, folder: Path) -> None:
    """Rename the sealed `aside` to `folder`; an older `folder` is kept until the new one stands there."""
    replaced = folder.with_name(folder.name + REPLACED)
    if folder.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        folder.rename(replaced)
    aside.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)


def tidy(parent: Path, prefix: str) -> None:
    """After a kill, for folders whose names begin with `prefix`: what `put_in_place` had moved is
    put back or deleted, and what was half-written is deleted."""
    for replaced in parent.glob(f"{prefix}*{REPLACED}"):
        folder = replaced.with_name(replaced.name.removesuffix(REPLACED))
        if folder.exists():
            shutil.rmtree(replaced)
        else:
            replaced.rename(folder)
    for aside in parent.glob(f"{prefix}*{ASIDE}"):
        shutil.rmtree(aside)


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
