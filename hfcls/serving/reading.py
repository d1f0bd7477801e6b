"""What a visitor gives, lines typed or a file, read no further than the limits allow."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from hfcls.data.columns import likely_columns
from hfcls.data.formats import spreadsheets
from hfcls.data.formats.encodings import open_text, sniff_encoding
from hfcls.data.formats.table import Table
from hfcls.data.readers import SUFFIXES, open_table
from hfcls.errors import HfclsError

LINES = ".txt"
FILE_TYPES = [suffix for suffix in SUFFIXES if suffix != ".zip"]
MOST_UNPACKED = 200_000_000  # bytes of a workbook, which is read whole
# A table of more lines holds too many texts: how a table is written is told from all of it, which takes its time.
LINES_A_TEXT = 20


class VisitorError(HfclsError):
    """What a visitor reads, in the language of the page; programs are told both."""

    def __init__(self, korean: str, english: str) -> None:
        super().__init__(f"{korean} {english}")
        self.in_language = {"ko": korean, "en": english}


def limited(texts: list[str], max_chars: int, max_texts: int) -> list[str]:
    """The texts, if there are some and neither too many nor too long.

    Raises:
        VisitorError: otherwise.
    """
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise VisitorError("문자열이 필요합니다.", "A text is needed (a JSON string), or a list of texts.")
    if len(texts) > max_texts:
        raise _too_many(max_texts, f"{len(texts):,}")
    for number, text in enumerate(texts, start=1):
        _check_length(number, text, max_chars)
    if not any(text.strip() for text in texts):
        raise VisitorError("문장을 써 주세요.", "Type a text first.")
    return texts


def columns_of(file: str, max_texts: int) -> list[str]:
    """The columns of a file; `text` alone of one with a text a line.

    Raises:
        VisitorError: it cannot be read, or is far too long. It names the file, not its place on this machine.
    """
    path = Path(file)
    with _told(path):
        return ["text"] if path.suffix.lower() == LINES else list(_open(path, max_texts).features)


def likely_column(columns: list[str], wanted: str) -> str | None:
    """The column that the model's own, or a usual name, means; of a file with one column that one; None: not told."""
    found = likely_columns(columns, "text_column", wanted) or likely_columns(columns, "text_column", "text")
    found = columns if len(columns) == 1 else [column for column in found if column in columns]
    return found[0] if len(found) == 1 else None


def read_rows(
    texts: str, file: str | None, column: str | None, max_chars: int, max_texts: int
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the lines typed, or of the file if there is one.

    Args:
        column: of the file, with the texts.

    Raises:
        VisitorError: too many or too long texts, or the file is broken, or has no such column. It names the file, not
            its place on this machine.
    """
    if not file:
        return ["text"], _within_limits(_lines(io.StringIO(texts, newline=None)), 0, max_chars, max_texts)
    path = Path(file)
    with _told(path):
        if path.suffix.lower() == LINES:
            with open_text(path, sniff_encoding(path)) as opened:
                return ["text"], _within_limits(_lines(opened), 0, max_chars, max_texts)
        table = _open(path, max_texts)
        header = list(table.features)
        if column not in header:
            raise VisitorError(
                f"{path.name}: 문장이 있는 열을 골라 주세요. 열: {', '.join(header):.200}",
                f"{path.name}: choose the column with the texts. It has {', '.join(header):.200}",
            )
        return header, _within_limits(_rows(table), header.index(column), max_chars, max_texts)


def _open(path: Path, max_texts: int) -> Table:
    suffix = path.suffix.lower()
    if suffix not in FILE_TYPES:
        known = ", ".join(kind[1:] for kind in FILE_TYPES)
        raise VisitorError(
            f"{path.name}: 이런 파일은 읽지 못합니다. 읽는 것: {known}",
            f"{path.name}: cannot be read. A file of one of these kinds is needed: {known}",
        )
    if suffix in spreadsheets.SUFFIXES and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            if sum(part.file_size for part in packed.infolist()) > MOST_UNPACKED:
                raise VisitorError(f"{path.name}: 풀면 너무 큽니다.", f"{path.name}: too large when unpacked.")
    elif suffix in (".csv", ".tsv", ".jsonl"):
        with path.open("rb") as blocks:
            lines = sum(block.count(b"\n") for block in iter(lambda: blocks.read(1 << 20), b""))
        if lines > LINES_A_TEXT * (max_texts + 1):
            raise _too_many(max_texts, "more")
    return open_table(path)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What goes wrong with a file is told with its name alone."""
    try:
        yield
    except VisitorError:
        raise
    except (HfclsError, OSError, zipfile.BadZipFile) as error:
        found = error.strerror if isinstance(error, OSError) else str(error).replace(str(path), path.name)
        raise VisitorError(
            f"{path.name}: 파일을 읽지 못했습니다. ({found})", f"{path.name}: the file could not be read ({found})."
        ) from error


def _lines(opened: IO[str]) -> Iterator[list[str]]:
    return ([line.rstrip("\r\n")] for line in opened if line.strip())


def _rows(table: Table) -> Iterator[list[str]]:
    for part in table.parts:
        yield from (list(map(_text, row)) for row in zip(*part.to_pydict().values(), strict=True))


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _within_limits(rows: Iterable[list[str]], column: int, max_chars: int, max_texts: int) -> list[list[str]]:
    kept: list[list[str]] = []
    for row in rows:
        if len(kept) == max_texts:
            raise _too_many(max_texts, "more")
        _check_length(len(kept) + 1, row[column], max_chars)
        kept.append(row)
    return kept


def _check_length(number: int, text: str, max_chars: int) -> None:
    if len(text) > max_chars:
        raise VisitorError(
            f"{number}번째 문장이 너무 깁니다 ({len(text):,}자, {max_chars:,}자까지).",
            f"Text {number} has {len(text):,} characters; at most {max_chars:,} are taken.",
        )


def _too_many(max_texts: int, found: str) -> VisitorError:
    return VisitorError(
        f"한 번에 {max_texts:,}개까지 됩니다. 더 많으면 `hfcls predict --input FILE`을 쓰세요.",
        f"At most {max_texts:,} texts at once, found {found}: `hfcls predict --input FILE` labels files of any size.",
    )
