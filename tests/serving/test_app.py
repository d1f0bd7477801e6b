"""`hfcls serve`: the API over real sockets, and the page in a real browser."""

import csv
import gc
import io
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT

from hfcls import cli
from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier

pytest.importorskip("gradio", reason="needs the extra serve")

from hfcls.inference.occlusion import Part
from hfcls.serving.page import answer, build_page, limited, read_rows

sys.path.insert(0, str(ROOT / "benchmarks"))
from serve import ask  # the REST API, as docs/serve.md calls it with curl

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def classifier(classifier_folder):
    return Classifier.from_pretrained(classifier_folder)


@contextmanager
def served(folder: str, *flags: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The real command in a process of its own, on a free port: its address, and the process."""
    command = [sys.executable, "-m", "hfcls.cli", "serve", folder, *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            found = re.search(r" is at (http://127\.0\.0\.1:\d+)/ \(Ctrl-C ends it\)", line)
            assert found, (line, process.stderr.read())
            yield found.group(1), process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def url(classifier_folder):
    with served(classifier_folder, "--max_chars", "100", "--max_texts", "10") as (address, _):
        yield address


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
    page = page.replace("outputs/quickstart", classifier_folder).replace("--requests 10", "--requests 1")
    for language, shell in (("bash", ["bash", "-ec"]), ("python", [sys.executable, "-W", "ignore", "-c"])):
        for block in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL):
            if "pip install" in block:  # tested below: the command itself
                continue
            block = block.replace("python benchmarks", f"{sys.executable} {ROOT}/benchmarks")
            done = subprocess.run(
                [*shell, block], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
            )
            assert done.returncode == 0, done.stderr
            if "curl" in block:
                assert done.stdout.startswith('event: complete\ndata: [{"label": ')
            if "gradio_client" in block:
                assert len(done.stdout.splitlines()) >= 3
            if "--clients" in block:
                assert done.stdout.count(" 0 failed") == 4


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "좋다\n\n나쁘다, 정말\n".encode(), (["text"], [["좋다"], ["나쁘다, 정말"]])),
        ("a.csv", '\ufeffid,text\n1,"좋다, 정말"\n'.encode(), (["id", "text"], [["1", "좋다, 정말"]])),
        ("a.csv", b"id,body\n1,x\n", "There is no column named text; found 'id', 'body'"),
        ("a.csv", "text\n좋다\n".encode("cp949"), "is not UTF-8 but CP949"),
        ("a.txt", "좋다\n".encode("cp949"), "is not UTF-8 but CP949"),
        ("a.tsv", b"text\tid\nx\n", "line 2: 1 fields, but the header has 2"),
        ("a.pdf", b"", "A txt, csv or tsv file is needed"),
    ],
)
def test_files_are_read_or_refused_with_a_reason(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content)
    if isinstance(expected, tuple):
        assert read_rows("", str(path)) == expected
    else:
        with pytest.raises(HfclsError, match=re.escape(expected)):
            read_rows("", str(path))


def test_what_is_typed_is_escaped():
    text = answer({"<i>긍정": 0.9, "부정": 0.1}, [Part("<script>", ["<script>"], 0.5), Part('"x"', [], 0.0)])
    assert "<script>" not in text
    assert "<i>" not in text
    assert "&lt;script&gt;" in text
    assert "width:90.0%" in text
    assert limited(["좋다"], 2, 1) == ["좋다"]


def test_a_port_that_is_taken_and_a_folder_without_a_model_are_named(capsys, classifier_folder, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["serve", classifier_folder, "--port", str(port)]) == 1
    assert f"cannot listen on 127.0.0.1, port {port} (Address already in use)" in capsys.readouterr().err
    assert cli.main(["serve", str(tmp_path)]) == 1
    assert "holds no tokenizer" in capsys.readouterr().err


def test_without_gradio_it_tells_what_to_install(capsys, classifier_folder, monkeypatch):
    monkeypatch.delitem(sys.modules, "hfcls.serving.page")
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert cli.main(["serve", classifier_folder]) == 1
    assert capsys.readouterr().err.strip() == 'hfcls: error: the demo needs Gradio: pip install "hfcls[serve]"'


def test_a_signal_ends_it_also_while_the_model_is_loading(capsys, monkeypatch):
    monkeypatch.setattr("hfcls.serving.app.launch_demo", lambda *args, **options: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        assert cli.main(["serve", "nobody/slow"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "hfcls: interrupted" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning")  # Gradio leaves some behind
def test_labelled_texts_lie_in_one_file_that_gradio_deletes(classifier, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    page = build_page(classifier, name="a", max_chars=100, max_texts=10)
    label = next(function.fn for function in page.fns.values() if function.name == "label")
    label("최고 추천\n별로", None)
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert path.read_text("utf-8-sig").startswith("text,predicted_label,predicted_score\n최고 추천,")
    assert any(str(path) in files for files in page.temp_file_sets)
    del page, label
    gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_real_command_cleanly(classifier_folder, number):
    with served(classifier_folder) as (url, process):
        assert ask(url, "classify", "최고 추천")["label"] in ("긍정", "부정")
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in error
    with (
        pytest.raises(ConnectionRefusedError),
        socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=5),
    ):
        pass


@pytest.fixture
def browser_page(url, request):
    """A page of a real browser that records every address it asks for."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM} (Debian: apt install chromium fonts-nanum)")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync"]
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        context = browser.new_context(**request.param)
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
        assert not complaints
        browser.close()


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
    box.fill("가" * 101)
    tab.get_by_role("button", name=button).first.click()
    tab.get_by_text("at most 100 are taken").wait_for(timeout=60_000)


@pytest.mark.slow
@pytest.mark.parametrize("browser_page", [DESKTOP], indirect=True)
def test_a_person_clicks_an_example(browser_page):
    browser_page.get_by_text("돈이 아까웠어요").click()
    browser_page.locator(".hfcls-label").wait_for(timeout=60_000)
    assert browser_page.locator(".hfcls-word").all_inner_texts() == ["돈이", "아까웠어요"]


@pytest.mark.slow
@pytest.mark.parametrize("browser_page", [DESKTOP, MOBILE], indirect=True, ids=["desktop", "mobile"])
def test_a_person_uploads_a_file_and_downloads_the_result(browser_page, classifier, tmp_path):
    tab = browser_page
    path = tmp_path / "comments.csv"
    path.write_text('id,text\n1,"최고, 추천"\n2,별로 실망\n', encoding="utf-8")
    tab.get_by_role("tab").nth(1).click()
    tab.locator("input[type=file]").set_input_files(str(path))
    tab.get_by_text("comments").first.wait_for(timeout=60_000)
    tab.locator("button.primary:visible").click()
    download = tab.get_by_role("button", name=re.compile("Download all|모두 csv로"))
    download.wait_for(timeout=60_000)
    with tab.expect_download(timeout=60_000) as event:
        download.click()
    rows = list(csv.DictReader(io.StringIO(Path(event.value.path()).read_text("utf-8-sig"))))
    assert [row["text"] for row in rows] == ["최고, 추천", "별로 실망"]
    assert [row["predicted_label"] for row in rows] == [a["label"] for a in classifier([row["text"] for row in rows])]
    assert tab.evaluate("document.documentElement.scrollWidth") <= tab.viewport_size["width"]
