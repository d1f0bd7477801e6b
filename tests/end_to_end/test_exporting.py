"""`hfcls export` leaves a folder that agrees with the model, or none."""

import builtins
import errno
import json
import os
import re
import shutil

import pytest
import torch
from transformers import AutoModelForSequenceClassification

import hfcls
from hfcls import cli, exporting
from hfcls.errors import HfclsError
from hfcls.models.loading import load_classifier, model_and_tokenizer
from hfcls.models.tokenizers import load_tokenizer, train_tokenizer


def test_the_command_writes_a_folder_and_prints_what_it_found(classifier_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(classifier_folder, "run")
    assert cli.main(["export", "run", "--format", "onnx"]) == 0
    printed = capsys.readouterr().out
    assert "run-onnx/model.onnx: float32" in printed
    assert "on 1,000 demonstration reviews: largest difference of a logit" in printed
    assert "0 of 1,002 labels changed" in printed
    facts = json.loads((tmp_path / "run-onnx/export.json").read_text())
    assert facts["check"]["largest_logit_difference"] < 1e-4
    assert facts["max_length"] == 64
    assert {path.name for path in (tmp_path / "run-onnx").iterdir()} == {
        "config.json", "export.json", "model.onnx", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run-onnx"]
    assert cli.main(["export", "run-onnx"]) == 1
    assert "is an exported model already" in capsys.readouterr().err


def test_what_does_not_agree_is_not_left_there(classifier_folder, tmp_path, monkeypatch):
    write = exporting.write_onnx

    def wrong(model, tokenizer, folder, **options):
        other, _ = load_classifier(classifier_folder)
        with torch.no_grad():
            other.classifier.bias[0] += 2e-4
        write(other, tokenizer, folder, **options)

    hfcls.export(model=classifier_folder, output=str(tmp_path / "out"))
    good = (tmp_path / "out/model.onnx").read_bytes()
    monkeypatch.setattr(exporting, "write_onnx", wrong)
    with pytest.raises(HfclsError, match=r"a logit differs by 2\.0e-04 .* at most 1e-04"):
        hfcls.export(model=classifier_folder, output=str(tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out/model.onnx").read_bytes() == good


def test_int8_that_turns_labels_is_refused_with_the_figures(classifier_folder, tmp_path, monkeypatch):
    """The head of this model has random weights: most texts lie near its border."""
    monkeypatch.setattr("hfcls.inference.agreement.MOST_CHANGED", -1.0)
    with pytest.raises(HfclsError, match=r"int8 changes too much of .*: \d+ of 1,002 labels changed"):
        hfcls.export(model=classifier_folder, output=str(tmp_path / "out"), int8=True)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def years(tiny_model, tmp_path):
    """A model that gives a text a number around 2000."""
    labels = {"num_labels": 1, "problem_type": "regression", "id2label": {0: "연도"}, "label2id": {"연도": 0}}
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_model, **labels)
    with torch.no_grad():
        model.classifier.bias += 2000
    model.save_pretrained(tmp_path / "years")
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(tmp_path / "years")
    return str(tmp_path / "years")


def test_a_regression_is_held_to_its_numbers(years, capsys, monkeypatch):
    status = cli.main(["export", years])
    printed, error = capsys.readouterr()
    assert status == 0, error
    assert re.search(r"on 1,000 demonstration reviews: largest difference of a number \S+\n$", printed)
    texts = ["영화 최고", "", "별로 " * 100]
    expected = hfcls.Classifier.from_pretrained(years)(texts)
    for exported in (hfcls.OnnxClassifier, hfcls.Classifier):
        answers = exported.from_pretrained(f"{years}-onnx")(texts)
        assert [answer["label"] for answer in answers] == ["연도"] * 3
        assert [answer["score"] for answer in answers] == pytest.approx([one["score"] for one in expected], abs=1e-3)
    assert cli.main(["export", years, "--int8"]) == 1
    assert "int8 is held to labels, and" in capsys.readouterr().err
    write = exporting.write_onnx

    def wrong(model, *given, **options):
        with torch.no_grad():
            model.classifier.bias += 0.01
        write(model, *given, **options)
        with torch.no_grad():
            model.classifier.bias -= 0.01

    monkeypatch.setattr(exporting, "write_onnx", wrong)
    with pytest.raises(HfclsError, match=r"a number differs by 1\.\de-02 .* is rounding: use it in torch"):
        hfcls.export(model=years)


def test_a_folder_with_something_else_is_left_alone(classifier_folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("")
    (tmp_path / "file").write_text("")
    for name in ("mine", "file"):
        with pytest.raises(HfclsError, match="holds something else"):
            hfcls.export(model=classifier_folder, output=str(tmp_path / name))
    with pytest.raises(HfclsError, match="choose another --output"):
        hfcls.export(model=classifier_folder, output=str(tmp_path / "file/below"))
    with pytest.raises(HfclsError, match="no model folder"):
        hfcls.export(model=str(tmp_path / "absent"), output=str(tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine"]


def test_a_full_disk_is_named_and_leaves_nothing(classifier_folder, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("torch.onnx.ONNXProgram.save", full)
    with pytest.raises(HfclsError, match="cannot write .*/out: No space left on device; choose another --output"):
        hfcls.export(model=classifier_folder, output=str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_folders_of_like_names_stay_and_a_model_in_this_folder_is_exported_beside_it(
    classifier_folder, tmp_path, monkeypatch
):
    model = tmp_path / "model"
    shutil.copytree(classifier_folder, model)
    for name in ("model-onnx.part", "model-onnx.replaced"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(model)
    assert hfcls.export(model=".").folder == tmp_path / "model-onnx"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model", "model-onnx", "model-onnx.part", "model-onnx.replaced",
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["onnxscript", "onnxruntime"])
def test_what_is_not_installed_is_named(classifier_folder, tmp_path, monkeypatch, missing):
    real = builtins.__import__

    def absent(name, *args, **options):
        if name.split(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(HfclsError, match=r"pip install -e '.\[onnx\]'"):
        hfcls.export(model=classifier_folder, output=str(tmp_path / "out"))


def test_a_graph_that_onnx_runtime_cannot_run_or_shrink_is_one_line_and_leaves_nothing(
    classifier_folder, tmp_path, monkeypatch
):
    """As torch exports some without a word."""
    from onnx import TensorProto, helper, save
    from onnxruntime import quantization

    def broken(self: object, path: str) -> None:
        fixed = [
            helper.make_tensor_value_info(n, TensorProto.INT64, ["N", "T"]) for n in ("input_ids", "attention_mask")
        ]
        size = helper.make_tensor("size", TensorProto.INT64, [2], [7, 1])  # other sizes than those of the texts
        nodes = [
            helper.make_node("Reshape", ["input_ids", "size"], ["out"]),
            helper.make_node("Cast", ["out"], ["logits"], to=TensorProto.FLOAT),
        ]
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [7, 1])
        save(helper.make_model(helper.make_graph(nodes, "it", fixed, [logits], [size])), path)

    def none(*_: object, **__: object) -> None:
        raise ValueError("Failed to find\nproper ai.onnx domain")

    def failing(*_: object, **__: object) -> None:
        raise KeyError("logits")

    def line(**options: bool) -> str:
        with pytest.raises(HfclsError) as raised:
            hfcls.export(model=classifier_folder, output=str(tmp_path / "out"), **options)
        assert not list(tmp_path.iterdir())
        return str(raised.value)

    with monkeypatch.context() as patch:
        patch.setattr(quantization, "quantize_dynamic", none)
        assert line(int8=True) == (
            "ONNX Runtime cannot write this bert model in int8 (ValueError: Failed to find proper ai.onnx domain): "
            "leave out --int8"
        )
    with monkeypatch.context() as patch:
        patch.setattr("torch.onnx.export", failing)
        assert line() == "torch cannot export bert models as ONNX (KeyError: 'logits'): use the model in torch"
    monkeypatch.setattr("torch.onnx.ONNXProgram.save", broken)
    message = line()
    assert re.match(r"ONNX Runtime cannot run this bert model on \d+ texts of \d+ tokens \(.*Reshape", message)
    assert message.endswith("): use the model in torch")
    assert "\n" not in message


def test_an_export_reads_as_long_texts_as_the_model(tmp_path):
    tokenizer = train_tokenizer(["영화 최고", "별로"] * 20)
    model, _ = model_and_tokenizer("1x64", ["a", "b"], max_length=600, texts=["영화 최고", "별로"] * 20)
    model.save_pretrained(tmp_path / "long")
    tokenizer.model_max_length = 600
    tokenizer.save_pretrained(tmp_path / "long")
    hfcls.export(model=str(tmp_path / "long"), output=str(tmp_path / "onnx"))
    text = "영화 " * 550 + "별로"
    in_torch = hfcls.Classifier.from_pretrained(str(tmp_path / "long")).logits([text]).numpy()
    light = hfcls.OnnxClassifier.from_pretrained(tmp_path / "onnx")
    assert light.max_length == 600
    assert light.logits([text]) == pytest.approx(in_torch, abs=1e-4)


def test_an_output_without_a_name_is_refused(classifier_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for output in (".", ".."):
        with pytest.raises(HfclsError, match="has no name of its own: give --output a folder that has one"):
            hfcls.export(model=classifier_folder, output=output)
