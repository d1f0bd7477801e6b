"""The page of a run, its figures, and the trackers that follow it."""

import errno
import html
import json
import logging
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from accessibility import serious_violations
from conftest import reviews
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import hfcls
from hfcls import cli
from hfcls.data.tasks import TAUGHT
from hfcls.errors import HfclsError
from hfcls.publishing.names import TUNED
from hfcls.runs.record import OneSeed, Seeds, protocol
from hfcls.runs.results import Result, load_results
from hfcls.scoring.analysis import analyse
from hfcls.scoring.confidence.fitting import tuned_on_validation
from hfcls.scoring.confidence.scores import Confidence
from hfcls.scoring.intervals import wilson
from hfcls.scoring.multi_label import analyse_multi_label
from hfcls.scoring.tasks import MultiLabel, SingleLabel

figures = pytest.importorskip("hfcls.publishing.pages.figures", reason="needs the extra `report`")
from hfcls.publishing.pages.curves import Curves, read_curves  # noqa: E402
from hfcls.publishing.pages.report import render, with_options, write_report  # noqa: E402
from hfcls.publishing.pages.verdict import verdict  # noqa: E402
from hfcls.runs.predictions import confident_errors  # noqa: E402
from hfcls.system.quoting import visible  # noqa: E402
from hfcls.system.trackers import trackers  # noqa: E402

EVIL = "최고 추천 <script>document.title = 'owned'</script><img src=http://example.org/x> & \"따옴표\""


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_model) -> Result:
    """A run on texts of which one, labelled wrong on purpose, is a script."""
    folder = tmp_path_factory.mktemp("run")
    names = {"0": "부정", "1": "긍정"}
    for seed, (split, count) in enumerate([("train", 200), ("validation", 40), ("test", 60)]):
        rows = [{"text": text, "label": names[label]} for text, label in reviews(count, seed)]
        rows += [{"text": EVIL, "label": "부정"}] if split == "test" else []
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return hfcls.fine_tune(
        dataset=str(folder),
        model=tiny_model,
        max_length=64,
        learning_rate=1e-3,
        num_train_epochs=3,
        batch_size=32,
        optimizer="adam",
        lr_scheduler="exponential",
        warmup_ratio=0.0,
        max_grad_norm=0.0,
        warm_head=False,
        metric_for_best_model="eval_loss",
        logging_steps=2,
        output_dir=str(folder / "out"),
    )


@pytest.fixture
def out(run) -> Path:
    return Path(run.output_dir)


def test_training_rows_whose_label_looks_wrong_are_shown(run, out):
    doubts = json.loads((out / "doubts.json").read_text("utf-8"))
    assert doubts["num_rows"] == 200
    page = render(run, {}, [], None, doubts={**doubts, "doubted": 1, "rows": [{"text": EVIL, "label": "부정",
                  "suggested": "긍정", "probability": 0.875}]})  # fmt: skip
    assert "Of 200 training rows, baselines that have not seen the row give 1 another class" in page
    assert html.escape(EVIL, quote=False)[:30] in page
    assert "87.5%" in page
    assert "section-doubts" not in render(run, {}, [], None, doubts={**doubts, "doubted": 0})


def test_a_run_ends_with_its_report(run, out):
    page = (out / "report.html").read_text("utf-8")
    assert f"<b>{run.analysis.accuracy.value:.2f}</b>" in page, "61 rows carry two decimals"
    assert str(out.parent) not in page, "where the run lies is nobody's business"
    assert "테스트 데이터 61행" in page
    assert "Measured on the 61 rows of the test split" in page
    assert run.facts.protocol in page
    assert run.facts.splits["test"].sha256 in page
    fewer = (1 - run.facts.padding["packed"]) / (1 - run.facts.padding["fixed"])
    assert f"computed {fewer:.1f} times fewer tokens than fixed" in page
    for name in ("loss", "accuracy", "learning_rate", "confusion", "reliability", "lengths"):
        assert (out / f"report/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (out / f"report/{name}.svg").read_text("utf-8")
    numbers = json.loads((out / "report/numbers.json").read_text("utf-8"))
    assert numbers["analysis"] == json.loads((out / "results.json").read_text("utf-8"))["analysis"]
    assert len(numbers["curves"]["points"]["eval_loss"]) == 3
    assert len(numbers["curves"]["points"]["loss"]) == 21, "as many as there are steps, where an epoch has but seven"
    assert numbers["slices"][0]["name"] == "short"
    for ko, en in verdict(run, numbers["curves"]["points"]["eval_loss"]).sentences:
        assert with_options(ko) in page
        assert with_options(en) in page
    sections = re.findall(r'<a href="#([^"]*)"', page)
    assert sections == re.findall(r'<h2 id="([^"]*)"', page)
    assert {"section-curves", "section-classes", "section-slices", "section-run"} <= set(sections)
    assert not list(out.rglob("*.part"))


def test_the_page_stands_alone_and_texts_stay_texts(out):
    page = (out / "report.html").read_text("utf-8")
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "<img" not in page
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page).replace("http://example.org/x&gt;", "")
    assert "http" not in without_names.replace("http-equiv", "")
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(set(ids)) == len(ids)
    links = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)', page)
    assert {link or url for link, url in links} <= {f"#{name}" for name in ids}


def test_both_languages_stand_in_page_and_figures(out):
    page = (out / "report.html").read_text("utf-8")
    assert page.count('<span lang="ko"') == page.count('<span lang="en"') > 40
    assert re.search(r'<text lang="ko"[^>]*>학습률</text><text lang="en"[^>]*>learning rate</text>', page)
    assert "학습률\u00a0/\u00a0learning rate" in (out / "report/learning_rate.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("metric", "split", "korean"),
    [
        (
            "last",
            "validation",
            "마지막 체크포인트를 남겼습니다. 검증 데이터(40행)로는 아무것도 고르지 않았습니다. 테스트",
        ),
        ("eval_loss", "validation", "검증 데이터(40행)에서 손실이 가장 낮은 체크포인트를 남겼습니다. 테스트"),
        ("macro_f1", "validation", "검증 데이터(40행)에서 매크로 F1 점수가 가장 높은 체크포인트를 남겼습니다. 테스트"),
        ("eval_loss", "test", "테스트 데이터(61행)에서 손실이 가장 낮은 체크포인트를 남겼습니다. 그러므로"),
    ],
)
def test_korean_says_which_checkpoint_was_kept_as_english_does(run, metric, split, korean):
    facts = replace(run.facts, selected_on=split, options={**run.facts.options, "metric_for_best_model": metric})
    assert korean in render(replace(run, facts=facts), {}, [], None)


def test_korean_tells_what_validation_chose_beside_the_checkpoint(run):
    """It said that validation chose nothing, whatever it had."""
    seeds = Seeds(
        "loss", "validation", "seed-8", [OneSeed(f"seed-{n}", 0.9, 0.3, {"accuracy": n / 10}) for n in (7, 8)]
    )
    told = protocol(["train", "test"], "validation", "", "last", tuned=list(TUNED)[:3]) + " " + seeds.sentence("test")
    options = {**run.facts.options, "metric_for_best_model": "last"}
    facts = replace(run.facts, selected_on="validation", options=options, protocol=told, seeds=seeds)
    page = render(replace(run, facts=facts), {}, [], None)
    assert "검증 데이터(40행)에서 정한 값은 문턱값, 온도, 최저 확신도입니다." in page
    assert "시드가 다른 모델(seed-7, seed-8) 가운데 검증 데이터의 손실에서 가장 좋은 seed-8입니다." in page
    assert "시드별 정확도의 평균은 0.7500, 표준편차는 0.0707입니다." in page
    assert f"첫 시드 {facts.steps}스텝" in page
    assert f"{facts.steps} steps of the first seed" in page


def test_scores_on_the_answers_of_a_teacher_are_told_as_such(run):
    page = render(replace(run, note=f"held out; {TAUGHT} 'big'"), {}, [], None)
    assert "정답이 아니라 교사와 얼마나 같은지를" in page
    assert "how often the model agrees with it" in page
    assert "교사" not in render(run, {}, [], None)


def test_no_particle_of_the_korean_page_hangs_on_a_number(run):
    """은 or 는, 로 or 으로: which of two it is depends on the last digit, and 0.1230로 stood there."""
    sure = Confidence(num_rows=60, temperature=1.25, loss_before=0.4, loss_after=0.3, ece_before=0.09, ece_after=0.02)
    spoken = re.findall(r'<span lang="ko">(.*?)</span>', render(replace(run, confidence=sure), {}, [], None), re.DOTALL)
    assert "(온도 1.250)" in "".join(spoken)
    assert not [text for text in spoken if re.search(r"(?<!F)\d(?:은|는|이|가|을|를|과|와|로|으로)(?=[ ,.])", text)]


def test_an_option_that_the_verdict_names_stays_in_one_piece():
    assert with_options("<b> --seed 7로") == "&lt;b&gt; <code>--seed</code> 7로"


def test_every_value_that_validation_may_choose_has_a_korean_name():
    tasks = MultiLabel(["a"]), SingleLabel(["a", "b"], abstain_below=0.5)
    found = [tuned_on_validation(task, {"temperature": 1.5}, validation=True) for task in tasks]
    assert {"the seed", *found[0], *found[1]} == set(TUNED)


def test_the_errors_are_the_most_confident_ones(run, out):
    errors = confident_errors(out, 20)
    assert EVIL in [row["text"] for row in errors]
    assert all(row["label"] != row["predicted"] for row in errors)
    assert [row["probability"] for row in errors] == sorted((row["probability"] for row in errors), reverse=True)
    assert len(errors) == run.num_rows - round(run.metrics["accuracy"] * run.num_rows)
    best = min(
        json.loads((out / "trainer_state.json").read_text())["log_history"], key=lambda row: row.get("eval_loss", 9)
    )
    assert read_curves(out).kept == best["epoch"]


def test_findings_of_the_data_check_are_shown(run, out):
    write_report(out)
    assert "Data check" not in (out / "report.html").read_text("utf-8")
    lines = ["text\tlabel", "<b>\t부정", "<b>\t긍정", "재미있는 영화\t긍정"]
    (out / "raw.tsv").write_text("\n".join(lines), encoding="utf-8")
    hfcls.check(dataset=str(out / "raw.tsv"), model=run.facts.model, max_length=16, output=str(out / "check.json"))
    page = write_report(out).read_text("utf-8")
    (out / "check.json").unlink()
    assert "train: 1 texts repeat an earlier one (normalised)" in page
    assert "학습 데이터: 글 1건이 앞의 글과 같습니다(정규화 기준)" in page
    assert '<span lang="en">Cut at 16 tokens</span></td><td>0.00%</td>' in page
    assert '<span lang="en">Texts with several labels</span></td><td>1</td>' in page
    nothing = {"warnings": [], "splits": {}, "duplicates": {"normalized": {}}, "model": None}
    assert "Nothing stood out." in render(run, {}, [], nothing)


def test_png_labels_without_a_hangul_font_are_english_and_ids(out, tmp_path, monkeypatch):
    curves, analysis = read_curves(out), load_results(out).analysis

    def texts(name: str, drawable) -> set[str]:
        axes = figures.draw(curves, analysis, drawable)[name].axes[0]
        return {axes.get_xlabel(), axes.get_ylabel(), *(label.get_text() for label in axes.get_yticklabels())}

    assert texts("confusion", str.isascii) == {"predicted", "true", "0", "1"}
    assert texts("confusion", lambda text: True) == {
        "예측\u00a0/\u00a0predicted",
        "정답\u00a0/\u00a0true",
        "부정",
        "긍정",
    }
    monkeypatch.setattr(figures, "hangul_font", lambda: None)
    pages = figures.save_figures(
        curves, analysis, tmp_path
    )  # a missing glyph would be a warning, which is an error here
    assert "부정" in pages["confusion"]  # the browser has fonts of its own


def test_many_classes_and_odd_names(tmp_path):
    import numpy as np

    names = [f"분류 / $x_{i}$ <b> {'가나다 ' * 20}" for i in range(45)]
    probabilities = np.random.default_rng(0).dirichlet(np.ones(45), 300)
    for count in (14, 45):
        share = probabilities[:, :count] / probabilities[:, :count].sum(axis=1, keepdims=True)
        analysis = analyse(np.arange(300) % count, share, names[:count])
        pages = figures.save_figures(Curves({}, None), analysis, tmp_path / str(count))
        assert set(pages) == {"confusion", "reliability"}
        result = Result(
            output_dir="out", split="test", num_rows=300, seed=7, metrics={}, rows_per_second=1.0, analysis=analysis
        )
        page = render(result, pages, [], None)
        assert "분류 / $x_3$ &lt;b&gt; 가나다" in page
        assert "$ <b>" not in page
        if count == 14:
            assert ">분류 / $x_3$ &lt;b&gt; 가나다 가…</text>" in page
        assert page.count("<figure") == 2
        (pair,) = re.findall(r"most frequent confusions</span>:\n(.*?) → (.*?) (\d+),", page)
        assert int(pair[2]) == max(c for i, row in enumerate(analysis.confusion) for j, c in enumerate(row) if i != j)


HOSTILE = [
    "\x00nul\x1b[31m\x85\ufffe\u202e",
    'id="a" url(#b) href="#c"',
    "한\u00a0/\u00a0en",
    "<script>x</script> --> & \"'`",
    "$x_1$ %s {{ 1 }} {0}",
    "![a](b)\nzwei\tZeilen",
]


def test_hostile_class_names_leave_the_figures_whole(tmp_path):
    import numpy as np

    analysis = analyse(np.arange(60) % 6, np.eye(6)[np.arange(60) % 6], HOSTILE)
    pages = figures.save_figures(Curves({"loss": [(1, 2)]}, None), analysis, tmp_path)
    expected = {"\ufffdnul\ufffd[31m\ufffd\ufffd\ufffd", 'id="a" url(#b) href=…', "한 / en", "<script>x</script> -…"}
    expected |= {HOSTILE[4], "![a](b) zwei Zeilen"}
    for svg in ((tmp_path / "confusion.svg").read_text("utf-8"), pages["confusion"]):
        svg = svg.replace("xlink:", "")
        found = {
            text.text for text in ElementTree.fromstring(svg[svg.index("<svg") :]).iter() if text.tag.endswith("text")
        }
        assert {" ".join(name.split())[:20] for name in expected} <= {(name or "")[:20] for name in found}
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", svg)
    for path in tmp_path.glob("*.svg"):
        ElementTree.parse(path)
    ids = re.findall(r'\bid="([^"]*)"', re.sub(">[^<]*<", "><", pages["confusion"]))
    assert all(name.startswith("confusion-") for name in ids)


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_data(self, data):
        self.texts.append(data)


names = st.text("`*_[]()<>|&\\!~$#\"'{}% -=:;\n\t\x00\x1b\x85\u202e\ud800가a1", min_size=1, max_size=12)


@settings(deadline=None, derandomize=True, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(HOSTILE[:2], "".join(HOSTILE))
@given(st.lists(names, min_size=2, max_size=2, unique=True), names)
def test_whatever_names_and_texts_hold_the_page_stays_one(run, labels, text):
    import numpy as np

    analysis = analyse(np.arange(30) % 2, np.eye(2)[np.arange(30) % 2], labels)
    splits = {name: replace(split, classes=dict.fromkeys(labels, 3)) for name, split in run.facts.splits.items()}
    facts = replace(run.facts, splits=splits, hardware=text, architecture=text, options={text: text}, protocol=text)
    errors = [{"text": text, "text_pair": text, "label": labels[0], "predicted": text, "probability": 0.9}]
    nothing = {"warnings": [text], "splits": {}, "duplicates": {"normalized": {}}, "model": None}
    result = replace(run, analysis=analysis, facts=facts)
    page = render(result, {}, errors, nothing)
    plain = replace(run, analysis=replace(analysis, label_names=["a", "b"]), facts=replace(facts, options={"a": "a"}))
    assert Tags(page).tags == Tags(render(plain, {}, errors, nothing)).tags, "no tag more, no attribute more"
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", page)
    page.encode()
    shown = visible(labels[0])
    assert any(shown in text for text in Tags(page).texts)


def test_the_score_on_texts_that_are_not_in_train_stands_beside(run):
    from hfcls.runs.results import Unseen

    run = replace(run, unseen=Unseen(50, wilson(40, 50)))
    page = render(run, {}, [], None)
    assert "Accuracy on the 50 rows whose text is not in train:" in page
    assert "0.80 <small>0.67–0.89</small>" in page
    run = replace(run, unseen=Unseen(0, wilson(0, 0)))
    assert "The text of each of these rows is in train, too." in render(run, {}, [], None)
    assert re.search("^  unseen +no row: each text is in train, too$", run.table(), re.MULTILINE)


def test_the_page_of_several_labels_says_what_its_numbers_are_of(run):
    from hfcls.runs.results import Unseen

    labels = [[1, 0], [0, 1]] * 30
    analysis = analyse_multi_label(labels, labels, ["가", "나"], [0.5, 0.5])
    splits = {name: split for name, split in run.facts.splits.items() if name != "validation"}
    facts = replace(run.facts, problem_type="multi_label_classification", splits=splits, selected_on=None)
    run = replace(run, analysis=analysis, facts=facts, baseline=None, num_rows=60, unseen=Unseen(50, wilson(40, 50)))
    page = render(run, {}, [], None)
    assert "Subset accuracy on the 50 rows whose text is not in train:" in page
    assert "0.5 without a validation split" in page
    assert "highest F1 on the validation rows" not in page


@pytest.mark.parametrize(
    ("lowest", "told"), [(0.0, "is reached on all texts, so"), (0.7466, "confidence below 0.7466")]
)
def test_the_page_says_when_to_ask_a_person(run, lowest, told):
    """Rounded to what so few rows can carry, it would be another confidence."""
    sure = Confidence(
        num_rows=60, target_accuracy=0.9, abstain_below=lowest, coverage=wilson(50, 60), accuracy=wilson(48, 50)
    )
    assert told in render(replace(run, confidence=sure), {}, [], None)


def test_a_curve_of_very_many_points_is_drawn_by_their_means():
    points = [(step / 1000, float(step % 2)) for step in range(12_000)]
    curves = Curves({"loss": points, "eval_loss": points[::4000]}, None)
    train, evaluation = figures.draw(curves, None, str.isascii)["loss"].axes[0].lines
    assert train.get_xdata().tolist() == pytest.approx([0.0195 + 0.04 * i for i in range(300)])
    assert train.get_ydata().tolist() == [0.5] * 300
    assert evaluation.get_xydata().tolist() == [[0, 0], [4, 0], [8, 0]]


def test_the_axes_tell_whole_epochs_the_steps_of_the_rate_and_what_chance_may_do():
    points = {
        "eval_accuracy": [(1.0, 0.9), (2.0, 0.95), (3.0, 0.95)],
        "learning_rate": [(0.5, 2e-5), (1.0, 2e-5), (1.5, 1e-5)],
    }
    drawn = figures.draw(Curves(points, None, eval_rows=60), None, str.isascii)
    scores, rate = drawn["accuracy"].axes[0], drawn["learning_rate"].axes[0]
    assert all(tick == int(tick) for tick in scores.get_xticks())
    (band,) = scores.collections
    low, high = band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max()
    assert (low, high) == pytest.approx((wilson(54, 60).low, wilson(57, 60).high))
    bottom, top = scores.get_ylim()
    assert 0.1 * (top - bottom) > 1 / 60, "one row of 60 is no leap"
    assert rate.lines[0].get_drawstyle() == "steps-pre"
    assert rate.get_ylim()[0] == 0


def test_the_shown_parts_of_paths_are_their_last(run):
    facts = replace(run.facts, model="/srv/models/ours", dataset="~/secret/a.csv", options={"data_dir": "/srv/data"})
    page = render(replace(run, facts=facts), {}, [], None)
    assert "/srv" not in page
    assert "secret" not in page
    for name in ("<code>ours</code>", "<code>a.csv</code>", "<code>data_dir: data</code>"):
        assert name in page


def test_nothing_held_out_is_said(run, tmp_path):
    result = Result(
        output_dir="out",
        split=None,
        num_rows=0,
        seed=7,
        metrics={},
        rows_per_second=1.0,
        note="no validation or test split",
        facts=run.facts,
    )
    result.save(tmp_path / "results.json")
    page = write_report(tmp_path).read_text("utf-8")
    assert "Nothing was held out, so there is no score." in page
    assert "<table" in page  # the data


def test_report_command(out, tmp_path, capsys):
    (out / "report.html").unlink()
    assert cli.main(["report", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out / "report.html")
    assert (out / "report.html").is_file()
    assert cli.main(["report", str(tmp_path)]) == 1
    assert "holds no finished run: results.json is missing" in capsys.readouterr().err


def test_a_report_that_fails_costs_one_line(run, tmp_path, caplog):
    from hfcls.publishing.after_run import try_report

    run.save(tmp_path / "results.json")
    (tmp_path / "trainer_state.json").write_text("{")
    try_report(tmp_path)
    assert len(caplog.records) == 1
    assert f"the run is saved, its report failed ({tmp_path}/trainer_state.json is not JSON" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("check.json", '["old"]', "check.json holds .'old'., not a JSON object"),
        ("doubts.json", '{"num_rows": null, "doubted": 1, "rows": []}', "doubts.json is not what this version"),
        ("doubts.json", '{"num_rows": "x", "doubted": 1, "rows": []}', "doubts.json is not what this version"),
        ("doubts.json", '{"num_rows": 9, "doubted": 1, "rows": 3}', "doubts.json is not what this version"),
        ("doubts.json", '{"num_rows": 9, "doubted": 1, "rows": ["text"]}', "doubts.json is not what this version"),
        ("doubts.json", "", "doubts.json is not JSON"),
        ("check.json", "{", "check.json is not JSON"),
        *(
            (name, text, f"{name} holds")
            for name in ("doubts.json", "check.json", "trainer_state.json")
            for text in ("[]", "null")
        ),
        ("predictions.parquet", "PAR1", "predictions.parquet cannot be read"),
        ("trainer_state.json", '{"log_history": [{"loss": 1}]}', "trainer_state.json is not what Trainer writes"),
        ("trainer_state.json", "[1]", "trainer_state.json holds .1., not a JSON object"),
        ("trainer_state.json", '{"log_history": null}', "trainer_state.json is not what Trainer writes"),
        (
            "trainer_state.json",
            '{"log_history": [{"step": 1, "epoch": 1.0, "loss": "x"}]}',
            "trainer_state.json is not what Trainer writes",
        ),
    ],
)
def test_files_that_are_not_what_they_should_be_are_named(run, tmp_path, name, content, message):
    run.save(tmp_path / "results.json")
    (tmp_path / name).write_text(content)
    with pytest.raises(HfclsError, match=message):
        write_report(tmp_path)


def test_a_drive_that_fills_leaves_the_figures_as_they_were(out, monkeypatch):
    write_report(out)
    before = {path.name: path.read_bytes() for path in (out / "report").iterdir()}
    from matplotlib.figure import Figure

    draw = Figure.savefig

    def full(self, file, **options):
        if options.get("format") == "svg":
            return draw(self, file, **options)
        Path(file).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(HfclsError, match="cannot write the report of .*: No space left on device"):
        write_report(out)
    assert {path.name: path.read_bytes() for path in (out / "report").iterdir()} == before


def test_without_the_extra_one_line_says_how_to_get_it(out, caplog, capsys, monkeypatch):
    from hfcls.publishing.after_run import try_report

    caplog.set_level(logging.INFO, logger="hfcls")
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in ("hfcls.publishing.pages.report", "hfcls.publishing.pages.figures", "hfcls.publishing.pages.curves"):
        monkeypatch.delitem(sys.modules, name)
    try_report(out)
    assert caplog.messages == [
        "no report, since matplotlib is not installed: pip install -e '.[report]' in the checkout of hfcls, then "
        f"hfcls report {out}"
    ]
    assert cli.main(["report", str(out)]) == 1
    assert "a report needs matplotlib: pip install -e '.[report]' in the checkout of hfcls" in capsys.readouterr().err


def test_tensorboard_follows_by_default_where_it_is_installed(out, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = (out / "runs").glob("*/events*")
    seen = EventAccumulator(str(events)).Reload().Tags()["scalars"]
    assert {"train/loss", "train/learning_rate", "eval/loss", "eval/accuracy"} <= set(seen)
    assert trackers("auto") == trackers("tensorboard") == ["tensorboard"]
    monkeypatch.setattr("transformers.integrations.integration_utils.is_tensorboard_available", lambda: False)
    assert trackers("auto") == trackers("none") == trackers("all") == []


def test_a_tracker_that_is_not_there_is_an_error_before_training(tmp_path):
    with pytest.raises(HfclsError, match="report_to knows no tracker paper; known are auto, none, all, .*wandb"):
        hfcls.fine_tune(dataset="demo", output_dir=str(tmp_path / "out"), report_to="paper")
    with pytest.raises(HfclsError, match="report_to comet_ml: the tracker is not installed; install its package"):
        trackers("tensorboard,comet_ml")
    assert not (tmp_path / "out").exists()


CHROMIUM = Path("/usr/bin/chromium")


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_in_a_browser(out, scheme, width):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    requests, messages = [], []
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(
            executable_path=str(CHROMIUM),
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-sync",
            ],
        )
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(f"file://{out}/report.html")
        assert requests == [f"file://{out}/report.html"]
        assert messages == []
        assert page.title() == "hfcls 보고서 / report"
        assert page.locator("h1").inner_text() == "학습 보고서"
        assert serious_violations(page) == []
        assert page.locator("figure svg text", has_text="학습률").first.is_visible()
        assert not page.locator("figure svg text", has_text="learning rate").first.is_visible()
        page.click("label[for=en]")
        assert page.locator("h1").inner_text() == "Fine-tuning report"
        assert page.locator("figure svg text", has_text="learning rate").first.is_visible()
        assert EVIL in page.locator(".errors").first.inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        cut = "[...document.querySelectorAll('.wide, figure, .card, li')].filter(e => e.scrollWidth > e.clientWidth)"
        assert page.evaluate(f"{cut}.map(e => e.className)") == []
        assert serious_violations(page) == []
        page.click("nav a[href='#section-run']")
        assert page.evaluate("document.querySelector('#section-run').getBoundingClientRect().top") < 900
        ink = page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")
        assert ink == ("rgb(29, 36, 48)" if scheme == "light" else "rgb(228, 231, 235)")
        page.emulate_media(media="print")
        assert not page.locator(".switch").is_visible(), "its colours are a background, which paper does not show"
        style = "getComputedStyle(document.querySelector('.confusion td.hit'))"
        assert page.evaluate(f"[{style}.borderTopWidth, {style}.color]") == ["2px", "rgb(29, 36, 48)"]
        browser.close()
