"""`hfcls serve`: the API over real sockets, and the page in a real browser."""

import csv
import gc
import html
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import tracemalloc
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from accessibility import serious_violations
from conftest import ROOT
from pyarrow import parquet

import hfcls
from hfcls import cli
from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier

pytest.importorskip("gradio", reason="needs the extra serve")

from hfcls.inference.occlusion import Part
from hfcls.scoring.tasks import SingleLabel
from hfcls.serving.answers import UNSURE, answer, cell, results, write_workbook
from hfcls.serving.app import _examples
from hfcls.serving.middleware import max_body
from hfcls.serving.page import build_page
from hfcls.serving.reading import columns_of, likely_column, limited, read_rows

sys.path.insert(0, str(ROOT / "benchmarks"))
from serve import ask  # the REST API of the page

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def classifier(classifier_folder):
    return Classifier.from_pretrained(classifier_folder)


@contextmanager
def served(folder: str, *flags: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The real command in a process of its own, on a free port: its address, and the process."""
    command = [sys.executable, "-m", "hfcls.cli", "serve", folder, *flags]
    with (
        tempfile.TemporaryFile("w+") as log,  # not a pipe, which fills while nobody reads it
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            line = process.stdout.readline()
            found = re.search(r" is at (http://127\.0\.0\.1:\d+)/ \(Ctrl-C ends it\)", line)
            log.seek(0)
            assert found, (line, log.read())
            yield found.group(1), process
            log.seek(0)
            assert "Traceback" not in log.read()
        finally:
            process.kill()


LIMITS = ("--max_chars", "100", "--max_texts", "10")


@pytest.fixture(scope="module")
def url(classifier_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "sentiment"
    shutil.copytree(classifier_folder, folder)
    (folder / "results.json").write_text(json.dumps({"examples": [{"text": "배송이 너무\n늦었어요"}, {"text": " "}]}))
    with served(str(folder), *LIMITS) as (address, _):
        yield address


EVIL = (
    "<img src=http://example.org/x.png onerror='document.title=1'>![a](http://example.org/y.png)`b`|$$x$$${document.title=1}"
    '{{ 7*7 }}<script>document.title=1</script>\x1b[31m\u202e[l](http://example.org/z)"&amp;%s'
)


@pytest.fixture(scope="module")
def hostile(classifier_folder, tmp_path_factory):
    """A folder with a hostile name, of a classifier with hostile labels and held-out texts."""
    folder = tmp_path_factory.mktemp("hostile") / "a <b>x<!-- ![i](q) `n` & \"'"
    shutil.copytree(classifier_folder, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["id2label"] = {str(i): f"{i}{EVIL}" for i in range(2)}
    config["label2id"] = {label: int(i) for i, label in config["id2label"].items()}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "results.json").write_text(json.dumps({"examples": [{"text": f"최고 {EVIL}"}]}))
    return folder


def test_the_api_answers_as_the_classifier_does(url, classifier):
    for text in ("최고 추천", "별로 <b>실망</b>"):
        assert ask(url, "classify", text) == classifier(text, all_scores=True)
    texts = ["최고 추천", "별로 실망", ""]
    assert [a["label"] for a in ask(url, "classify_many", texts)] == [a["label"] for a in classifier(texts)]
    explained = ask(url, "explain", "최고 추천")
    assert [part["text"] for part in explained["parts"]] == ["최고", "추천"]
    assert explained["scores"] == pytest.approx(classifier("최고 추천", all_scores=True)["scores"], abs=1e-5)


@pytest.mark.parametrize(
    ("endpoint", "data", "message"),
    [
        ("classify", "가" * 101, "Text 1 has 101 characters; at most 100 are taken"),
        ("classify_many", ["좋다"] * 11, "At most 10 texts at once, found 11"),
        ("classify_many", ["좋다", 3], "A text is needed"),
        ("explain", " ", "Type a text first"),
    ],
)
def test_limits_are_told(url, endpoint, data, message):
    with pytest.raises(RuntimeError, match=message):
        ask(url, endpoint, data)


def test_parallel_clients_get_their_own_answers(url, classifier):
    texts = [f"최고 추천 {i} 별로 {'실망 ' * (i % 5)}" for i in range(50)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda text: ask(url, "classify", text), texts))
    for found, expected in zip(answers, classifier(texts), strict=True):
        assert found["score"] == pytest.approx(expected["score"], abs=1e-5)
        assert found["label"] == expected["label"]


@pytest.mark.slow
def test_what_the_page_of_the_documentation_tells_to_run_runs(classifier_folder, url, tmp_path):
    page = (ROOT / "docs/serve.md").read_text("utf-8").replace("http://127.0.0.1:7860", url)
    page = page.replace("outputs/quickstart", classifier_folder)
    for language, shell in (("bash", ["bash", "-ec"]), ("python", [sys.executable, "-W", "ignore", "-c"])):
        for block in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL):
            if "pip install" in block or "benchmarks" in block:  # tested below, and too slow: it starts two servers
                continue
            done = subprocess.run(
                [*shell, block], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
            )
            assert done.returncode == 0, done.stderr
            if "curl" in block:
                assert done.stdout.startswith('{"label":"')
                assert done.stdout.count('"scores":{') == 2
            if "urlopen" in block:
                assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "좋다\n\n나쁘다, 정말\n".encode(), (["text"], [["좋다"], ["나쁘다, 정말"]])),
        ("a.csv", '\ufeffid,text\n1,"좋다, 정말"\n'.encode(), (["id", "text"], [["1", "좋다, 정말"]])),
        ("a.CSV", b"text\n\n  \nx\n", (["text"], [["  "], ["x"]])),
        ("a.csv", b"id,body\n1,x\n", "choose the column with the texts. It has id, body"),
        ("a.csv", b"", "a.csv is empty: it needs a header line and rows"),
        ("a.csv", "text\n좋다\n".encode("cp949"), (["text"], [["좋다"]])),
        ("a.csv", "id;text\r\n1;좋다, 정말\r\n".encode("cp949"), (["id", "text"], [["1", "좋다, 정말"]])),
        ("a.txt", "좋다\n".encode("cp949"), (["text"], [["좋다"]])),
        ("a.txt", "id\ttext\tlabel\n7\t좋다\t1\n".encode(), (["id", "text", "label"], [["7", "좋다", "1"]])),
        ("a.tsv", b"text\tid\nx\n", "a.tsv, line 2: 1 fields, but the header has 2"),
        ("a.pdf", b"", "A file of one of these kinds is needed: csv, tsv, txt, json, jsonl, parquet, xlsx"),
        (
            "a.jsonl",
            '{"id": 1, "text": "좋다"}\n{"id": 2, "text": null}'.encode(),
            (["id", "text"], [["1", "좋다"], ["2", None]]),
        ),
        ("a.json", '[{"text": "좋다"}]'.encode(), (["text"], [["좋다"]])),
        ("a.parquet", b"PAR1", "the file could not be read (could not read a.parquet as parquet"),
        ("a.xlsx", b"PK", "the file could not be read (a.xlsx is not a workbook"),
    ],
)
def test_files_are_read_or_refused_with_a_reason(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content)
    if isinstance(expected, tuple):
        assert read_rows("", str(path), ["text"], 100, 10) == expected
        assert columns_of(str(path), 10) == expected[0]
    else:
        with pytest.raises(HfclsError, match=re.escape(expected)) as caught:
            read_rows("", str(path), ["text"], 100, 10)
        assert str(tmp_path) not in str(caught.value)
        assert set(caught.value.in_language) == {"ko", "en"}
        assert all(name in told for told in caught.value.in_language.values())


def test_what_the_page_writes_as_a_workbook_it_reads_again(tmp_path):
    rows = [["내용", "predicted_label"], ["=1+1", "긍정"], ["http://example.org 010-1234", "부정"], ["", "0012"]]
    path = write_workbook(rows, tmp_path)
    assert columns_of(str(path), 10) == rows[0]
    assert read_rows("", str(path), ["내용"], 100, 10) == (rows[0], rows[1:])
    assert "<f>" not in zipfile.ZipFile(path).read("xl/worksheets/sheet1.xml").decode(), "no formula"


def test_a_workbook_that_unpacks_to_too_much_is_not_read(tmp_path, monkeypatch):
    path = write_workbook([["text"], ["가"]], tmp_path)
    monkeypatch.setattr("hfcls.serving.reading.MOST_UNPACKED", 1_000)
    with pytest.raises(HfclsError, match=r"labelled\.xlsx: too large when unpacked"):
        columns_of(str(path), 10)


def test_the_likely_column_is_the_models_own_or_a_usual_one():
    assert likely_column(["id", "후기", "text"], "후기") == "후기"
    assert likely_column(["id", "리뷰"], "후기") == "리뷰"
    assert likely_column(["무엇"], "후기") == "무엇"
    assert likely_column(["id", "body"], "text") is None


def test_results_have_label_and_probability_first_in_the_language_of_the_page():
    told = [["<b>긍정", "0.9000"]] * 101
    for language, heads, caption in (
        ("ko", ["예측", "확률", "문장"], "문장 101개, 앞의 100개"),
        ("en", ["Label", "Probability", "Text"], "Texts: 101, the first 100"),
    ):
        found = results([f"글 {i}" for i in range(101)], told, language)
        assert re.findall(r'<th scope="col"[^>]*>(.*?)</th>', found) == heads
        assert caption in found
        cells = re.findall(r"<td[^>]*>(.*?)</td>", found)
        assert cells[-3:] == ["&lt;b&gt;긍정", "0.9000", "글 99"]
        assert "글 100" not in found
    assert "확률" not in results(["가"], [["3.5"]], "ko"), "a number has no probability"
    assert "\u202e" not in results(["\u202e가"], [["긍정\u202e", "0.9"]], "ko"), (
        "a text does not turn the others around"
    )


def test_a_file_that_is_gone_is_told_by_its_name_alone(tmp_path):
    with pytest.raises(HfclsError, match=r"^a\.csv: .* the file could not be read \(No such file or directory\)"):
        read_rows("", str(tmp_path / "a.csv"), ["text"], 100, 10)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", None])
def test_what_is_too_much_is_not_read_to_its_end(tmp_path, name):
    """5 MB of short lines took 4 s and 280 MB."""
    lines = "text\n" + "좋다\n" * 700_000
    path = tmp_path / (name or "unused")
    path.write_text(lines, encoding="utf-8")
    tracemalloc.start()
    try:
        with pytest.raises(HfclsError, match="At most 10 texts at once, found more"):
            read_rows("" if name else lines, str(path) if name else None, ["text"], 100, 10)
        if name not in ("a.txt", None):
            with pytest.raises(HfclsError, match="At most 10 texts at once, found more"):
                columns_of(str(path), 10)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(lines) + 2**21
    finally:
        tracemalloc.stop()
    path.write_text("text\n좋다\n" + "가" * 101 + "\n" + "좋다\n" * 20, encoding="utf-8")
    with pytest.raises(HfclsError, match=r"Text [23] has 101 characters; at most 100 are taken"):
        read_rows("" if name else path.read_text("utf-8"), str(path) if name else None, ["text"], 100, 10)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", ",".join(f"c{i}" for i in range(20_000)) + "\nx\n", "has 20,000 columns, at most 16,384 are read"),
        ("a.csv", "," * 500_000 + "\n", "has 500,001 columns, at most 16,384 are read: is its delimiter another one"),
        (
            "a.json",
            json.dumps([{f"k{i}": 1 for i in range(300_000)}]),
            "holds 300,000 values with a name; at most 20,200 are",
        ),
        ("a.json", json.dumps({f"k{i}": 1 for i in range(300_000)}, separators=(",", " : ")), "holds 300,000 values"),
        ("a.json", json.dumps({f"k{i}": [1] for i in range(20_000)}), "has 20,000 columns, at most 16,384"),
        (
            "a.jsonl",
            "\n".join(json.dumps({f"k{i * 100 + j}": 1 for j in range(100)}) for i in range(1_000)),
            "100,000 columns",
        ),
        ("a.json", json.dumps([{"text": "가"}] * 300_000), "At most 100 texts at once, found more"),
    ],
    ids=["names", "commas", "values", "values with blanks", "keys", "keys of lines", "rows"],
)
def test_a_table_that_is_far_too_wide_or_long_is_told_at_once(tmp_path, name, content, message):
    """Seven million columns took no end."""
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(HfclsError, match=message):
        columns_of(str(path), 100)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
@pytest.mark.parametrize("content", ["가나 ", ",", '"', '"a",', "["])
def test_a_line_that_is_far_too_long_is_not_read_to_its_end(tmp_path, name, content):
    """A csv of one line of 15 MB took 700 MB, and one of 7 million columns no end."""
    path = tmp_path / name
    path.write_text("text\n" + content * (6_000_000 // len(content)), encoding="utf-8")
    tracemalloc.start()
    try:
        for read in (lambda: columns_of(str(path), 10), lambda: read_rows("", str(path), ["text"], 100, 10)):
            with pytest.raises(HfclsError, match="line 2 is too long; at most 1,048,576 bytes are taken"):
                read()
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_a_file_above_the_limit_is_not_taken(url):
    status = []
    for size in (1_000_000, 21_000_000):
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\n'
        request = urllib.request.Request(
            f"{url}/gradio_api/upload",
            head + b"text\n" + b"a\n" * (size // 2) + b"\r\n--x--\r\n",
            {"Content-Type": "multipart/form-data; boundary=x"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                status.append(response.status)
        except urllib.error.HTTPError as error:
            status.append(error.code)
    assert status == [200, 413]


def test_a_request_larger_than_the_limits_can_make_it_is_not_taken(url):
    assert max_body(100, 10) < 100_000
    longest = "\U0001f600" * 100  # twelve bytes each
    assert len(ask(url, "classify_many", [longest] * 10)) == 10
    with pytest.raises(urllib.error.HTTPError, match="413"):
        ask(url, "classify_many", ["좋다"] * 100_000)


def test_what_goes_wrong_inside_is_not_told_to_visitors_and_the_environment_stays_as_it_was(classifier_folder):
    """Only our own messages are meant for visitors; others may name places on this machine."""
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[2]); before = dict(os.environ)\n"
        "import hfcls, hfcls.serving.page as page; from serve import ask\n"
        "def occlusion(*args): raise OSError(2, 'No such file', '/srv/secret/place')\n"
        "page.occlusion = occlusion; demo = hfcls.launch_demo(sys.argv[1])\n"
        "try: ask(demo.local_url.rstrip('/'), 'explain', 'a')\n"
        "except RuntimeError as error: print('told', error)\n"
        "print('sends figures', demo.analytics_enabled)\n"
        "print('changed', {name: value for name, value in os.environ.items() if before.get(name) != value})\n"
        "demo.close()"
    )
    clean = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name and "ANALYTICS" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code, classifier_folder, ROOT / "benchmarks"],
        capture_output=True, text=True, check=True, env=clean,
    )  # fmt: skip
    assert "told event: error" in done.stdout
    assert "secret" not in done.stdout
    assert "/srv/secret/place" in done.stderr  # who runs the server sees it
    assert "sends figures False\nchanged {}\n" in done.stdout


def blocks_of(classifier: Classifier, **options: Any) -> list[tuple[str, str]]:
    """Kind and value of each part of the page."""
    page = build_page(classifier, **options, max_chars=100, max_texts=10)
    parts = [(type(block).__name__, str(getattr(block, "value", ""))) for block in page.blocks.values()]
    del page
    gc.collect()
    return parts


LEFT_OPEN = pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning")  # by Gradio


@LEFT_OPEN
def test_names_of_labels_and_of_the_folder_are_text_on_the_page(hostile):
    parts = blocks_of(Classifier.from_pretrained(str(hostile)), name=hostile.name)
    ((kind, shown),) = [(kind, value) for kind, value in parts if "example.org" in value]
    assert kind == "HTML"  # Markdown would load the image
    assert "<" not in shown.replace("<code>", "").replace("</code>", "")
    assert html.unescape(shown).count("<script>document.title=1</script>") == 2
    assert "\x1b" not in shown
    assert "\u202e" not in shown


@LEFT_OPEN
def test_the_examples_are_held_out_texts_of_the_run_or_none(tmp_path, classifier):
    assert _examples(str(tmp_path), {}) == []
    texts = ["낱말 " * 40, "두\n줄", " ", "a\x1b[31mb", "넷", "다섯"]
    (tmp_path / "results.json").write_text(json.dumps({"examples": [{"text": text} for text in texts]}))
    assert _examples(str(tmp_path), {}) == [[("낱말 " * 20).strip()], ["두 줄"], ["a\ufffd[31mb"], ["넷"]]
    assert "Dataset" in [kind for kind, _ in blocks_of(classifier, name="a", examples=[["가"]])]
    assert "Dataset" not in [kind for kind, _ in blocks_of(classifier, name="a")]


PAIRS = {"text_column": "질문", "text_pair_column": "답"}
JOINED = {"text_column": "질문,답", "text_columns": ["질문", "답"], "joint": " [SEP] "}


def learned_from(classifier_folder: str, folder: Path, columns: dict[str, Any]) -> str:
    """The same classifier, which remembers these columns; its run kept one held-out row."""
    shutil.copytree(classifier_folder, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "data_columns": columns}))
    long = "정말 최고 " * 20
    row = {"text": f"{long} [SEP] 추천"} if "joint" in columns else {"text": long, "text_pair": "추천"}
    (folder / "results.json").write_text(json.dumps({"examples": [row]}))
    return str(folder)


@LEFT_OPEN
@pytest.mark.parametrize("columns", [PAIRS, JOINED], ids=["pairs", "joined"])
def test_a_model_of_several_texts_has_a_box_and_a_column_for_each(classifier_folder, tmp_path, monkeypatch, columns):
    folder = learned_from(classifier_folder, tmp_path / "model", columns)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    several = Classifier.from_pretrained(folder)
    examples = _examples(folder, several.columns)
    assert examples == [[("정말 최고 " * 10).strip(), "추천"]], "each text is cut, not what stands between them"
    page = build_page(several, name="a", examples=examples, max_chars=100, max_texts=10)
    functions = {function.name: function.fn for function in page.fns.values()}
    shown, _ = functions["show"](None, *examples[0])
    expected = several(tuple(examples[0]))["label"]
    assert f'<div class="hfcls-label">{expected}</div>' in shown
    assert shown.count('class="hfcls-word"') == 21, "the words of both texts"
    file = tmp_path / "rows.jsonl"
    rows = [{"id": i, "답": "추천", "질문": text} for i, text in enumerate(["최고", None, "별로"])]
    file.write_text("\n".join(json.dumps(row) for row in [*rows, {"id": 3, "답": None, "질문": None}]), "utf-8")
    assert functions["columns"](str(file)).value == ["질문", "답"]
    for texts, path, chosen, given in (
        ("최고\t추천\n별로\t실망", None, None, [("최고", "추천"), ("별로", "실망")]),
        ("", str(file), None, [("최고", "추천"), None if columns == PAIRS else ("", "추천"), ("별로", "추천"), None]),
        (
            "",
            str(file),
            ["답", "질문"],
            [("추천", "최고"), None if columns == PAIRS else ("추천", ""), ("추천", "별로"), None],
        ),
    ):
        shutil.rmtree(tmp_path / "gradio", ignore_errors=True)
        functions["label"](texts, path, chosen)
        (written,) = (tmp_path / "gradio").rglob("*.csv")
        found = [row["predicted_label"] for row in csv.DictReader(io.StringIO(written.read_text("utf-8-sig")))]
        assert found == ["" if text is None else several(text)["label"] for text in given]
    for texts, path, chosen, message in (
        ("최고\n", None, None, "Line 1: 2 texts with a tab between them"),
        ("", str(file), ["답"], "choose the 2 columns with the texts. It has id, 답, 질문"),
    ):
        with pytest.raises(Exception, match=message):
            functions["label"](texts, path, chosen)
    del page, functions
    gc.collect()


@LEFT_OPEN
def test_a_row_without_a_text_gets_no_label_as_from_predict(classifier, classifier_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps({"text": text}) for text in ["최고 추천", None, "", "별로"]), "utf-8")
    page = build_page(classifier, name="a", max_chars=100, max_texts=10)
    label = next(function.fn for function in page.fns.values() if function.name == "label")
    label("", str(file))
    (written,) = (tmp_path / "gradio").rglob("*.csv")
    found = [row["predicted_label"] for row in csv.DictReader(io.StringIO(written.read_text("utf-8-sig")))]
    hfcls.predict_files(model=classifier_folder, input=str(file), output=str(tmp_path / "out"))
    (shard,) = (tmp_path / "out").glob("*.parquet")
    assert found == [value or "" for value in parquet.read_table(shard)["predicted_label"].to_pylist()]
    assert [bool(value) for value in found] == [True, False, True, True]
    del page, label
    gc.collect()


def test_what_is_typed_is_escaped():
    parts = [Part("<script>", ["<script>"], 0.5), Part('"x"', [], 0.0)]
    text = answer({"<i>긍정": 0.9, "부정": 0.1}, parts, SingleLabel(["<i>긍정", "부정"]))
    assert "<script>" not in text
    assert "<i>" not in text
    assert "&lt;script&gt;" in text
    assert "width:90.0%" in text
    assert limited(["좋다"], 2, 1) == ["좋다"]


def test_the_page_says_when_a_person_should_decide():
    task = SingleLabel(["부정", "긍정"], abstain_below=0.8)
    for language, told in UNSURE.items():
        assert told in answer({"부정": 0.3, "긍정": 0.7}, [], task, language)
        assert told not in answer({"부정": 0.1, "긍정": 0.9}, [], task, language)
    assert (cell(True), cell(0.5)) == ("true", "0.5000")


@LEFT_OPEN
def test_labels_with_commas_stand_in_the_table_as_lists(classifier_folder, tmp_path, monkeypatch):
    folder = shutil.copytree(classifier_folder, tmp_path / "several")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {"problem_type": "multi_label_classification", "id2label": {"0": "좋음, 매우", "1": "가격"}}
    config["label2id"] = {name: int(i) for i, name in config["id2label"].items()}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    several = Classifier.from_pretrained(str(folder))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    page = build_page(several, name="a", max_chars=100, max_texts=10)
    label = next(function.fn for function in page.fns.values() if function.name == "label")
    texts = ["최고 추천", "별로"]
    label("\n".join(texts), None)
    (path,) = (tmp_path / "gradio").rglob("*.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        assert [json.loads(row["predicted_labels"]) for row in csv.DictReader(file)] == [
            answer["labels"] for answer in several(texts)
        ]
    assert cell(["가", "나"], ["가", "나"]) == "가,나"
    del page, label
    gc.collect()


def test_a_port_that_is_taken_and_a_folder_without_a_model_are_named(capsys, classifier_folder, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["serve", classifier_folder, "--port", str(port)]) == 1
    assert f"cannot listen on 127.0.0.1, port {port} (Address already in use)" in capsys.readouterr().err
    assert cli.main(["serve", str(tmp_path)]) == 1
    assert "is not a model folder: it has no config.json" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_here_is_named_at_the_first_port(capsys, classifier_folder, monkeypatch, host):
    """It was asked for a hundred times, ten seconds or more, and --port was blamed."""
    monkeypatch.setattr("hfcls.serving.server.PORTS", range(7860, 7862))
    tried = []
    bind = socket.socket.bind
    monkeypatch.setattr(socket.socket, "bind", lambda self, place: (tried.append(place), bind(self, place)))
    assert cli.main(["serve", classifier_folder, "--host", host]) == 1
    assert re.search(
        rf"error: {host} is no address of this machine \(.+\): choose another --host", capsys.readouterr().err
    )
    assert tried == [(host, 7860)]


def test_without_gradio_it_tells_what_to_install(classifier_folder, monkeypatch):
    monkeypatch.delitem(sys.modules, "hfcls.serving.page")
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(HfclsError, match=r"^the demo needs Gradio: pip install -e '.\[serve\]' in the checkout"):
        hfcls.launch_demo(classifier_folder)


def test_a_signal_ends_it_also_while_the_model_is_loading(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("hfcls.serving.server._classifier", lambda *a, **options: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        assert cli.main(["serve", str(tmp_path)]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "hfcls: interrupted" in capsys.readouterr().err


@LEFT_OPEN
def test_labelled_texts_lie_in_two_files_that_gradio_deletes(classifier, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    page = build_page(classifier, name="a", max_chars=100, max_texts=10)
    label = next(function.fn for function in page.fns.values() if function.name == "label")
    label("최고 추천\n=1+1\n별로", None)
    path, book = sorted((path for path in tmp_path.rglob("*") if path.is_file()), key=lambda path: path.suffix)
    assert book.suffix == ".xlsx"
    assert any(str(book) in files for files in page.temp_file_sets)
    assert "\n'=1+1," in path.read_text("utf-8-sig")  # Excel is to show it, not to compute it
    assert path.read_text("utf-8-sig").startswith("text,predicted_label,predicted_score\n최고 추천,")
    assert any(str(path) in files for files in page.temp_file_sets)
    (tmp_path / "b.csv").write_text("<img src=x>,b\na,c\n")
    with pytest.raises(Exception, match="It has &lt;img src=x&gt;"):  # the page reads a message as HTML
        label("", str(tmp_path / "b.csv"))
    del page, label
    gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_real_command_cleanly(classifier_folder, number):
    with served(classifier_folder) as (url, process):
        assert ask(url, "classify", "최고 추천")["label"] in ("긍정", "부정")
        process.send_signal(number)
        assert process.wait(timeout=60) == 0
    with (
        pytest.raises(ConnectionRefusedError),
        socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=5),
    ):
        pass


@contextmanager
def browsed(url: str, context_options: dict[str, object], *, calm: bool = True) -> Iterator[Any]:
    """A page of a real browser, which may ask for nothing elsewhere and, if `calm`, complain of nothing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM} (Debian: apt install chromium fonts-nanum)")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync"]
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        context = browser.new_context(**context_options)
        tab = context.new_page()
        asked: list[str] = []
        complaints: list[str] = []
        tab.on("request", lambda r: asked.append(r.url))
        tab.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        tab.goto(url)
        tab.get_by_role("textbox").first.wait_for(timeout=60_000)
        yield tab
        outside = [a for a in asked if not a.startswith((url, "data:", "blob:"))]
        assert asked
        assert not outside
        assert not (calm and complaints)
        browser.close()


@pytest.fixture
def browser_page(url, request):
    with browsed(url, request.param) as tab:
        yield tab


MOBILE = {"viewport": {"width": 390, "height": 844}, "locale": "ko-KR"}
DESKTOP = {"viewport": {"width": 1100, "height": 900}, "locale": "en-US"}


@pytest.mark.slow
@pytest.mark.parametrize("browser_page", [DESKTOP, MOBILE], indirect=True, ids=["desktop", "mobile"])
def test_a_person_types_and_reads_the_answer(browser_page, classifier):
    tab = browser_page
    words = {"en-US": ("Try the model", "Classify"), "ko-KR": ("모델 써 보기", "분류하기")}
    heading, button = words[tab.evaluate("navigator.language")]
    assert tab.get_by_role("heading", name=heading).is_visible()
    box = tab.get_by_role("textbox").first
    text = "최고 추천 <b>영화</b>"
    box.fill(text)
    box.press("Enter")
    tab.locator(".hfcls-label").wait_for(timeout=60_000)
    expected = classifier(text, all_scores=True)
    assert tab.locator(".hfcls-label").inner_text() == expected["label"]
    bars = tab.locator(".hfcls-bar").all_inner_texts()
    assert len(bars) == 2
    assert f"{expected['score']:.1%}" in bars[0]
    assert tab.locator(".hfcls-word").all_inner_texts() == text.split()
    assert tab.evaluate("document.documentElement.scrollWidth") <= tab.viewport_size["width"]
    words_shown = tab.locator("button.hfcls-word")
    tab.get_by_role("button", name=button).first.focus()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "hfcls-word", "the words are reached by the keyboard"
    value = "getComputedStyle(document.activeElement, '::after').content"
    assert re.fullmatch(r'"[+-]\d\.\d{3}"', tab.evaluate(value))
    words_shown.nth(1).click()
    assert words_shown.nth(1).get_attribute("aria-label").startswith("추천 ")
    assert serious_violations(tab) == []
    box.fill("가" * 101)
    tab.get_by_role("button", name=button).first.click()
    own, other = "at most 100 are taken", "너무 깁니다"
    if tab.evaluate("navigator.language") == "ko-KR":
        own, other = other, own
    tab.get_by_text(own).wait_for(timeout=60_000)
    assert tab.get_by_text(other).count() == 0, "in the language of the page alone"


@pytest.mark.slow
@pytest.mark.parametrize("browser_page", [DESKTOP], indirect=True)
def test_a_person_clicks_an_example(browser_page):
    browser_page.get_by_text("배송이 너무 늦었어요").click()
    browser_page.locator(".hfcls-label").wait_for(timeout=60_000)
    assert browser_page.locator(".hfcls-word").all_inner_texts() == ["배송이", "너무", "늦었어요"]


@pytest.mark.slow
@pytest.mark.parametrize("browser_page", [DESKTOP, MOBILE], indirect=True, ids=["desktop", "mobile"])
def test_a_person_uploads_a_file_and_downloads_the_result(browser_page, classifier, tmp_path):
    tab = browser_page
    path = tmp_path / "comments.csv"
    path.write_bytes('번호,댓글,작성자\n1,"최고, 추천",가\n2,별로 실망,=1+1\n'.encode("cp949"))
    tab.get_by_role("tab").nth(1).click()
    tab.locator("input[type=file]").set_input_files(str(path))
    chooser = tab.get_by_label(re.compile("Column with the texts|문장이 있는 열"))
    chooser.wait_for(timeout=60_000)
    assert chooser.input_value() == "댓글"
    tab.locator("button.primary:visible").click()
    tab.locator(".hfcls-rows").wait_for(timeout=60_000)
    found = {}
    for kind in ("csv", "xlsx"):
        with tab.expect_download(timeout=60_000) as event:
            tab.get_by_role("button", name=kind).click()
        found[kind] = tmp_path / f"found.{kind}"
        shutil.copyfile(event.value.path(), found[kind])
    rows = list(csv.DictReader(io.StringIO(found["csv"].read_text("utf-8-sig"))))
    assert [row["댓글"] for row in rows] == ["최고, 추천", "별로 실망"]
    expected = [a["label"] for a in classifier([row["댓글"] for row in rows])]
    assert [row["predicted_label"] for row in rows] == expected
    header, cells = read_rows("", str(found["xlsx"]), ["댓글"], 100, 10)
    assert [dict(zip(header, row, strict=True)) for row in cells] == [rows[0], {**rows[1], "작성자": "=1+1"}]
    shown = tab.locator(".hfcls-rows td").all_inner_texts()
    assert shown[0::3] == expected
    assert shown[2::3] == ["최고, 추천", "별로 실망"]
    korean = tab.evaluate("navigator.language") == "ko-KR"
    heads = ["예측", "확률", "문장"] if korean else ["Label", "Probability", "Text"]
    assert tab.locator(".hfcls-rows th").all_inner_texts() == heads
    assert tab.evaluate("document.documentElement.scrollWidth") <= tab.viewport_size["width"]
    assert serious_violations(tab) == []


@pytest.mark.slow
def test_the_address_of_the_api_opens_its_description_with_names_of_parameters(url):
    with browsed(url, DESKTOP, calm=False) as tab:  # Gradio asks for parts of its own that are switched off
        tab.goto(f"{url}?view=api")
        tab.get_by_text("texts=").first.wait_for(timeout=60_000)
        assert "classify_many" in tab.locator("body").inner_text()


@pytest.mark.slow
@pytest.mark.parametrize("settings", [DESKTOP, {**MOBILE, "color_scheme": "dark"}], ids=["desktop", "mobile, dark"])
def test_a_pair_is_classified_by_the_keyboard_alone(classifier_folder, classifier, tmp_path, settings):
    folder = learned_from(classifier_folder, tmp_path / "model", PAIRS)
    with served(folder) as (url, _), browsed(url, settings) as tab:
        boxes = tab.get_by_role("textbox")
        assert [boxes.nth(i).evaluate("box => box.labels[0].innerText.trim()") for i in (0, 1)] == ["질문", "답"]
        boxes.first.focus()
        tab.keyboard.type("배송이 최고")
        tab.keyboard.press("Tab")
        tab.keyboard.type("추천")
        tab.keyboard.press("Tab")
        tab.keyboard.press("Enter")
        tab.locator(".hfcls-label").wait_for(timeout=60_000)
        assert tab.locator(".hfcls-label").inner_text() == classifier(("배송이 최고", "추천"))["label"]
        assert tab.locator(".hfcls-word").all_inner_texts() == ["배송이", "최고", "추천"]
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.className") == "hfcls-word"
        assert serious_violations(tab) == []
        tab.get_by_role("tab").first.focus()
        tab.keyboard.press("Tab")
        tab.keyboard.press("Enter")
        tab.get_by_label(re.compile("with a tab between|열 사이는 탭")).fill("최고\t추천\n별로\t실망")
        tab.locator("button.primary:visible").focus()
        tab.keyboard.press("Enter")
        tab.locator(".hfcls-rows").wait_for(timeout=60_000)
        assert tab.locator(".hfcls-rows tr:has(td)").count() == 2
        assert tab.evaluate("document.documentElement.scrollWidth") <= tab.viewport_size["width"]
        assert serious_violations(tab) == []


@pytest.mark.slow
@pytest.mark.parametrize("browser_page", [DESKTOP, MOBILE], indirect=True, ids=["desktop", "mobile"])
def test_a_file_that_cannot_be_read_is_told_by_its_name_in_the_language_of_the_page(browser_page, tmp_path):
    tab = browser_page
    path = tmp_path / "고객 의견.parquet"
    path.write_bytes(b"PAR1 and no more")
    tab.get_by_role("tab").nth(1).click()
    tab.locator("input[type=file]").set_input_files(str(path))
    told = "파일을 읽지 못했습니다" if tab.evaluate("navigator.language") == "ko-KR" else "the file could not be read"
    message = tab.get_by_text(told).first
    message.wait_for(timeout=60_000)
    assert "고객 의견.parquet" in message.inner_text()
    assert "/" not in message.inner_text()


@pytest.mark.slow
def test_hostile_names_and_texts_are_text_in_a_browser(hostile, tmp_path):
    """Labels, folder, typed text, header, cells, file name: nothing of them runs, loads or links."""
    good, bad = tmp_path / "good <b>x<img src=q>.csv", tmp_path / "bad <img src=q>.csv"
    with good.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text", EVIL], [EVIL, EVIL], ["=1+1", "@a"]])
    with bad.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[EVIL], ["x"]])
    with served(str(hostile)) as (url, _), browsed(url, DESKTOP) as tab:
        assert tab.title() == f"hfcls: {hostile.name}"
        box = tab.get_by_role("textbox").first
        box.fill(f"최고 {EVIL}")
        box.press("Enter")
        tab.locator(".hfcls-label").wait_for(timeout=60_000)
        assert "<img src=http://example.org/x.png" in tab.locator(".hfcls-label").inner_text()
        assert "${document.title=1}" in tab.locator(".hfcls-label").inner_text()
        for path in (good, bad):
            tab.reload()
            tab.get_by_role("tab").nth(1).click()
            tab.locator("input[type=file]").first.set_input_files(str(path))
            tab.get_by_text(path.name.split()[0]).first.wait_for(timeout=60_000)  # which stands there while it uploads
            tab.get_by_label("Column with the texts").wait_for(timeout=60_000)
            tab.locator("button.primary:visible").click()
            tab.get_by_text("Download all as csv").first.wait_for(timeout=60_000)
            if path == good:
                assert tab.get_by_text("<img src=http://example.org/x.png").first.is_visible()
        assert tab.title() == f"hfcls: {hostile.name}"
        assert tab.locator("main img").count() == 0
        assert tab.locator("main a[href*=example]").count() == 0
