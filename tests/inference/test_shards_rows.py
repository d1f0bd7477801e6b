"""predict loses no row and changes no value of the files that it labels; what it passes over is named."""

import json
import shutil
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.inference.shards import predict_files

ADDED = {"predicted_label", "predicted_score", "probability_부정", "probability_긍정"}


@pytest.fixture
def predict(classifier_folder, tmp_path):
    def run(path: Path, **options: object) -> list[dict[str, object]]:
        output = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        shards = predict_files(model=classifier_folder, input=str(path), output=str(output), **options)
        return [row for shard in shards for row in pa.concat_tables([parquet.read_table(shard)]).to_pylist()]

    return run


def test_rows_of_white_space_are_rows(predict, tmp_path):
    texts = ["최고", " ", "별로", "  ", "\t", "\u3000", "끝"]
    path = tmp_path / "one.csv"
    path.write_text("text\n" + "\n".join(texts) + "\n", encoding="utf-8")
    assert [row["text"] for row in predict(path)] == texts


def test_values_of_json_come_out_as_they_are(predict, tmp_path):
    rows = [
        {"text": "최고", "id": 12345678901234567890, "at": "2024-01-01T09:00:00+09:00", "day": "2024-01-01", "n": 1},
        {"text": "2024-05-05", "id": 7, "at": "2024-01-01T00:00:00Z", "day": "", "n": None},
        {"text": "2024-05-06 10:00:00", "id": 2**53 + 1, "at": "2024-01-01", "day": "01/02/24", "n": -5},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    assert [{name: row[name] for name in rows[0]} for row in predict(path)] == rows
    rows[1] |= {"id": -(10**25), "tags": ["a", {"b": None}]}
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    found = predict(path)
    assert [json.loads(row["id"]) for row in found] == [row["id"] for row in rows]
    assert found[1]["tags"] == '["a", {"b": null}]'


def test_jsonl_holds_values_as_json_has_them(classifier_folder, tmp_path):
    tags = ["a", {"b": None}]
    rows = [{"text": "최고\n별로", "id": 7, "tags": tags}, {"text": None, "id": 10**25, "tags": None}]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    options = {"model": classifier_folder, "format": "jsonl", "all_scores": True}
    (shard,) = predict_files(**options, input=str(path), output=str(tmp_path / "out"))
    found = [json.loads(line) for line in shard.read_text("utf-8").splitlines()]
    assert [{name: row[name] for name in rows[0]} for row in found] == rows
    scores = ["predicted_score", "probability_부정", "probability_긍정"]
    assert [list(row) for row in found] == [[*rows[0], "predicted_label", *scores]] * 2
    (answer,) = Classifier.from_pretrained(classifier_folder)(["최고\n별로"])
    assert found[0]["predicted_score"] == pytest.approx(answer["score"], abs=1e-6)
    assert len(str(found[0]["probability_긍정"])) <= len("0.123456")
    assert {found[1][name] for name in ADDED} == {None}


@pytest.mark.parametrize(
    ("column", "written"),
    [
        (pa.array([datetime(2024, 1, 2, 3)], pa.timestamp("s")), "2024-01-02T03:00:00"),
        (pa.array([date(2024, 1, 2)]), "2024-01-02"),
        (pa.array([Decimal("0.10")]), "0.10"),
        (pa.array([b"ab"]), "jsonl cannot hold these columns .bytes has no form in JSON.: use --format parquet"),
        (pa.array([float("nan")]), "jsonl cannot hold these columns .*: use --format parquet"),
    ],
)
def test_what_json_has_no_form_for_is_text_or_refused(classifier_folder, tmp_path, column, written):
    parquet.write_table(pa.table({"text": ["최고"], "value": column}), tmp_path / "a.parquet")
    options = {"model": classifier_folder, "input": str(tmp_path / "a.parquet"), "output": str(tmp_path / "out")}
    if written.startswith("jsonl"):
        with pytest.raises(HfclsError, match=written):
            predict_files(**options, format="jsonl")
        assert not list((tmp_path / "out").glob("a*"))
    else:
        (shard,) = predict_files(**options, format="jsonl")
        assert json.loads(shard.read_text("utf-8"))["value"] == written


@pytest.mark.parametrize("single_file", [True, False])
def test_what_is_refused_before_its_first_shard_may_come_again_as_the_error_says(
    classifier_folder, tmp_path, single_file
):
    """The folder was taken for one of predictions in csv, though it held none."""
    parquet.write_table(pa.table({"text": ["최고"], "value": [[1, 2]]}), tmp_path / "a.parquet")
    options = {"model": classifier_folder, "input": str(tmp_path / "a.parquet"), "output": str(tmp_path / "out")}
    with pytest.raises(HfclsError, match="csv cannot hold these columns .*: use --format parquet"):
        predict_files(**options, single_file=single_file, format="csv")
    assert not list((tmp_path / "out").iterdir())
    (shard,) = predict_files(**options, single_file=single_file, format="parquet")
    assert parquet.read_table(shard)["value"].to_pylist() == [[1, 2]]


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "text": st.text(st.characters(codec="utf-8", exclude_characters="\0")),
                "id": st.integers(-(2**63), 2**63 - 1),
            }
        ),
        min_size=1,
        max_size=12,
    )
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet"])
def test_each_row_comes_out_once_in_order_whatever_the_file(predict, tmp_path, suffix, rows):
    path = tmp_path / f"rows{suffix}"
    frame = pd.DataFrame(rows)
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix.startswith(".json"):
        frame.to_json(path, orient="records", lines=suffix == ".jsonl", force_ascii=False)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",", quoting=1)
    found = predict(path, shard_size=5)
    assert [(row["text"], int(row["id"])) for row in found] == [(row["text"], row["id"]) for row in rows]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_null_text_gets_no_label_and_is_counted(predict, classifier_folder, tmp_path, caplog, suffix):
    texts = ["최고", None, "", None, "별로"]
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pa.table({"text": texts}), path)
    else:
        path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    rows = predict(path, all_scores=True)
    assert [row["text"] for row in rows] == texts
    for row in rows:
        assert (row["text"] is None) == all(row[name] is None for name in ADDED)
        assert (row["text"] is None) == any(row[name] is None for name in ADDED)
    expected = Classifier.from_pretrained(classifier_folder)(["최고", "", "별로"], all_scores=True)
    for row, answer in zip([row for row in rows if row["text"] is not None], expected, strict=True):
        assert row["predicted_label"] == answer["label"]
        assert row["predicted_score"] == pytest.approx(answer["score"], abs=1e-6)
        assert row["probability_긍정"] == pytest.approx(answer["scores"]["긍정"], abs=1e-6)
    assert caplog.messages == [f"{path}: 2 of 5 rows have no text (null) and get no label"]


def test_a_pair_without_its_second_text_gets_no_label(predict, tmp_path, caplog):
    path = tmp_path / "a.jsonl"
    rows = [{"text": "최고", "b": "별로"}, {"text": "최고", "b": None}, {"text": None, "b": "별로"}]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    found = predict(path, text_pair_column="b")
    assert [row["predicted_label"] is None for row in found] == [False, True, True]
    assert "2 of 3 rows have no text (null) and get no label" in caplog.text


def test_a_file_of_null_texts_alone_is_written_too(predict, tmp_path):
    parquet.write_table(pa.table({"text": pa.array([None, None], pa.string())}), tmp_path / "a.parquet")
    assert [row["predicted_label"] for row in predict(tmp_path / "a.parquet")] == [None, None]


def test_files_without_rows_are_passed_over_and_named(classifier_folder, tmp_path, caplog):
    """An hour without comments leaves a header alone; filled later, the file is one more of the folder."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "a.csv").write_text("id,text\n1,최고 추천\n", encoding="utf-8")
    (folder / "b.csv").write_text("id,text\n", encoding="utf-8")
    (folder / "c.json").write_text("[]", encoding="utf-8")
    parquet.write_table(pa.table({"text": pa.array([], pa.string())}), folder / "d.parquet")
    options = {"model": classifier_folder, "input": str(folder), "output": str(out)}
    assert [path.name for path in predict_files(**options)] == ["a.csv-00000-of-00001.parquet"]
    assert (
        f"passed over {folder / 'b.csv'}, {folder / 'c.json'}, {folder / 'd.parquet'}: no rows to label" in caplog.text
    )
    (folder / "b.csv").write_text("id,text\n2,별로 실망\n", encoding="utf-8")
    assert len(predict_files(**options)) == 2
    (folder / "a.csv").write_text("id,text\n", encoding="utf-8")
    (folder / "b.csv").unlink()
    with pytest.raises(HfclsError, match=r"a\.csv, .*c\.json, .*d\.parquet: no rows to label"):
        predict_files(**options | {"output": str(tmp_path / "other")})
    assert not (tmp_path / "other").exists()


def test_what_is_passed_over_in_a_folder_is_named(predict, table, tmp_path, caplog):
    lines = ["text\tlabel", "최고\t1"]
    for name in ("a.tsv", "B.TSV", "c.7z", "more/d.tsv", "._a.tsv", ".hidden.tsv", "notes.md", "e.PDF"):
        folder = table(f"in/{name}", lines=lines).parent
    folder = tmp_path / "in"
    (folder / "f.csv").mkdir()
    assert len(predict(folder)) == 3
    assert caplog.messages == [f"{folder}: passed over c.7z, e.PDF, f.csv/, more/, notes.md"]


def test_csv_takes_json_as_text(predict, classifier_folder, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "최고", "tags": ["a", "b"]}\n{"text": "별로", "tags": null}\n', encoding="utf-8")
    output = tmp_path / "csv"
    (shard,) = predict_files(model=classifier_folder, input=str(path), output=str(output), format="csv")
    frame = pd.read_csv(shard, keep_default_na=False)
    assert list(frame["tags"]) == ['["a", "b"]', ""]


def test_a_relative_path_that_looks_like_an_address_is_a_path(classifier_folder, table, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    table("s3:in/a::b[1].tsv", lines=["text\tlabel", "최고\t1"])
    for output, kind in (("run:1/out", "parquet"), ("run:1/csv", "csv")):
        for single_file in (False, True):
            options = {"output": output + "1" * single_file, "format": kind, "single_file": single_file}
            (shard,) = predict_files(model=classifier_folder, input="s3:in", **options)
            written = shard.stat().st_mtime_ns
            predict_files(model=classifier_folder, input="s3:in", **options)
            assert shard.stat().st_mtime_ns == written, "a shard that is whole is not made again"
    assert "no whole shard" not in caplog.text
    assert {path.name for path in tmp_path.iterdir()} == {"s3:in", "run:1"}


def test_whole_numbers_of_text_files_are_integers_and_all_else_stays_text(predict, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text(
        "id,zip,plus,part,price,empty,big,mixed,text\n"
        f"1,00123,+1,1,1.50,1,{10**17},7,3\n-20,04567,2,2,2,,{10**18},8,4\n0,1,3,3,3,3,1,9,5\n",
        encoding="utf-8",
    )
    (tmp_path / "in/b.csv").write_text("mixed,text,part\n07,x,4\n", encoding="utf-8")
    first, second, third, last = predict(tmp_path / "in")
    assert (first["id"], second["id"], third["id"]) == (1, -20, 0)
    assert (first["part"], last["part"]) == (1, 4)
    assert (first["zip"], first["plus"], first["price"], second["empty"]) == ("00123", "+1", "1.50", "")
    assert second["big"] == str(10**18)  # more than 18 digits
    assert (first["mixed"], last["mixed"]) == ("7", "07")  # one table, one type
    assert first["text"] == "3"


def test_chosen_columns_come_out_in_the_order_asked_for(predict, tmp_path):
    (tmp_path / "a.csv").write_text("text,b,a\n최고,x,1\n", encoding="utf-8")
    (row,) = predict(tmp_path / "a.csv", output_columns="a, b")
    assert list(row) == ["a", "b", "predicted_label", "predicted_score"]


@pytest.mark.parametrize("lines", ["{text}", "{text},긍정", "부정,{text}"])
def test_without_a_header_the_column_that_is_no_label_is_the_text(predict, tmp_path, lines):
    texts = ["최고 추천", "별로", "긍정", "지루 실망"]
    path = tmp_path / "new.csv"
    path.write_text("".join(f"{lines.format(text=text)}\n" for text in texts), encoding="utf-8")
    rows = predict(path, no_header=True)
    place = "2" if lines.startswith("부정") else "1"
    assert [row[place] for row in rows] == texts
    path = tmp_path / "named.csv"
    path.write_text("text\n" + "".join(f"{text}\n" for text in texts), encoding="utf-8")
    assert [row["predicted_score"] for row in rows] == [row["predicted_score"] for row in predict(path)]


def test_without_a_header_two_columns_of_texts_are_not_told_apart(predict, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("r1,최고\nr2,별로\n", encoding="utf-8")
    with pytest.raises(HfclsError, match="has no column 'text'; it has '1', '2': set --text_column"):
        predict(path, no_header=True)
    assert [row["2"] for row in predict(path, no_header=True, text_column="2")] == ["최고", "별로"]


def test_the_numbers_of_the_input_are_not_rounded_with_those_of_the_model(classifier_folder, tmp_path):
    numbers, names = [1e-8, 0.12345679], ("probability_비", "predicted_score_old")
    columns = {name: pa.array(numbers, pa.float32()) for name in names}
    parquet.write_table(pa.table({"text": ["최고", "별로"], **columns}), tmp_path / "odd.parquet")
    given = {"model": classifier_folder, "input": str(tmp_path / "odd.parquet"), "output": str(tmp_path / "out")}
    (shard,) = predict_files(**given, format="jsonl")
    rows = [json.loads(line) for line in shard.read_text("utf-8").splitlines()]
    for name in names:
        assert [row[name] for row in rows] == pytest.approx(numbers, rel=1e-7)
    assert all(len(str(row["predicted_score"])) <= len("0.123456") for row in rows)


def test_a_list_with_a_null_is_no_empty_cell(classifier_folder, tmp_path):
    lists = pa.array([["a", None], ["b"]], pa.list_(pa.string()))
    parquet.write_table(pa.table({"text": ["최고", "별로"], "tags": lists}), tmp_path / "lists.parquet")
    given = {"model": classifier_folder, "input": str(tmp_path / "lists.parquet"), "output": str(tmp_path / "out")}
    with pytest.raises(HfclsError, match="csv cannot hold these columns .a list has a null among its texts."):
        predict_files(**given, format="csv")


def test_one_column_is_not_labelled_by_a_model_of_several(classifier_folder, tmp_path):
    model = tmp_path / "joined"
    shutil.copytree(classifier_folder, model)
    config = json.loads((model / "config.json").read_text("utf-8"))
    joined = {"text_column": "제목,글", "text_columns": ["제목", "글"], "joint": " [SEP] "}
    (model / "config.json").write_text(json.dumps({**config, "data_columns": joined}), encoding="utf-8")
    path = tmp_path / "rows.csv"
    path.write_text("제목,글\n최고,별로\n", encoding="utf-8")
    given = {"model": str(model), "input": str(path), "output": str(tmp_path / "out")}
    with pytest.raises(HfclsError, match="rows.csv: text 0 is a single text: .*; of a file: --text_column 제목,글"):
        predict_files(**given, text_column="글")
    late = tmp_path / "late.csv"
    late.write_text("text\n" + "최고 [SEP] 별로\n" * 150 + "최고\n", encoding="utf-8")
    with pytest.raises(HfclsError, match="late.csv: text 150 is a single text: "):
        predict_files(**{**given, "input": str(late)}, text_column="text", shard_size=100)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    assert len(predict_files(**given)) == 1
