"""How a file with delimiters was written, told by reading all of it in every way it may have been written.

Sniffers of a sample (DuckDB's, clevercsv, the csv module's) cannot see the one quote far below that swallows the rows
behind it. So rows, fields and lines of the whole file are counted under each way of quoting, and compared.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from hfcls.data.formats.dialects import Dialect, OpenText, fits, records
from hfcls.errors import HfclsError

DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "vertical bar"}
SAMPLE = 1 << 18  # characters


@dataclass(kw_only=True)
class Trial:
    """What a file is under one dialect; lines are numbered from 1.

    Attributes:
        width: fields of the header.
        quotes_header: whether there are quotes in it, as where everything is quoted.
        rows: with the header.
        wrong: rows with another number of fields than the header.
        quoted: records with well-formed quotes.
        odd: records with quotes that this dialect does not write.
        lossy: the lines of those records of one line that lose a quote when they are read.
        swallowing: the first lines of records of several lines that seem to be rows of their own: there is text behind
            the closing quote, or each line has the fields of a row.
        doubtful: such records whose lines might as well be those of a text, and the lines.
    """

    dialect: Dialect
    width: int = 0
    quotes_header: bool = False
    rows: int = 0
    wrong: int = 0
    quoted: int = 0
    odd: int = 0
    lossy: list[int] = field(default_factory=list)
    swallowing: list[int] = field(default_factory=list)
    doubtful: list[tuple[int, list[str]]] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.wrong or self.odd or self.swallowing)


def sniff_dialect(
    path: Path, open_text: OpenText, *, usual: str, delimiter: str | None = None, quoting: str | None = None
) -> tuple[Dialect, str]:
    """The dialect of a file, and why if it is not the usual one; what is given is taken as it is.

    Args:
        usual: the delimiter that goes with the suffix.

    Raises:
        HfclsError: rows are lost however it is read; names the line where the quoted field began.
    """
    delimiter = delimiter or _sniff_delimiter(open_text, usual)
    if quoting is not None:
        return Dialect(delimiter, quoting), ""
    with open_text() as file:
        with_quotes = (line for line in file if '"' in line)
        quotes = next(with_quotes, "")
        escapes = any('\\"' in line for line in (quotes, *with_quotes))
    if not quotes:
        return Dialect(delimiter), ""
    plain = _try(Dialect(delimiter), open_text)
    if plain.good:
        return plain.dialect, ""
    if escapes and (escaped := _try(Dialect(delimiter, "backslash"), open_text)).good:
        return escaped.dialect, 'quotes inside quotes are written \\"'
    if plain.wrong and (lines := _try(Dialect(delimiter, "lines"), open_text)).good:
        return lines.dialect, f"{lines.quoted:,} lines are quoted as a whole"
    return _with_or_without(path, plain, _try(Dialect(delimiter, "none"), open_text))


def _with_or_without(path: Path, plain: Trial, unquoted: Trial) -> tuple[Dialect, str]:
    """Quotes are not where a csv writer puts them: are they quotes at all?"""
    lost = unquoted.rows - plain.rows
    if not unquoted.wrong and plain.odd and (lost or plain.wrong) and plain.quoted * 2 < unquoted.rows:
        reason = f"each of its {unquoted.rows:,} lines is a row; with quotes there would be {plain.rows:,} rows"
        return unquoted.dialect, reason
    if not unquoted.wrong and not lost and plain.odd > plain.quoted:
        return unquoted.dialect, f"{plain.odd:,} lines have quotes that would be doubled if it were quoted"
    if unquoted.wrong < plain.wrong and plain.odd > plain.quoted:
        return unquoted.dialect, ""  # with a broken line, which its reader names
    if plain.swallowing and (plain.odd or not plain.quotes_header):
        raise HfclsError(
            f"{path}, line {plain.swallowing[0]}: a quote opens a field there that takes in lines below, which look "
            'like rows: inside quotes write "" for a quote; or say how the file was written, with --quoting none or '
            "csv where the command has it"
        )
    if plain.lossy and not plain.wrong:
        return (
            plain.dialect,
            f"{len(plain.lossy):,} lines have text behind a closing quote, line {plain.lossy[0]} for one",
        )
    return plain.dialect, ""


def _try(dialect: Dialect, open_text: OpenText) -> Trial:
    trial, number, delimiter = Trial(dialect=dialect), 1, dialect.delimiter
    by_line = None
    with open_text() as file:
        for line in file:
            if by_line:  # most records are one line, and need not be parsed to be counted
                quoted = dialect.quoting == "csv" and '"' in line
                if by_line.fullmatch(line) if quoted else line.count(delimiter) + 1 == trial.width:
                    trial.rows += 1
                    trial.quoted += quoted
                    number += 1
                    continue
            row, lines = next(records(dialect, chain([line], file)))
            if row:
                _note(trial, row, lines, number)
                by_line = by_line or (dialect.quoting in ("csv", "none") and dialect.well_formed(trial.width)) or None
            number += len(lines)
    if trial.doubtful:
        known, most = _ends_of_single_lines(dialect, open_text), len(trial.doubtful) * 2 >= trial.rows - 1
        looking = [number for number, lines in trial.doubtful if most or _ends_like_rows(dialect, lines, known)]
        trial.swallowing = sorted([*trial.swallowing, *looking])
    return trial


def _note(trial: Trial, row: list[str], lines: list[str], number: int) -> None:
    dialect, text, lossy = trial.dialect, "".join(lines), False
    trial.quotes_header = '"' in text if not trial.rows else trial.quotes_header
    trial.width = trial.width or len(row)
    trial.rows += 1
    trial.wrong += not fits(row, trial.width)
    if dialect.quoting == "none" or '"' not in text:
        return
    if dialect.well_formed().fullmatch(text):
        trial.quoted += 1
    else:
        trial.odd += 1
        lossy = not dialect.harmless().fullmatch(text)
    if lossy and len(lines) == 1 and not _ends_within_quotes(text, dialect.delimiter):
        trial.lossy.append(number)
    elif lossy:
        trial.swallowing.append(number)
    elif len(lines) > 1 and trial.width > 1 and all(line.count(dialect.delimiter) + 1 == trial.width for line in lines):
        # a text may hold a line end and a comma; hardly a tab, or a row's number of commas in each of four lines
        if dialect.delimiter != "," or len(lines) > 3:
            trial.swallowing.append(number)
        else:
            trial.doubtful.append((number, lines[:]))


def _ends_like_rows(dialect: Dialect, lines: list[str], known: tuple[set[str], set[str]]) -> bool:
    """Whether whole lines in the midst end as rows elsewhere do, or all of the lines end alike."""
    inner, ends = _ends(dialect, lines[1:-1] or lines), _ends(dialect, lines)
    return any(map(set.issuperset, known, inner)) or any(len(values) == 1 for values in ends)


def _ends(dialect: Dialect, lines: Iterable[str]) -> tuple[set[str], set[str]]:
    """The first and the last fields of these lines: one of the two is often the label."""
    fields = [line.strip("\r\n").split(dialect.delimiter) for line in lines]
    return {row[0] for row in fields}, {row[-1] for row in fields}


def _ends_of_single_lines(dialect: Dialect, open_text: OpenText) -> tuple[set[str], set[str]]:
    with open_text() as file:
        rows = [row for row, lines in records(dialect, file) if row and len(lines) == 1]
    return {row[0] for row in rows}, {row[-1] for row in rows}


def _ends_within_quotes(text: str, delimiter: str) -> bool:
    try:
        list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "end of data" in str(error)
    return False


def _sniff_delimiter(open_text: OpenText, usual: str) -> str:
    """The one that gives most rows the fields of the header, which are two or more; else the usual one."""
    with open_text() as file:
        sample = list(_first_lines(file))
    shares: dict[str, float] = {}
    for delimiter in (usual, *(other for other in DELIMITERS if other != usual)):
        for quoting in ("csv", "none"):
            header, *rows = [row for row, _ in records(Dialect(delimiter, quoting), iter(sample)) if row]
            if len(header) > 1:
                share = sum(fits(row, len(header)) for row in rows) / max(len(rows), 1)
                if delimiter == usual and share == 1:
                    return usual
                shares[delimiter] = max(shares.get(delimiter, 0.0), round(share, 2))
    best = max(shares, key=shares.__getitem__, default=usual)  # the first of equal ones
    return best if shares.get(best, 0) > 0.5 else usual


def _first_lines(file: Iterator[str]) -> Iterator[str]:
    size = 0
    for line in file:
        yield line
        size += len(line)
        if size > SAMPLE:
            return
