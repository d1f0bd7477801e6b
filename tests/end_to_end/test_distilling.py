"""`hfcls distill`: a student learns what a teacher says; its run is a run like any other."""

import csv
import json
import logging
import shutil
from pathlib import Path

import pandas
import pytest
import torch
from conftest import reviews

import hfcls
from hfcls import cli
from hfcls.errors import HfclsError
from hfcls.inference import shards
from hfcls.inference.classifier import Classifier
from hfcls.runs.folder import LOCK_FILE, TEACHER_FOLDER
from hfcls.system.locks import sole_run
from hfcls.training.trainer import ClassificationTrainer


def write(path, header, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


@pytest.fixture
def options(classifier_folder, tiny_model, tmp_path) -> dict:
    """A teacher, texts, labelled texts with the names of its classes, and a student."""
    names = Classifier.from_pretrained(classifier_folder).labels
    labelled = [(text, names[int(label)]) for text, label in reviews(60, 3)]
    return {
        "teacher": classifier_folder,
        "dataset": write(
            tmp_path / "comments.csv", ["id", "text"], [(i, t) for i, (t, _) in enumerate(reviews(90, 1))]
        ),
        "labelled": write(tmp_path / "labelled.csv", ["text", "label"], labelled),
        "model": tiny_model,
        "max_length": 64,
        "num_train_epochs": 2,
        "learning_rate": 1e-3,
        "output_dir": str(tmp_path / "out"),
        "report": False,
        "report_to": "none",
    }


def test_nothing_is_told_twice_or_of_nothing(options, tmp_path, caplog):
    texts = [(text,) for text, _ in reviews(90, 1)]
    path = write(tmp_path / "other.csv", ["document"], texts)
    with caplog.at_level(logging.INFO, "hfcls"):
        hfcls.distill(**{**options, "dataset": path, "labelled": None, "num_train_epochs": 1, "baseline": False})
    assert [told for told in caplog.messages if "is taken for it" in told] == [
        f"{path} has no column 'text': 'document' is taken for it; --text_column chooses another"
    ]
    assert not [told for told in caplog.messages if " 0 rows" in told]


def test_the_rate_that_nobody_gave_stands_in_the_record_and_the_card(options, tmp_path):
    """It is another than that of train, whose default the card takes for granted."""
    del options["learning_rate"]
    result = hfcls.distill(**options, baseline=False, max_steps=1)
    assert result.facts.options["learning_rate"] == 2e-4
    assert "`learning_rate` 0.0002" in (tmp_path / "out/README.md").read_text()


def test_a_student_learns_the_probabilities_of_its_teacher(options, tmp_path, monkeypatch):
    fitted = []
    step = ClassificationTrainer.training_step
    monkeypatch.setattr(
        ClassificationTrainer,
        "training_step",
        lambda self, model, inputs, *rest: (fitted.append(inputs["labels"]), step(self, model, inputs, *rest))[1],
    )
    result = hfcls.distill(**options | {"drop_overlap": False})
    teacher = Classifier.from_pretrained(options["teacher"])
    answers = teacher.probabilities([text for text, _ in reviews(90, 1)])
    seen = torch.cat(fitted)
    seen = seen[seen[:, 0] != -100]  # which fills the last batch
    assert len(seen) == 2 * (90 + 54)  # in two epochs; a tenth of the 60 labelled ones validates
    for row in answers:
        assert (seen - row).abs().sum(1).min() < 1e-5
    assert sorted({tuple(row) for row in seen.tolist() if max(row) == 1}) == [(0, 1), (1, 0)]
    name = Path(options["teacher"]).name
    told = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    assert told["facts"]["splits"]["train"]["rows"] == 144
    assert told["facts"]["protocol"].startswith(
        f"90 training texts have the probabilities for labels that the teacher {name!r} gave, "
        "60 have labels of their own; 10% of the latter became validation. The last checkpoint was kept"
    )
    assert (result.split, result.num_rows) == ("validation", 6)
    assert Classifier.from_pretrained(options["output_dir"]).labels == teacher.labels
    assert (tmp_path / "out/README.md").exists()
    assert "`hfcls distill` on this file" in (tmp_path / "out/run.yaml").read_text(encoding="utf-8")


def test_texts_without_a_header_are_found_again_beside_the_answers(options, tmp_path):
    Path(options["dataset"]).write_text("".join(f"{text}\n" for text, _ in reviews(90, 1)), encoding="utf-8")
    hfcls.distill(**options | {"no_header": True, "labelled": None})
    told = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    assert told["facts"]["splits"]["train"]["rows"] + told["facts"]["splits"]["validation"]["rows"] == 90


def test_the_teacher_is_asked_once_and_its_answers_serve_another_student(options, tmp_path, monkeypatch, caplog):
    hfcls.distill(**options)
    answers = sorted((tmp_path / "out/teacher").glob("*.parquet"))
    before = [path.stat().st_mtime_ns for path in answers]
    monkeypatch.setattr(Classifier, "probabilities", None)
    hfcls.distill(**options | {"overwrite_output_dir": True, "seed": 8})
    assert [path.stat().st_mtime_ns for path in answers] == before
    again = options | {
        "teacher": None,
        "dataset": str(tmp_path / "out/teacher"),
        "output_dir": str(tmp_path / "second"),
    }
    hfcls.distill(**again)
    assert not (tmp_path / "second/teacher").exists()
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "second")]
    assert weights[0] != weights[1]  # other seeds
    hfcls.distill(**again | {"output_dir": str(tmp_path / "third"), "seed": 8})
    assert (tmp_path / "third/model.safetensors").read_bytes() == weights[0]


def test_a_resumed_student_is_the_one_that_was_not_stopped(options, tmp_path):
    hfcls.distill(**options)
    shutil.copytree(tmp_path / "out", tmp_path / "stopped")
    for name in ("results.json", "model.safetensors"):
        (tmp_path / "stopped" / name).unlink()
    checkpoints = sorted((tmp_path / "stopped").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    assert len(checkpoints) == 2
    shutil.rmtree(checkpoints[1])
    hfcls.distill(**options | {"output_dir": str(tmp_path / "stopped"), "resume": True})
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "stopped"))
    assert first == second
    with pytest.raises(HfclsError, match="with other options"):
        hfcls.distill(**options | {"resume": True, "labelled": None})


def test_without_labelled_texts_the_score_is_agreement_and_says_so(options):
    result = hfcls.distill(**options | {"labelled": None})
    assert (result.split, result.num_rows) == ("validation", 9)
    assert "its labels are those of the teacher" in result.note
    assert "10% of the texts became validation" in result.facts.protocol


def test_a_test_split_is_scored_by_its_own_labels_and_its_texts_do_not_train(options, tmp_path):
    folder = tmp_path / "labelled"
    folder.mkdir()
    rows = [(text, ["부정", "긍정"][int(label)]) for text, label in reviews(20, 3)]
    write(folder / "test.csv", ["text", "label"], [(reviews(90, 1)[0][0], "긍정"), *rows])
    result = hfcls.distill(**options | {"labelled": str(folder)})
    assert (result.split, result.num_rows) == ("test", 21)
    assert "its labels" not in result.note
    assert result.unseen.num_rows == 21


def test_a_shape_is_a_student_from_scratch(options, tmp_path):
    hfcls.distill(**options | {"model": "2x64", "max_steps": 2})
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert (config["num_hidden_layers"], config["hidden_size"]) == (2, 64)
    with pytest.raises(HfclsError, match="a multiple of 64"):
        hfcls.distill(**options | {"model": "2x100", "overwrite_output_dir": True})


def test_probabilities_that_another_model_wrote(options, tmp_path, caplog):
    texts = [text for text, _ in reviews(30, 1)]
    table = {"text": texts, "probability_좋음": ["0.7", "0.2", "", "0.34", *["0.33"] * 26],
             "probability_나쁨": ["0.3", "0.8", "", *["0.67"] * 27]}  # fmt: skip
    pandas.DataFrame(table).to_csv(tmp_path / "llm.csv", index=False)
    given = options | {"teacher": None, "labelled": None, "dataset": str(tmp_path / "llm.csv"), "max_steps": 2}
    result = hfcls.distill(**given)
    assert Classifier.from_pretrained(options["output_dir"]).labels == ["좋음", "나쁨"]
    assert "1 of 30 rows have no text or no probabilities and are left out" in caplog.text
    assert "29 training texts have the probabilities for labels that another model gave" in result.facts.protocol
    for bad in ("1.3", "-0.1", "0.9", "0.3", "many", ""):
        table["probability_좋음"][4] = bad
        pandas.DataFrame(table).to_csv(tmp_path / "llm.csv", index=False)
        with pytest.raises(HfclsError, match=r"llm\.csv, row 5: the columns probability_\* must hold probabilities"):
            hfcls.distill(**given | {"overwrite_output_dir": True})


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_probabilities_are_read_from_files_of_any_kind(options, tmp_path, caplog, kind):
    def write_rows(name: str, **columns) -> None:
        table = pandas.DataFrame({"text": [text for text, _ in reviews(30, 1)], **columns})
        if kind == "parquet":
            table.to_parquet(tmp_path / f"llm/{name}.parquet")
        else:
            table.to_json(tmp_path / f"llm/{name}.jsonl", orient="records", lines=True, force_ascii=False)

    (tmp_path / "llm").mkdir()
    yes, no = [0.75, None, *[0.5] * 28], [0.25, None, *[0.49] * 28]
    write_rows("a", probability_긍정=yes, probability_부정=no, score=1)
    write_rows("b", model="large", probability_부정=no, probability_긍정=yes)  # in another order
    given = options | {"teacher": None, "dataset": str(tmp_path / "llm"), "max_steps": 2, "overwrite_output_dir": True}
    result = hfcls.distill(**given)
    assert "58 training texts have the probabilities" in result.facts.protocol
    assert caplog.text.count("1 of 30 rows have no text or no probabilities") == 2
    write_rows("b", probability_긍정=[0.9] * 30, probability_부정=[0.3] * 30)
    with pytest.raises(HfclsError, match=r"b\.\w+, row 1: the columns .* add up to 1, found 0\.9, 0\.3"):
        hfcls.distill(**given)
    write_rows("b", probability_긍정=yes)
    with pytest.raises(HfclsError, match=r"b\.\w+ has no column 'probability_부정', which other files have"):
        hfcls.distill(**given)
    write_rows("b", probability_긍정=yes, probability_부정=no, probability_중립=no)
    with pytest.raises(HfclsError, match=r"b\.\w+ has the column 'probability_중립', which other files have not"):
        hfcls.distill(**given)


def test_a_teacher_that_is_stopped_goes_on_where_it_was(options, tmp_path, monkeypatch):
    """What it has said of the first file is not asked again, and the student is the one of a run in one go."""
    (tmp_path / "many").mkdir()
    for i in range(3):
        rows = [(text,) for text, _ in reviews(30, i + 1)]
        write(tmp_path / f"many/{i}.csv", ["text"], rows)
    options |= {"dataset": str(tmp_path / "many"), "max_steps": 4}
    hfcls.distill(**options | {"output_dir": str(tmp_path / "whole")})
    written = shards.write_table

    def stopped_at_the_second(table, path, **given):
        if path.name.startswith("1.csv"):
            raise KeyboardInterrupt
        written(table, path, **given)

    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_table", stopped_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            hfcls.distill(**options)
    (answer,) = (tmp_path / "out/teacher").glob("*.parquet")
    before = answer.stat().st_mtime_ns
    hfcls.distill(**options | {"resume": True})
    assert answer.stat().st_mtime_ns == before
    assert len(list((tmp_path / "out/teacher").glob("*.parquet"))) == 3
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "whole"))
    assert first == second


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dataset": None}, "distill needs texts: give a file or folder of them as --dataset"),
        ({"teacher": None}, r"has no columns probability_CLASS .*: give the --teacher"),
        ({"teacher": "absent/model"}, "no model folder|absent/model"),
        ({"label_separator": ","}, "drop label_separator"),
        ({"seeds": 3}, "seeds is for train: give distill one --seed after another"),
        ({"class_weights": "balanced"}, "class_weights is for labels that are certain"),
        ({"text_column": "body"}, "has no column 'body'"),
    ],
)
def test_what_cannot_be_taught_is_one_line(options, tmp_path, changed, message):
    with pytest.raises(HfclsError, match=message):
        hfcls.distill(**options | changed)
    assert not (tmp_path / "out/results.json").exists()


@pytest.mark.parametrize("wrong", ["model", "labelled"])
def test_the_teacher_is_asked_when_all_else_is_there(options, tmp_path, monkeypatch, wrong):
    """It may read for hours; a name that is mistyped is found before."""
    monkeypatch.setattr("hfcls.distilling.predict_files", lambda config: pytest.fail("the teacher was asked"))
    with pytest.raises(HfclsError, match="absent"):
        hfcls.distill(**options | {wrong: str(tmp_path / "absent")})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": "0x256"}, "model 0x256: a shape is LAYERSxWIDTH"),
        ({"metrics": "./nowhere"}, "nowhere"),
        ({"metric_for_best_model": "pearson"}, "metric_for_best_model pearson is not measured for single label"),
    ],
)
def test_the_teacher_is_not_asked_where_the_student_cannot_be(options, monkeypatch, changed, message):
    monkeypatch.setattr("hfcls.distilling.predict_files", lambda config: pytest.fail("the teacher was asked"))
    with pytest.raises(HfclsError, match=message):
        hfcls.distill(**options | changed)


def test_a_teacher_is_not_asked_for_a_folder_in_which_another_run_lives(options):
    out = Path(options["output_dir"])
    out.mkdir()
    with sole_run(out / LOCK_FILE), pytest.raises(HfclsError, match=r"is in use by another run \(process \d+ on "):
        hfcls.distill(**options, overwrite_output_dir=True)
    assert not (out / TEACHER_FOLDER).exists()


def test_a_teacher_of_pairs_does_not_teach_one_half_of_them(options, classifier_folder, tmp_path):
    """It would be asked about the pair that it remembers, and the student would read the first text alone."""
    teacher = tmp_path / "pairs"
    shutil.copytree(classifier_folder, teacher)
    config = json.loads((teacher / "config.json").read_text(encoding="utf-8"))
    config["data_columns"] = {"text_column": "text", "text_pair_column": "id"}
    (teacher / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(HfclsError, match="pairs was fine-tuned on pairs of texts: set --text_pair_column, .* 'id'"):
        hfcls.distill(**options | {"teacher": str(teacher)})
    assert not (tmp_path / "out/teacher").exists()


def test_a_class_that_the_teacher_does_not_know(options, tmp_path):
    options["labelled"] = write(tmp_path / "other.csv", ["text", "label"], [("가", "기쁨"), ("나", "슬픔")] * 20)
    with pytest.raises(HfclsError, match="has the class '기쁨', '슬픔', and the probabilities are of"):
        hfcls.distill(**options)


@pytest.mark.parametrize("has_test", [False, True])
def test_the_command_offers_to_compare_on_rows_that_did_not_train_the_student(options, tmp_path, capsys, has_test):
    if has_test:
        (tmp_path / "labelled").mkdir()
        names = Classifier.from_pretrained(options["teacher"]).labels
        rows = [(text, names[int(label)]) for text, label in reviews(20, 4)]
        write(tmp_path / "labelled/test.csv", ["text", "label"], rows)
        shutil.move(options["labelled"], tmp_path / "labelled/train.csv")
        options["labelled"] = str(tmp_path / "labelled")
    words = [f"--{name}={value}" for name, value in options.items() if name not in ("model", "report")]
    assert cli.main(["distill", *words, f"--student={options['model']}", "--no-report"]) == 0
    printed = capsys.readouterr().out
    assert ("Beside its teacher: " in printed) == has_test
    if has_test:
        compared = printed.split("evaluate ")[-1].split()
        assert cli.main(["evaluate", *compared]) == 0
        assert "test (20 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (8, "cannot write to .*/teacher: No space left on device; finished shards are kept: .* the same command again"),
        (20, "cannot write to output_dir .*No space left on device; solve that, or choose another --output_dir"),
        (250, "no space left in .*; no checkpoint was saved yet: free some space, then continue with --resume"),
        (700, "no space left in .*/checkpoint-9 is whole: free some space, then continue with --resume"),
    ],
)
def test_a_full_disk_ends_with_one_message_and_the_same_command_goes_on_once_there_is_room(
    options, full_disk, monkeypatch, left, message
):
    monkeypatch.setattr("hfcls.finetune.check_space", lambda *args: None)  # it asks for more than there is
    drive = full_disk(left)
    run = {**options, "output_dir": str(drive / "out")}
    with pytest.raises(HfclsError, match=message) as error:
        hfcls.distill(**run)
    assert "\n" not in str(error.value)
    (drive / "other").unlink()
    assert hfcls.distill(**run, resume="--resume" in message).facts.steps == 18


def test_answers_to_files_that_are_gone_teach_nothing(options, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, seed in (("a.csv", 1), ("b.csv", 2)):
        write(folder / name, ["text"], [(text,) for text, _ in reviews(40, seed)])
    given = {
        **options,
        "dataset": str(folder),
        "labelled": None,
        "num_train_epochs": 1,
        "baseline": False,
        "drop_overlap": False,
    }
    first = hfcls.distill(**given)
    (folder / "b.csv").unlink()
    second = hfcls.distill(**given, overwrite_output_dir=True)
    rows = [sum(split.rows for split in run.facts.splits.values()) for run in (first, second)]
    assert rows == [80, 40]
