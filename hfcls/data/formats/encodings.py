"""The bytes of a file, unpacked, and the encoding of its text, told by decoding all of it."""

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from hfcls.errors import HfclsError
from hfcls.system.quoting import quoted

PACKED: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
BLOCK = 1 << 20
# What a decompressor raises over a file that is cut off or is not what its suffix says.
BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
ISO_2022_KR = b"\x1b$)C"  # begins the text of Korean mail, whose bytes are all ASCII (RFC 1557)
NAMES = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with BOM",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "cp949": "CP949 (EUC-KR)",
    "iso2022_kr": "ISO-2022-KR",
}


def kind_of(path: Path) -> str:
    """The suffix in small letters that says what a file holds: ".csv" of reviews.CSV and of reviews.csv.gz.

    Raises:
        HfclsError: a zip that does not hold exactly one table.
    """
    suffix = path.suffix.lower()
    if suffix in PACKED:
        return Path(path.stem).suffix.lower()
    return Path(zip_member(path)).suffix.lower() if suffix == ".zip" else suffix


def zip_member(path: Path) -> str:
    """The name of the one file in a zip; what a Mac adds (`__MACOSX/`, `._*`) does not count."""
    with unpacking(path), zipfile.ZipFile(path) as packed:
        names = [info.filename for info in packed.infolist() if not info.is_dir()]
    names = [name for name in names if not name.startswith("__MACOSX/") and not Path(name).name.startswith(".")]
    if len(names) != 1:
        raise HfclsError(
            f"{path} holds {len(names)} files ({quoted(names)}), not one table: unpack it and give the folder"
        )
    return names[0]


@contextmanager
def unpacking(path: Path) -> Iterator[None]:
    """What goes wrong while a packed file is unpacked becomes an `HfclsError`."""
    try:
        yield
    except BROKEN as error:
        if path.suffix.lower() in (*PACKED, ".zip"):
            raise HfclsError(
                f"cannot unpack {path}: {error!s:.200}; is the file whole, and without a password?"
            ) from error
        raise


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The file, or what is packed in it."""
    suffix = path.suffix.lower()
    with unpacking(path):
        if suffix == ".zip":
            with zipfile.ZipFile(path) as packed, packed.open(zip_member(path)) as file:
                yield file
        else:
            with PACKED[suffix](path, "rb") if suffix in PACKED else path.open("rb") as file:
                yield file


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[IO[str]]:
    """The text of a file, its line ends as they are; raises HfclsError with the line that is not in `encoding`."""
    with open_bytes(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        try:
            yield text
        except UnicodeError as error:  # UTF-16 without a BOM is no UnicodeDecodeError
            raise HfclsError(_not_decodable(path, encoding)) from error


def sniff_encoding(path: Path) -> str:
    """A codec of Python that decodes all of the file.

    A file that is UTF-8 in most lines that are more than ASCII is a broken UTF-8 file, whatever else might decode it.

    Raises:
        HfclsError: it is neither UTF-8 nor UTF-16 nor CP949, or a broken one; names the first such line.
    """
    with open_bytes(path) as file:
        start = file.read(4096)
    if start.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if ISO_2022_KR in start and _decodes(path, "iso2022_kr"):
        return "iso2022_kr"
    wide = _wide(start)
    if wide and (start[0] == 0) != (start[1] == 0):
        return wide
    if _decodes(path, "utf-8"):
        return "utf-8"
    if wide and _decodes(path, wide):
        return wide
    if _mostly_utf8(path) or not _decodes(path, "cp949"):
        raise HfclsError(_not_decodable(path, "utf-8"))
    return "cp949"


def _wide(start: bytes) -> str | None:
    """UTF-16 without a BOM, if all zero bytes are one half of blanks, commas and other ASCII; else None."""
    low, high = start[::2].count(0), start[1::2].count(0)
    if len(start) < 2 or (low and high) or not (low or high):
        return None
    return "utf-16-le" if high else "utf-16-be"


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with open_bytes(path) as file:
        try:
            while block := file.read(BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeError:
            return False
    return True


def _line_decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeError:
        return False
    return True


def _mostly_utf8(path: Path) -> bool:
    with open_bytes(path) as file:
        good = [_line_decodes(line, "utf-8") for line in file if not line.isascii()]
    return sum(good) * 2 > len(good)


def _not_decodable(path: Path, encoding: str) -> str:
    name, line = NAMES.get(encoding, encoding), ""
    if not encoding.startswith("utf-16"):
        with open_bytes(path) as file:
            bad = (number for number, line in enumerate(file, start=1) if not _line_decodes(line, encoding))
            line = f", line {number}" if (number := next(bad, 0)) else ""
    return (
        f"{path}{line} is not {name} text; save the file as UTF-8, or name its encoding with --encoding where the "
        "command has it"
    )
