"""Files on any file system of pyarrow: found, fetched, and put in place whole."""

import fnmatch
import logging
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from pyarrow import fs

from hfcls.data.formats.folders import table_suffix
from hfcls.data.origins.files import input_files
from hfcls.data.readers import SUFFIXES
from hfcls.errors import HfclsError
from hfcls.system.quoting import shown

logger = logging.getLogger(__name__)

PART = re.compile(r"_(.+)\.[0-9a-f]{8}\.part")  # a file that is being written


class Place(NamedTuple):
    """A file or folder, as any process of a cluster finds it.

    Attributes:
        address: as the user knows it, without the keys and options that an address may hold.
    """

    filesystem: fs.FileSystem
    path: str
    address: str

    def __str__(self) -> str:
        return self.address

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rpartition("/")[2]

    def __truediv__(self, name: str) -> "Place":
        return Place(self.filesystem, f"{self.path.rstrip('/')}/{name}", f"{self.address.rstrip('/')}/{name}")

    def exists(self) -> bool:
        return bool(self.filesystem.get_file_info(self.path).type != fs.FileType.NotFound)

    def file_names(self) -> list[str]:
        """The names of the files in this folder; none if it is not there."""
        selected = fs.FileSelector(self.path, allow_not_found=True)
        return sorted(info.base_name for info in self.filesystem.get_file_info(selected) if info.is_file)

    def without_leftovers(self, written: Iterable[str]) -> list[str]:
        """`file_names`, once what killed writers of these files have left is deleted; nobody may be writing now."""
        names, written = self.file_names(), set(written)
        left = [name for name in names if (part := PART.fullmatch(name)) and part[1] in written]
        for name in left:
            self.filesystem.delete_file((self / name).path)
        return [name for name in names if name not in left]

    def read(self) -> bytes | None:
        """What the file holds; None if it is not there."""
        if not self.exists():
            return None
        with self.filesystem.open_input_stream(self.path) as file:
            return bytes(file.read())

    def fetch(self, local: Path) -> Path:
        """Copy the file to this machine."""
        fs.copy_files(self.path, str(local), self.filesystem, fs.LocalFileSystem())
        return local

    def put(self, local: Path) -> None:
        """Put a copy of a file here, whole or not at all: it is written aside, and takes its name when all is there.

        A second writer of the same file does no harm: each has a place of its own, and the last one is what stays.
        """
        folder, _, name = self.path.rpartition("/")
        aside = f"{folder}/_{name}.{secrets.token_hex(4)}.part"  # who reads the folder as a table passes over it
        if not isinstance(self.filesystem, fs.S3FileSystem | getattr(fs, "GcsFileSystem", fs.S3FileSystem)):
            self.filesystem.create_dir(folder)  # stores of objects have no folders
        try:
            fs.copy_files(str(local), aside, fs.LocalFileSystem(), self.filesystem)
            self.filesystem.move(aside, self.path)
        except BaseException:
            if self.filesystem.get_file_info(aside).is_file:
                self.filesystem.delete_file(aside)
            raise


def place_of(name: str) -> Place:
    """The place of a path or an address.

    Raises:
        HfclsError: an address of no file system that pyarrow knows, or that does not answer.
    """
    if "://" not in name:
        return Place(fs.LocalFileSystem(), os.path.abspath(name), name)
    parts = urlsplit(name)
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    try:
        # Characters that an address cannot hold, such as Hangul; what is written as %20 stays.
        filesystem, path = fs.FileSystem.from_uri(parts._replace(path=quote(parts.path, safe="/%")).geturl())
    except (ValueError, OSError, ImportError) as error:
        # After a colon pyarrow repeats the address with its keys; a / within a key looks like the end of the server.
        address = f"{parts.scheme}://{name.partition('://')[2].rpartition('@')[2].partition('?')[0]}"
        said = " ".join(str(error).split()).partition(":")[0]
        hint = "; a / within a key is written %2F" if "@" in name else ""
        raise HfclsError(f"cannot open {address}: {said}{hint}") from error
    return Place(filesystem, path, address)


def input_places(name: str) -> list[Place]:
    """The files of a path, a folder or a pattern, on this machine or at an address; each is a table of its own.

    Raises:
        HfclsError: there is none.
    """
    if "://" not in name:
        paths = input_files(name)
        if folders := [path for path in paths if path.is_dir()]:
            raise HfclsError(
                f"{folders[0]} is a folder that is one table, which engine ray does not read: use engine local"
            )
        if missing := [path for path in paths if not path.exists()]:
            raise HfclsError(f"no file {missing[0]}: check the path")
        return [place_of(str(path)) for path in paths]
    parts = urlsplit(name)
    head, _, pattern = parts.path.rpartition("/")
    where = place_of(parts._replace(path=head).geturl() if "*" in pattern else name)
    try:
        if where.filesystem.get_file_info(where.path).is_file:
            return [where]
        found_names = where.file_names()
    except OSError as error:
        raise HfclsError(f"cannot read {where.address}: {' '.join(str(error).split())}") from error
    names = [found for found in found_names if not found.startswith((".", "_"))]
    tables = [found for found in names if table_suffix(Path(found)) in SUFFIXES]
    if "*" in pattern:
        tables = [found for found in tables if fnmatch.fnmatch(found, pattern)]
    elif others := sorted(set(names) - set(tables)):
        logger.warning("%s: passed over %s", where.address, shown(others))
    if not tables:
        raise HfclsError(f"{where.address} holds no file to label; known are {' '.join(SUFFIXES)}")
    return [where / found for found in tables]
