"""The model card of a run: whole, true to the numbers, and with metadata that the Hub takes."""

import ast
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hub_server import card_errors
from huggingface_hub import ModelCard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import hfcls
from hfcls.baseline.beside import BaselineScores
from hfcls.data.splits import SplitFacts, carving
from hfcls.publishing.after_run import publish, try_card
from hfcls.publishing.card import base_licence, for_repository, model_card
from hfcls.runs.predictions import Example
from hfcls.runs.record import OneSeed, RunFacts, Seeds, protocol
from hfcls.runs.results import Result, Unseen
from hfcls.runs.weights import MARKER, check_same_weights, is_our_card, weights_sha256
from hfcls.scoring.analysis import analyse
from hfcls.scoring.confidence.scores import Confidence
from hfcls.scoring.intervals import McNemar, wilson
from hfcls.scoring.multi_label import analyse_multi_label
from hfcls.system.quoting import one_line, shortened


def predictions(right: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels, probabilities and names of 100 rows, of which the first ones are labelled right."""
    labels = np.arange(100) % 2
    probabilities = np.eye(2)[np.where(np.arange(100) < right, labels, 1 - labels)] * 0.8 + 0.1
    return labels, probabilities, ["부정", "긍정"]


@pytest.fixture
def result() -> Result:
    """100 test texts, 90 of which are labelled right."""
    analysis = analyse(*predictions(90))
    facts = RunFacts(
        finished="2026-01-01T00:00:00+00:00",
        model="beomi/kcbert-base",
        architecture="BertForSequenceClassification",
        num_parameters=108_919_298,
        dataset="nsmc",
        splits={
            "train": SplitFacts(900, {"부정": 450, "긍정": 450}, "a" * 64),
            "test": SplitFacts(100, {"부정": 50, "긍정": 50}, "b" * 64),
        },
        selected_on="validation",
        protocol="The test split was scored once.",
        options={"learning_rate": 2e-5, "output_dir": "/home/me/out", "data_dir": "/home/me/data", "hub_model_id": "x"},
        batching="packed",
        padding={"packed": 0.03, "longest": 0.7, "fixed": 0.82},
        tokens_per_text=19.5,
        steps=87,
        training_seconds=4000.4,
        texts_per_second=700.0,
        hardware="1 x NVIDIA L4",
        precision="bf16",
        versions={"python": "3.11.7", "hfcls": "0.1.0", "torch": "2.13.0"},
    )
    return Result(
        output_dir="/home/me/out",
        split="test",
        num_rows=100,
        seed=7,
        metrics=analysis.metrics(),
        rows_per_second=700.0,
        note="scored once",
        analysis=analysis,
        facts=facts,
        unseen=Unseen(80, wilson(70, 80)),
    )


def rows_of(card: str, *cells: str) -> list[list[str]]:
    """The rows of the card's tables that begin with these cells."""
    lines = [line.strip("| ").split(" | ") for line in card.splitlines() if line.startswith("| ")]
    return [line for line in lines if line[: len(cells)] == list(cells)]


def test_the_card_tells_what_the_run_measured_and_was_made_of(result, tmp_path):
    card = model_card(result, tmp_path, "apache-2.0")
    assert "Accuracy on the 100 test rows is 0.90 (95 % interval 0.83 to 0.94)." in card
    assert rows_of(card, "Accuracy") == [["Accuracy", "0.90 [0.83, 0.94]"]]
    assert rows_of(card, "on the 80 texts that are not in train")[0][1].startswith("0.88 [")
    assert "20 of the 100 test texts stand in train as well" in card
    assert rows_of(card, "class")[0][-2:] == ["predicted 부정", "predicted 긍정"]
    assert rows_of(card, "부정")[0][2:] == ["0.90 [0.79, 0.96]", "0.90 [0.83, 0.95]", "45", "5"]
    assert rows_of(card, "train") == [["train", "900", "부정: 450, 긍정: 450", f"`{'a' * 64}`"]]
    options = rows_of(card, "options")[0][1].split(", ")
    assert "`learning_rate` 2e-05" in options
    assert "`seed` 7" in options, "a default that a reader looks for"
    assert rows_of(card, "run")[0][1].endswith("; 1 x NVIDIA L4, bf16; 87 steps, 1 h 7 min")
    assert rows_of(card, "versions")[0][1].startswith("python 3.11.7, hfcls 0.1.0")
    assert "![" not in card, "the matrix stands there as a table"
    assert "NSMC's labels come from the stars" in card
    assert "`apache-2.0`, as the base model beomi/kcbert-base." in card
    assert len(card.split("\n---\n", 1)[1].splitlines()) < 60, "a card is read"
    for empty in ("More information", "None", "nan", "/home/me", "TODO", "##\n", "\n\n\n"):
        assert empty not in card


def test_the_baseline_stands_beside_the_model(result, tmp_path):
    worse = BaselineScores(analyse(*predictions(80)), 1.5, McNemar(10, 0, 0.002))
    card = model_card(replace(result, baseline=worse), tmp_path, None)
    assert "\\|" not in card, "each row has the cells of its table"
    assert rows_of(card, "Accuracy")[0][1:] == ["0.90 [0.83, 0.94]", "0.80 [0.71, 0.87]"]
    assert "better than the baseline's 0.80." in card
    assert "McNemar's test: p = 0.002." in card
    assert card_errors(card) == []
    assert "\n\n\n" not in card


def test_the_metadata_is_what_the_hub_takes(result, tmp_path):
    card = model_card(result, tmp_path, "apache-2.0")
    assert card_errors(card) == []
    data = ModelCard(card).data
    assert (data.language, data.license, data.base_model) == ("ko", "apache-2.0", "beomi/kcbert-base")
    assert (data.pipeline_tag, data.tags, data.datasets) == ("text-classification", ["hfcls"], ["e9t/nsmc"])
    scores = {score.metric_type: score for score in data.eval_results}
    assert scores["accuracy"].metric_value == 0.9
    assert scores["f1"].metric_name == "Macro F1"
    assert scores["accuracy"].dataset_split == "test"


def test_a_local_run_names_no_places(result, tmp_path):
    corpus = tmp_path / "영화평.csv"
    corpus.touch()
    base = tmp_path / "my-encoder"
    base.mkdir()
    facts = replace(result.facts, model=str(base), dataset=str(corpus))
    card = model_card(replace(result, facts=facts), tmp_path, None)
    assert "# my-encoder fine-tuned on 영화평.csv\n" in card
    assert str(tmp_path.parent) not in card
    assert card_errors(card) == []
    assert ModelCard(card).data.base_model is None
    assert "none was found for the base model my-encoder" in card
    assert "license" not in ModelCard(card).data.to_dict()


def test_scores_that_are_not_held_out_say_so_wherever_they_stand(result, tmp_path):
    chosen = replace(result, note="also chose the checkpoint")
    card = model_card(chosen, tmp_path, None)
    assert "The scores are not held-out ones: the test split also chose the checkpoint." in card
    assert ModelCard(card).data.eval_results[0].metric_name == "Accuracy (also chose the checkpoint)"
    nothing = replace(result, split=None, analysis=None, note="no validation or test split")
    card = model_card(nothing, tmp_path, None)
    assert "No rows were held out, so nothing was measured." in card
    assert card_errors(card) == []


def test_the_metadata_say_whose_labels_were_met_and_what_the_rows_chose(result, tmp_path):
    """The Hub shows the names of the scores alone: agreement with a teacher stood there as plain accuracy."""
    for note in ("held out; its labels are those of the teacher 'a'", "scored once; the best of 3 seeds on validation"):
        card = model_card(replace(result, note=note), tmp_path, None)
        assert ModelCard(card).data.eval_results[0].metric_name == f"Accuracy ({note})"


@pytest.mark.parametrize(
    ("language", "own_name", "unseen", "tuned", "fixed"),
    [
        ("en", "Subset accuracy", "on the 80 texts that are not in train", "tuned on validation", "is 0.5 without a"),
        ("ko", "레이블이 모두 맞은 비율", "train에 없는 글 80건에서", "검증 데이터로 정해", "검증 데이터가 없어 0.5로"),
    ],
)
def test_the_card_of_several_labels_says_what_its_numbers_are_of(
    result, tmp_path, language, own_name, unseen, tuned, fixed
):
    """The share of unseen texts whose labels are all right stood under micro F1, and thresholds that nothing chose
    were told to be tuned."""
    labels = np.eye(2)[np.arange(100) % 2]
    analysis = analyse_multi_label(labels, labels * 0.8 + 0.1, ["부정", "긍정"], [0.5, 0.5])
    facts = replace(result.facts, problem_type="multi_label_classification")
    card = model_card(replace(result, analysis=analysis, facts=facts), tmp_path, None, language)
    heads = [line.split(" | ")[0].strip("| ") for line in card.splitlines()]
    assert heads[heads.index(unseen) - 1] == own_name
    assert fixed in card
    assert tuned not in card
    splits = {**facts.splits, "validation": facts.splits["test"]}
    card = model_card(replace(result, analysis=analysis, facts=replace(facts, splits=splits)), tmp_path, None, language)
    assert tuned in card
    assert fixed not in card
    assert "subset accuracy on the 80 rows whose text is not in train" in replace(result, analysis=analysis).table()
    none_left = model_card(
        replace(result, facts=facts, analysis=analysis, unseen=Unseen(0, wilson(0, 0))), tmp_path, None
    )
    assert "100 of the 100 test texts stand in train as well.\n" in none_left
    assert "not in train" not in none_left
    korean = model_card(result, tmp_path, None, "ko")
    assert "\n- 테스트 글 100건 가운데 20건은 train에도 있습니다. 이를 뺀 점수도 위에 있습니다.\n- NSMC" in korean


def test_the_card_of_a_baseline_does_not_say_fine_tuned(result, tmp_path):
    baseline = replace(result, facts=replace(result.facts, model="baseline"))
    card = model_card(baseline, tmp_path, None)
    assert re.search(r"^# Logistic regression on character n-grams trained on NSMC", card, re.MULTILINE)
    assert "ine-tuned" not in card
    assert "\n# 글자 n-gram 로지스틱 회귀 학습: NSMC" in model_card(baseline, tmp_path, None, "ko")


def test_many_classes_and_odd_names(result, tmp_path):
    names = [f"a|{i}" for i in range(30)]
    analysis = analyse(np.arange(30), np.eye(30), names)
    facts = replace(result.facts, splits={"train": SplitFacts(30, dict.fromkeys(names, 1), "c" * 64)})
    card = model_card(replace(result, analysis=analysis, facts=facts), tmp_path, None)
    assert len(rows_of(card, "a\\|7")) == 1, "in the table of classes, but not one of 30 x 30"
    assert rows_of(card, "train")[0][2] == "30 classes"
    assert "| 클래스 30개 |" in model_card(replace(result, analysis=analysis, facts=facts), tmp_path, None, "ko")
    (tmp_path / "report").mkdir()
    (tmp_path / "report/confusion.png").touch()  # by an earlier run
    time.sleep(0.02)
    (tmp_path / "results.json").touch()
    assert "![" not in model_card(replace(result, analysis=analysis, facts=facts), tmp_path, None)
    (tmp_path / "report/confusion.png").touch()
    card = model_card(replace(result, analysis=analysis, facts=facts), tmp_path, None)
    assert re.findall(r"!\[(.*)\]\((.*)\)", card) == [("confusion matrix", "report/confusion.png")]


def test_a_card_in_korean_says_the_same_as_one_in_english(result, tmp_path):
    scores = BaselineScores(analyse(*predictions(80)), 1.5, McNemar(10, 0, 0.002))
    sure = Confidence(
        num_rows=60, temperature=1.25, loss_before=0.4, loss_after=0.3, ece_before=0.09, ece_after=0.02,
        target_accuracy=0.95, abstain_below=0.8, coverage=wilson(70, 100), accuracy=wilson(68, 70),
    )  # fmt: skip
    seeds = Seeds("loss", "validation", "seed-8", [OneSeed(f"seed-{n}", 0.9, 0.3, {"accuracy": 0.9}) for n in (7, 8)])
    of_seeds = replace(result.facts, seeds=seeds, protocol=seeds.sentence("test"))
    carved = [
        replace(result.facts, protocol=protocol(splits, "validation", carving(0.15, 4321), metric, tuned=tuned))
        for splits, metric, tuned in (
            (["train", "test"], "eval_loss", []),
            (["train", "test"], "last", ["the temperature"]),
            (["train"], "macro_f1", []),
        )
    ]
    for made in (
        result,
        *(replace(result, facts=facts) for facts in carved),
        replace(result, baseline=scores, confidence=sure),
        replace(result, split=None, analysis=None, unseen=None, note="no validation or test split"),
        replace(result, note="also chose the checkpoint", facts=of_seeds),
        replace(result, note="held out; there is no test split; its labels are those of the teacher 'a'"),
    ):
        english, korean = (model_card(made, tmp_path, "mit", language) for language in ("en", "ko"))
        assert card_errors(korean) == []
        assert korean.count("\n| ") == english.count("\n| ")
        fact = r"\d+(?:,\d{3})*(?:\.\d+)?%?|`.*?`"
        assert set(re.findall(fact, english.replace(" %", "%"))) == set(re.findall(fact, korean))
        assert ("4321" in korean) == ("4321" in english) == (made.facts in carved)
        assert not re.search(r"\d(?:은|는|이|가|을|를|과|와|로|으로)(?=[ ,.])", korean)
        body = korean.split("\n---\n", 1)[1].replace(MARKER, "")
        prose = re.sub(r"```.*?```|`.*?`", "", body, flags=re.DOTALL)
        told = "".join(line for line in prose.splitlines() if not re.match(r"\| (버전|실행|옵션|모델) \|", line))
        known = set("NSMC SHA ECE nat gram seed train test validation hfcls beomi kcbert base".split())
        assert set(re.findall(r"[A-Za-z]{3,}", told)) <= known
    assert "교사와 얼마나 같은지를 뜻합니다" in korean
    assert "how often the model agrees with it" in english


def test_the_time_of_several_seeds_does_not_stand_beside_the_steps_of_one(result, tmp_path):
    seeds = Seeds("loss", "validation", "seed-8", [OneSeed(f"seed-{n}", 0.9, 0.3, {"accuracy": 0.9}) for n in (7, 8)])
    made = replace(result, facts=replace(result.facts, seeds=seeds))
    assert rows_of(model_card(made, tmp_path, None), "run")[0][1].endswith("; 87 steps of the first seed, 1 h 7 min")
    assert rows_of(model_card(made, tmp_path, None, "ko"), "실행")[0][1].endswith("; 첫 시드 87스텝, 1시간 7분")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_card_in_either_language_names_its_weights_where_a_push_looks(result, tmp_path, language):
    """In Korean they have another name, and such a card was taken to be one of other weights."""
    (tmp_path / "model.safetensors").write_text("weights")
    made = replace(result, facts=replace(result.facts, weights_sha256=weights_sha256(tmp_path)))
    made.save(tmp_path / "results.json")
    (tmp_path / "README.md").write_text(model_card(made, tmp_path, None, language), encoding="utf-8")
    check_same_weights(tmp_path)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_weights_of_ones_own_have_no_base_model(result, tmp_path, language):
    """A shape looks like a name on the Hub: the card named it as the base model, and missed its licence."""
    facts = replace(result.facts, model="4x256", dataset="comments.csv")
    card = model_card(replace(result, facts=facts), tmp_path, base_licence("4x256"), language)
    assert {"en": "# Small BERT (4x256) with random weights trained on", "ko": "4x256 크기의 작은 BERT"}[
        language
    ] in card
    assert {"en": "were trained from scratch", "ko": "처음부터 학습한 가중치"}[language] in card
    assert ModelCard(card).data.base_model is None
    assert card_errors(card) == []


def test_the_card_of_a_baseline_names_no_library_that_cannot_load_it(result, tmp_path):
    card = model_card(replace(result, facts=replace(result.facts, model="baseline")), tmp_path, None)
    assert ModelCard(card).data.library_name is None
    assert "hfcls runs it" in card


def test_the_card_lists_options_that_enter_what_is_learned(result, tmp_path):
    facts = replace(result.facts, options={"logging_steps": 3, "num_train_epochs": 2})
    options = rows_of(model_card(replace(result, facts=facts), tmp_path, None), "options")[0][1]
    assert "`num_train_epochs` 2" in options
    assert "logging_steps" not in options


def test_the_card_lists_no_option_that_decided_nothing(result, tmp_path):
    """Of a head that was fitted at once it told rates and epochs, and of a linear schedule the factor of another."""

    def options(**given: object) -> str:
        facts = replace(result.facts, options=given)
        return rows_of(model_card(replace(result, facts=facts), tmp_path, None), "options")[0][1]

    frozen = options(freeze_encoder=True, num_train_epochs=6, learning_rate=1e-4, pooling="mean")
    assert frozen == "`max_length` 128, `seed` 7, `freeze_encoder` True, `pooling` mean"
    assert "`warmup_ratio` 0.1" in options()
    assert "lr_gamma" not in options()
    assert "`lr_gamma` 0.9" in options(lr_scheduler="exponential")


def test_the_card_names_no_folder_of_a_teacher(result, tmp_path):
    facts = replace(result.facts, options={"teacher": "/home/me/first", "labelled": "/home/me/rows.csv"})
    card = model_card(replace(result, facts=facts), tmp_path, None)
    assert "/home/me" not in card


class Shown(HTMLParser):
    """What a reader of HTML sees: the tags, the cells of tables and the blocks of code."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.code: list[str] = []
        self.inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in ("td", "th", "pre"):
            self.inside = self.code if tag == "pre" else self.cells
            self.inside.append("")

    def handle_endtag(self, tag):
        if tag in ("td", "th", "pre"):
            self.inside = []

    def handle_data(self, data):
        if self.inside:
            self.inside[-1] += data


EVIL = (
    "<script>alert(1)</script><img src=x>![a](b) [l](c) `d` ```|*e*|_f_ $x$ {{ 1 }} {% raw %} %s & &amp; \\ # ' \" -->"
    '\n---\n- hfcls\n```\n\x1b[31m\u202e model="a" from_pretrained("b") (report/loss.png)'
)
names = st.text("`*_[]()<>|&\\!~$#\"'{}% -=:\n\t\x00\x1b\x85\u202e가a1", min_size=1, max_size=12).filter(str.strip)


@settings(deadline=None, derandomize=True, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([EVIL, f"{EVIL}2"], EVIL, "run")
@given(st.lists(names, min_size=2, max_size=3, unique_by=one_line), names, names.filter(lambda name: "\0" not in name))
def test_whatever_names_and_texts_hold_the_card_says_what_it_says(result, tmp_path, labels, text, folder):
    """Read as the Hub reads it: front matter by YAML, the rest by CommonMark with tables, the examples by Python."""
    count = len(labels)
    analysis = analyse(np.arange(30) % count, np.eye(count)[np.arange(30) % count], labels)
    splits = {"train": SplitFacts(30, dict.fromkeys(labels, 10), "c" * 64)}
    options = {"text_pair_column": text, "lr_scheduler_type": text}
    facts = replace(
        result.facts, splits=splits, dataset="/data/" + text.replace("\0", ""), hardware=text, options=options
    )
    examples = [Example(text, labels[0], labels[0], 0.9, f"{text} {text}")]
    card = model_card(
        replace(result, analysis=analysis, facts=facts, examples=examples),
        tmp_path / folder.replace("/", ""),
        "mit",
    )
    assert card_errors(card) == []
    assert ModelCard(card).data.tags == ["hfcls"]
    body = card.split("\n---\n", 1)[1]
    shown = Shown(MarkdownIt("commonmark").enable("table").render(body.replace(MARKER, "")))
    tables = {"table", "thead", "tbody", "tr", "th", "td"}
    assert shown.tags <= {"h1", "h2", "p", "pre", "code", "ul", "li", *tables}
    for label in labels:
        assert one_line(label) in shown.cells
        assert one_line(f"predicted {label}") in shown.cells
    assert ", ".join(f"{one_line(label)}: 10" for label in labels) in shown.cells
    assert f"lr_scheduler_type {one_line(text)}" in shown.cells[shown.cells.index("options") + 1]
    name, pair = (
        (tmp_path / folder.replace("/", "")).resolve().name,
        (shortened(text, 60), shortened(f"{text} {text}", 60)),
    )
    assert [literals(code) for code in shown.code] == [
        ["text-classification", name, {"text": pair[0], "text_pair": pair[1]}]
    ]
    pushed = for_repository(card, "tester/nsmc").splitlines()
    assert len([line for line, before in zip(pushed, card.splitlines(), strict=True) if line != before]) == 1


def literals(code: str) -> list[object]:
    """The arguments of the two calls of an example."""
    calls = [statement.value for statement in ast.parse(code).body if not isinstance(statement, ast.ImportFrom)]
    given = [[*call.args, *(keyword.value for keyword in call.keywords[:1])] for call in calls]
    return [ast.literal_eval(argument) for arguments in given for argument in arguments]


def test_the_examples_of_the_card_are_held_out_texts_in_whole_words(result, tmp_path):
    examples = [Example(" ", "a", "a", 1.0), Example("배송이 너무 늦었어요 " * 9, "a", "a", 1.0)]
    card = model_card(replace(result, examples=examples), tmp_path, None)
    line = 'classifier("' + " ".join(["배송이 너무 늦었어요"] * 5) + '")  # held out: test'
    assert line in card.splitlines()
    without = model_card(result, tmp_path, None)
    assert 'classifier("여기에 글을 쓰세요")' in without.splitlines()


def test_the_examples_of_a_pushed_card_load_its_repository(result, tmp_path):
    card = for_repository(model_card(result, tmp_path / "out", None), "tester/nsmc")
    code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(code) == 1
    assert all('"tester/nsmc"' in text and ast.parse(text) for text in code)


def test_an_example_of_another_model_keeps_its_name(result, tmp_path):
    added = 'pipeline("text-classification", model="klue/bert-base")\n'
    card = for_repository(f"{model_card(result, tmp_path / 'out', None)}\n{added}", "tester/nsmc")
    assert added in card
    assert '"tester/nsmc"' in card


def test_licence_of_the_base_model(tmp_path):
    assert base_licence(str(tmp_path)) is None
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    assert base_licence(str(tmp_path)) == "mit"
    assert base_licence("beomi/kcbert-base") is None  # offline
    assert base_licence("scratch") is None


def test_a_run_writes_its_card(table, tmp_path):
    result = hfcls.fine_tune(
        dataset=str(table(count=60)), model="scratch", max_length=16, max_steps=2, output_dir=str(tmp_path / "out")
    )
    card = (Path(result.output_dir) / "README.md").read_text("utf-8")
    assert "# Small BERT with random weights trained on reviews.tsv\n" in card
    assert 'model="out"' in card
    assert card_errors(card) == []
    assert str(tmp_path) not in card


def test_a_readme_that_is_no_card_is_left_as_it_is(table, tmp_path, caplog):
    (tmp_path / "README.md").write_text("# My project\n")
    hfcls.fine_tune(dataset=str(table(count=60)), model="scratch", max_length=16, max_steps=1, output_dir=str(tmp_path))
    assert (tmp_path / "README.md").read_text() == "# My project\n"
    assert f"{tmp_path}/README.md is not a model card of hfcls and is left as it is" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "# Notes\n\n- hfcls\n- transformers\n",
        "---\ntags:\n- hfcls\n---\n# My own card\n",
        f"---\ntags: hfcls\n---\n{MARKER}\n",
        f"---\ntags: [\n---\n- hfcls\n{MARKER}\n",
        f"---\n- tags\n---\n{MARKER}\n",
        f"{MARKER}\n- hfcls\n",
        f"---\ntags:\n- hfcls\n---\nThe line `{MARKER}` tells a card of hfcls.\n",
    ],
)
def test_only_a_card_with_both_signs_is_ours(result, tmp_path, text):
    (tmp_path / "README.md").write_text(text)
    result.save(tmp_path / "results.json")
    assert not is_our_card(tmp_path / "README.md")
    try_card(tmp_path)
    assert (tmp_path / "README.md").read_text() == text


def test_our_card_is_written_anew_until_its_line_is_deleted(result, tmp_path):
    result.save(tmp_path / "results.json")
    card = tmp_path / "README.md"
    try_card(tmp_path)
    written = card.read_text("utf-8")
    assert "## Limits" in written
    card.write_text(written.replace("## Limits", "## Its limits"), encoding="utf-8")
    try_card(tmp_path)
    assert card.read_text("utf-8") == written
    card.write_text(written.replace(MARKER + "\n", ""), encoding="utf-8")
    try_card(tmp_path)
    assert MARKER not in card.read_text("utf-8")
    card.write_bytes(b"\xff\xfe")
    assert not is_our_card(card)


def test_a_finished_run_keeps_its_card_until_it_is_deleted(result, tmp_path):
    result.save(tmp_path / "results.json")
    try_card(tmp_path)
    card = tmp_path / "README.md"
    english = card.read_text("utf-8")
    again = {"report": False, "card_language": "ko", "repo_id": None, "hub_private": True, "again": True}
    publish(tmp_path, **again)
    assert card.read_text("utf-8") == english
    card.unlink()
    publish(tmp_path, **again)
    assert "## 한계와 라이선스" in card.read_text("utf-8")


def test_a_card_that_fails_costs_one_line(result, tmp_path, caplog):
    result.save(tmp_path / "results.json")
    (tmp_path / "results.json").write_text("{")
    try_card(tmp_path)
    assert len(caplog.records) == 1
    assert "the run is saved, its model card could not be written (" in caplog.text
