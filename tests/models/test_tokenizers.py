"""A tokenizer reads as it was made, or is refused; it gives what its model takes."""

import json
import sys
import unicodedata
from pathlib import Path

import pytest
import torch
from architectures import bare_tokenizer, tiny, tiny_tokenizer
from tokenizers import Tokenizer, models, processors
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertTokenizer,
    CanineConfig,
    CanineTokenizer,
    DistilBertConfig,
    GPT2Config,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from hfcls import Classifier
from hfcls.errors import HfclsError
from hfcls.models.tokenizers import agree_on_padding, check_reading, check_vocabulary, composing, load_tokenizer

WORDS = ["영화", "재미", "최고", "정말", "이"]
SPECIAL = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]  # as KoBERT has them


def write(folder: Path, vocabulary: list[str], model_type: str = "bert", **tokenizer_config: object) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    if tokenizer_config:
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    return str(folder)


@pytest.mark.parametrize("tokenizer_config", [{}, {"do_lower_case": False}])
def test_pieces_of_sentencepiece_in_vocab_txt_are_refused(tokenizer_config, tmp_path):
    folder = write(tmp_path, [*SPECIAL, *(f"▁{word}" for word in WORDS), *WORDS], **tokenizer_config)
    with pytest.raises(HfclsError, match=r"has 5 pieces of SentencePiece \(▁\), which its BertTokenizer cannot read"):
        load_tokenizer(folder)


def test_word_pieces_beside_the_sign_itself_are_read(tmp_path):
    folder = write(tmp_path, [*SPECIAL, "▁", *WORDS, *(f"##{word}" for word in WORDS)])
    assert load_tokenizer(folder).tokenize("영화정말") == ["영화", "##정말"]


def test_the_first_token_is_where_the_model_reads_it():
    """XLNetTokenizer, as skt/kobert-base-v1 names it for a BERT, puts it last."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*SPECIAL, *WORDS])}, unk_token="[UNK]"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A [SEP] [CLS]", special_tokens=[("[SEP]", 3), ("[CLS]", 2)]
    )
    last = PreTrainedTokenizerFast(tokenizer_object=tokenizer, cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]")
    with pytest.raises(HfclsError, match=r"of it puts \[CLS\] last, and its bert model reads it first"):
        check_reading("it", last, BertConfig())
    check_reading("it", last)  # no model beside it: nothing is known
    check_reading("it", tiny_tokenizer(0), BertConfig())


def test_a_tokenizer_without_words_is_refused(tmp_path):
    """What transformers makes of a folder with spiece.model and the config of a BERT."""
    (tmp_path / "spiece.model").write_bytes(b"anything")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(HfclsError, match="has no words: its files are not those of BertTokenizer"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize(
    ("architecture", "file"),
    [("xlm-roberta", "sentencepiece.bpe.model"), ("albert", "spiece.model"), ("deberta-v2", "spm.model")],
)
def test_the_package_that_is_asked_for_is_the_one_that_helps(architecture, file, tmp_path, monkeypatch):
    monkeypatch.setattr("hfcls.models.sources.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    (tmp_path / file).write_bytes(b"anything")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": architecture}))
    with pytest.raises(HfclsError, match="pip install sentencepiece") as raised:
        load_tokenizer(str(tmp_path))
    assert "tiktoken" not in str(raised.value)


def test_a_class_that_transformers_does_not_know_is_not_blamed_on_a_package(tmp_path):
    folder = write(tmp_path, SPECIAL, tokenizer_class="KoBertTokenizer", do_lower_case=False)
    with pytest.raises(HfclsError, match="files that transformers cannot read; convert it to a tokenizer.json"):
        load_tokenizer(folder)


@pytest.mark.parametrize(
    ("file", "architecture", "right"),
    [
        ("sentencepiece.bpe.model", "xlm-roberta", True),
        ("spm.model", "deberta-v2", True),
        ("spiece.model", "albert", False),
    ],
)
def test_a_model_of_sentencepiece_is_read_as_sentencepiece_reads_it(file, architecture, right, tmp_path):
    """AlbertTokenizer takes Hangul apart (it strips accents), so that no piece is found."""
    sentencepiece = pytest.importorskip("sentencepiece")
    (tmp_path / "texts.txt").write_text("\n".join(f"{a} {b}" for a in WORDS for b in WORDS * 3), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "texts.txt"),
        model_prefix=str(tmp_path / "it"),
        vocab_size=60,
        hard_vocab_limit=False,
        unk_id=0,
        pad_id=1,
        bos_id=-1,
        eos_id=-1,
        user_defined_symbols=["[CLS]", "[SEP]", "[MASK]"],
    )
    (tmp_path / "it.model").rename(tmp_path / file)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": architecture}))
    if right:
        assert load_tokenizer(str(tmp_path)).tokenize("영화 최고") == ["▁영화", "▁최고"]
        return
    with pytest.raises(HfclsError, match="AlbertTokenizer reads the SentencePiece model of .* otherwise than"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize("kind", ["fast", "bert"])
@pytest.mark.parametrize(
    ("config", "given"),
    [
        (BertConfig(), True),
        (RobertaConfig(type_vocab_size=1), False),
        (DistilBertConfig(), False),
        (BertConfig(type_vocab_size=0), False),
    ],
)
def test_token_types_are_given_where_the_model_has_two(config, given, kind, tmp_path):
    """And so they are by the tokenizer that is saved beside the fine-tuned model, of whatever class."""
    write(tmp_path, [*SPECIAL, *WORDS])
    config.save_pretrained(tmp_path)
    if kind == "fast":
        tiny_tokenizer(1).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(str(tmp_path))
    assert ("token_type_ids" in tokenizer("영화", "최고")) is given
    tokenizer.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert isinstance(again, BertTokenizer) == (kind == "bert")
    assert ("token_type_ids" in again("영화", "최고")) is given


def test_a_classifier_put_together_by_hand_takes_pairs_on_one_token_type():
    model, tokenizer = tiny("roberta"), tiny_tokenizer(1)
    ids = torch.tensor([tokenizer("영화", "최고")["input_ids"]])
    with torch.no_grad():
        expected = model(input_ids=ids).logits
    torch.testing.assert_close(Classifier(model, tokenizer).logits([("영화", "최고")]), expected)


def test_a_token_without_a_row_is_named(tmp_path):
    """By its id: a tokenizer with gaps has fewer tokens than rows. kogpt2's GPT2Tokenizer adds one token so."""
    tokenizer = tiny_tokenizer(0)
    check_vocabulary("it", tokenizer, BertConfig(vocab_size=len(tokenizer)))
    tokenizer.add_tokens("<|endoftext|>")
    message = rf"1 of its tokens have ids above the model's {len(tokenizer) - 1} rows \('<\|endoftext\|>' is"
    with pytest.raises(HfclsError, match=message):
        check_vocabulary("it", tokenizer, BertConfig(vocab_size=len(tokenizer) - 1))


def test_a_model_without_a_vocabulary_takes_all_tokens():
    check_vocabulary("it", CanineTokenizer(), CanineConfig())


def test_a_tokenizer_without_padding_takes_that_of_its_model(tmp_path):
    tokenizer = tiny_tokenizer(0)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    BertConfig(pad_token_id=3).save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).pad_token == "[UNK]"


def test_what_is_saved_does_not_tell_of_the_network(tmp_path):
    write(tmp_path, [*SPECIAL, *WORDS])
    load_tokenizer(str(tmp_path)).save_pretrained(tmp_path / "saved")
    assert "local_files_only" not in json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text())


@pytest.mark.parametrize(
    ("marks", "pad"),
    [
        ({"unk": "<unk>", "eos": "</s>"}, "</s>"),
        ({"unk": "<unk>"}, "<unk>"),
        ({"bos": "<s>"}, "<s>"),
        ({"unk": "<unk>", "eos": "</s>", "pad": "<pad>"}, "<pad>"),
    ],
)
def test_a_decoder_gets_a_padding_token_that_it_knows(marks, pad):
    tokenizer = bare_tokenizer(**marks)
    config = GPT2Config(vocab_size=len(tokenizer))
    assert config.pad_token_id is None
    agree_on_padding("it", tokenizer, config)
    assert tokenizer.pad_token == pad
    assert config.pad_token_id == tokenizer.pad_token_id


def test_no_padding_token_is_taken_that_each_text_ends_in():
    tokenizer = bare_tokenizer(unk="<unk>", eos="</s>")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", tokenizer.eos_token_id)]
    )
    agree_on_padding("it", tokenizer, config := GPT2Config(vocab_size=len(tokenizer)))
    assert tokenizer.pad_token == "<unk>"
    assert config.pad_token_id == tokenizer.unk_token_id
    bare = bare_tokenizer()
    with pytest.raises(HfclsError, match="the tokenizer of it has no padding token and none to spare"):
        agree_on_padding("it", bare, GPT2Config(vocab_size=len(bare)))


@pytest.mark.parametrize("settings", [{"do_lower_case": False}, {"do_lower_case": False, "strip_accents": False}])
def test_decomposed_hangul_is_read_as_composed_also_by_plain_transformers(settings, tmp_path):
    given = load_tokenizer(write(tmp_path / "a", ["[PAD]", *SPECIAL[::4], "[CLS]", "[SEP]", *WORDS], **settings))
    text, decomposed = "영화 정말 이", unicodedata.normalize("NFD", "영화 정말 이")
    assert given.unk_token_id in given(decomposed)["input_ids"]
    tokenizer = composing(given)
    tokenizer.model_max_length = 32
    tokenizer.save_pretrained(tmp_path / "b")
    (tmp_path / "b/config.json").write_text('{"model_type": "bert"}')
    for read in (tokenizer, AutoTokenizer.from_pretrained(tmp_path / "b"), load_tokenizer(str(tmp_path / "b"))):
        assert dict(read(decomposed)) == dict(given(text))
        assert dict(read(text, decomposed)) == dict(given(text, text))
        assert read.pad_token_id == given.pad_token_id
    assert composing(tokenizer) is tokenizer
