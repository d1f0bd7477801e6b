"""What a visitor gives, lines typed or a file, read no further than the limits allow."""

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
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
# A table of more lines, or of a longer one, is too much: how a table is written is told from all of it.
LINES_A_TEXT, MOST_LINE = 20, 1 << 20  # bytes
VALUES_A_TEXT = 200  # of JSON, in which each has a name


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
        raise VisitorError(
            "문장(JSON 문자열)이나 문장의 목록이 필요합니다.", "A text is needed (a JSON string), or a list of texts."
        )
    if len(texts) > max_texts:
        raise _too_many(max_texts, f"{len(texts):,}")
    for number, text in enumerate(texts, start=1):
        _check_length(number, text, max_chars)
    check_some(texts)
    return texts


def check_some(texts: Iterable[str]) -> None:
    """Raises VisitorError if none of the texts says anything."""
    if not any(text.strip() for text in texts):
        raise VisitorError("문장을 써 주세요.", "Type a text first.")


def is_lines(file: str | None, parts: int = 1) -> bool:
    """Whether texts stand one a line, typed or in a txt file: with more columns than the model reads, as those of NSMC
    have, it is a table, or its ids and labels would be read as a part of the text.

    Raises:
        VisitorError: the file cannot be read.
    """
    if not file or Path(file).suffix.lower() != LINES:
        return not file
    path = Path(file)
    with _told(path), open_text(path, sniff_encoding(path)) as opened:
        return opened.readline(MOST_LINE).count("\t") < parts


def columns_of(file: str, max_texts: int) -> list[str]:
    """The columns of a file; `text` alone of one with a text a line.

    Raises:
        VisitorError: it cannot be read, or is far too long. It names the file, not its place on this machine.
    """
    path = Path(file)
    with _told(path):
        return ["text"] if is_lines(file) else list(_open(path, max_texts).features)


def parts_of(columns: Mapping[str, Any]) -> list[str]:
    """What the texts are called that a model reads together, by the columns that it has learned from."""
    if several := columns.get("text_columns"):
        return list(several)
    first = columns.get("text_column") or "text"
    return [first, columns["text_pair_column"]] if columns.get("text_pair_column") else [first]


def texts_there(rows: Sequence[Sequence[str | None]], *, joined: bool) -> list[tuple[str, ...] | None]:
    """The texts of each row; None where `predict` gives no label: a text is null, or all of those to be joined are."""
    missing = all if joined else any
    return [None if missing(text is None for text in row) else tuple(text or "" for text in row) for row in rows]


def likely_column(columns: list[str], wanted: str) -> str | None:
    """The column that the model's own, or a usual name, means; of a file with one column that one; None: not told."""
    found = likely_columns(columns, "text_column", wanted) or likely_columns(columns, "text_column", "text")
    found = columns if len(columns) == 1 else [column for column in found if column in columns]
    return found[0] if len(found) == 1 else None


def read_rows(
    texts: str, file: str | None, columns: Sequence[str], max_chars: int, max_texts: int, parts: int = 1
) -> tuple[list[str], list[list[str | None]]]:
    """Header and rows of the lines typed, or of the file if there is one.

    Args:
        columns: of the file, with the texts; of lines, the names of their parts.
        parts: texts that the model reads together; a tab stands between those of a line.

    Raises:
        VisitorError: too many or too long texts, or the file is broken, or has no such columns. It names the file, not
            its place on this machine.
    """
    if not file:
        lines = _lines(io.StringIO(texts, newline=None), parts)
        return list(columns), _within_limits(lines, range(parts), max_chars, max_texts)
    path = Path(file)
    with _told(path):
        if is_lines(file, parts):
            with open_text(path, sniff_encoding(path)) as opened:
                return list(columns), _within_limits(_lines(opened, parts), range(parts), max_chars, max_texts)
        table = _open(path, max_texts)
        header = list(table.features)
        if len(columns) != parts or not set(columns) <= set(header):
            korean, english = ("열을", "column") if parts == 1 else (f"열 {parts}개를", f"{parts} columns")
            raise VisitorError(
                f"{path.name}: 문장이 있는 {korean} 골라 주세요. 열: {', '.join(header):.200}",
                f"{path.name}: choose the {english} with the texts. It has {', '.join(header):.200}",
            )
        return header, _within_limits(_rows(table), [header.index(name) for name in columns], max_chars, max_texts)


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
    elif suffix in (".csv", ".tsv", LINES, ".jsonl"):
        _check_lines(path, max_texts)
    elif suffix == ".json":
        _check_json(path, max_texts)
    return open_table(path)


def _check_lines(path: Path, max_texts: int) -> None:
    with path.open("rb") as file:
        for number, line in enumerate(iter(partial(file.readline, MOST_LINE), b""), start=1):
            if number > LINES_A_TEXT * (max_texts + 1):
                raise _too_many(max_texts, "more")
            if len(line) == MOST_LINE:
                raise VisitorError(
                    f"{path.name}: {number}번째 줄이 너무 깁니다 ({MOST_LINE:,}바이트까지).",
                    f"{path.name}: line {number} is too long; at most {MOST_LINE:,} bytes are taken.",
                )


def _check_json(path: Path, max_texts: int) -> None:
    objects = values = 0
    with path.open("rb") as file:
        for block in iter(partial(file.read, 1 << 20), b""):
            objects += block.count(b"{")
            values += block.count(b'":') + block.count(b'" :')
    if objects > LINES_A_TEXT * (max_texts + 1):
        raise _too_many(max_texts, "more")
    if values > (most := VALUES_A_TEXT * (max_texts + 1)):
        raise VisitorError(
            f"{path.name}: 값이 너무 많습니다 ({most:,}개까지).",
            f"{path.name}: holds {values:,} values with a name; at most {most:,} are taken.",
        )


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


def _lines(opened: IO[str], parts: int) -> Iterator[list[str | None]]:
    for number, line in enumerate(opened, start=1):
        if line.strip():
            texts: list[str | None] = [*line.rstrip("\r\n").split("\t")] if parts > 1 else [line.rstrip("\r\n")]
            if len(texts) != parts:
                raise VisitorError(
                    f"{number}번째 줄: 문장 {parts}개를 탭으로 나누어 써 주세요.",
                    f"Line {number}: {parts} texts with a tab between them are needed.",
                )
            yield texts


def _rows(table: Table) -> Iterator[list[str | None]]:
    for part in table.parts:
        yield from (list(map(_text, row)) for row in zip(*part.to_pydict().values(), strict=True))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _within_limits(
    rows: Iterable[list[str | None]], places: Sequence[int], max_chars: int, max_texts: int
) -> list[list[str | None]]:
    kept: list[list[str | None]] = []
    for row in rows:
        if len(kept) == max_texts:
            raise _too_many(max_texts, "more")
        for place in places:
            _check_length(len(kept) + 1, row[place] or "", max_chars)
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
