"""What each word adds to a decision is what its removal takes away."""

import re

import numpy as np
import pytest
import torch
from conftest import WORDS
from hypothesis import given, settings
from hypothesis import strategies as st

from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.inference.occlusion import MOST_PARTS, occlusion
from hfcls.scoring.tasks import MultiLabel


@pytest.fixture(scope="module")
def classifier(classifier_folder):
    return Classifier.from_pretrained(classifier_folder)


def brute_force(classifier: Classifier, text: str) -> tuple[str, list[float]]:
    """One text at a time, each padded to the full width: the label, and its loss for each word left out."""
    slow = Classifier(classifier.model, classifier.tokenizer, batching="fixed", batch_size=1)
    whole = slow(text, all_scores=True)
    words = re.split(r"(\s+)", text.strip())
    losses = []
    for i in range(0, len(words), 2):
        without = "".join(words[:i]).rstrip() + "".join(words[i + 1 :])
        losses.append(whole["score"] - slow(without, all_scores=True)["scores"][whole["label"]])
    return whole["label"], losses


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([*WORDS, "Zeit", "😀", "영화  정말"]), min_size=1, max_size=20).map(" ".join))
def test_each_word_moved_the_decision_by_what_is_lost_without_it(classifier, text):
    scores, parts = occlusion(classifier, text)
    label, losses = brute_force(classifier, text)
    assert max(scores, key=scores.__getitem__) == label
    assert sum(scores.values()) == pytest.approx(1, abs=1e-6)
    assert [part.text for part in parts] == text.split()
    assert [part.moved for part in parts] == pytest.approx(losses, abs=1e-5)
    assert max(abs(part.moved) for part in parts) > 1e-4  # the comparison is not one of zeros


def test_tokens_are_those_that_the_model_reads(classifier):
    text = "영화 정말재미 있다"
    assert occlusion(classifier, "돈이")[1][0].tokens == ["돈", "이"]  # the model also reads a space before it
    _, parts = occlusion(classifier, text)
    for part in parts:
        assert "".join(part.tokens) == part.text
    ids = classifier.tokenizer(text)["input_ids"]
    assert sum(len(part.tokens) for part in parts) == len(ids) - 2


def test_a_long_text_is_cut_into_few_parts_and_says_what_was_not_read(classifier):
    text = " ".join(["영화"] * 500)
    _, parts = occlusion(classifier, text)
    assert len(parts) <= MOST_PARTS
    assert " ".join(part.text for part in parts) == text
    assert parts[0].tokens
    assert not parts[-1].tokens  # beyond max_length
    assert parts[-1].moved == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_text_without_words_has_no_parts(classifier, text):
    scores, parts = occlusion(classifier, text)
    assert parts == []
    torch.testing.assert_close(torch.tensor(list(scores.values())), classifier.probabilities([text])[0])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text_columns": ["제목", "본문"], "joint": " [SEP] "}, "fine-tuned on the columns '제목', '본문'"),
        ({"text_column": "앞", "text_pair_column": "뒤"}, "fine-tuned on pairs of texts"),
    ],
)
def test_one_text_is_not_explained_where_the_model_reads_several(classifier_folder, columns, message):
    classifier = Classifier.from_pretrained(classifier_folder)
    classifier.columns = columns
    with pytest.raises(HfclsError, match=message):
        occlusion(classifier, "최고 추천")


def test_of_several_labels_it_explains_one_that_was_given(classifier_folder):
    """Whose probability may be below that of another, which has a higher threshold."""
    classifier = Classifier.from_pretrained(classifier_folder)
    text = "최고 추천"
    high, low = np.argsort(-classifier.probabilities([text])[0].numpy())
    thresholds = [0.0, 0.0]
    thresholds[high] = 1.0
    classifier.task = MultiLabel(classifier.labels, thresholds)
    (whole, *without) = classifier.probabilities([text, "추천", "최고"])[:, low].tolist()
    _, parts = occlusion(classifier, text)
    assert [part.moved for part in parts] == pytest.approx([whole - one for one in without], abs=1e-6)
