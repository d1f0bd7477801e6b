"""The page of `hfcls adapt`: how well the encoder guesses, whether that got better, and what the run was made of."""

import dataclasses
import json
import re

import pytest

from hfcls.errors import HfclsError
from hfcls.runs.pretrained import AdaptResult

pages = pytest.importorskip("hfcls.publishing.pages.report", reason="needs the extra `report`")

FACTS = {
    "finished": "2026-11-26T22:05:37+00:00",
    "model": "my <b>encoder",
    "architecture": "BertForMaskedLM",
    "num_parameters": 1234567,
    "dataset": "/home/kim/texts.parquet",
    "texts": {"train": 900, "validation": 100},
    "sha256": {"train": "a" * 64, "validation": "b" * 64},
    "options": {"dataset": "/home/kim/texts.parquet", "max_steps": 5},
    "batching": "packed",
    "steps": 5,
    "epochs": 1.0,
    "training_seconds": 61.0,
    "hardware": "1 x CPU",
    "precision": "no",
    "versions": {"python": "3.11"},
}
RESULT = AdaptResult(
    output_dir="adapted",
    perplexity=50.0,
    loss=3.9,
    accuracy=0.25,
    num_texts=100,
    seed=7,
    tokens=2_386_217,
    tokens_per_second=513.4,
    facts=FACTS,
)


def page_of(folder, result=RESULT, perplexities=(80.0, 60.0, 50.0)) -> str:
    history = [{"epoch": i / 3, "step": i, "loss": 4.0, "learning_rate": 1e-4} for i in (1, 2)]
    history += [
        {"epoch": i / 3, "step": i, "eval_loss": 4.0, "eval_perplexity": value}
        for i, value in enumerate(perplexities, 1)
    ]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}), encoding="utf-8")
    result.save(folder / "results.json")
    return pages.write_report(folder).read_text("utf-8")


def test_it_tells_the_run_in_both_languages_and_no_place_of_this_machine(tmp_path):
    page = page_of(tmp_path)
    for told in (
        "25.0% right",
        "perplexity is 50.0",
        "25.0%를 맞히고",
        "239만",
        "2.39 M",
        "2,386,217",
        "1분 1초",
        "900",
    ):
        assert told in page, told
    assert "The perplexity was 80.0 after 0.33 epochs and is 50.0 at the end. It was still falling" in page
    assert "my &lt;b&gt;encoder" in page, "names are escaped"
    assert "/home/kim" not in page
    assert "texts.parquet" in page
    assert not re.search(r"(src|href)=.(?!#)", page), "it opens offline"
    assert {path.name for path in (tmp_path / "report").iterdir()} >= {"loss.svg", "loss.png", "numbers.json"}


@pytest.mark.parametrize(
    ("perplexities", "told"),
    [
        ((80.0, 50.2, 50.0), "At the end it hardly changed"),
        ((80.0, 40.0, 50.0), "It rose at the end"),
        ((50.0,), None),
        ((), None),
    ],
)
def test_the_verdict_follows_the_curve(tmp_path, perplexities, told):
    page = page_of(tmp_path, perplexities=perplexities)
    sentences = ("hardly changed", "rose at the end", "still falling")
    assert told in page if told else not any(sentence in page for sentence in sentences)


def test_without_held_out_texts_it_says_that_nothing_was_measured(tmp_path):
    facts = FACTS | {"texts": {"train": 900}, "sha256": {"train": "a" * 64}}
    result = dataclasses.replace(RESULT, perplexity=None, loss=None, accuracy=None, num_texts=0, facts=facts)
    page = page_of(tmp_path, result, ())
    assert "No text was held out" in page
    assert "None" not in page


@pytest.mark.parametrize("change", [{"facts": {}}, {"seed": "seven"}, {"more": 1}])
def test_damaged_results_are_one_line(tmp_path, change):
    page_of(tmp_path)
    (tmp_path / "results.json").write_text(json.dumps(dataclasses.asdict(RESULT) | change), encoding="utf-8")
    with pytest.raises(HfclsError, match="results.json is not"):
        pages.write_report(tmp_path)


def test_results_that_cannot_be_read_are_one_line(tmp_path, monkeypatch):
    page_of(tmp_path)

    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("hfcls.runs.pretrained.read_json", refused)
    with pytest.raises(HfclsError, match="results.json is not the result of a run"):
        pages.write_report(tmp_path)
