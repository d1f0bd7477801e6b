"""Models and tokenizers load as they were saved, or are refused with a reason."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BigBirdConfig,
    BigBirdModel,
    GPT2Config,
    GPT2Model,
    XLMRobertaConfig,
)

from hfcls.data.encoding import encode, tokenize
from hfcls.errors import HfclsError
from hfcls.models.loading import load_classifier, load_model, model_and_tokenizer
from hfcls.models.positions import check_positions
from hfcls.models.scratch import scratch_model
from hfcls.models.tokenizers import load_tokenizer, train_tokenizer
from hfcls.scoring.tasks import MultiLabel, Regression, SingleLabel


def test_kcbert_ids_are_those_of_the_book(shared):
    tokenizer = load_tokenizer(str(shared / "kcbert-base"))
    book = [2, 2170, 832, 5045, 17, 17, 7992, 29734, 4040, 10720, 3]
    text = "아 더빙.. 진짜 짜증나네요 목소리"
    assert tokenize(tokenizer, [text], max_length=128) == {"input_ids": [book]}
    padded = tokenizer(text, padding="max_length", max_length=128)
    assert padded["input_ids"] == book + [0] * 117
    assert padded["attention_mask"] == [1] * 11 + [0] * 117
    assert padded["token_type_ids"] == [0] * 128


def test_sparse_attention_gives_way_to_the_full_one_from_the_first_text_on(tmp_path):
    """Of BigBird: it would at the first short text, so that a long one had other logits before and after it."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    sizes |= {"vocab_size": 70, "block_size": 4, "num_random_blocks": 1, "max_position_embeddings": 128}
    config = BigBirdConfig(initializer_range=0.5, **sizes)
    assert config.attention_type == "block_sparse"
    BigBirdModel(config).save_pretrained(tmp_path)
    model = load_model(str(tmp_path), ["a", "b"]).eval()
    long, short = torch.randint(5, 50, (1, 120)), torch.randint(5, 50, (1, 8))
    with torch.inference_mode():
        before, _, after = (model(input_ids=ids).logits for ids in (long, short, long))
    assert torch.equal(before, after)
    model.save_pretrained(tmp_path / "saved")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    with torch.inference_mode():
        torch.testing.assert_close(again(input_ids=long).logits, after)


def test_a_bare_vocabulary_keeps_case_and_hangul(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Hello", "영화"]))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer.tokenize("Hello 영화") == ["Hello", "영화"]
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).tokenize("Hello 영화") == ["Hello", "영화"]


def test_a_tokenizer_without_korean_is_called_out(tmp_path, caplog):
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "film"]))
    load_tokenizer(str(tmp_path))
    assert "is it one for Korean?" in caplog.text


def test_encoding_stores_no_padding_and_cuts_at_max_length(table, tiny_model):
    from hfcls.data.corpora import load_corpus

    lines = ["text\tlabel", "영화\t1", " ".join(["영화"] * 50) + "\t0", "\t0"]
    tokenizer = load_tokenizer(tiny_model)
    rows = encode(load_corpus(str(table(lines=lines))), tokenizer, max_length=16)["train"]
    assert rows.column_names == ["labels", "input_ids"] or set(rows.column_names) == {"labels", "input_ids"}
    assert [len(ids) for ids in rows["input_ids"]] == [3, 16, 2]
    assert list(rows["labels"]) == [1, 0, 0]


def test_half_precision_weights_are_widened_and_the_head_is_seeded(tiny_model, tmp_path):
    AutoModelForSequenceClassification.from_pretrained(tiny_model).half().bert.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "float16"
    heads = []
    for _ in range(2):
        torch.manual_seed(1)
        model = load_model(str(tmp_path), ["부정", "긍정", "중립"])
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        heads.append(model.classifier.weight)
    assert torch.equal(*heads)
    assert model.config.id2label == {0: "부정", 1: "긍정", 2: "중립"}
    assert model.config.label2id == {"부정": 0, "긍정": 1, "중립": 2}


def test_another_number_of_classes_gets_a_new_head(tiny_model, tmp_path):
    load_model(tiny_model, ["a", "b"]).save_pretrained(tmp_path)
    assert load_model(str(tmp_path), ["a", "b", "c"]).classifier.weight.shape == (3, 32)


def test_unusable_folders_are_named(tiny_model, tmp_path):
    with pytest.raises(HfclsError, match=re.escape("no model folder ./nowhere")):
        load_model("./nowhere", ["a", "b"])
    with pytest.raises(HfclsError, match="has no config.json"):
        load_model(str(tmp_path), ["a", "b"])
    with pytest.raises(HfclsError, match="holds no tokenizer"):
        load_tokenizer(str(tmp_path))
    shutil.copy(Path(tiny_model) / "config.json", tmp_path)
    with pytest.raises(HfclsError, match=re.escape("holds no weights: one of model.safetensors, ")):
        load_model(str(tmp_path), ["a", "b"])
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(HfclsError, match=r"model\.safetensors is damaged: "):
        load_model(str(tmp_path), ["a", "b"])
    with pytest.raises(HfclsError, match=r"tokenizer of 'nobody/nothing' \(there is no folder of that name here\): "):
        load_tokenizer("nobody/nothing")
    (tmp_path / "vocab.txt").write_text("[UNK]\n")
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(HfclsError, match=f"{tmp_path}/tokenizer_config.json is damaged: "):
        load_tokenizer(str(tmp_path))


def test_a_tilde_is_the_home_folder(classifier_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(Path(classifier_folder).parent))
    model, _ = load_classifier(f"~/{Path(classifier_folder).name}")
    assert model.config.name_or_path == classifier_folder


def test_weights_of_another_shape_are_refused(tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(
        HfclsError, match=re.escape("do not fit its config.json: 16 tensors of the encoder are missing")
    ):
        load_model(str(tmp_path), ["a", "b"])


@pytest.mark.parametrize("key", ["max_position_embeddings", "vocab_size", "type_vocab_size"])
def test_embeddings_of_another_shape_are_refused(key, tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, key: 512}))
    with pytest.raises(HfclsError, match=re.escape("1 tensors of the encoder are of another shape, ")):
        load_model(str(tmp_path), ["a", "b"])


@pytest.mark.parametrize("asked", [{"output_hidden_states": True}, {"output_attentions": True}, {"return_dict": False}])
def test_a_model_gives_logits_alone_whatever_its_config_asks_for(asked, tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **asked}))
    model = load_model(str(tmp_path), ["a", "b"])
    model.save_pretrained(tmp_path)
    saved = load_classifier(str(tmp_path))[0], AutoModelForSequenceClassification.from_pretrained(tmp_path)
    for each in (model, *saved):
        assert list(each(torch.tensor([[2, 3]]))) == ["logits"]


def test_a_head_without_a_bias_is_refused_for_a_regression_before_the_training(tmp_path):
    GPT2Model(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=1, n_positions=8)).save_pretrained(tmp_path)
    with pytest.raises(HfclsError, match="no bias, so it cannot give targets in their unit: take another encoder"):
        load_model(str(tmp_path), ["score"], problem_type=Regression.problem_type)


def test_max_length_must_have_positions(shared):
    with pytest.raises(HfclsError, match=re.escape("max_length 301 is more than the model's 300 positions")):
        check_positions(BertConfig.from_pretrained(shared / "kcbert-base"), 301)
    check_positions(BertConfig.from_pretrained(shared / "kcbert-base"), 300)
    roberta = XLMRobertaConfig(max_position_embeddings=514, pad_token_id=1)
    check_positions(roberta, 512)
    with pytest.raises(HfclsError, match="512 positions"):
        check_positions(roberta, 513)


def test_an_encoder_is_no_classifier_yet(tiny_model):
    with pytest.raises(HfclsError, match="is not a fine-tuned classifier: train one with it first"):
        load_classifier(tiny_model)


def test_a_tokenizer_from_scratch_is_the_same_for_the_same_texts():
    texts = ["정말 재미있는 영화", "재미없는 영화", "Great 영화"] * 20
    first, second = (train_tokenizer(iter(texts), vocab_size=60) for _ in range(2))
    assert first.get_vocab() == second.get_vocab()
    assert first.tokenize("재미있는 Great") == second.tokenize("재미있는 Great")
    assert "[UNK]" not in first.tokenize("재미있는 Great")
    assert scratch_model(first, ["a", "b"], 32).config.vocab_size == len(first)


@pytest.mark.parametrize("task", [SingleLabel(["a", "b"]), MultiLabel(["a", "b"]), Regression(["score"])])
def test_a_model_from_scratch_is_of_any_problem_type(task, tmp_path):
    texts = ["정말 재미있는 영화", "재미없는 영화"] * 20
    model, _ = model_and_tokenizer("1x64", task.names, max_length=16, texts=texts, problem_type=task.problem_type)
    model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert (again.config.problem_type, again.config.num_labels) == (task.problem_type, len(task.names))
