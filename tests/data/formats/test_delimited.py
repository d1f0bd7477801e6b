"""However a table is written, its rows come back as they were, or the line that cannot be read is named."""

import bz2
import csv
import gzip
import io
import lzma
import re
import zipfile

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hfcls.data.formats.delimited import open_delimited, row_lines
from hfcls.data.formats.dialects import Dialect
from hfcls.data.formats.table import ReadOptions
from hfcls.errors import HfclsError

DELIMITERS = ",\t;|"
WORDS = [
    "좋아요",
    "별로",
    '"',
    '""',
    '\\"',
    "\\",
    "\\n",
    "'",
    ",",
    "\t",
    ";",
    "|",
    " ",
    "\n",
    "\r\n",
    "a",
    "",
    "😀",
    "\u2028",
]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=6).map("".join)
NO_LINE_END = TEXTS.map(lambda text: re.sub(r"[\r\n]", "", text))


def rows_of(path, usual=",", **options):
    table = open_delimited(path, usual, ReadOptions(**options))
    return [tuple(row.values()) for part in table.parts for row in part.to_pylist()], table


def written(rows, dialect):
    out = io.StringIO(newline="")
    if dialect.quoting == "none":
        out.writelines(dialect.delimiter.join(row) + "\n" for row in rows)
    else:
        style = {"doublequote": False, "escapechar": "\\"} if dialect.quoting == "backslash" else {}
        csv.writer(out, delimiter=dialect.delimiter, lineterminator="\n", **style).writerows(rows)
    return out.getvalue()


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(TEXTS, st.sampled_from("ab")), min_size=1, max_size=8),
    delimiter=st.sampled_from(DELIMITERS),
    quoting=st.sampled_from(["csv", "backslash", "none"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_odd_texts_written_in_a_named_way_come_back(tmp_path_factory, rows, delimiter, quoting, encoding):
    if quoting == "none":
        rows = [(re.sub(rf"[\r\n{re.escape(delimiter)}]", "", text), label) for text, label in rows]
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(written([("text", "label"), *rows], Dialect(delimiter, quoting)).encode(encoding))
    found, _ = rows_of(path, delimiter=delimiter, quoting=quoting)
    assert found == rows


@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(NO_LINE_END, min_size=4, max_size=30),
    delimiter=st.sampled_from(DELIMITERS),
    quoted=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16-le"]),
)
@example(texts=["", '"', "", '"'], delimiter=",", quoted=False, encoding="utf-8")
@example(texts=['"'] * 4, delimiter=",", quoted=False, encoding="utf-8")
@example(texts=["", "", '"', '"'], delimiter=",", quoted=False, encoding="utf-8")
def test_no_row_is_lost_when_the_way_is_not_told(tmp_path_factory, texts, delimiter, quoted, encoding):
    """As many rows as lines, or an error: a quote swallows nothing."""
    dialect = Dialect(delimiter, "csv" if quoted else "none")
    if not quoted:
        texts = [text.replace(delimiter, " ") for text in texts]
    rows = [(text, "ab"[i % 2]) for i, text in enumerate(["좋아요", "별로", *texts])]  # each label in a plain row
    path = tmp_path_factory.mktemp("t") / "t.csv"
    content = written([("text", "label"), *rows], dialect)
    path.write_bytes(content.encode(encoding))
    try:
        found, table = rows_of(path)
    except HfclsError as error:
        message = str(error)
        found = None
    if found is None:
        assert re.search(r"line \d+", message)
        return
    assert len(found) == len(rows)
    assert [label for _, label in found] == [label for _, label in rows]
    assume(quoted)
    assert found == rows, table.decided


ROWS = [(f"{i}번째 주문, 좋아요", "긍정 부정 중립".split()[i % 3]) for i in range(30)]


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp949", "iso2022_kr"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_delimiter_and_encoding_are_recognised(tmp_path, delimiter, encoding, line_end):
    path = tmp_path / "t.csv"
    text = written([("text", "label"), *ROWS], Dialect(delimiter)).replace("\n", line_end)
    path.write_bytes(text.encode(encoding))
    found, table = rows_of(path)
    assert found == ROWS
    assert bool(table.decided) == ((delimiter, encoding) != (",", "utf-8"))


@pytest.mark.parametrize(
    ("lines", "expected", "decided"),
    [
        # written without quoting: two quotes, the rows between them in one field
        (
            ["label\ttext", '긍정\t"배송이 늦어요', *["부정\t별로"] * 20, '긍정\t"배송이 늦어요', "중립\t글"],
            [("긍정", '"배송이 늦어요'), *[("부정", "별로")] * 20, ("긍정", '"배송이 늦어요'), ("중립", "글")],
            "delimiter tab, no quoting (each of its 24 lines is a row; with quotes there would be 3 rows)",
        ),
        (
            ["text\tlabel", '그가 말했다, "네."\t0', '"아니." 그녀가 말했다\t1', "글\t0"],
            [('그가 말했다, "네."', "0"), ('"아니." 그녀가 말했다', "1"), ("글", "0")],
            "no quoting (2 lines have quotes that would be doubled if it were quoted)",
        ),
        (
            ["text,label", '"그는 \\"좋다, 최고\\"라고",1', '"끝은 \\\\",0', '"\\n은 그대로",1'],
            [('그는 "좋다, 최고"라고', "1"), ("끝은 \\", "0"), ("\\n은 그대로", "1")],
            'backslash quoting (quotes inside quotes are written \\")',
        ),
        (
            ["text\tlabel", '"""예쁜게 죄"" 무기징역\t1"', "글\t0"],
            [('"예쁜게 죄" 무기징역', "1"), ("글", "0")],
            "lines quoted (1 lines are quoted as a whole)",
        ),
        (
            ["text,label", '"좋다" 정말,1', '"쉼표, 하나",0', '"쉼표, 둘",0'],
            [("좋다 정말", "1"), ("쉼표, 하나", "0"), ("쉼표, 둘", "0")],
            None,
        ),
        (["text,label,,", "가,1,,", "나,0,,"], [("가", "1", "", ""), ("나", "0", "", "")], None),
        (["text,label", "가,1,,", "나,0"], [("가", "1"), ("나", "0")], None),
        (
            ["text,label", '"한 줄\n두 줄",1', '"세, 줄\n네 줄\n\n",0'],
            [("한 줄\n두 줄", "1"), ("세, 줄\n네 줄\n\n", "0")],
            None,
        ),
    ],
)
def test_what_was_decided_is_told(tmp_path, lines, expected, decided):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    found, table = rows_of(path)
    assert found == expected
    assert decided is None or decided in table.decided[0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        # most rows are quoted, so quotes are quotes; one is never closed, or closed by the next row's
        (
            ["text,label", *['"글, 하나",1'] * 9, '"열린 글,0', *['"글, 둘",1'] * 5],
            ", line 11: a quote opens a field there",
        ),
        (["text,label", *['"글, 하나",1'] * 9, '"열린 글,0'], ", line 11: a quote opens a field there"),
        (["text,label", "가,1", "나,다,라"], ", line 3: 3 fields, but the header has 2 ('text', 'label')"),
        (["text,label", "가,1", "나"], ", line 3: 1 fields, but the header has 2 ('text', 'label')"),
        (
            [",".join(f"c{i}" for i in range(99)), "가"],
            "the header has 99 ('c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8', 'c9' and 89 more)",
        ),
        (
            ["# 2026년 11월", "text,label", "가,1"],
            ", line 2: 2 fields, but the header has 1 ('# 2026년 11월'); delete what",
        ),
        (["text,label"], "has a header line but no rows"),
        (["", "  "], "is empty: it needs a header line and rows"),
    ],
)
def test_a_row_that_cannot_be_told_from_others_is_named(tmp_path, lines, message):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(HfclsError, match=re.escape(message)):
        rows_of(path)


@pytest.mark.parametrize("told", ["sep=^", '"SEP=^"'])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_line_that_tells_excel_the_delimiter_is_no_header(tmp_path, told, encoding):
    path = tmp_path / "t.csv"
    path.write_text(f'{told}\ntext^label\n"글, ^ 하나"^1\n둘^0\n셋^1^0\n', encoding)
    with pytest.raises(HfclsError, match="line 5: 3 fields, but the header has 2"):
        rows_of(path)
    path.write_text(f'{told}\ntext^label\n"글, ^ 하나"^1\n둘^0\n', encoding)
    assert rows_of(path)[0] == [("글, ^ 하나", "1"), ("둘", "0")]
    assert row_lines(path, ",", ReadOptions()) == [3, 4]


def test_columns_that_cannot_be_chosen_by_mistake(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(",text,label,text\n0,가,1,나\n", encoding="utf-8")
    table = open_delimited(path, ",", ReadOptions())
    assert list(table.features) == ["Unnamed: 0", "text (1)", "label", "text (2)"]


def test_what_is_given_wins(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('"가";1\n나;0\n', encoding="cp949")
    found, table = rows_of(path, no_header=True, delimiter=",", quoting="none", encoding="cp949")
    assert found == [('"가";1',), ("나;0",)]
    assert list(table.features) == ["1"]
    found, table = rows_of(path, no_header=True)
    assert found == [("가", "1"), ("나", "0")]
    assert list(table.features) == ["1", "2"]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zip"])
def test_packed_files_are_unpacked(tmp_path, suffix):
    content = written([("text", "label"), *ROWS], Dialect(",")).encode()
    path = tmp_path / f"t.csv{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("folder/t.csv", content)
            packed.writestr("__MACOSX/folder/._t.csv", b"\0Mac")
    else:
        path.write_bytes({".gz": gzip, ".bz2": bz2, ".xz": lzma}[suffix].compress(content))
    assert rows_of(path)[0] == ROWS
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(HfclsError, match="cannot unpack .*is the file whole"):
        rows_of(path)


def test_a_zip_of_two_tables_is_refused_by_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as packed:
        packed.writestr("a.csv", "a")
        packed.writestr("b.csv", "b")
    with pytest.raises(HfclsError, match="holds 2 files .'a.csv', 'b.csv'., not one table: unpack it"):
        rows_of(tmp_path / "t.zip")


def test_a_broken_line_of_utf_8_is_not_taken_for_cp949(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("text,label\n가나,1\n다라,0\n".encode() + b"\xb0\xa1,1\n")
    with pytest.raises(
        HfclsError,
        match="t.csv, line 4 is not UTF-8 text; save the file as UTF-8, or name its encoding with --encoding where",
    ):
        rows_of(path)


def test_fasttext_lines_are_told_by_their_labels(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("__label__긍정 좋아요, 정말\n__label__부정 별로\n", encoding="utf-8")
    assert rows_of(path, "\t")[0] == [("좋아요, 정말", "긍정"), ("별로", "부정")]
    path.write_text("__label__가격 __label__배송 좋아요\n__label__배송 별로\n", encoding="utf-8")
    assert rows_of(path, "\t")[0] == [("좋아요", ["가격", "배송"]), ("별로", ["배송"])]
    path.write_text("__label__긍정 좋아요\n별로\n", encoding="utf-8")
    with pytest.raises(HfclsError, match="line 2: no __label__NAME before the text"):
        rows_of(path, "\t")


@pytest.mark.parametrize("no_header", [False, True])
def test_the_line_of_each_row_is_where_its_record_begins(tmp_path, no_header):
    path = tmp_path / "t.csv.gz"
    header = [] if no_header else ["글,표"]
    lines = ["", *header, "하나,a", "", '"둘,', '그 아래",b', "", "", '"셋",a', '"넷', "", '끝",b', "다섯,a"]
    path.write_bytes(gzip.compress("\n".join(lines).encode("cp949")))
    rows, _ = rows_of(path, no_header=no_header)
    starts = row_lines(path, ",", ReadOptions(no_header=no_header))
    assert [lines[start - 1].split(",")[0].strip('"') for start in starts] == ["하나", "둘", "셋", "넷", "다섯"]
    assert [text.split(",")[0].split("\n")[0] for text, _ in rows] == ["하나", "둘", "셋", "넷", "다섯"]


def test_the_lines_of_fasttext_are_those_that_are_not_blank(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("__label__a 하나\n\n__label__b 둘\n", "utf-8")
    assert row_lines(path, "\t", ReadOptions()) == [1, 3]
