"""Workbooks of Excel and LibreOffice, through python-calamine: one compiled wheel without dependencies (MIT)."""

import datetime
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Features, Value

from hfcls.data.formats.encodings import open_bytes
from hfcls.data.formats.table import ROWS_AT_ONCE, ReadOptions, Table, unique_names
from hfcls.errors import HfclsError, NoRowsError
from hfcls.system.next_steps import INSTALL_EXTRA
from hfcls.system.quoting import quoted

SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")


def open_workbook(path: Path, options: ReadOptions) -> Table:
    """The first sheet that is shown, or the one called `sheet`: all columns as text, as a csv of it would have them.

    Raises:
        HfclsError: python-calamine is not installed, the file is no workbook, or there is no such sheet.
    """
    sheet, others, cells = _cells(path, options)
    while cells and not any(cells[0]):
        cells.pop(0)
    if len(cells) < (1 if options.no_header else 2):
        raise NoRowsError(f"{path}, sheet {sheet!r}: it needs a header line and rows")
    width = max(max((i for i, cell in enumerate(row, start=1) if cell), default=1) for row in cells)
    header = [str(i) for i in range(1, width + 1)] if options.no_header else cells.pop(0)[:width]
    columns = unique_names(header)
    table = Table(Features({name: Value("string") for name in columns}), _parts(iter(cells), columns))
    if others and options.sheet is None:
        table.decided.append(f"read its first sheet, {sheet!r}, and not {quoted(others)}: --sheet chooses another")
    return table


def sheet_rows(path: Path, options: ReadOptions) -> list[int]:
    """The number, as a spreadsheet shows it, of each row that `open_workbook` gives."""
    _, _, cells = _cells(path, options)
    top = next(i for i, row in enumerate(cells, start=1) if any(row))
    return list(range(top if options.no_header else top + 1, len(cells) + 1))


def _cells(path: Path, options: ReadOptions) -> tuple[str, list[str], list[list[str]]]:
    """The name of the sheet that is meant, those of the others, and its rows, down to the last one that is filled."""
    try:
        from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum
    except ImportError as error:
        raise HfclsError(f"{path}: a workbook needs python-calamine: {INSTALL_EXTRA.format(extra='excel')}") from error
    try:
        with open_bytes(path) as file:
            workbook = CalamineWorkbook.from_filelike(file)
            kind = (SheetTypeEnum.WorkSheet, SheetVisibleEnum.Visible)
            shown = [found.name for found in workbook.sheets_metadata if (found.typ, found.visible) == kind]
            names = workbook.sheet_names
            sheet = _sheet(path, names, options.sheet or next(iter(shown), None))
            rows = workbook.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except CalamineError as error:
        raise HfclsError(f"{path} is not a workbook that can be read: {error!s:.200}") from error
    cells = [[_text(value) for value in row] for row in rows]
    while cells and not any(cells[-1]):
        cells.pop()
    return sheet, [name for name in names if name != sheet], cells


def _sheet(path: Path, names: list[str], wanted: str | None) -> str:
    if wanted is None and names:
        return names[0]
    if wanted not in names:
        raise HfclsError(f"{path} has no sheet {wanted!r}; it has {quoted(names)}: set --sheet")
    return wanted


def _text(value: Any) -> str:
    """A cell as Excel would write it to csv; a date as ISO 8601."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def _parts(rows: Iterator[list[str]], columns: list[str]) -> Iterator[pa.Table]:
    width = len(columns)
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        padded = [[*row[:width], *[""] * (width - len(row))] for row in batch]
        yield pa.table([pa.array(column, pa.string()) for column in zip(*padded, strict=True)], names=columns)
