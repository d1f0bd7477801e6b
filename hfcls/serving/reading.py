"""What a visitor gives, lines typed or a file, read no further than the limits allow."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO

from hfcls.data.formats.encodings import open_text, sniff_encoding
from hfcls.data.formats.sniffing import DELIMITERS
from hfcls.data.readers import DELIMITERS as SUFFIXES
from hfcls.errors import HfclsError


def limited(texts: list[str], max_chars: int, max_texts: int) -> list[str]:
    """The texts, if there are some and neither too many nor too long.

    Raises:
        HfclsError: otherwise; in Korean and English.
    """
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise HfclsError("문자열이 필요합니다. A text is needed (a JSON string), or a list of texts.")
    if len(texts) > max_texts:
        raise _too_many(max_texts, f"{len(texts):,}")
    for number, text in enumerate(texts, start=1):
        _check_length(number, text, max_chars)
    if not any(text.strip() for text in texts):
        raise HfclsError("문장을 써 주세요. Type a text first.")
    return texts


def read_rows(texts: str, file: str | None, max_chars: int, max_texts: int) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the lines typed, or of the file if there is one.

    Raises:
        HfclsError: too many or too long texts, or the file is of an unknown encoding, is broken, or has no column
            `text`. It names the file, not its place on this machine.
    """
    if not file:
        return ["text"], _within_limits(_lines(io.StringIO(texts, newline=None)), 0, max_chars, max_texts)
    path = Path(file)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise HfclsError(f"{path.name}: txt, csv 또는 tsv 파일이 필요합니다. A txt, csv or tsv file is needed.")
    try:
        with open_text(path, sniff_encoding(path)) as opened:
            if suffix == ".txt":
                return ["text"], _within_limits(_lines(opened), 0, max_chars, max_texts)
            rows = _table(opened, path.name, SUFFIXES[suffix])
            header = next(rows, [])
            if header.count("text") != 1:
                found = "Several columns are" if header.count("text") else "There is no column"
                raise HfclsError(
                    f"{path.name}: text 열이 하나 있어야 합니다. {found} named text; found {', '.join(header):.200}."
                )
            return header, _within_limits(rows, header.index("text"), max_chars, max_texts)
    except HfclsError as error:
        raise HfclsError(str(error).replace(str(path), path.name)) from error
    except OSError as error:
        raise HfclsError(f"{path.name}: 읽을 수 없습니다. It cannot be read ({error.strerror}).") from error


def _lines(opened: IO[str]) -> Iterator[list[str]]:
    return ([line.rstrip("\r\n")] for line in opened if line.strip())


def _table(opened: IO[str], name: str, usual: str) -> Iterator[list[str]]:
    """The header of a csv or tsv file, then its rows, all of one length; the header tells what sets fields apart."""
    first = next((line for line in opened if line.strip()), "")
    delimiter = usual if usual in first else max([usual, *DELIMITERS], key=first.count)
    reader = csv.reader(chain([first], opened), delimiter=delimiter)
    width = 0
    try:
        for row in filter(None, reader):
            width = width or len(row)
            if len(row) != width:
                raise HfclsError(
                    f"{name}, line {reader.line_num}: {len(row)} fields, but the header has {width}; a field that "
                    "holds the delimiter or quotes must be quoted"
                )
            yield row
    except csv.Error as error:
        raise HfclsError(f"{name}, line {reader.line_num}: {error}") from error


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
        raise HfclsError(
            f"{number}번째 문장이 너무 깁니다 ({len(text):,}자, {max_chars:,}자까지). Text {number} has "
            f"{len(text):,} characters; at most {max_chars:,} are taken."
        )


def _too_many(max_texts: int, found: str) -> HfclsError:
    return HfclsError(
        f"한 번에 {max_texts:,}개까지 됩니다. At most {max_texts:,} texts at once, found {found}: "
        "`hfcls predict --input FILE` labels files of any size."
    )
