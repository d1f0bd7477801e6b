"""Texts of several columns, joined by the separator of the tokenizer, from the file to the answer."""

import csv
import json
import re
import shlex
import shutil

import pytest
from conftest import reviews
from pyarrow import parquet
from transformers import pipeline

import hfcls
from hfcls import cli
from hfcls.data.corpora import load_corpus
from hfcls.errors import HfclsError

ROWS = [(f"제목 {i}", text, "배우 연기", ["부정", "긍정"][int(label)]) for i, (text, label) in enumerate(reviews(60))]
HEADER = ["제목", "본문", "댓글", "label"]


@pytest.fixture
def news(tmp_path):
    def write(name="news.csv", rows=ROWS, header=HEADER):
        path = tmp_path / name
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return str(path)

    return write


@pytest.fixture
def run(news, tiny_model, tmp_path):
    def train(**options):
        defaults = {"max_length": 48, "max_steps": 6, "baseline": False, "report": False, "report_to": "none"}
        return hfcls.fine_tune(
            dataset=news(), output_dir=str(tmp_path / "out"), allow_unknown=True,
            **{"text_column": "제목, 본문,댓글", "model": tiny_model} | defaults | options,
        )  # fmt: skip

    return train


def test_columns_are_joined_and_the_model_remembers_them(run, news, tmp_path):
    result, out = run(), str(tmp_path / "out")
    assert result.examples[0].text.split(" [SEP] ")[2] == "배우 연기"
    assert json.loads((tmp_path / "out/config.json").read_text(encoding="utf-8"))["data_columns"]["joint"] == " [SEP] "
    classifier = hfcls.Classifier.from_pretrained(out)
    texts = [row[:3] for row in ROWS]
    answers = classifier(texts)
    joined = [" [SEP] ".join(text) for text in texts]
    assert classifier(joined) == answers
    plain = pipeline("text-classification", model=out, truncation=True)
    for answer, other in zip(answers, plain(joined), strict=True):
        assert answer["label"] == other["label"]
        assert answer["score"] == pytest.approx(other["score"], abs=1e-5)
    evaluation = hfcls.evaluate(model=out, dataset=news())
    right = [answer["label"] == row[3] for answer, row in zip(answers, ROWS, strict=True)]
    assert evaluation.metrics["accuracy"] == pytest.approx(sum(right) / 60)
    (shard,) = hfcls.predict_files(model=out, input=news(), output=str(tmp_path / "to"))
    table = parquet.read_table(shard)
    assert table.column_names == [*HEADER, "predicted_label", "predicted_score"]
    assert table["predicted_label"].to_pylist() == [answer["label"] for answer in answers]


def test_a_model_of_a_shape_has_no_tokenizer_yet_that_tells_a_separator(run, tmp_path):
    run(model="2x64", max_steps=1)
    assert json.loads((tmp_path / "out/config.json").read_text(encoding="utf-8"))["data_columns"]["joint"] == " [SEP] "


@pytest.mark.parametrize("model", ["tiny", "baseline"])
@pytest.mark.parametrize("held_out", [True, False])
def test_the_examples_that_a_run_ends_with_hold_all_columns(news, tiny_model, tmp_path, capsys, model, held_out):
    """They were cut to the first column: `hfcls predict`, and the card of a baseline, ended in an error."""
    rows = [("제목이 아주 긴 글 " * 8, *row[1:]) for row in ROWS]
    words = ["--dataset", news(rows=rows), "--text_column", "제목,본문,댓글", "--output_dir", str(tmp_path / "out")]
    words += (
        ["--model", "baseline"]
        if model == "baseline"
        else ["--model", tiny_model, "--max_steps", "1", "--max_length", "48"]
    )
    words += [] if held_out else ["--validation_size", "0"]
    assert cli.main(["train", *words, "--allow_unknown", "--no-report", "--no-baseline", "--report_to", "none"]) == 0
    command = shlex.split(capsys.readouterr().out.split("Try it: ")[1])
    assert cli.main(command[command.index("predict") :]) == 0
    assert json.loads(capsys.readouterr().out)["text"].count("[SEP]") == 2
    (example,) = re.findall(r"^classifier\((\".*\")\)", (tmp_path / "out/README.md").read_text("utf-8"), re.MULTILINE)
    assert hfcls.Classifier.from_pretrained(str(tmp_path / "out"))(json.loads(example))["label"] in ("부정", "긍정")


def test_what_such_a_model_refuses(run, tmp_path):
    run(max_steps=1)
    classifier = hfcls.Classifier.from_pretrained(str(tmp_path / "out"))
    wanted = "the model was fine-tuned on the columns '제목', '본문', '댓글': give tuples of 3 texts, or these with"
    with pytest.raises(HfclsError, match=f"text 1 is a single text: {wanted}"):
        classifier([" [SEP]  [SEP] ", "본문뿐"])
    with pytest.raises(HfclsError, match=f"text 0 has 2 parts: {wanted}"):
        classifier(("제목", "본문"))
    classifier.columns = {}
    with pytest.raises(HfclsError, match="text 0 is not a text .or pair of texts. but tuple"):
        classifier(("제목", "본문", "댓글"))


@pytest.mark.slow
def test_an_exported_model_joins_them_without_torch_too(run, tmp_path):
    run()
    hfcls.export(model=str(tmp_path / "out"), output=str(tmp_path / "onnx"))
    light = hfcls.OnnxClassifier.from_pretrained(tmp_path / "onnx")
    texts = [row[:3] for row in ROWS]
    for answer, other in zip(light(texts), hfcls.Classifier.from_pretrained(str(tmp_path / "out"))(texts), strict=True):
        assert answer["label"] == other["label"]
        assert answer["score"] == pytest.approx(other["score"], abs=1e-5)
    with pytest.raises(HfclsError, match="text 0 is a single text: the model was fine-tuned on the columns '제목'"):
        light("본문뿐")


@pytest.mark.slow
def test_an_exported_model_of_pairs_refuses_single_texts(run, tmp_path):
    run(text_column="제목", text_pair_column="본문", max_steps=1)
    hfcls.export(model=str(tmp_path / "out"), output=str(tmp_path / "onnx"))
    light = hfcls.OnnxClassifier.from_pretrained(tmp_path / "onnx")
    with pytest.raises(HfclsError, match="fine-tuned on pairs of texts .columns '제목' and '본문'., found single"):
        light("본문뿐")
    assert light(("제목", "본문"))["label"] in ("부정", "긍정")


def test_a_kept_baseline_joins_them_too(news, tmp_path):
    out = str(tmp_path / "out")
    hfcls.fine_tune(dataset=news(), text_column="제목,본문,댓글", model="baseline", output_dir=out, report=False)
    classifier = hfcls.Classifier.from_pretrained(out)
    assert classifier(ROWS[0][:3]) == classifier(" [SEP] ".join(ROWS[0][:3]))
    assert hfcls.evaluate(model=out, dataset=news()).metrics["accuracy"] > 0.9


def test_a_test_split_without_labels_is_joined_and_its_other_columns_handed_in(news, tmp_path):
    (tmp_path / "data").mkdir()
    news("data/train.csv")
    news("data/test.csv", [(i, *row[:3]) for i, row in enumerate(ROWS[:9])], ["id", *HEADER[:3]])
    options = {"text_column": "제목,본문,댓글", "output_dir": str(tmp_path / "out"), "report": False}
    hfcls.fine_tune(dataset=str(tmp_path / "data"), model="baseline", **options)
    lines = (tmp_path / "out/submission.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "id,label"
    assert len(lines) == 10


def test_names_with_commas_and_columns_that_do_not_go_together(news):
    with pytest.raises(HfclsError, match="has no column '내용'; it has '제목', '본문', '댓글', 'label'"):
        load_corpus(news(), text_column="제목,내용")
    with pytest.raises(HfclsError, match="must name different columns between commas, found '제목,제목'"):
        load_corpus(news(), text_column="제목,제목")
    with pytest.raises(HfclsError, match="must be different columns, found 제목, label and label"):
        load_corpus(news(), text_column="제목,label")
    with pytest.raises(HfclsError, match="text_column names several columns, 제목,본문: drop text_pair_column"):
        load_corpus(news(), text_column="제목,본문", text_pair_column="댓글")
    path = news("form.csv", [(row[1], row[3]) for row in ROWS], ["의견, 건의사항", "label"])
    with pytest.raises(HfclsError, match="has a column '의견, 건의사항', and text_column names several between commas"):
        load_corpus(path, text_column="의견, 건의사항")
    assert load_corpus(path, text_column='"의견, 건의사항"')["train"]["text"] == [row[1] for row in ROWS]
    path = news("broken.csv", [(row[0], row[1], row[3]) for row in ROWS], ["제목", "본문\n(자유)", "label"])
    assert load_corpus(path, text_column="본문\n(자유)")["train"]["text"] == [row[1] for row in ROWS]
    assert load_corpus(path, text_column='제목,"본문\n(자유)"')["train"]["text"][0] == f"제목 0 [SEP] {ROWS[0][1]}"
    with pytest.raises(HfclsError, match="must name different columns between commas, found '제목,본문.*자유"):
        load_corpus(path, text_column="제목,본문\n(자유)")
    for option, names in (("text_column", " "), ("label_columns", "a\nb,c"), ("label_columns", "a,a")):
        with pytest.raises(HfclsError, match=f"{option} must name"):
            load_corpus(path, **{option: names})
    with pytest.raises(HfclsError, match="column '수' is not text but int64"):
        load_corpus([{"글": "가", "수": 1, "label": "a"}], text_column="글,수")


def test_null_texts_are_empty_beside_others(tmp_path):
    rows = [("가", None, "a"), (None, None, "b"), ("나", "다", "b")]
    corpus = load_corpus([dict(zip(("x", "y", "label"), row, strict=True)) for row in rows], text_column="x,y")
    assert corpus["train"]["text"] == ["가 [SEP] ", "", "나 [SEP] 다"]


def test_a_tokenizer_without_a_separator_is_refused_before_anything(tiny_model, tmp_path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.sep_token = None
    tokenizer.save_pretrained(tmp_path / "model")
    shutil.copy(f"{tiny_model}/config.json", tmp_path / "model")
    with pytest.raises(HfclsError, match="the tokenizer of .* has no separator to join them: choose one column"):
        hfcls.fine_tune(
            dataset=[{"a": "가", "b": "나", "label": "x"}], text_column="a,b", model=str(tmp_path / "model"),
            output_dir=str(tmp_path / "out"),
        )  # fmt: skip
    assert not (tmp_path / "out/run.yaml").exists()
