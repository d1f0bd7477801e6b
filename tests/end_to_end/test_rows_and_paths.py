"""A run uses the rows it says, and any name that a file or folder may have."""

import json
import os
import shutil
from pathlib import Path

import pytest

import hfcls
from hfcls.config.train import TrainConfig
from hfcls.data.duplicates import normalized
from hfcls.data.origins.files import input_files
from hfcls.errors import HfclsError

NAMES = ["run:1", "~no-such-user", "s3:a[1]*?{x,y}::z", "lr=5e-5 #%41 $(x) 'a' \"b\""]


@pytest.fixture
def options(tiny_model, table, tmp_path):
    return {
        "dataset": str(table("train.tsv", count=200)),
        "model": tiny_model,
        "output_dir": str(tmp_path / "out"),
        "max_length": 32,
        "max_steps": 2,
        "batch_size": 8,
        "report": False,
        "report_to": "none",
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_path_reaches_every_library_as_it_is(options, table, tmp_path, monkeypatch, name):
    """Relative, since that is what looks like an address."""
    monkeypatch.chdir(tmp_path)
    for split, count in (("train", 60), ("test", 20)):
        table(f"{name}/data/{split}.tsv", count=count)
    table(f"{name}/data/extra.tsv", count=40)
    shutil.copytree(options["model"], f"{name}/model")
    paths = {"dataset": f"{name}/data", "model": f"{name}/model", "output_dir": f"{name}/out"}
    result = hfcls.fine_tune(**{**options, **paths, "report": True, "report_to": "auto"})
    assert {split: facts.rows for split, facts in result.facts.splits.items()} == {
        "train": 54,
        "validation": 6,
        "test": 20,
    }
    scored = hfcls.evaluate(model=f"{name}/out", dataset=f"{name}/data/test.tsv", output=f"{name}/scores.json")
    assert scored.metrics == pytest.approx(result.metrics, abs=1e-6)
    assert hfcls.check(dataset=f"{name}/data/test.tsv", output=f"{name}/check.json").splits["train"].rows == 20
    (shard,) = hfcls.predict_files(model=f"{name}/out", input=f"{name}/data/test.tsv", output=f"{name}/labelled")
    assert shard.is_file()
    assert hfcls.write_report(f"{name}/out").is_file()
    errors = json.loads((tmp_path / name / "out/report/numbers.json").read_text("utf-8"))["confident_errors"]
    assert all(set(row) == {"text", "label", "predicted", "probability"} for row in errors)
    assert {path.name for path in tmp_path.iterdir()} == {name, "train.tsv"}


def test_a_name_of_korean_windows_that_is_not_utf_8_is_refused(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + "리뷰.csv".encode("cp949")))
    try:
        path.write_text("text,label\n좋다,1\n", encoding="utf-8")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    for read in (hfcls.load_corpus, input_files):
        for name in (str(tmp_path), f"{tmp_path}/*.csv"):
            with pytest.raises(HfclsError, match=r"\.csv is not UTF-8 .*: rename it"):
                read(name)


@pytest.mark.parametrize("option", ["dataset", "model", "output_dir"])
def test_an_address_is_no_path(option):
    with pytest.raises(HfclsError, match=f"{option} must be a path on this machine, not an address, found s3://a/b"):
        TrainConfig(**{option: "s3://a/b"})


def test_a_carved_split_holds_as_many_rows_as_asked_and_no_text_of_train(options):
    result = hfcls.fine_tune(**options, max_validation_samples=2)
    rows = {split: facts.rows for split, facts in result.facts.splits.items()}
    assert rows == {"train": 180, "validation": 2}
    assert result.num_rows == 2
    assert "10% of train (stratified, by text, seed 7)" in result.facts.protocol


def test_what_train_lacks_of_a_text_is_said(options, tmp_path, caplog):
    path = tmp_path / "null.jsonl"
    texts = [None, *(f"글 번호 {i}" for i in range(39))]
    path.write_text("\n".join(json.dumps({"text": text, "label": i % 2}) for i, text in enumerate(texts)))
    result = hfcls.fine_tune(**{**options, "dataset": str(path), "allow_unknown": True})
    assert "train: 1 of 40 rows have no text (null), row 1 for one; it is read as an empty text" in caplog.messages
    assert result.unseen is not None
    assert result.unseen.num_rows == result.num_rows  # the carved rows hold no text of train
    assert normalized("글  번호 1") == "글 번호 1"
