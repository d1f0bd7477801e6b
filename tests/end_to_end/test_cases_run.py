"""Files as people bring them, from the file to a model, its scores and its answers: each ends as they expect."""

import csv
import gzip
import json
import logging
import random
import unicodedata

import pandas as pd
import pytest
from datasets import Dataset, DatasetDict
from pyarrow import parquet

import hfcls
from hfcls.errors import HfclsError

CLASSES = ["긍정", "부정", "중립"]
RNG = random.Random(5)
WORDS = {"긍정": "최고 추천", "부정": "별로 실망", "중립": "음악 배우"}
ROWS = [
    (f"{WORDS[label]} {RNG.choice(['ㅋㅋ', 'ㅠㅠ', '!!'])} {i}", label)
    for i, label in enumerate(RNG.choices(CLASSES, k=60))
]
FRAME = pd.DataFrame(ROWS, columns=["text", "label"])


def lines(rows=ROWS, header=("text", "label"), delimiter=",", end="\n"):
    return end.join(delimiter.join(map(str, row)) for row in ([header] if header else []) + list(rows)) + end


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def jsonl(rows):
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def quoted_rows(escape):
    rows = [f'"{text} {escape}"좋다{escape}"",{label}' for text, label in ROWS]
    return "\n".join(["text,label", *rows]) + "\n"


SEVERAL = [(text, *(int(i >> j & 1) for j in range(3))) for i, (text, _) in enumerate(ROWS)]
NAMES = ["배송", "품질", "가격"]
LISTS = [(row[0], [name for name, flag in zip(NAMES, row[1:], strict=True) if flag]) for row in SEVERAL]

FILES = {  # name of the file -> its content and the options it needs
    "excel_semicolon.csv": (lines(delimiter=";", end="\r\n").encode("utf-8-sig"), {}),
    "tab_in_csv.csv": (lines(delimiter="\t"), {}),
    "noheader.csv": (lines(header=None), {"no_header": True}),
    "header_space.csv": (lines(header=("text", " label")), {}),
    "UPPER_SUFFIX.CSV": (lines(), {}),
    "gz.csv.gz": (gzip.compress(lines().encode()), {}),
    "excel_cp949.csv": (lines(end="\r\n").encode("cp949"), {}),
    "fasttext.txt": ("".join(f"__label__{label} {text}\n" for text, label in ROWS), {}),
    "multilabel_cols.csv": (lines(SEVERAL, ("text", *NAMES)), {"label_columns": "배송,품질,가격"}),
    "multilabel_comma.csv": (
        lines([(text, '"' + ",".join(names) + '"') for text, names in LISTS if names]),
        {"label_separator": ","},
    ),
    "multilabel_jsonlist.jsonl": (jsonl({"text": text, "label": names} for text, names in LISTS), {}),
    "lists_of_one.jsonl": (jsonl({"text": text, "label": [label]} for text, label in ROWS), {}),
    "json_nested.json": (json.dumps({"data": [{"text": t, "label": c} for t, c in ROWS]}), {}),
    "json_by_id.json": (json.dumps({i: {"text": t, "label": c} for i, (t, c) in enumerate(ROWS)}), {}),
    "json_nested_label.jsonl": (
        jsonl({"text": text, "annotation": {"label": label}} for text, label in ROWS),
        {"label_column": "annotation.label"},
    ),
    "regression.csv": (
        lines([(text, CLASSES.index(c) + i % 10 / 10) for i, (text, c) in enumerate(ROWS)]),
        {"task": "regression"},
    ),
    "missing_label.csv": (
        lines([*((t, c if i % 20 else "") for i, (t, c) in enumerate(ROWS)), *[("", "")] * 3]),
        {"drop_unlabelled": True},
    ),
    "label_variants.csv": (
        lines([(t, [c, f"{c} ", unicodedata.normalize("NFD", c)][i % 3]) for i, (t, c) in enumerate(ROWS)]),
        {},
    ),
    "pandas_index.csv": (FRAME.to_csv(), {}),
    "guess_columns.csv": (lines([(i, *row) for i, row in enumerate(ROWS)], ("id", "document", "label")), {}),
    "tsv_quote_swallow.tsv": (
        lines([(f'"{t}' if i in (5, 40) else t, c) for i, (t, c) in enumerate(ROWS)], delimiter="\t"),
        {},
    ),
    "backslash_quotes.csv": (quoted_rows("\\"), {}),
    "doubled_quotes.csv": (quoted_rows('"').replace('""""', '"""'), {}),
    "pair_forgotten.csv": (
        lines([(f"제목 {i}", t, c) for i, (t, c) in enumerate(ROWS)], ("title", "body", "label")),
        {"text_column": "title", "text_pair_column": "body"},
    ),
}
QUICK = ("excel_cp949.csv", "multilabel_cols.csv", "regression.csv", "pair_forgotten.csv")


@pytest.fixture
def train(tiny_model, tmp_path):
    def run(dataset, **options):
        defaults = {"max_length": 32, "max_steps": 2, "batch_size": 16, "baseline": False, "report": False}
        return hfcls.fine_tune(
            model=tiny_model, dataset=dataset, output_dir=str(tmp_path / "out"), allow_unknown=True, report_to="none",
            **defaults | options,
        )  # fmt: skip

    return run


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in FILES]
)
def test_a_file_is_trained_on_evaluated_and_labelled(train, tmp_path, name):
    content, options = FILES[name]
    path = str(write(tmp_path / "data" / name, content))
    result = train(path, **options)
    labelled_rows = sum(split.rows for split in result.facts.splits.values())
    reading = {name: value for name, value in options.items() if name == "no_header"}
    evaluation = hfcls.evaluate(model=str(tmp_path / "out"), dataset=path, split="train", **reading)
    assert evaluation.num_rows == labelled_rows
    if reading:  # the label may stand first
        reading["text_column"] = "1"
    (shard,) = hfcls.predict_files(model=str(tmp_path / "out"), input=path, output=str(tmp_path / "to"), **reading)
    answers = parquet.read_table(shard)
    assert labelled_rows == {"missing_label.csv": 57, "multilabel_comma.csv": 52}.get(name, 60)
    assert len(answers) == (63 if name == "missing_label.csv" else labelled_rows)
    added = {"multi_label_classification": "predicted_labels", "regression": "predicted_score"}
    assert answers[added.get(result.facts.problem_type, "predicted_label")].null_count == 0


def test_a_test_split_without_labels_is_predicted_to_one_file(train, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    ids = [f"TEST_{i:04d}" for i in range(70)]
    write(tmp_path / "data/train.csv", lines([(i, *row) for i, row in enumerate(ROWS)], ("id", "text", "label")))
    texts = [RNG.choice(ROWS)[0] for _ in ids]
    write(tmp_path / "data/test.csv", lines(zip(ids, texts, strict=True), ("id", "text")))
    write(tmp_path / "data/sample_submission.csv", lines([(i, CLASSES[0]) for i in ids], ("id", "label")))
    result = train(str(tmp_path / "data"), max_steps=8)
    out = tmp_path / "out"
    assert (result.split, result.facts.submission_rows) == ("validation", 70)
    assert result.note == "held out; the test split has no labels"
    assert f"{out / 'submission.csv'}: 70 rows of the test split, which has no labels" in caplog.text
    assert "test" not in result.facts.splits
    content = (out / "submission.csv").read_bytes()
    assert content.startswith(b"id,label\nTEST_0000,")
    with (out / "submission.csv").open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    assert [row[0] for row in rows] == ids
    classifier = hfcls.Classifier.from_pretrained(str(out))
    assert [row[1] for row in rows] == [answer["label"] for answer in classifier(texts)]
    with pytest.raises(HfclsError, match="test. has no column 'label'"):
        hfcls.evaluate(model=str(out), dataset=str(tmp_path / "data"))
    (shard,) = hfcls.predict_files(model=str(out), input=str(tmp_path / "data/test.csv"), output=str(tmp_path / "to"))
    assert parquet.read_table(shard)["predicted_label"].to_pylist() == [row[1] for row in rows]

    train(str(tmp_path / "data"), overwrite_output_dir=True, output_columns="label,text", max_test_samples=3)
    assert (out / "submission.csv").read_text(encoding="utf-8").splitlines()[0] == "label,text"
    assert len((out / "submission.csv").read_text(encoding="utf-8").splitlines()) == 4
    with pytest.raises(HfclsError, match="has no column 'ID'; it has 'id', 'text': set --output_columns"):
        train(str(tmp_path / "data"), overwrite_output_dir=True, output_columns="ID")
    assert (out / "submission.csv").exists()  # nothing was replaced
    (tmp_path / "data/test.csv").unlink()
    train(str(tmp_path / "data"), overwrite_output_dir=True)
    assert not (out / "submission.csv").exists()


def test_processes_compare_the_rows_that_they_predict_together(train, tmp_path, monkeypatch):
    """With another test.csv on one machine, labels of its texts were handed in beside the ids of the other's."""
    compared = []

    def stop(args, *rows):
        compared.append(rows)
        raise HfclsError("so far")

    monkeypatch.setattr("hfcls.finetune.check_same_rows", stop)
    write(tmp_path / "data/train.csv", lines(ROWS, ("text", "label")))
    for texts in (["정말 좋다", "정말 싫다"], ["정말 싫다", "정말 좋다"]):
        write(tmp_path / "data/test.csv", lines([(text,) for text in texts], ("text",)))
        with pytest.raises(HfclsError, match="so far"):
            train(str(tmp_path / "data"), max_steps=1)
    assert compared[0][0] == compared[1][0]
    assert compared[0] != compared[1]


@pytest.mark.parametrize(
    ("options", "label", "written"),
    [
        ({"label_columns": "배송,품질,가격"}, dict(zip(NAMES, (1, 0, 1), strict=True)), "배송,품질,가격"),
        ({}, {"label": ["배송", "가격"]}, "label"),
        ({"task": "regression", "label_column": "점수"}, {"점수": 4.5}, "점수"),
    ],
)
def test_several_labels_and_numbers_are_handed_in_too(train, tmp_path, options, label, written):
    rows = [{"text": text, "meta": {"n": i}, **label} for i, (text, _) in enumerate(ROWS)]
    for name in NAMES if "배송" in label else ():  # each label has rows with and without it
        for i, row in enumerate(rows):
            row[name] = int(i % 3 == NAMES.index(name))
    if "label" in label:
        rows = [{**row, "label": LISTS[i][1]} for i, row in enumerate(rows)]
    if "점수" in label:
        rows = [{**row, "점수": i % 7 / 2} for i, row in enumerate(rows)]
    write(tmp_path / "data/train.jsonl", jsonl(rows))
    write(tmp_path / "data/test.jsonl", jsonl({"text": row["text"], "meta": row["meta"]} for row in rows[:20]))
    train(str(tmp_path / "data"), **options, max_steps=6)
    with (tmp_path / "out/submission.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == ["meta", *written.split(",")]
    assert found[3]["meta"] == '{"n": 3}'
    answers = hfcls.Classifier.from_pretrained(str(tmp_path / "out"))([row["text"] for row in rows[:20]])
    for row, answer in zip(found, answers, strict=True):
        if "점수" in label:
            assert float(row["점수"]) == pytest.approx(answer["score"], abs=1e-5)
        elif "label" in label:
            assert row["label"] == ",".join(answer["labels"])
        else:
            assert [name for name in NAMES if row[name] == "1"] == answer["labels"]


def test_labels_with_commas_are_handed_in_as_lists(train, tmp_path):
    rows = [{"text": text, "label": ["좋음, 매우", "가격"][i % 2 :]} for i, (text, _) in enumerate(ROWS)]
    write(tmp_path / "data/train.jsonl", jsonl(rows))
    write(tmp_path / "data/test.jsonl", jsonl({"text": row["text"]} for row in rows[:20]))
    train(str(tmp_path / "data"), max_steps=6)
    with (tmp_path / "out/submission.csv").open(encoding="utf-8", newline="") as file:
        found = [json.loads(row["label"]) for row in csv.DictReader(file)]
    answers = hfcls.Classifier.from_pretrained(str(tmp_path / "out"))([row["text"] for row in rows[:20]])
    assert found == [answer["labels"] for answer in answers]
    assert any(found)


@pytest.mark.slow
def test_folders_patterns_and_tables_of_other_programs(train, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    for i, (text, label) in enumerate(ROWS):
        write(tmp_path / "classes" / label / f"{i}.txt", text)
    for i in range(3):
        write(tmp_path / f"many/part-{i}.csv", lines(ROWS[20 * i : 20 * i + 20]))
        write(tmp_path / f"shards/train-0000{i}-of-00003.csv", lines(ROWS[20 * i : 20 * i + 20]))
    write(tmp_path / "shards/test.csv", lines(ROWS[:9]))
    write(tmp_path / "shards/notes.csv", lines(ROWS[:9]))
    rows = Dataset.from_pandas(FRAME)
    DatasetDict({"train": rows, "test": rows.select(range(9))}).save_to_disk(str(tmp_path / "saved"))
    missing = FRAME.assign(label=[None if i % 20 == 0 else CLASSES.index(c) for i, c in enumerate(FRAME["label"])])
    missing.to_parquet(tmp_path / "nan.parquet")
    cases = {
        "classes": ({}, 60),
        "many/part-*.csv": ({}, 60),
        "shards": ({}, 69),
        "saved": ({}, 69),
        "nan.parquet": ({"drop_unlabelled": True}, 57),
    }
    for name, (options, count) in cases.items():
        dataset = str(tmp_path / name)
        result = train(dataset, overwrite_output_dir=True, **options)
        assert sum(split.rows for split in result.facts.splits.values()) == count
        assert hfcls.evaluate(model=str(tmp_path / "out"), dataset=dataset).num_rows == (9 if count == 69 else count)
        shards = hfcls.predict_files(model=str(tmp_path / "out"), input=dataset, output=f"{tmp_path}/to-{name[:4]}")
        assert sum(parquet.read_metadata(shard).num_rows for shard in shards) == {"nan.parquet": 60, "shards": 78}.get(
            name, count
        )
    assert f"{tmp_path / 'shards'}: passed over notes.csv" in caplog.text


def test_a_folder_that_a_mac_unpacked_is_labelled_without_its_own_files(train, tmp_path):
    train(str(write(tmp_path / "train.csv", lines())))
    write(tmp_path / "data/a.csv", lines([(text,) for text, _ in ROWS], ("text",)))
    for name in ("data/._a.csv", "data/__MACOSX/._a.csv"):
        write(tmp_path / name, b"\0\5\26\7" + bytes(100))
    shards = hfcls.predict_files(
        model=str(tmp_path / "out"), input=str(tmp_path / "data"), output=str(tmp_path / "to"), format="csv"
    )
    assert [shard.name for shard in shards] == ["a.csv-00000-of-00001.csv"]
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["_hfcls.json", shards[0].name]


@pytest.mark.slow
def test_what_training_warns_of_and_what_it_refuses(train, tmp_path, caplog):
    def given(name, rows):
        return str(write(tmp_path / name, lines(rows)))

    caplog.set_level(logging.INFO, logger="hfcls")
    numbers = [(text, i % 45 / 10) for i, (text, _) in enumerate(ROWS)]
    with pytest.raises(HfclsError, match="45 different numbers, .* shall predict as numbers. then add --task regres"):
        train(given("regression.csv", numbers))
    with pytest.raises(HfclsError, match="3 of 60 rows have no label in column 'label', rows 1, 21, 41: --drop_unlab"):
        train(given("missing.csv", [(t, c if i % 20 else "") for i, (t, c) in enumerate(ROWS)]))
    assert not (tmp_path / "out/run.yaml").exists()
    several = given("several.csv", [(text, '"' + ",".join(names) + '"') for text, names in LISTS if names])
    train(several, validation_size=0.2)
    assert "are these several labels of one text? then add --label_separator ','" in caplog.text
    case = given("case.csv", [(text, ["Positive", "positive", "NEGATIVE"][i % 3]) for i, (text, _) in enumerate(ROWS)])
    train(case, overwrite_output_dir=True)
    assert "differ in capital letters, blanks or full-width characters only: 'Positive / positive'" in caplog.text
    train(given("single.csv", [*ROWS, ("글 하나", "하나뿐")]), overwrite_output_dir=True)
    assert "하나뿐: one text only, which stays in train; validation has none of it" in caplog.text
    long = [(f"{text} {'영화 ' * 60}", label) for text, label in ROWS]
    train(given("long.csv", long), overwrite_output_dir=True)
    assert "train: 100.0 % of the texts are longer than max_length 32 and cut" in caplog.text


def test_held_out_files_of_one_class_in_nfd_and_with_other_spellings_of_a_label(train, tmp_path):
    train(str(write(tmp_path / "train.csv", lines())), max_steps=8)
    out = str(tmp_path / "out")
    one = write(tmp_path / "one.csv", lines([row for row in ROWS if row[1] == "긍정"]))
    assert hfcls.evaluate(model=out, dataset=str(one)).num_rows == sum(label == "긍정" for _, label in ROWS)
    nfd = write(tmp_path / "nfd.csv", unicodedata.normalize("NFD", lines()))
    composed, decomposed = (
        hfcls.evaluate(model=out, dataset=path).metrics for path in (str(tmp_path / "train.csv"), str(nfd))
    )
    assert composed == decomposed
    write(tmp_path / "mixed/train.csv", lines([(text, CLASSES.index(label)) for text, label in ROWS]))
    write(tmp_path / "mixed/test.csv", lines([(text, f"{CLASSES.index(label)}.0") for text, label in ROWS[:20]]))
    result = train(str(tmp_path / "mixed"), overwrite_output_dir=True)
    assert (result.split, result.num_rows, len(result.analysis.confusion)) == ("test", 20, 3)


def test_a_model_of_pairs_refuses_single_texts_and_remembers_its_columns(train, tmp_path):
    content, options = FILES["pair_forgotten.csv"]
    path = str(write(tmp_path / "news.csv", content))
    train(path, **options)
    with pytest.raises(HfclsError, match="fine-tuned on pairs of texts .columns 'title' and 'body'., found single"):
        hfcls.Classifier.from_pretrained(str(tmp_path / "out"))("제목뿐")
    assert hfcls.evaluate(model=str(tmp_path / "out"), dataset=path).num_rows == 60


def test_a_kept_baseline_predicts_a_test_split_without_labels_too(tmp_path):
    write(tmp_path / "data/train.csv", lines())
    write(tmp_path / "data/test.csv", lines([(i, text) for i, (text, _) in enumerate(ROWS[:9])], ("id", "text")))
    out = tmp_path / "out"
    result = hfcls.fine_tune(dataset=str(tmp_path / "data"), model="baseline", output_dir=str(out), report=False)
    assert "The test split has no labels: the validation split" in result.facts.protocol
    assert (out / "submission.csv").read_text(encoding="utf-8").splitlines()[1] == f"0,{ROWS[0][1]}"
