"""Architectures that are no encoders: trained where that is right, else refused in a line before a run is replaced."""

import json
from pathlib import Path

import pytest
import torch
from architectures import bare_tokenizer, encoder_folder, tiny_tokenizer
from conftest import reviews
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GPT2Config,
    GPT2ForSequenceClassification,
    pipeline,
)

from hfcls.checks.inspect import check
from hfcls.errors import HfclsError
from hfcls.finetune import fine_tune
from hfcls.inference.classifier import Classifier
from hfcls.inference.evaluation import evaluate

SIZE = {
    "vocab_size": 200,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
}
DECODER = {"unk": "<unk>", "eos": "</s>", "bos": "<s>"}  # no padding token, nothing around a text
OWN_SIZES = {
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64},
    "llama": {"num_key_value_heads": 1},
    "xlnet": {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32, "pad_token_id": 0},
    "bart": {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    | {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "eos_token_id": 3, "forced_eos_token_id": None},
    "perceiver": {"d_latents": 16, "d_model": 16, "num_latents": 8, "num_self_attention_heads": 2}
    | {"num_cross_attention_heads": 2, "num_self_attends_per_block": 1},
    "t5": {"d_model": 16, "d_ff": 32, "d_kv": 8, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0},
    "whisper": {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    | {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "pad_token_id": 0, "decoder_start_token_id": 0},
}
REFUSED = {
    "xlnet": "the logits of this xlnet model depend on the padding beside a text",
    "bart": r"is an encoder-decoder \(bart\), whose head reads each text's last end mark",
    "t5": r"is an encoder-decoder \(t5\)",
    "perceiver": "has no linear layer of its own as its head",
    "whisper": "is a whisper model, of which transformers makes no text classifier: take an encoder",
}


def save(architecture: str, folder: Path) -> str:
    """The model as from the Hub, without a head; Perceiver's is a part of its encoder."""
    torch.manual_seed(0)
    marks = {"bos_token_id": 2, "eos_token_id": 1}
    size = {key: value for key, value in SIZE.items() if (architecture, key) != ("xlnet", "max_position_embeddings")}
    config = AutoConfig.for_model(architecture, **{**size, **marks, **OWN_SIZES[architecture]})
    kind = AutoModelForSequenceClassification if architecture == "perceiver" else AutoModel
    kind.from_config(config).save_pretrained(folder)
    tokenizer = bare_tokenizer(**DECODER) if architecture in ("gpt2", "llama") else tiny_tokenizer(0)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_decoder_is_trained_as_plain_transformers_reads_it(architecture, table, tmp_path):
    data = table("data/train.tsv", count=48).parent
    table(
        "data/test.tsv",
        count=32,
        seed=1,
        lines=["text\tlabel", *map("\t".join, reviews(30, 1)), "</s> 최고 </s>\t1", "\t0"],
    )
    run = str(tmp_path / "run")
    result = fine_tune(
        model=save(architecture, tmp_path / "model"),
        dataset=str(data),
        output_dir=run,
        max_length=24,
        select_on_test=True,
        num_train_epochs=8,
        learning_rate=3e-3,
        batch_size=8,
        report=False,
    )
    assert result.metrics["accuracy"] > 0.7
    assert evaluate(model=run, dataset=str(data), split="test").metrics == pytest.approx(result.metrics, abs=1e-6)

    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(run).eval(),
        AutoTokenizer.from_pretrained(run),
    )
    assert tokenizer.pad_token == "</s>"
    texts = [text for text, _ in reviews(12, 2)]
    plain = tokenizer(texts, truncation=True, padding=True, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        batch = model(**plain).logits
        hidden = model.score(model.base_model(**plain).last_hidden_state)
    last = hidden[torch.arange(len(texts)), plain["attention_mask"].sum(dim=1) - 1]
    ours = Classifier.from_pretrained(run, device="cpu")
    torch.testing.assert_close(ours.logits(texts), batch, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.logits(texts), last, rtol=0, atol=1e-5)  # of the last token that is not padding
    answers = pipeline("text-classification", run)(texts, truncation=True)
    assert [answer["label"] for answer in ours(texts)] == [answer["label"] for answer in answers]


@pytest.mark.parametrize("architecture", REFUSED)
def test_the_rest_is_refused_in_one_line_and_an_earlier_run_stays(architecture, table, tmp_path):
    model, data = save(architecture, tmp_path / "model"), str(table(count=48))
    run = tmp_path / "run"
    run.mkdir()
    (run / "results.json").write_text("{}")
    (run / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(HfclsError, match=REFUSED[architecture]) as raised:
        fine_tune(model=model, dataset=data, output_dir=str(run), overwrite_output_dir=True, max_length=24)
    assert "\n" not in str(raised.value)
    assert sorted(path.name for path in run.iterdir()) == ["config.json", "results.json"]
    with pytest.raises(HfclsError, match=REFUSED[architecture]):
        check(model=model, dataset=data, max_length=24)


def test_texts_of_which_the_tokenizer_makes_no_token_are_not_learned_from(table, tmp_path):
    """Without an unknown token, letters that it does not have vanish: every text was the same padding token."""
    model = save("gpt2", tmp_path / "model")
    tokenizer = bare_tokenizer(eos="</s>", bos="<s>")
    tokenizer.backend_tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save_pretrained(model)
    data = str(table(lines=["text\tlabel", *(f"{'αβγδε'[i % 5]}{'ζηθικλμν'[i // 5]}\t{i % 2}" for i in range(40))]))
    with pytest.raises(HfclsError, match="the tokenizer makes no token of any text"):
        fine_tune(model=model, dataset=data, max_length=24, output_dir=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    with pytest.raises(HfclsError, match="the tokenizer makes no token of any text"):
        check(model=model, dataset=data, max_length=24)


def test_texts_that_are_all_the_mark_of_a_words_begin_are_not_learned_from(table, tmp_path):
    model = save("gpt2", tmp_path / "model")
    bare_tokenizer(eos="</s>", bos="<s>").save_pretrained(model)
    words = [f"{'αβγδε'[i % 5]}{'ζηθικλμν'[i // 5]}" for i in range(40)]
    data = str(table(lines=["text\tlabel", *(f"{' '.join(words[i:])}\t{i % 2}" for i in range(40))]))
    options = {"model": model, "dataset": data, "max_length": 24}
    with pytest.raises(
        HfclsError, match="the only token that the tokenizer makes of all texts is '▁': choose a --model"
    ):
        fine_tune(**options, output_dir=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    with pytest.raises(HfclsError, match="the only token that the tokenizer makes of all texts is '▁'"):
        check(**options)


def test_check_tries_the_model_on_the_texts_themselves(table, tmp_path):
    """Pairs on a model of one token type, as of klue/roberta; and a room for three tokens, which holds no pair."""
    encoder_folder("roberta", tmp_path / "model")
    lines = ["text\ttext_pair\tlabel", *(f"{text}\t최고\t{label}" for text, label in reviews(24))]
    options = {"model": str(tmp_path / "model"), "dataset": str(table(lines=lines)), "text_pair_column": "text_pair"}
    assert check(**options, max_length=24).cost.steps > 0
    with pytest.raises(HfclsError, match="max_length 3 leaves no room for two texts beside 3 special tokens"):
        check(**options, max_length=3)
    tokenizer = tiny_tokenizer(1)
    tokenizer.add_tokens([f"<{i}>" for i in range(100)])
    tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(HfclsError, match="of its tokens have ids above the model's"):
        check(**options, max_length=24)


def test_a_decoder_that_names_no_padding_is_refused_for_prediction(tmp_path):
    """transformers itself takes one text at a time from it; our own padding could be a text's last token."""
    tokenizer = bare_tokenizer(unk="<unk>", eos="</s>")
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=32)
    GPT2ForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(HfclsError, match="this gpt2 model fails .*no padding token is defined"):
        Classifier.from_pretrained(str(tmp_path))


def test_a_decoder_that_pads_with_another_token_than_its_tokenizer_is_refused_for_prediction(tmp_path):
    tokenizer = bare_tokenizer(unk="<unk>", eos="</s>", pad="<pad>")
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=32, pad_token_id=0, initializer_range=0.2
    )
    GPT2ForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(HfclsError, match="the logits of this gpt2 model depend on the padding beside a text"):
        Classifier.from_pretrained(str(tmp_path))
