"""Whatever a string holds, it stays one string where another language reads it."""

import ast
import html
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hfcls.system.quoting import markdown, one_line, python_string, shortened, spreadsheet_cell, visible

EVIL = (
    "<script>alert(1)</script> <img src=x> ![a](b) [l](c) `d` |*e*|_f_|~~g~~ $x$ {{ 1 }} %s & &amp; \\ # ' \" <!-- -->"
)
texts = st.one_of(st.text(max_size=30), st.text("`*_[]()<>|&\\!~$#\"' \n\t\x00\x1b\x85\u2028\u202ea가", max_size=12))
tried = settings(deadline=None, derandomize=True, max_examples=200)


@tried
@example(EVIL)
@given(texts)
def test_what_is_visible_is_xml_and_utf_8(text):
    shown = visible(text)
    read = ElementTree.fromstring(f"<a>{html.escape(shown)}</a>".encode()).text or ""
    assert read.split("\n") == shown.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # XML knows one line end
    assert len(shown) == len(text)
    assert "\x1b" not in shown


@tried
@example("가나다 " * 20, 9)
@example("가" * 20, 9)
@given(texts, st.integers(1, 20))
def test_a_text_is_cut_between_words(text, width):
    line, cut = one_line(text), shortened(text, width)
    assert len(cut) <= width
    assert line.startswith(cut)
    first = line.split(" ")[0]
    assert cut == line or line[len(cut)] == " " or (len(first) > width and cut == first[:width])
    assert cut or not line


@tried
@example(EVIL)
@given(texts)
def test_markdown_shows_the_text_and_nothing_else(text):
    renderer = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    escaped = markdown(text)
    shown = renderer.render(f"x{escaped}x").removeprefix("<p>").removesuffix("</p>\n")
    assert "<" not in shown
    assert html.unescape(shown) == f"x{one_line(text)}x"
    cells = ElementTree.fromstring(renderer.render(f"| a |\n| --- |\n| x{escaped}x |\n")).findall(".//td")
    assert [cell.text for cell in cells] == [f"x{one_line(text)}x"]


@tried
@example(EVIL + "\ud800\n\x1b")
@given(texts)
def test_a_literal_is_the_text_in_one_visible_line(text):
    literal = python_string(text)
    assert ast.literal_eval(literal) == text
    assert literal.startswith('"')
    assert literal.isprintable()


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "-", "+82-10-1234", "=-1"]
)
def test_a_spreadsheet_is_given_no_formula(text):
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "가 = 나", "-1", "+3.5", "-1,234.50", "-2e-05", "1=1", " =1", "'=1"])
def test_other_cells_stay_as_they_are(text):
    assert spreadsheet_cell(text) == text
