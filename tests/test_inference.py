import random

import pytest
import torch
from conftest import WORDS

from hfcls.errors import HfclsError
from hfcls.inference import Classifier
from hfcls.modeling import load_model, load_tokenizer

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


@pytest.mark.parametrize("batching", ["packed", "longest", "fixed"])
def test_every_batching_and_batch_size_gives_the_same_logits_in_the_order_of_the_input(make, batching):
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=rng.randrange(40))) for _ in range(50)]
    reference = make(batching="fixed", batch_size=1).logits(texts)
    for size in (1, 7, 64):
        logits = make(batching=batching, batch_size=size).logits(texts)
        torch.testing.assert_close(logits, reference, rtol=0, atol=1e-5)


def test_what_is_not_a_text_is_named(make):
    with pytest.raises(HfclsError, match=r"text 1 is not a text \(or pair of texts\) but int: 3"):
        make()(["좋다", 3])
    with pytest.raises(HfclsError, match="text 1 is a pair, but text 0 is a text: give all of one kind"):
        make()(["좋다", ("좋다", "나쁘다")])
