"""`hfcls check` counts what is there, and warns of what deserves a look."""

import html
import json
import logging
import os
import time
import unicodedata

import numpy as np
import pyarrow.parquet as pq
import pytest

import hfcls
from hfcls import cli
from hfcls.batching.choice import collator_for
from hfcls.checks.cost import Cost
from hfcls.config.commands import CheckConfig
from hfcls.models.tokenizers import load_tokenizer
from hfcls.runs.folder import PREDICTIONS_FILE
from hfcls.runs.results import load_results

LINES = [
    "아주 재미있는 영화였어요 또 보고 싶네요\t1",
    "아주 재미있는 영화였어요 또 보고 싶네요\t1",
    "아주  재미있는 영화였어요 또 보고 싶네요 \t0",
    "아주 재미있는 영화였어요 또 보고 싶네요 진\t1",
    "별로\t0",
    "\t0",
    "ㅋ\t0",
    "깨진 글자 \ufffd 하나\t1",
    unicodedata.normalize("NFD", "한글") + "\t1",
]


@pytest.fixture
def folder(table):
    """A corpus with one of each thing to find."""
    table("data/train.tsv", lines=["text\tlabel", *LINES])
    lines = ["text\tlabel", "별로\t0", "별로 \t0", "새로운 글\t1", "또 다른 글\t1"]
    return str(table("data/test.tsv", lines=lines).parent)


def test_each_finding_is_counted(folder, tiny_model, tmp_path):
    found = hfcls.check(dataset=folder, model=tiny_model, max_length=8, output=str(tmp_path / "check.json"))
    train = found.splits["train"]
    assert (train.rows, train.classes) == (9, {"0": 4, "1": 5})
    assert (train.empty, train.near_empty, train.invalid, train.decomposed) == (1, 1, 1, 1)
    assert train.characters["max"] == len(LINES[3]) - 2
    exact, normalised, near = (found.duplicates[how] for how in ("exact", "normalized", "near"))
    assert exact.repeated == {"train": 1, "test": 0}
    assert exact.several_labels == {"train": 0, "test": 0}
    assert exact.in_train == {"test": 1}
    assert normalised.repeated == {"train": 2, "test": 1}
    assert normalised.several_labels == {"train": 1, "test": 0}
    assert normalised.in_train == {"test": 2}
    assert near.repeated == {"train": 1, "test": 0}
    ids = load_tokenizer(tiny_model)([line.split("\t")[0] for line in LINES])["input_ids"]
    assert train.tokens["max"] == max(map(len, ids))
    assert train.truncated == pytest.approx(sum(len(row) > 8 for row in ids) / 9)
    unknown = load_tokenizer(tiny_model).unk_token_id
    assert train.unknown == pytest.approx(sum(row.count(unknown) for row in ids) / sum(map(len, ids)))
    saved = json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))
    assert saved["splits"]["train"]["rows"] == 9
    assert saved["warnings"] == found.warnings()
    text = found.text()
    for line in (
        "train: 2 texts repeat an earlier one",
        "test: 50.0% of the texts also stand in train",
        "--drop_overlap",
    ):
        assert line in text
    assert found._repr_html_() == f"<pre>{html.escape(text)}</pre>"  # in a notebook


def test_padding_and_cost_are_those_of_training(table, tiny_model):
    path = str(table(count=300))
    found = hfcls.check(dataset=path, model=tiny_model, max_length=32)
    tokenizer, corpus = load_tokenizer(tiny_model), hfcls.load_corpus(path)
    lengths = [len(ids) for ids in hfcls.encode(corpus, tokenizer, 32)["train"]["input_ids"]]
    assert found.padding["fixed"] == pytest.approx(1 - sum(lengths) / (32 * 300), abs=1e-9)
    assert found.padding["packed"] < found.padding["longest"] < found.padding["fixed"]
    assert found.cost.device == "cpu"
    assert found.cost.steps >= 2
    model = hfcls.load_model(tiny_model, ["0", "1"])
    assert found.cost.parameters == model.num_parameters()
    assert 16 * model.num_parameters() < found.cost.memory < 200 * 2**20
    assert found.seconds_per_epoch == pytest.approx(2 * 19 * found.cost.seconds_per_step)  # FGM; 16 rows a step
    assert "each taken twice for --fgm" in found.text()
    assert "padding in random batches of 16: packed" in found.text()


@pytest.mark.parametrize("longest_first", [False, True])
def test_padding_and_cost_are_measured_on_batches_in_random_order(table, tiny_model, monkeypatch, longest_first):
    """Sorted lengths would need next to no padding, and cost less than training does."""
    texts = sorted((" ".join(["영화"] * (1 + i % 28)) for i in range(640)), key=len, reverse=longest_first)
    path = table(lines=["text\tlabel", *(f"{text}\t{i % 2}" for i, text in enumerate(texts))])
    widths = []

    def measure(model, batches):
        widths.extend(int(batch["attention_mask"].shape[-1]) for batch in batches)
        return Cost("cpu", 1, 1, 1.0, 1)

    monkeypatch.setattr("hfcls.checks.inspect.measure_cost", measure)
    monkeypatch.setattr("hfcls.checks.inspect.collator_for", lambda *args, **options: padded(*args, **options))
    found = hfcls.check(dataset=str(path), model=tiny_model, max_length=64, batch_size=32)
    lengths = [len(ids) for ids in load_tokenizer(tiny_model)(texts)["input_ids"]]
    batches = [lengths[start : start + 32] for start in range(0, 640, 32)]
    in_order = 1 - sum(lengths) / sum(32 * max(batch) for batch in batches)
    shuffled = 1 - sum(lengths) / (640 * max(lengths))  # each batch of 32 has a text of about the greatest length
    assert in_order < 0.1
    assert found.padding["longest"] == pytest.approx(shuffled, abs=0.05)
    assert len(widths) == 20
    assert min(widths) > 0.8 * max(lengths)


def padded(model, *, pad_token_id, max_length):
    return collator_for(model, pad_token_id=pad_token_id, max_length=max_length, batching="longest")


def test_a_tokenizer_that_does_not_know_the_language_is_called_out(table, tiny_model):
    path = table(lines=["text\tlabel", *(f"Ωμέγα βήτα γάμμα {i}\t{i % 2}" for i in range(20))])
    found = hfcls.check(dataset=str(path), model=tiny_model, max_length=64)
    assert any("does not know" in warning and "not one for this language" in warning for warning in found.warnings())


def test_without_a_model_nothing_is_said_of_tokens(folder):
    found = hfcls.check(CheckConfig(dataset=folder))
    assert found.splits["train"].tokens is None
    assert found.padding is None
    assert found.cost is None
    assert "tokens" not in found.text()


def test_rare_and_missing_classes_are_called_out(table):
    table("data/train.tsv", lines=["text\tlabel", *(f"글 번호 {i}\t{'b' if i == 5 else 'a'}" for i in range(50))])
    path = table("data/test.tsv", lines=["text\tlabel", "다른 글 하나\ta"])
    warnings = hfcls.check(dataset=str(path.parent)).warnings()
    assert warnings == [
        "train: only 1 of 50 rows are b: read macro F1, not accuracy",
        "test: no row of b",
    ]


def test_the_command_prints_the_report(folder, tmp_path, capsys, monkeypatch):
    assert cli.main(["check", folder, "--output", str(tmp_path / "check.json")]) == 0
    assert "exact: repeated" in capsys.readouterr().out
    assert (tmp_path / "check.json").is_file()
    assert cli.main(["check", "--dataset", folder, "--output", str(tmp_path / "new/check.json")]) == 0
    assert (tmp_path / "new/check.json").is_file()
    monkeypatch.setattr("hfcls.checks.inspect.load_corpus", None)  # it is told before any work
    assert cli.main(["check", "--dataset", folder, "--output", str(tmp_path / "check.json/b")]) == 1
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("hfcls: error: cannot write ")


@pytest.mark.parametrize(
    ("drop_overlap", "rows", "unseen"),
    [(False, "train 4, test 4", 2), (True, "train 3, test 4", 4)],  # 별로 stands in train, and twice in test
)
def test_training_drops_after_the_limits_and_scores_what_train_does_not_hold(
    folder, tiny_model, tmp_path, caplog, drop_overlap, rows, unseen
):
    caplog.set_level(logging.INFO, logger="hfcls")
    result = hfcls.fine_tune(
        dataset=folder,
        model=tiny_model,
        max_length=32,
        validation_size=0.0,
        max_train_samples=6,
        max_steps=1,
        batch_size=2,
        drop_duplicates=True,
        drop_overlap=drop_overlap,
        allow_unknown=True,
        output_dir=str(tmp_path),
    )
    assert "train: 2 rows dropped that repeat an earlier text (drop_duplicates)" in caplog.messages
    dropped = "train: 1 rows dropped whose text stands in validation or test (drop_overlap)"
    assert (dropped in caplog.messages) == drop_overlap
    assert any(f"{folder}: {rows};" in message for message in caplog.messages)
    assert result.unseen.num_rows == unseen
    assert load_results(tmp_path).unseen == result.unseen
    assert ("the 2 rows whose text is not in train" in result.table()) == (not drop_overlap)
    right = [row["label"] == row["predicted"] for row in pq.read_table(tmp_path / PREDICTIONS_FILE).to_pylist()]
    assert result.unseen.accuracy.value == np.mean(right if drop_overlap else right[2:])


@pytest.mark.slow
@pytest.mark.usefixtures("all_cores")
def test_what_nsmc_holds_is_found_within_a_minute(shared):
    """Figures of the rebuilt split; see also docs/data.md."""
    start = time.process_time()  # of all cores: the clock on the wall depends on what else runs
    found = hfcls.check(dataset="nsmc", data_dir=str(shared), model=str(shared / "kcbert-base"), baseline=False)
    seconds = time.process_time() - start
    exact, normalised = found.duplicates["exact"], found.duplicates["normalized"]
    assert exact.repeated["train"] == 3774
    assert exact.several_labels["train"] == 160
    assert exact.in_train["test"] == 1596  # 3.2 %
    assert normalised.repeated["train"] > 3774
    assert normalised.in_train["test"] > 1596
    assert found.duplicates["near"].repeated["train"] > 100
    assert found.splits["train"].unknown < 0.01
    assert found.splits["train"].truncated < 0.001
    assert seconds < 60 * (os.cpu_count() or 1)


def test_the_baseline_is_the_one_that_a_run_shows(table, tiny_model, tmp_path):
    path = str(table(count=200))
    found = hfcls.check(dataset=path, output=str(tmp_path / "check.json"))
    run = hfcls.fine_tune(dataset=path, model=tiny_model, max_length=32, max_steps=1, output_dir=str(tmp_path / "out"))
    assert found.baseline.analysis.accuracy == run.baseline.analysis.accuracy
    assert found.baseline.mcnemar is None
    said = f"rows of validation (10% of train, seed 7):\n  accuracy {run.baseline.analysis.accuracy}"
    assert said in found.text()
    assert json.loads((tmp_path / "check.json").read_text("utf-8"))["baseline"]["analysis"]["num_rows"] == 20
    assert hfcls.check(dataset=path, baseline=False).baseline is None


def test_no_baseline_where_nothing_can_be_held_out(table, caplog):
    with caplog.at_level(logging.INFO, "hfcls"):
        found = hfcls.check(dataset=str(table(lines=["text\tlabel", "좋다\t1", "나쁘다\t0"])))
    assert found.baseline is None
    assert "no baseline: cannot keep 0.1 of 2 training rows for validation" in caplog.text


def test_the_length_of_a_pair_is_that_of_its_texts():
    rows = [{"text": "가나", "other": "다", "label": i % 2} for i in range(4)]
    found = hfcls.check(dataset=rows, text_pair_column="other", baseline=False).splits["train"]
    assert set(found.characters.values()) == {3.0}
