"""A workbook's rows, as a csv file of its sheet would have them."""

import sys
import zipfile
from xml.sax.saxutils import escape

import pytest

import hfcls as package
from hfcls.data.corpora import load_corpus
from hfcls.data.formats.spreadsheets import open_workbook, sheet_rows
from hfcls.data.formats.table import ReadOptions
from hfcls.errors import HfclsError

pytest.importorskip("python_calamine")
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def cell(value):
    if value is None:
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value}</v></c>"
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'


def write_workbook(path, sheets, hidden=()):
    """The least that Excel opens: a workbook with these sheets, each a list of rows."""
    numbered = list(enumerate(sheets.items(), start=1))
    with zipfile.ZipFile(path, "w") as packed:
        parts = "".join(
            f'<Override PartName="/xl/worksheets/sheet{i}.xml" ContentType="{KIND}.worksheet+xml"/>'
            for i, _ in numbered
        )
        packed.writestr(
            "[Content_Types].xml",
            f'{HEAD}<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" '
            f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{KIND}.sheet.main+xml"/>{parts}</Types>',
        )
        packed.writestr(
            "_rels/.rels",
            f'{HEAD}<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" '
            f'Type="{LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        states = ("visible", "hidden")
        names = "".join(
            f'<sheet name="{escape(name)}" sheetId="{i}" state="{states[name in hidden]}" r:id="rId{i}"/>'
            for i, (name, _) in numbered
        )
        packed.writestr(
            "xl/workbook.xml", f'{HEAD}<workbook {MAIN} xmlns:r="{LINKS}"><sheets>{names}</sheets></workbook>'
        )
        links = "".join(
            f'<Relationship Id="rId{i}" Type="{LINKS}/worksheet" Target="worksheets/sheet{i}.xml"/>'
            for i, _ in numbered
        )
        packed.writestr(
            "xl/_rels/workbook.xml.rels",
            f'{HEAD}<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>',
        )
        for i, (_, rows) in numbered:
            data = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            packed.writestr(
                f"xl/worksheets/sheet{i}.xml", f"{HEAD}<worksheet {MAIN}><sheetData>{data}</sheetData></worksheet>"
            )


def rows_of(path, **options):
    table = open_workbook(path, ReadOptions(**options))
    return [tuple(row.values()) for part in table.parts for row in part.to_pylist()], table


def test_the_first_sheet_is_read_as_text(tmp_path):
    path = tmp_path / "reviews.xlsx"
    rows = [("text", "label", None), (" 좋다,\n정말 ", 1, None), ("별로", 0.5, None), (None, True, None), ("끝", None)]
    write_workbook(path, {"리뷰": rows, "둘째": [("글",), ("가",)]})
    found, table = rows_of(path)
    assert list(table.features) == ["text", "label"]
    assert found == [(" 좋다,\n정말 ", "1"), ("별로", "0.5"), ("", "TRUE"), ("끝", "")]
    assert table.decided == ["read its first sheet, '리뷰', and not '둘째': --sheet chooses another"]
    found, table = rows_of(path, sheet="둘째")
    assert (found, table.decided) == ([("가",)], [])
    found, table = rows_of(path, sheet="둘째", no_header=True)
    assert (list(table.features), found) == (["1"], [("글",), ("가",)])


def test_a_hidden_sheet_is_not_the_first(tmp_path):
    path = tmp_path / "a.xlsx"
    write_workbook(path, {"목록": [("text",), ("나",)], "글": [("text",), ("가",)]}, hidden=["목록"])
    found, table = rows_of(path)
    assert (found, table.decided) == (
        [("가",)],
        ["read its first sheet, '글', and not '목록': --sheet chooses another"],
    )
    assert rows_of(path, sheet="목록")[0] == [("나",)]
    write_workbook(path, {"목록": [("text",), ("나",)]}, hidden=["목록"])
    assert rows_of(path)[0] == [("나",)]


def test_suspicious_rows_are_named_by_the_number_that_excel_shows(tmp_path):
    rows = [(f"{['좋다 정말', '별로 정말'][i % 2]} {i}", ["긍정", "부정"][i % 2]) for i in range(60)]
    rows[20] = ("좋다 정말 20", "부정")
    path = tmp_path / "a.xlsx"
    write_workbook(path, {"글": [(None,), (None,), ("text", "label"), *rows[:10], (None,), *rows[10:]]})
    given = {"dataset": str(path), "output": str(tmp_path / "list.csv"), "drop_unlabelled": True}
    first = package.clean(**given).suspects[0]
    assert (first.text, first.row, first.line) == ("좋다 정말 20", 22, 25)
    assert "a.xlsx, line 25: 부정" in package.clean(**given).text()
    assert sheet_rows(path, ReadOptions(no_header=True)) == list(range(3, 65))


def test_a_corpus_of_a_workbook(tmp_path):
    path = tmp_path / "REVIEWS.XLSX"
    write_workbook(path, {"Sheet1": [("document", "label"), ("가나", 1), ("다라", 0), ("마바", 1)]})
    rows = load_corpus(str(path))["train"]
    assert list(rows["text"]) == ["가나", "다라", "마바"]
    assert rows.features["label"].names == ["0", "1"]


def test_what_is_no_workbook_or_no_sheet_is_named(tmp_path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"x\n")
    with pytest.raises(HfclsError, match="a.xlsx is not a workbook that can be read"):
        rows_of(path)
    write_workbook(path, {"하나": [("text",), ("가",)], "빈": []})
    with pytest.raises(HfclsError, match="a.xlsx has no sheet '둘'; it has '하나', '빈': set --sheet"):
        rows_of(path, sheet="둘")
    with pytest.raises(HfclsError, match="a.xlsx, sheet '빈': it needs a header line and rows"):
        rows_of(path, sheet="빈")


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(HfclsError, match=r"a.xlsx: a workbook needs python-calamine: pip install -e '.\[excel\]'"):
        rows_of(tmp_path / "a.xlsx")
