"""The documentation site as a reader sees it: built, and looked at in a real browser."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from accessibility import serious_violations
from conftest import ROOT

CHROMIUM = Path("/usr/bin/chromium")
PAGES = ("", "ko/", "ko/tutorial/", "ko/reference/options/", "benchmarks/")
# Tables, or what holds them, that are wider than their place
WIDE = """[...document.querySelectorAll(".md-content table:not([class])")].filter(
  t => t.scrollWidth > t.parentElement.clientWidth + 1 || t.scrollWidth > t.closest(".md-content").clientWidth
).map(t => t.innerText.slice(0, 80))"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium"),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[str]:
    """Its address."""
    pytest.importorskip("material", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="module")
def page(site) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page()
        browser.close()


@pytest.mark.parametrize("query", ["불균형", "패킹이", "CP949"])
def test_korean_search_finds_words_whatever_is_written_onto_them(site, page, query):
    page.goto(f"{site}ko/")
    page.locator("input.md-search__input").fill(query, force=True)
    page.locator(".md-search-result__item").first.wait_for(state="attached", timeout=60_000)


@pytest.mark.parametrize("width", [390, 1280])
def test_no_table_is_wider_than_its_column_and_words_stay_whole(site, page, width):
    page.set_viewport_size({"width": width, "height": 900})
    for name in PAGES:
        page.goto(f"{site}{name}")
        assert page.evaluate(WIDE) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate("getComputedStyle(document.querySelector('.md-typeset p')).wordBreak") == "keep-all"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(site, page, scheme):
    page.emulate_media(color_scheme=scheme)
    for name in (*PAGES, "serve/"):  # with numbers in its code
        page.goto(f"{site}{name}")
        assert serious_violations(page) == [], name
    page.goto(f"{site}ko/")
    assert page.locator(".md-content img").first.is_visible(), "a picture on the home page"


def test_the_options_stand_in_the_language_of_their_page(site, page):
    for name, head, told in (("", "what it does", "rows per optimizer step"), ("ko/", "하는 일", "스텝 하나의 행 수")):
        page.goto(f"{site}{name}reference/options/")
        assert set(page.locator(".md-content th:nth-child(3)").all_inner_texts()) == {head}
        assert told in page.locator("tr", has_text="--batch_size").first.inner_text()
