"""notebooks/nsmc_kcbert.ipynb: complete, without stored output, and run cell by cell in its small mode."""

import re
import time

import nbformat
import pytest
from conftest import ROOT

PATH = ROOT / "notebooks/nsmc_kcbert.ipynb"


def notebook() -> nbformat.NotebookNode:
    return nbformat.read(PATH, as_version=4)


def test_each_block_of_the_chapter_has_one_cell_with_a_text_before_it():
    cells = notebook().cells
    blocks = [(i, cell.source.splitlines()[0]) for i, cell in enumerate(cells) if cell.source.startswith("# 4-")]
    assert [line for _, line in blocks] == [f"# 4-{number}" for number in range(1, 16)]
    for i, line in blocks:
        assert cells[i - 1].cell_type == "markdown"
        assert f"### {line[2:]}. " in cells[i - 1].source


def test_each_section_has_a_line_in_english():
    headings = [cell.source for cell in notebook().cells if cell.cell_type == "markdown"]
    sections = [source for source in headings if re.search(r"^##? ", source, re.MULTILINE)]
    assert len(sections) >= 10
    for section in sections:
        assert re.search(r"^\*[A-Z][^*]+\*$", section, re.MULTILINE), section[:80]


def test_nothing_is_stored_and_the_repository_is_named_in_one_place():
    nbformat.validate(notebook())
    code = [cell for cell in notebook().cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert sum(cell.source.count("\nREPOSITORY =") for cell in code) == 1


def test_the_ids_told_for_kcbert_are_those_of_its_tokenizer(shared):
    from hfcls import load_tokenizer

    ids = load_tokenizer(str(shared / "kcbert-base"))("아 더빙.. 진짜 짜증나네요 목소리")["input_ids"]
    assert f"`{', '.join(map(str, ids))}`" in PATH.read_text("utf-8")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of Jupyter's own packages
def test_small_mode_runs_from_top_to_bottom_and_shows_what_the_text_promises(tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("HFCLS_SMALL", "1")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    done = notebook()
    start = time.perf_counter()
    NotebookClient(done, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    print(f"the notebook took {time.perf_counter() - start:.0f} s")

    cells = {cell.source.splitlines()[0]: cell for cell in done.cells if cell.cell_type == "code"}
    assert "num_rows: 1200" in text(cells["# 4-7"])
    assert re.search(r"번호: \[2, .*, 3\]", text(cells["# 4-8"]))
    assert "'labels'" in text(cells["# 4-9"])
    for cell in done.cells:
        stderr = "".join(output["text"] for output in outputs(cell) if output.get("name") == "stderr")
        assert not stderr, "nothing on red ground: " + stderr
    places = [int(count) for count in re.findall(r"= (\d+)칸", text(cells["# 4-10"]))]
    assert places[0] == 32 * 128
    assert places[1] < places[0] / 2
    assert "검증 배치의 수: 2" in text(cells["# 4-11"])
    chance = [float(p) for p in re.findall(r"'[부긍]정': (0\.\d+)", text(cells["# 4-12"]))]
    assert sum(chance) == pytest.approx(1, abs=0.01)
    assert all(0.3 < p < 0.7 for p in chance)
    assert "['5e-05', '4.5e-05', '4.05e-05']" in text(cells["# 4-13"])
    assert "epoch  3.00  eval_loss" in text(cells["# 4-15"])
    accuracy = re.search(r"테스트 정확도 ([\d.]+)% ± ([\d.]+)% \(300건", all_text(done))
    assert 75 < float(accuracy[1]) < 92, "of the encoder that ships"
    assert 3 < float(accuracy[2]) < 5
    in_one_call = re.findall(r"accuracy +(0\.\d+)  \[", all_text(done))[
        -1
    ]  # before it, that of the baseline in `check`
    assert float(in_one_call) == pytest.approx(float(accuracy[1]) / 100, abs=5e-4)
    assert any("<iframe srcdoc" in page for cell in done.cells for page in shown(cell, "text/html")), "the report"
    assert sum(len(pictures(cell)) for cell in done.cells) == 4, "lengths, packing, rate, curves"
    assert len(pictures(cells["# 4-15"])) == 1, "the curves are redrawn in place"
    tables = [html for cell in done.cells for html in shown(cell, "text/html")]
    assert any("합계" in html and ">300<" in html for html in tables), "the confusion matrix"
    assert any(html.count("<tr>") == 11 and "%" in html for html in tables), "ten errors"
    assert "'label': '긍정'" in all_text(done)
    assert any("<iframe" in page and "127.0.0.1" in page for cell in done.cells for page in shown(cell, "text/html"))
    assert "model.safetensors" in all_text(done), "what a push would upload"
    assert (tmp_path / "outputs/nsmc_kcbert/model.safetensors").is_file()


def outputs(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return cell.get("outputs", [])


def shown(cell: nbformat.NotebookNode, kind: str) -> list[str]:
    return [output["data"][kind] for output in outputs(cell) if kind in output.get("data", {})]


def pictures(cell: nbformat.NotebookNode) -> list[str]:
    return shown(cell, "image/png")


def text(cell: nbformat.NotebookNode) -> str:
    streams = [output["text"] for output in outputs(cell) if output.output_type == "stream"]
    return "".join([*streams, *shown(cell, "text/plain")])


def all_text(done: nbformat.NotebookNode) -> str:
    return "\n".join(text(cell) for cell in done.cells)
