"""Files as people bring them: each ends as they expect."""

import gzip
import json
import logging
import random
import unicodedata
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict, Value

from hfcls.checks.inspect import check
from hfcls.data.corpora import load_corpus
from hfcls.data.encoding import check_tokens
from hfcls.data.formats.table import ReadOptions
from hfcls.data.origins.given import given_splits
from hfcls.data.origins.held_out import load_held_out
from hfcls.data.readers import read_table
from hfcls.errors import HfclsError

CLASSES = ["긍정", "부정", "중립"]
RNG = random.Random(5)
ROWS = [(f"앱이 정말 좋아요{RNG.choice([' !!', ' ㅠㅠ', ''])} {i}번째 주문", RNG.choice(CLASSES)) for i in range(60)]
TEXTS, LABELS = zip(*ROWS, strict=True)


@pytest.fixture(autouse=True)
def _log(caplog):
    caplog.set_level(logging.INFO, logger="hfcls")


def lines(rows=ROWS, header=("text", "label"), delimiter=",", end="\n"):
    return end.join(delimiter.join(map(str, row)) for row in ([header] if header else []) + list(rows)) + end


def write(path, content, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
    return path


def same(corpus, rows=ROWS, split="train"):
    names = corpus[split].features["label"].names
    assert [(row["text"], names[row["label"]]) for row in corpus[split]] == list(rows)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("excel_semicolon.csv", lines(delimiter=";", end="\r\n").encode("utf-8-sig")),
        ("tab_in_csv.csv", lines(delimiter="\t")),
        ("header_space.csv", lines(header=("text", " label"))),
        ("UPPER_SUFFIX.CSV", lines()),
        ("gz.csv.gz", gzip.compress(lines().encode())),
        ("excel_cp949.csv", lines(end="\r\n").encode("cp949")),
        ("fasttext.txt", "".join(f"__label__{label} {text}\n" for text, label in ROWS)),
        ("json_nested.json", json.dumps({"data": [{"text": t, "label": c} for t, c in ROWS]})),
        ("json_by_id.json", json.dumps({i: {"text": t, "label": c} for i, (t, c) in enumerate(ROWS)})),
        ("to_json.json", pd.DataFrame(ROWS, columns=["text", "label"]).to_json()),
        ("lists_of_one.jsonl", "\n".join(json.dumps({"text": t, "label": [c]}) for t, c in ROWS)),
        ("pandas_index.csv", pd.DataFrame(ROWS, columns=["text", "label"]).to_csv()),
        ("guess_columns.csv", lines([(i, *row) for i, row in enumerate(ROWS)], ("id", "document", "label"))),
        ("korean_columns.csv", lines(header=("문장", "분류"))),
        ("nfd_columns.csv", lines(header=(unicodedata.normalize("NFD", "문장"), "Label"))),
        ("trailing_commas.csv", lines([(*row, "", "") for row in ROWS], ("text", "label", "", ""))),
        ("repeated_column.csv", lines([(*row, 1, 2) for row in ROWS], ("text", "label", "n", "n"))),
    ],
)
def test_a_file_that_works_without_an_option(tmp_path, name, content, caplog):
    path = write(tmp_path / name, content)
    same(load_corpus(str(path)))
    split, rows = load_held_out(str(path), CLASSES)
    assert (split, list(rows["text"])) == ("train", list(TEXTS))
    if "guess" in name:
        assert f"{path} (train) has no column 'text': 'document' is taken for it; --text_column" in caplog.text


def test_a_file_without_a_header(tmp_path):
    path = write(tmp_path / "noheader.csv", lines(header=None))
    message = (
        f"has no column 'text'; it has '{TEXTS[0]}', '{LABELS[0]}': .*if that is a row and no header, set --no_header"
    )
    with pytest.raises(HfclsError, match=message):
        load_corpus(str(path))
    same(load_corpus(str(path), no_header=True))
    same(load_corpus(str(path), no_header=True, text_column="1", label_column="2"))
    path = write(tmp_path / "label_first.tsv", "".join(f"{label}\t{text}\n" for text, label in ROWS))
    same(load_corpus(str(path), no_header=True))


def test_columns_are_named_by_paths_and_ambiguous_ones_refused(tmp_path):
    nested = [{"text": t, "meta": {"a.b": 1}, "annotation": {"label": [c, "x"]}} for t, c in ROWS]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, nested)))
    same(load_corpus(str(path), label_column="annotation.label.0"))
    with pytest.raises(HfclsError, match="nothing stands at 'annotation.lable'; 'annotation' holds 'label': set --lab"):
        load_corpus(str(path), label_column="annotation.lable")
    twice = lines([(text, *row) for text, row in zip(TEXTS, ROWS, strict=True)], ("text", "text", "label"))
    path = write(tmp_path / "a.csv", twice)
    with pytest.raises(
        HfclsError, match=r"several columns 'text': --text_column chooses one by its place, 'text \(1\)'"
    ):
        load_corpus(str(path))
    same(load_corpus(str(path), text_column="text (2)"))
    path = write(tmp_path / "b.csv", lines([(*row, "c") for row in ROWS], ("comment", "lable", "content")))
    with pytest.raises(HfclsError, match="no column 'text'; .*did you mean 'comment' or 'content'. set --text_column"):
        load_corpus(str(path))
    with pytest.raises(HfclsError, match="no column 'label'; .*did you mean 'lable'. set --label_column"):
        load_corpus(str(path), text_column="comment")


def test_no_message_lists_thousands_of_names(tmp_path):
    header = [f"column {i}" * 30 for i in range(2000)]
    path = write(tmp_path / "wide.csv", lines([range(2000)] * 3, header))
    with pytest.raises(HfclsError, match="and 1990 more: ") as raised:
        load_corpus(str(path))
    assert len(str(raised.value)) < 2000


def test_folders(tmp_path, caplog):
    for i, (text, label) in enumerate(ROWS):
        write(tmp_path / "classes" / label / f"{i}.txt", text + "\n")
    write(tmp_path / "classes/.DS_Store", b"\0")
    found = load_corpus(str(tmp_path / "classes"))["train"]
    names = found.features["label"].names
    assert Counter((row["text"], names[row["label"]]) for row in found) == Counter(ROWS)

    shards = tmp_path / "shards"
    write(shards / "train-00000-of-00002.csv", lines(ROWS[:30]))
    write(shards / "train-00001-of-00002.csv", lines(ROWS[30:]))
    write(shards / "test.csv", lines(ROWS[:9]))
    write(shards / "._test.csv", b"\0\5\26\7Mac OS X")
    write(shards / "sample_submission.csv", "id,label\n1,0\n")
    corpus = load_corpus(str(shards))
    same(corpus)
    same(corpus, ROWS[:9], "test")
    assert f"{shards}: passed over sample_submission.csv" in caplog.messages
    (shards / "train-00001-of-00002.csv").unlink()
    with pytest.raises(HfclsError, match="holds 1 of the 2 parts of train .train-00000-of-00002.csv.: some are"):
        load_corpus(str(shards))

    write(tmp_path / "named/ratings_train.txt", lines(delimiter="\t"))
    write(tmp_path / "named/sts-dev.tsv", lines(ROWS[:5], delimiter="\t"))
    assert {split: len(rows) for split, rows in load_corpus(str(tmp_path / "named")).items()} == {
        "train": 60,
        "validation": 5,
    }
    for part in ("Training", "Validation"):
        write(tmp_path / f"hub/말뭉치_{part}.csv", lines())
        write(tmp_path / f"folders/{part}/a.csv", lines())
    assert list(load_corpus(str(tmp_path / "hub"))) == ["train", "validation"]
    assert list(load_corpus(str(tmp_path / "folders"))) == ["train", "validation"]
    write(tmp_path / "named/other_train.txt", lines(delimiter="\t"))
    with pytest.raises(HfclsError, match="holds two files for train: other_train.txt and ratings_train.txt; keep one"):
        load_corpus(str(tmp_path / "named"))


def test_a_quoted_pattern_is_one_table_in_the_order_of_its_numbers(tmp_path):
    for i in range(12):
        write(tmp_path / f"part-{i}.csv", lines(ROWS[5 * i : 5 * i + 5]))
    same(load_corpus(str(tmp_path / "part-*.csv")))
    with pytest.raises(HfclsError, match="no file or folder .*q-.*: check the path, or the pattern"):
        load_corpus(str(tmp_path / "q-*.csv"))


def test_what_save_to_disk_wrote(tmp_path):
    rows = Dataset.from_dict({"text": TEXTS, "label": LABELS})
    DatasetDict({"train": rows, "test": rows.select(range(5))}).save_to_disk(str(tmp_path / "both"))
    rows.save_to_disk(str(tmp_path / "one"))
    corpus = load_corpus(str(tmp_path / "both"))
    same(corpus)
    same(corpus, ROWS[:5], "test")
    same(load_corpus(str(tmp_path / "one")))


FRAME = pd.DataFrame({"text": TEXTS, "label": LABELS, "n": range(60), "mixed": [1, "가"] * 30})


@pytest.mark.parametrize(
    "given",
    [
        FRAME,
        FRAME.astype({"label": "category"}).set_index("n"),
        FRAME[["text", "label"]].to_dict("records"),
        {"text": list(TEXTS), "label": list(LABELS)},
        Dataset.from_pandas(FRAME[["text", "label"]]),
        DatasetDict({"train": Dataset.from_dict({"text": TEXTS, "label": LABELS})}),
        {"train": FRAME, "dev": FRAME[:9]},
    ],
    ids=lambda given: type(given).__name__,
)
def test_objects_of_python(given):
    corpus = load_corpus(given)
    same(corpus)
    assert check(dataset=given).splits["train"].rows == 60
    split, rows = load_held_out(given, CLASSES, split="train")
    assert (split, list(rows["text"])) == ("train", list(TEXTS))


def test_a_frame_of_polars_is_taken_by_its_table():
    class Frame:
        def to_arrow(self) -> pa.Table:
            return pa.table({"text": pa.array(TEXTS, pa.string_view()), "label": LABELS})

    same(load_corpus(Frame()))


@pytest.mark.parametrize("given", [5, None, [], ["가"], {"가"}, {}, {"train": "a.csv"}])
def test_another_object_is_refused_by_its_type(given):
    with pytest.raises(HfclsError, match="dataset must be a name, a path, a DataFrame, a list of dicts"):
        load_corpus(given)


def test_labels_are_one_class_in_any_spelling(tmp_path, caplog):
    odd = [label + RNG.choice(["", " ", "\u00a0"]) for label in LABELS]
    odd = [unicodedata.normalize("NFD", label) if i % 3 else label for i, label in enumerate(odd)]
    path = write(tmp_path / "variants.csv", lines(zip(TEXTS, odd, strict=True)))
    same(load_corpus(str(path)))
    assert "labels are read in Unicode NFC, without blanks around them: '" in caplog.text

    write(tmp_path / "mixed/train.csv", lines([(text, i % 2) for i, text in enumerate(TEXTS)]))
    write(tmp_path / "mixed/test.csv", lines([(text, f"{i % 2}.0") for i, text in enumerate(TEXTS[:7])]))
    corpus = load_corpus(str(tmp_path / "mixed"))
    assert corpus["test"].features["label"].names == ["0", "1"]
    assert list(corpus["test"]["label"]) == [0, 1, 0, 1, 0, 1, 0]
    _, rows = load_held_out(str(tmp_path / "mixed"), ["0", "1"])
    assert list(rows["label"]) == [0, 1, 0, 1, 0, 1, 0]

    path = write(
        tmp_path / "truth.csv", lines([(text, ["TRUE", "True", "false"][i % 3]) for i, text in enumerate(TEXTS)])
    )
    assert load_corpus(str(path))["train"].features["label"].names == ["False", "True"]
    path = write(tmp_path / "versions.csv", lines([(text, ["1.0", "1.5"][i % 2]) for i, text in enumerate(TEXTS)]))
    assert load_corpus(str(path))["train"].features["label"].names == ["1.0", "1.5"]


@pytest.mark.parametrize("blank", ["", " ", "\u3000", "\u200b", "\ufeff "])
@pytest.mark.parametrize(
    ("header", "filled", "options"),
    [
        (("text", "label"), ("긍정", "부정"), {}),
        (("text", "label"), ("배송|가격", "배송"), {"label_separator": "|"}),
        (("text", "배송", "가격"), ("1", "0"), {"label_columns": "배송,가격"}),
        (("text", "label"), ("1.5", "2.5"), {"task": "regression"}),
    ],
)
def test_a_cell_of_blanks_is_no_label_of_any_kind(tmp_path, blank, header, filled, options):
    rows = [(text, *[blank if i == 7 else filled[i % 2]] * (len(header) - 1)) for i, text in enumerate(TEXTS)]
    path = str(write(tmp_path / "a.csv", lines(rows, header)))
    with pytest.raises(HfclsError, match=r"1 of 60 rows has no label in column .*, row 8: --drop_unlabelled"):
        load_corpus(path, **options)
    assert len(load_corpus(path, **options, drop_unlabelled=True)["train"]) == 59


@pytest.mark.parametrize("written", [str, json.dumps, lambda labels: str(np.array(labels))])
def test_lists_that_a_program_wrote_as_text_are_asked_about_and_read(tmp_path, written):
    labels = [["delivery", "low price"], ["delivery"], [], ["price"]]
    frame = pd.DataFrame({"text": TEXTS, "label": [written(labels[i % 4]) for i in range(60)]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    told = check(dataset=str(tmp_path / "a.csv"), baseline=False).warnings()
    assert any("are these several labels of one text? then add --label_separator ','" in line for line in told)
    found = load_corpus(str(tmp_path / "a.csv"), label_separator=",")["train"]
    assert found.features["label"].feature.names == ["delivery", "low price", "price"]
    assert found["label"][:4] == [[0, 1], [0], [], [2]]


def test_blanks_without_width_around_a_label_are_none_of_it(tmp_path, caplog):
    caplog.set_level(logging.INFO, "hfcls")
    rows = [(text, ["긍정", "긍정\u200b", "\ufeff부정", "부정"][i % 4]) for i, text in enumerate(TEXTS)]
    found = load_corpus(str(write(tmp_path / "a.csv", lines(rows))))["train"]
    assert found.features["label"].names == ["긍정", "부정"]
    assert r"without blanks around them: '긍정\u200b', '\ufeff부정'" in caplog.text


@pytest.mark.parametrize(
    ("labels", "warning"),
    [
        (["Positive", "positive", "Negative"], "full-width characters only: 'Positive / positive'"),
        (["환불요청", "환불 요청", "교환"], "blanks or full-width characters only: '환불 요청 / 환불요청'"),
        (["A", "Ａ", "B"], "full-width characters only: 'A / Ａ'"),
        (["긍\u200b정", "긍정", "부정"], r"full-width characters only: '긍\u200b정 / 긍정'"),
        (["a", "b", "nan"], "20 rows are of the class 'nan': is it a label that is missing?"),
        (range(60), "60 classes in 60 rows: is it the right --label_column?"),
    ],
)
def test_classes_that_look_wrong_are_warned_of(tmp_path, labels, warning):
    path = write(tmp_path / "a.csv", lines([(text, labels[i % len(labels)]) for i, text in enumerate(TEXTS)]))
    assert any(warning in line for line in check(dataset=str(path)).warnings())


def test_texts_that_are_cut_or_unknown_are_told(tmp_path, caplog):
    lone = [[3] + [5] * 6 + [4], [3, 5, 1, 1, 6, 5, 4], [3, 5, 4]]

    class Tokenizer:
        unk_token_id, all_special_ids = 1, [0, 1, 3, 4]

        def __call__(self, texts, pairs, **options):
            return {"input_ids": [[3] + [5] * len(text) + [4] for text in texts]}

    def told(ids, *, allow_unknown=False):
        texts = Dataset.from_dict({"text": ["가" * 9, "가" * 6, "가"]})
        check_tokens(texts, Dataset.from_dict({"input_ids": ids}), Tokenizer(), 8, allow_unknown=allow_unknown)
        return [record.getMessage() for record in caplog.records]

    assert told(lone) == [
        "train: 33.3 % of the texts are longer than max_length 8 and cut: raise it, or read them whole with "
        "--long_texts windows",
        "train: the tokenizer does not know 17% of the tokens: is the --model one for this language, and are the texts "
        "decoded rightly?",
    ]
    unknown = [[3, 1, 1, 4], [3, 1, 5, 4], [3, 5, 4]]
    with pytest.raises(HfclsError, match="does not know 60% of the tokens: choose a --model for this language, or set"):
        told(unknown)
    assert "does not know 60%" in told(unknown, allow_unknown=True)[-1]


def test_rows_without_a_label_are_counted_and_left_out_if_asked(tmp_path, caplog):
    rows = [(text, "" if i in (3, 8, 9) else label) for i, (text, label) in enumerate(ROWS)]
    path = write(tmp_path / "missing.csv", lines([*rows, *[("", " ")] * 5]))
    message = r"8 of 65 rows have no label in column 'label', rows 4, 9, 10, 61, 62, ...: --drop_unlabelled leaves them"
    with pytest.raises(HfclsError, match=message):
        load_corpus(str(path))
    same(load_corpus(str(path), drop_unlabelled=True), [row for row in rows if row[1]])
    assert "62, ...: left out" in caplog.text


def test_only_labels_in_an_odd_spelling_are_told(tmp_path, caplog):
    same(load_corpus(str(write(tmp_path / "plain.csv", lines()))))
    assert "labels are read in Unicode NFC" not in caplog.text
    odd = lines([*ROWS[1:], (ROWS[0][0], f" {ROWS[0][1]}")])
    load_corpus(str(write(tmp_path / "odd.csv", odd)))
    assert f"labels are read in Unicode NFC, without blanks around them: ' {ROWS[0][1]}'" in caplog.text


def test_ones_and_zeros_are_read_in_any_usual_spelling(tmp_path):
    spellings = [("0", "1"), ("0.0", "1.0"), ("false", " TRUE "), ("False", "true")]
    rows = [(text, *spellings[i % 4][:: 1 if i % 8 < 4 else -1]) for i, text in enumerate(TEXTS)]
    found = load_corpus(str(write(tmp_path / "a.csv", lines(rows, ("text", "가", "나")))), label_columns="가,나")
    assert found["train"]["label"][:] == [[1] if i % 8 < 4 else [0] for i in range(len(TEXTS))]
    bad = write(tmp_path / "b.csv", lines([*rows, ("글", "0", "2")], ("text", "가", "나")))
    with pytest.raises(HfclsError, match="row 61: column '나' of label_columns holds '2', not 0 or 1"):
        load_corpus(str(bad), label_columns="가,나")


def test_numbers_of_numpy_are_those_of_python():
    rows = [{"text": "가", "label": np.int64(1), "n": [np.float32(0.5), np.float32("nan")], "ok": np.bool_(True)}]
    [row] = given_splits(rows)["train"]
    assert row == {"text": "가", "label": 1, "n": [0.5, None], "ok": True}
    assert [type(row[name]) for name in ("label", "ok")] == [int, bool]


@pytest.mark.parametrize(("largest", "exact"), [(2**53, True), (-(2**53), True), (2**53 + 1, False)])
def test_whole_numbers_beside_decimals_are_floats_as_far_as_these_are_exact(tmp_path, largest, exact):
    rows = [{"text": "가", "n": largest}, {"text": "나", "n": 0.5}]
    table = read_table(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows))), ReadOptions())
    assert table["n"][:] == [largest, 0.5]
    assert (table.features["n"] == Value("float64")) == exact


def test_hidden_files_are_passed_over_without_a_word(tmp_path, caplog):
    write(tmp_path / "data/train.csv", lines())
    for name in (".DS_Store", ".gitattributes"):
        write(tmp_path / "data" / name, "x")
    same(load_corpus(str(tmp_path / "data")))
    assert "passed over" not in caplog.text
