"""A classifier gives the logits of plain transformers, whatever the batch."""

import random
import threading

import pandas as pd
import pytest
import torch
from architectures import CONFIGS, tiny
from conftest import WORDS
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, BertConfig

from hfcls.batching.bins import tight_rows
from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.models.loading import load_model
from hfcls.models.tokenizers import load_tokenizer

TEXTS = ["영화 최고", "", "별로 " * 100, "정말 재미 없다 ㅠㅠ"]


@pytest.fixture(scope="module")
def make(tiny_model):
    torch.manual_seed(3)
    model = load_model(tiny_model, ["부정", "긍정"])
    tokenizer = load_tokenizer(tiny_model)
    return lambda **options: Classifier(model, tokenizer, max_length=64, **options)


def test_a_text_gets_an_answer_and_a_list_a_list(make):
    classifier = make()
    answers = classifier(TEXTS)
    assert len(answers) == 4
    assert set(answers[0]) == {"label", "score"}
    single = classifier(TEXTS[0])
    assert single["label"] == answers[0]["label"]
    assert single["score"] == pytest.approx(answers[0]["score"], abs=1e-6)
    assert classifier([]) == []
    assert classifier.probabilities(TEXTS).sum(dim=1).tolist() == pytest.approx([1] * 4)


@pytest.mark.parametrize("batching", ["packed", "longest", "fixed", "exact"])
def test_every_batching_and_batch_size_gives_the_same_logits_in_the_order_of_the_input(make, batching):
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=rng.randrange(40))) for _ in range(50)]
    reference = make(batching="fixed", batch_size=1).logits(texts)
    for size in (1, 7, 64):
        logits = make(batching=batching, batch_size=size).logits(texts)
        torch.testing.assert_close(logits, reference, rtol=0, atol=1e-5)


def test_packed_batches_of_mixed_lengths_compute_fewer_tokens_than_sorted_ones(make):
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=min(60, 1 + int(rng.expovariate(1 / 12))))) for _ in range(500)]
    computed = {}
    for batching in ("packed", "longest"):
        classifier = make(batching=batching, batch_size=64)
        lengths = [len(row["input_ids"]) for row in classifier._rows(texts)]
        batches = list(classifier._batches(classifier._rows(texts)))
        assert sorted(i for batch in batches for i in batch) == list(range(500))
        assert max(map(len, batches)) <= 64
        packed = [tight_rows([lengths[i] for i in batch]) for batch in batches]
        computed[batching] = sum(width * len(rows) for width, rows in packed)
    assert sum(lengths) <= computed["packed"] < 0.98 * computed["longest"]


def random_texts(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.choice([0, 1, 2, 3, 5, 8, 30, 80]))) for _ in range(count)]


@pytest.mark.parametrize("architecture", CONFIGS)
def test_exact_bits_depend_on_no_other_text(make, architecture):
    """Any order, any part, any batch size; alone, repeated, or among 200."""
    classifier = Classifier(tiny(architecture), make().tokenizer, max_length=64, batching="exact", batch_size=3)
    classifier.model.resize_token_embeddings(len(classifier.tokenizer))
    texts = random_texts(200, seed=1)
    reference = classifier.logits(texts)
    rng = random.Random(2)
    for size in (1, 2, 3, 5, 16, 64):
        for _ in range(4):
            part = rng.choices(range(200), k=size)
            classifier.batch_size = rng.randrange(1, 65)
            assert torch.equal(classifier.logits([texts[i] for i in part]), reference[part])


@pytest.mark.slow
def test_exact_bits_depend_on_no_other_text_with_two_threads(make):
    """Wide enough for threads to divide the products: in batches of 5 to 10 texts the head's bits would differ."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=200, hidden_size=128, num_hidden_layers=1, num_attention_heads=2, intermediate_size=256
    )
    model = AutoModelForSequenceClassification.from_config(config)
    classifier = Classifier(model, make().tokenizer, max_length=64, batching="exact")
    rng = random.Random(1)
    texts = [" ".join(rng.choices(WORDS, k=rng.randrange(32))) for _ in range(300)]
    torch.set_num_threads(2)
    try:
        reference = classifier.logits(texts)
        for seed in range(10):
            part = random.Random(seed).choices(range(300), k=30)
            assert torch.equal(classifier.logits([texts[i] for i in part]), reference[part])
    finally:
        torch.set_num_threads(1)


@settings(max_examples=25, deadline=None)
@given(order=st.lists(st.integers(0, 49), min_size=1, max_size=64))
def test_exact_probabilities_are_the_same_in_any_company(make, order):
    classifier = make(batching="exact")
    texts = random_texts(50, seed=3)
    alone = {i: classifier.probabilities([texts[i]])[0] for i in set(order)}
    together = classifier.probabilities([texts[i] for i in order])
    assert torch.equal(together, torch.stack([alone[i] for i in order]))


@pytest.mark.parametrize("batching", ["packed", "longest", "exact"])
def test_threads_may_share_a_classifier(make, batching):
    classifier = make(batching=batching)
    parts = [random_texts(20, seed=i) for i in range(8)]
    expected = [make(batching=batching).logits(part) for part in parts]
    start, wrong = threading.Barrier(8), []

    def work(i: int) -> None:
        start.wait()
        try:
            wrong.extend(i for _ in range(10) if not torch.equal(classifier.logits(parts[i]), expected[i]))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, found 0"),
        ({"batch_size": "64"}, "batch_size must be at least 1, found '64'"),
        ({"max_length": 0}, "max_length must be at least 1, found 0"),
        ({"batching": "packet"}, "batching must be one of packed, longest, fixed, found 'packet'"),
    ],
)
def test_sizes_and_layouts_that_are_none_are_refused(classifier_folder, given, message):
    with pytest.raises(HfclsError, match=message):
        Classifier.from_pretrained(classifier_folder, **given)


def test_what_is_not_a_text_is_named(make):
    with pytest.raises(HfclsError, match=r"text 1 has half a character \(U\+D83D\) at 3: it was read with the wrong"):
        make()(["좋다", "웃음 \ud83d"])
    with pytest.raises(HfclsError, match=r"text 1 is not a text \(or pair of texts\) but int: 3"):
        make()(["좋다", 3])
    with pytest.raises(HfclsError, match="text 1 is a pair, but text 0 is a text: give all of one kind"):
        make()(["좋다", ("좋다", "나쁘다")])
    for nothing in (None, 5, b"text", {"text": "좋다"}):
        with pytest.raises(HfclsError, match=f"a list of them, found {type(nothing).__name__}"):
            make()(nothing)
    frame = pd.DataFrame({"text": ["좋다", "나쁘다"], "label": [1, 0]})
    for table, hint in (
        (frame, "DataFrame: give one column of it"),
        ({"좋다"}, "set, which has no order: give a list"),
    ):
        with pytest.raises(HfclsError, match=f"a list of them, found {hint}"):
            make()(table)
    assert make()(frame["text"]) == make()(list(frame["text"]))


def with_columns(folder: str, **columns: object) -> Classifier:
    """A classifier whose training data had these columns."""
    model, tokenizer = load_model(folder, ["부정", "긍정"]), load_tokenizer(folder)
    model.config.data_columns = columns
    return Classifier(model, tokenizer, max_length=64)


def test_a_model_of_pairs_is_given_pairs(tiny_model):
    classifier = with_columns(tiny_model, text_column="앞", text_pair_column="뒤")
    assert set(classifier(("영화", "최고"))) == {"label", "score"}
    with pytest.raises(HfclsError, match="fine-tuned on pairs of texts .columns '앞' and '뒤'., found single texts"):
        classifier("영화 최고")


def test_a_model_of_single_texts_refuses_pairs(tiny_model):
    classifier = with_columns(tiny_model, text_column="글", text_pair_column=None)
    assert set(classifier("영화 최고")) == {"label", "score"}
    with pytest.raises(HfclsError, match="text 0 is a pair, .* on single texts .column '글'.: give single texts"):
        classifier([("영화", "최고")])


def test_a_model_of_joined_columns_takes_tuples_or_what_was_joined_before(tiny_model):
    classifier = with_columns(tiny_model, text_columns=["제목", "본문"], joint=" [SEP] ")
    joined, apart = classifier("영화 [SEP] 최고"), classifier(("영화", "최고"))
    assert joined == apart
    with pytest.raises(HfclsError, match="text 0 is a single text: .* columns '제목', '본문': give tuples of 2 texts"):
        classifier("영화 최고")
    with pytest.raises(HfclsError, match="text 0 has 3 parts"):
        classifier(("영화", "최고", "추천"))
