"""Rows of a head follow the names of their classes, and a classifier without a trained head answers nobody."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from architectures import CONFIGS, encoder_folder
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hfcls import Classifier, HfclsError, load_model
from hfcls.models.classes import output_layer


@pytest.fixture(params=CONFIGS)
def classifier(request, tmp_path) -> str:
    """A classifier of 부정 and 긍정, of each architecture."""
    folder = encoder_folder(request.param, tmp_path / "classifier")
    torch.manual_seed(0)
    load_model(folder, ["부정", "긍정"]).save_pretrained(folder)
    return folder


def rows(folder: str, names: list[str]) -> dict[str, list[float]]:
    model = load_model(folder, names)
    holder, name = output_layer(model)
    weight = getattr(holder, name).weight
    assert weight.shape[0] == model.config.num_labels == len(names)
    assert [model.config.id2label[i] for i in range(len(names))] == names
    return dict(zip(names, weight.tolist(), strict=True))


def test_classes_in_another_order_keep_their_rows(classifier, caplog):
    before = rows(classifier, ["부정", "긍정"])
    assert rows(classifier, ["긍정", "부정"]) == before


def test_a_larger_set_keeps_the_known_classes_and_starts_new_ones_fresh(classifier, caplog):
    caplog.set_level(logging.INFO)
    before = rows(classifier, ["부정", "긍정"])
    after = rows(classifier, ["긍정", "부정", "중립"])
    assert {name: after[name] for name in before} == before
    assert "keeps its rows of 긍정, 부정; new from random weights: 중립; left out: none" in caplog.text


def test_the_head_of_another_task_is_not_taken_over(classifier, caplog):
    caplog.set_level(logging.INFO)
    before = rows(classifier, ["부정", "긍정"])
    after = rows(classifier, ["사랑", "이별"])
    assert not set(map(tuple, before.values())) & set(map(tuple, after.values()))
    assert "keeps its rows of none; new from random weights: 사랑, 이별; left out: 부정, 긍정" in caplog.text


def test_a_head_whose_classes_have_no_names_starts_fresh(classifier):
    before = rows(classifier, ["부정", "긍정"])
    call(classifier, "LABEL_0", "LABEL_1")
    assert not set(map(tuple, before.values())) & set(map(tuple, rows(classifier, ["부정", "긍정"]).values()))
    assert list(rows(classifier, ["LABEL_0", "LABEL_1"]).values()) == list(before.values())


def call(folder: str, *names: str) -> None:
    """Give the classes these names in config.json, and nothing else."""
    path = Path(folder) / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    path.write_text(json.dumps(config), encoding="utf-8")


def change(folder: str, edit) -> None:
    weights = load_file(f"{folder}/model.safetensors")
    edit(weights)
    save_file(weights, f"{folder}/model.safetensors", metadata={"format": "pt"})


def head_weight(folder: str) -> str:
    """The name of the output layer's weight in the file."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    holder, name = output_layer(model)
    return next(key for key, weight in model.named_parameters() if weight is getattr(holder, name).weight)


def test_a_classifier_loads_with_every_weight_from_its_file(classifier):
    first, second = (Classifier.from_pretrained(classifier) for _ in range(2))
    assert torch.equal(first.logits(["영화 최고"]), second.logits(["영화 최고"]))
    model = AutoModelForSequenceClassification.from_pretrained(classifier)
    torch.save(model.state_dict(), f"{classifier}/pytorch_model.bin")
    Path(classifier, "model.safetensors").unlink()
    third = Classifier.from_pretrained(classifier)
    torch.testing.assert_close(first.logits(["영화 최고"]), third.logits(["영화 최고"]), rtol=0, atol=1e-6)


def test_a_classifier_without_its_head_is_refused(classifier):
    key = head_weight(classifier)
    change(classifier, lambda weights: weights.pop(key))
    with pytest.raises(HfclsError, match=rf"do not fit its config.json \(1 missing, {key} for one\).*would be random"):
        Classifier.from_pretrained(classifier)


def test_a_head_of_another_shape_or_a_weight_left_over_is_refused(classifier):
    key = head_weight(classifier)
    change(classifier, lambda weights: weights.update({key: torch.zeros(5, weights[key].shape[1])}))
    with pytest.raises(HfclsError, match="1 of another shape"):
        Classifier.from_pretrained(classifier)
    change(classifier, lambda weights: weights.update({key: torch.zeros(2, weights[key].shape[1])}))
    change(classifier, lambda weights: weights.update({"lora.extra": torch.zeros(2)}))
    with pytest.raises(HfclsError, match="1 left over, lora.extra for one"):
        Classifier.from_pretrained(classifier)


def test_names_that_do_not_fit_the_head_are_refused(classifier):
    call(classifier, "a", "b", "c")
    with pytest.raises(HfclsError, match="of another shape"):
        Classifier.from_pretrained(classifier)


@pytest.mark.parametrize("names", [{"0": None, "1": "긍정"}, {"0": "", "1": "긍정"}, {"0": 5, "1": "긍정"}])
def test_a_class_without_a_name_is_refused(classifier_folder, tmp_path, names):
    folder = shutil.copytree(classifier_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"id2label": names, "label2id": {}}))
    with pytest.raises(HfclsError, match="has a class without a name"):
        Classifier.from_pretrained(str(folder))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"architectures": 3}, "is not as it was written: architectures is int, not list"),
        ({"data_columns": "text"}, "data_columns is str, not dict"),
        ({"abstain_below": "0.9"}, "abstain_below is str, not float"),
        (
            {"abstain_below": 90},
            "abstain_below in config.json must be from 0 to 1, found 90: put back what was trained",
        ),
        ({"thresholds": [0.5, -1], "problem_type": "multi_label_classification"}, "thresholds .* found -1"),
        ({"thresholds": [None, 0.5]}, "thresholds is NoneType, not float"),
        ({"problem_type": 3}, "problem_type is int, not str"),
    ],
)
def test_what_a_config_says_beside_the_model_is_what_it_should_be(classifier_folder, tmp_path, changed, message):
    folder = shutil.copytree(classifier_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | changed))
    with pytest.raises(HfclsError, match=message):
        Classifier.from_pretrained(str(folder))


def test_a_tokenizer_that_knows_more_than_the_model_is_refused(classifier):
    tokenizer = AutoTokenizer.from_pretrained(classifier)
    tokenizer.add_tokens([f"새말{i}" for i in range(60)])
    tokenizer.save_pretrained(classifier)
    with pytest.raises(HfclsError, match=r"of its tokens have ids above the model's 100 rows \('새말\d+' is 100\)"):
        Classifier.from_pretrained(classifier)


def test_labels_that_do_not_exclude_each_other_have_the_pipelines_scores(tmp_path):
    from transformers import pipeline

    folder = encoder_folder("bert", tmp_path / "model")
    model = load_model(folder, ["배송", "품질", "가격"])
    model.config.problem_type = "multi_label_classification"
    model.save_pretrained(folder)
    theirs = pipeline("text-classification", model=folder, top_k=None)(["영화 최고"])[0]
    ours = Classifier.from_pretrained(folder)(["영화 최고"], all_scores=True)[0]["scores"]
    assert ours == pytest.approx({answer["label"]: answer["score"] for answer in theirs}, abs=1e-6)
    assert sum(ours.values()) != pytest.approx(1)
    single = load_model(folder, ["배송", "품질", "가격"])
    assert single.config.problem_type == "single_label_classification"


def test_a_model_that_gives_a_number_is_refused(tmp_path):
    folder = encoder_folder("bert", tmp_path / "model")
    AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1).save_pretrained(folder)
    with pytest.raises(HfclsError, match="gives one number and its config has problem_type None"):
        Classifier.from_pretrained(folder)
