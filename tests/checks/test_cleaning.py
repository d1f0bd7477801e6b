"""`hfcls clean` finds flipped labels, tells where they stand, and changes nothing unasked."""

import csv
import errno
import os
import random
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from conftest import reviews
from datasets import ClassLabel, Dataset, Features, Value

import hfcls as package
from hfcls import cli
from hfcls.data.formats.table import ReadOptions
from hfcls.data.readers import read_table
from hfcls.errors import HfclsError


def ranked(path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def flipped(tmp_path):
    """A csv file of 400 reviews with an id, every eighth text over two lines; and the rows with the wrong label."""
    rows, wrong = reviews(400), sorted(random.Random(1).sample(range(400), 20))
    path = tmp_path / "reviews.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label"])
        for i, (text, label) in enumerate(rows):
            text = f"{text}\n둘째 줄" if i % 8 == 0 else f"{text} {i}"
            writer.writerow([f"n{i}", text, str(1 - int(label)) if i in wrong else label])
    return path, wrong


def test_flipped_labels_are_found_where_they_stand_and_the_file_stays(flipped, tmp_path):
    path, wrong = flipped
    before = path.read_bytes()
    found = package.clean(dataset=str(path), output=str(tmp_path / "out/list.csv"))
    assert path.read_bytes() == before
    rows = ranked(tmp_path / "out/list.csv")
    assert [int(row["row"]) for row in rows] == [suspect.row for suspect in found.suspects]
    doubted = [int(row["row"]) - 1 for row in rows if row["doubted"] == "yes"]
    assert len(doubted) == len(found.doubted)
    assert len(set(wrong) & {int(row["row"]) - 1 for row in rows[:20]}) >= 16  # by chance: one
    assert len(set(wrong) & set(doubted)) >= 16
    lines = before.decode().splitlines()
    for row in rows:
        assert lines[int(row["line"]) - 1].startswith(f"n{int(row['row']) - 1},")
        assert (row["split"], row["file"]) == ("train", "reviews.csv")
        assert {row["label"], row["suggested"]} == {"0", "1"}
        assert float(row["probability_label"]) < float(row["probability_suggested"])
        assert float(row["probability_label"]) + float(row["probability_suggested"]) == pytest.approx(1, abs=2e-4)
    assert rows == ranked(package.clean(dataset=str(path), output=str(tmp_path / "again.csv")).output)


def test_the_copy_lacks_the_doubted_rows_and_nothing_else(flipped, tmp_path, caplog):
    caplog.set_level("INFO", "hfcls")
    path, _ = flipped
    copy = tmp_path / "copy.csv"
    found = package.clean(dataset=str(path), output=str(tmp_path / "list.csv"), apply=str(copy))
    with path.open(encoding="utf-8", newline="") as file:
        whole = list(csv.reader(file))
    with copy.open(encoding="utf-8", newline="") as file:
        kept = list(csv.reader(file))
    dropped = {suspect.row for suspect in found.doubted}
    assert f"{copy}: the copy, without {len(dropped)} of {len(whole) - 1} rows" in caplog.text
    assert kept == [row for i, row in enumerate(whole) if i not in dropped]
    with pytest.raises(HfclsError, match="is there already, and nothing is replaced"):
        package.clean(dataset=str(path), output=str(tmp_path / "list.csv"), apply=str(copy))
    with pytest.raises(HfclsError, match="is there, and no list of hfcls clean"):
        package.clean(dataset=str(path), output=str(path))


@pytest.mark.parametrize(("output", "apply"), [("a.csv", "b/../a.csv"), ("a", "a/b.csv"), ("a/b.csv", "a")])
def test_list_and_copy_do_not_take_each_others_place(flipped, tmp_path, output, apply):
    with pytest.raises(HfclsError, match="give each a name of its own, neither within the other"):
        package.clean(dataset=str(flipped[0]), output=str(tmp_path / output), apply=str(tmp_path / apply))
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.csv"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_disk_that_fills_is_one_line_and_leaves_no_part(flipped, tmp_path, monkeypatch, suffix):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    options = {"dataset": str(flipped[0]), "output": str(tmp_path / "list.csv")}
    package.clean(**options)
    before = (tmp_path / "list.csv").read_bytes()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(HfclsError, match="cannot write .*list.csv: No space left on device; make room"):
        package.clean(**options)
    monkeypatch.setattr("hfcls.checks.suspects.Suspects.save", lambda self: None)
    with pytest.raises(HfclsError, match=f"cannot write .*copy{suffix}: No space left on device; make room"):
        package.clean(**options, apply=str(tmp_path / f"copy{suffix}"))
    assert (tmp_path / "list.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.csv", "reviews.csv"]


def test_an_encoder_judges_beside_the_baseline(flipped, tmp_path, tiny_model, caplog):
    caplog.set_level("INFO", "hfcls")
    path, wrong = flipped
    found = package.clean(dataset=str(path), model=tiny_model, max_length=32, output=str(tmp_path / "list.csv"))
    assert list(found.weights) == ["baseline", tiny_model]
    assert len(set(wrong) & {suspect.row - 1 for suspect in found.suspects[:20]}) >= 16
    assert "the features of 400 texts are read" in caplog.text
    assert "random weights" not in caplog.text  # of a head that is not used


def test_the_command_tells_what_it_found(flipped, tmp_path, capsys):
    path, _ = flipped
    assert cli.main(["clean", str(path), "--output", str(tmp_path / "list.csv")]) == 0
    told = capsys.readouterr().out
    assert "train 400 rows" in told
    assert "reviews.csv, line " in told
    assert str(tmp_path / "list.csv") in told


def test_rows_without_a_label_are_counted_but_not_judged(flipped, tmp_path):
    path, wrong = flipped
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join([lines[0], "x,라벨 없음,\n", *lines[1:], "y,또 없음,\n"]), "utf-8")
    copy = tmp_path / "copy.csv"
    options = {"dataset": str(path), "output": str(tmp_path / "list.csv"), "apply": str(copy)}
    found = package.clean(**options, drop_unlabelled=True)
    assert len(set(wrong) & {suspect.row - 2 for suspect in found.suspects[:20]}) >= 16
    for suspect in found.suspects:
        assert path.read_text("utf-8").splitlines()[suspect.line - 1].startswith(f"n{suspect.row - 2},")
    assert "라벨 없음" in copy.read_text("utf-8")


def test_several_splits_are_judged_together_and_copied_as_a_folder(tmp_path, table):
    table("data/train.tsv", count=200)
    rows = reviews(60, seed=5)
    rows[7] = ("최고 추천 감동 좋다", "0")
    table("data/test.tsv", lines=["text\tlabel", *(f"{text}\t{label}" for text, label in rows)])
    options = {"dataset": str(tmp_path / "data"), "output": str(tmp_path / "list.csv")}
    assert {suspect.split for suspect in package.clean(**options).suspects} <= {"train"}
    found = package.clean(**options, split="all", apply=str(tmp_path / "cleaned"))
    assert found.rows == {"train": 200, "test": 60}
    assert ("test", 8, "test.tsv", 9) in {(s.split, s.row, s.file, s.line) for s in found.doubted}
    corpus = package.load_corpus(str(tmp_path / "cleaned"))
    dropped = [suspect.split for suspect in found.doubted]
    assert {split: len(rows) for split, rows in corpus.items()} == {
        split: count - dropped.count(split) for split, count in found.rows.items()
    }
    with pytest.raises(HfclsError, match="so the copy is a folder"):
        package.clean(**options, apply=str(tmp_path / "one.csv"))
    with pytest.raises(HfclsError, match="no split validation; the data has train, test"):
        package.clean(**options, split="validation")


def test_a_disk_that_fills_leaves_no_part_of_the_folder(tmp_path, table, monkeypatch):
    table("data/train.tsv", count=200)
    table("data/test.tsv", count=60, seed=5)
    written = []

    def full(rows, path, **options):
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        Path(path).write_text("text,label\n")

    monkeypatch.setattr("datasets.Dataset.to_csv", full)
    options = {"dataset": str(tmp_path / "data"), "output": str(tmp_path / "list.csv")}
    with pytest.raises(HfclsError, match="cannot write .*cleaned: No space left on device; make room"):
        package.clean(**options, apply=str(tmp_path / "new/cleaned"))
    assert written
    assert list((tmp_path / "new").iterdir()) == []
    monkeypatch.undo()
    package.clean(**options, apply=str(tmp_path / "new/cleaned"))
    assert sorted(path.name for path in (tmp_path / "new").rglob("*")) == ["cleaned", "test.csv", "train.csv"]


def test_a_class_of_one_text_is_not_judged(tmp_path, table, caplog):
    rows = [*("\t".join(row) for row in reviews(100)), "하나뿐인 글\t7"]
    path = table(lines=["text\tlabel", *rows])
    found = package.clean(dataset=str(path), output=str(tmp_path / "list.csv"))
    assert "not judged: 7, of which there is one text only" in caplog.text
    assert all(suspect.label != "7" and suspect.suggested != "7" for suspect in found.suspects)


def test_one_text_of_each_class_is_too_little(tmp_path):
    with pytest.raises(HfclsError, match="no class has two different texts"):
        package.clean(dataset={"text": ["하나", "둘"], "label": ["a", "b"]}, output=str(tmp_path / "list.csv"))


def test_rows_of_python_and_pairs_have_no_file(tmp_path):
    rows = [{"text": text, "other": "그리고", "label": label} for text, label in reviews(120)]
    rows[3]["label"] = str(1 - int(rows[3]["label"]))
    found = package.clean(dataset=rows, text_pair_column="other", output=str(tmp_path / "list.csv"))
    assert 4 in {suspect.row for suspect in found.suspects}
    assert {row["text_pair"] for row in ranked(tmp_path / "list.csv")} == {"그리고"}
    assert {(suspect.file, suspect.line) for suspect in found.suspects} == {("", None)}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".tsv"])
def test_copies_of_other_kinds_read_as_the_data(tmp_path, table, suffix):
    copy = tmp_path / f"copy{suffix}"
    path = str(table(count=100))
    found = package.clean(dataset=path, output=str(tmp_path / "list.csv"), apply=str(copy))
    kept = np.setdiff1d(np.arange(100), [suspect.row - 1 for suspect in found.doubted])
    assert (
        package.load_corpus(str(copy))["train"].to_list() == package.load_corpus(path)["train"].select(kept).to_list()
    )


def test_what_is_not_one_class_a_row_is_refused_in_one_line(tmp_path, table, capsys):
    path = table(lines=["text\tlabel", *(f"글 {i}\ta,b" if i % 2 else f"글 {i}\tb" for i in range(20))])
    assert cli.main(["clean", str(path), "--label_separator", ",", "--output", str(tmp_path / "list.csv")]) == 1
    assert "hfcls clean is for rows with one class each" in capsys.readouterr().err
    for options, message in (
        (["--model", "scratch"], "scratch has random weights"),
        (["--apply", str(tmp_path / "copy.xlsx")], "apply must be a folder or end in one of .csv"),
    ):
        assert cli.main(["clean", str(path), "--output", str(tmp_path / "list.csv"), *options]) == 1
        assert message in capsys.readouterr().err


def test_copies_keep_class_names_digits_times_and_line_ends(tmp_path):
    names = ["부정", "긍정"]
    texts = [f"{text} {i}" if i != 5 else f"{text}\r둘째" for i, (text, _) in enumerate(reviews(60))]
    columns = {
        "text": texts,
        "label": [int(label) for _, label in reviews(60)],
        "score": [i + 0.1234567890123457 for i in range(60)],
        "when": [datetime(2024, 1, 1 + i % 28) for i in range(60)],
    }
    plain = {"text": "string", "score": "float64", "when": "timestamp[us]"}
    kinds = {name: Value(kind) for name, kind in plain.items()} | {"label": ClassLabel(names=names)}
    Dataset.from_dict(columns, Features(kinds)).to_parquet(tmp_path / "rows.parquet")
    for suffix in (".csv", ".tsv", ".jsonl"):
        copy = tmp_path / f"copy{suffix}"
        given = {"dataset": str(tmp_path / "rows.parquet"), "output": str(tmp_path / f"{suffix}.csv")}
        dropped = {suspect.row - 1 for suspect in package.clean(**given, apply=str(copy)).doubted}
        rows = read_table(copy, ReadOptions()).to_list()
        kept = [i for i in range(60) if i not in dropped]
        assert [row["text"] for row in rows] == [texts[i] for i in kept]
        assert [row["label"] for row in rows] == [names[columns["label"][i]] for i in kept]
        assert [float(row["score"]) for row in rows] == [columns["score"][i] for i in kept]
        assert [datetime.fromisoformat(row["when"]) for row in rows] == [columns["when"][i] for i in kept]


def test_bytes_are_not_written_as_a_text_that_looks_like_them(tmp_path):
    texts, labels = zip(*reviews(60), strict=True)
    rows = {"text": list(texts), "label": list(labels), "raw": [b"\x00"] * 60}
    Dataset.from_dict(rows).to_parquet(tmp_path / "rows.parquet")
    given = {"dataset": str(tmp_path / "rows.parquet"), "output": str(tmp_path / "list.csv")}
    with pytest.raises(HfclsError, match="jsonl has no form for bytes: let the name of --apply end in .parquet"):
        package.clean(**given, apply=str(tmp_path / "copy.jsonl"))
    assert not (tmp_path / "copy.jsonl").exists()


@pytest.mark.parametrize("value", [["a", "b"], {"a": 1}, b"\x00"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_lists_objects_and_bytes_are_not_written_to_cells_as_python_shows_them(tmp_path, value, suffix):
    texts, labels = zip(*reviews(60), strict=True)
    rows = {"text": list(texts), "label": list(labels), "more": [value] * 60}
    Dataset.from_dict(rows).to_parquet(tmp_path / "rows.parquet")
    given = {"dataset": str(tmp_path / "rows.parquet"), "output": str(tmp_path / "list.csv")}
    with pytest.raises(HfclsError, match=f"{suffix[1:]} has no form for the lists, objects or bytes in column 'more'"):
        package.clean(**given, apply=str(tmp_path / f"copy{suffix}"))
    assert not (tmp_path / f"copy{suffix}").exists()
    package.clean(**given, apply=str(tmp_path / "copy.parquet"))
    kept = Dataset.from_parquet(str(tmp_path / "copy.parquet"), cache_dir=str(tmp_path / "cache"))
    assert list(kept["more"]) == [value] * len(kept)
