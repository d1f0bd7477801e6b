"""The encoder that ships with hfcls: small, offline, and it has read Korean reviews and their ratings."""

import csv

import pytest
import torch
from conftest import ROOT
from huggingface_hub import ModelCard
from safetensors import safe_open
from transformers import AutoModelForMaskedLM, AutoTokenizer

from hfcls.models.loading import load_model, model_and_tokenizer
from hfcls.models.sources import SHIPPED, local_folder
from hfcls.models.tokenizers import train_tokenizer
from hfcls.publishing.card import base_licence

NAME = SHIPPED[0]
FOLDER = ROOT / "hfcls/models/encoders" / NAME


def test_it_is_small_and_in_half_precision_with_card_licence_and_log_beside_it():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 12 * 2**20
    with safe_open(FOLDER / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float16}  # noqa: SIM118
    card = ModelCard.load(FOLDER / "README.md")
    assert (card.data.license, card.data.language) == ("apache-2.0", "ko")
    assert base_licence(NAME) == "apache-2.0"
    assert "Apache" in (FOLDER / "LICENSE").read_text(encoding="utf-8")
    with (FOLDER / "log.csv").open() as file:
        perplexities = [float(row["eval_perplexity"]) for row in csv.DictReader(file) if row["eval_perplexity"]]
    assert f"{perplexities[-1]:.1f}" in card.text, "the card names the perplexity of the log's end"
    assert "/root" not in (FOLDER / "config.json").read_text() + card.content


def test_its_name_finds_it_anywhere_unless_there_is_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert local_folder(NAME) == FOLDER
    (tmp_path / NAME).mkdir()
    assert local_folder(NAME) != FOLDER


def test_it_becomes_a_classifier_in_float32():
    model, tokenizer = model_and_tokenizer(NAME, ["부정", "긍정"], max_length=128, texts=[])
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.config.id2label == {0: "부정", 1: "긍정"}
    assert tokenizer.unk_token_id not in tokenizer("배우들 연기가 정말 훌륭했어요 ㅋㅋㅋ 강추합니다!!")["input_ids"]
    assert load_model(NAME, ["가", "나", "다"], max_length=64).config.num_labels == 3


@pytest.mark.parametrize(
    "spaced", ["정말 좋아요 ", "  정말 좋아요", "정말   좋아요", "정말\n좋아요\r\n", "정말\u00a0좋아요"]
)
def test_spaces_tell_words_apart_and_nothing_else(spaced):
    """How many there are tells how a file was made: in one corpus of sarcasm only one class has spaces at the end."""
    tokenizers = (
        AutoTokenizer.from_pretrained(FOLDER),
        train_tokenizer(["정말 좋아요  ", " 정말"] * 20, vocab_size=60),
    )
    for tokenizer in tokenizers:
        assert tokenizer(spaced)["input_ids"] == tokenizer("정말 좋아요")["input_ids"]
        assert tokenizer("정말좋아요")["input_ids"] != tokenizer("정말 좋아요")["input_ids"]


@pytest.fixture(scope="module")
def masked_lm():
    model = AutoModelForMaskedLM.from_pretrained(FOLDER, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(FOLDER)


@torch.no_grad()
def test_it_guesses_hidden_words(masked_lm):
    model, tokenizer = masked_lm
    text = f"배우들의 {tokenizer.mask_token} 정말 좋았다"
    ids = tokenizer(text, return_tensors="pt")
    at = ids["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    guesses = tokenizer.convert_ids_to_tokens(model(**ids).logits[0, at].topk(10).indices)
    assert any("연기" in guess for guess in guesses)


@torch.no_grad()
@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("정말 재미있게 봤습니다 최고예요", True),
        ("감동적이고 여운이 길게 남는 작품", True),
        ("시간이 아깝다 최악의 졸작", False),
        ("지루해서 보다가 잤다", False),
    ],
)
def test_it_rates_reviews_at_the_first_token(masked_lm, text, good):
    model, tokenizer = masked_lm
    logits = model(**tokenizer(text, return_tensors="pt")).logits[0, 0]
    ids = tokenizer.convert_tokens_to_ids([str(rating) for rating in range(1, 11)])
    probabilities = logits[ids].softmax(0)
    rating = (probabilities * torch.arange(1.0, 11.0)).sum().item()
    assert (rating > 6.5) == good, rating
