"""Long texts in windows are held to one text after another, padded, its windows' logits averaged."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from architectures import CONFIGS, collators, tiny, tiny_tokenizer
from conftest import reviews
from datasets import Dataset
from transformers import PreTrainedModel

from hfcls.batching.sampling import filler
from hfcls.batching.windows import check_windows, over_windows, texts_in_batch, use_windows, window_stride
from hfcls.config.options import MOST_WINDOWS
from hfcls.data import encoding
from hfcls.data.encoding import tokenize
from hfcls.errors import HfclsError
from hfcls.models.heads import head_features, mean_by_text
from hfcls.models.pooling import layer_means
from hfcls.scoring.losses import classification_loss

LENGTH, STRIDE = 24, 6
TEXTS = [" ".join(text for text, _ in reviews(count, seed)) for seed, count in enumerate((1, 9, 2, 20, 1, 5))] + [""]


def rows(name: str) -> list[dict[str, Any]]:
    encoded = tokenize(tiny_tokenizer(CONFIGS[name].pad_token_id or 0), TEXTS, max_length=LENGTH, stride=STRIDE)
    values = zip(*encoded.values(), strict=True)
    return [{**dict(zip(encoded, row, strict=True)), "labels": i % 3} for i, row in enumerate(values)]


def slow_logits(model: PreTrainedModel, name: str) -> torch.Tensor:
    """The tokens of each text cut by hand, each piece alone in a batch."""
    tokenizer, means = tiny_tokenizer(CONFIGS[name].pad_token_id or 0), []
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        new = LENGTH - 2 - STRIDE
        starts = range(0, max(len(ids) - STRIDE, 1), new)
        windows = [[tokenizer.cls_token_id, *ids[a : a + LENGTH - 2], tokenizer.sep_token_id] for a in starts]
        logits = [model(input_ids=torch.tensor([window])).logits for window in windows]
        means.append(torch.cat(logits).mean(0))
    return torch.stack(means)


@pytest.mark.parametrize("name", CONFIGS)
def test_packed_and_padded_windows_are_one_text_at_a_time(name):
    """The logits, and the gradients of a loss that counts each text once."""
    model = tiny(name)
    labels = torch.tensor([row["labels"] for row in rows(name)])
    expected = slow_logits(model, name)
    classification_loss({"logits": expected}, labels).backward()
    gradients = {key: weight.grad.clone() for key, weight in model.named_parameters() if weight.grad is not None}
    largest = max(gradient.norm().item() for gradient in gradients.values())
    for collate in collators(model, None):
        batch = collate(rows(name))
        assert next(iter(batch)) == "labels"  # Trainer takes a batch's size from it
        assert batch["window_counts"].tolist() == [len(row["window_lengths"]) for row in rows(name)]
        assert max(batch["window_counts"]) > 5
        model.zero_grad()
        outputs = over_windows(model)(**{key: value for key, value in batch.items() if key != "labels"})
        torch.testing.assert_close(outputs.logits, expected, rtol=0, atol=1e-5)
        classification_loss(outputs, batch["labels"]).backward()
        for key, gradient in gradients.items():
            gap = (dict(model.named_parameters())[key].grad - gradient).norm().item()
            assert gap < 1e-4 * max(gradient.norm().item(), 1e-3 * largest), key


def test_texts_that_fit_have_the_tokens_of_truncation_and_one_window():
    tokenizer = tiny_tokenizer(0)
    short = [text for text in TEXTS if len(tokenizer(text)["input_ids"]) <= LENGTH]
    assert len(short) == 4
    encoded = tokenize(tokenizer, short, max_length=LENGTH, stride=STRIDE)
    assert encoded["input_ids"] == tokenize(tokenizer, short, max_length=LENGTH)["input_ids"]
    assert encoded["window_lengths"] == [[len(ids)] for ids in encoded["input_ids"]]


def test_a_book_is_cut_after_so_many_windows_and_pairs_as_ever():
    tokenizer = tiny_tokenizer(0)
    encoded = tokenize(tokenizer, ["최고 추천 " * 2_000], max_length=LENGTH, stride=STRIDE)
    assert encoded["window_lengths"] == [[LENGTH] * MOST_WINDOWS]
    assert len(encoded["input_ids"][0]) == LENGTH * MOST_WINDOWS
    pairs = [TEXTS[1]], [TEXTS[3]]
    assert tokenize(tokenizer, *pairs, max_length=LENGTH, stride=4) == tokenize(tokenizer, *pairs, max_length=LENGTH)


def test_filler_is_one_token_that_neither_loss_nor_other_texts_feel():
    model, plain = tiny("bert"), rows("bert")
    added = filler(plain[3])
    assert (len(added["input_ids"]), added["window_lengths"], added["labels"]) == (1, [1], -100)
    for collate in collators(model, None):
        losses = []
        for given in (plain, [*plain, added, added]):
            batch = collate(given)
            labels = batch.pop("labels")
            losses.append(classification_loss(over_windows(model)(**batch), labels))
        torch.testing.assert_close(losses[0], losses[1])


def test_what_the_head_is_fitted_on_is_the_mean_of_the_windows():
    model, texts = tiny("bert"), rows("bert")
    padded = collators(model, None)[1]
    windows = [
        {"input_ids": ids} for row in texts for ids in torch.tensor(row["input_ids"]).split(row["window_lengths"])
    ]
    windows = [{"input_ids": row["input_ids"].tolist()} for row in windows]
    counts = torch.tensor([len(row["window_lengths"]) for row in texts])
    expected = mean_by_text(head_features(model, windows, padded), counts)
    torch.testing.assert_close(head_features(model, texts, padded, batch_size=3), expected)
    layers = layer_means(model, texts, padded)
    for layer, of_windows in zip(layers, layer_means(model, windows, padded), strict=True):
        torch.testing.assert_close(layer, mean_by_text(of_windows, counts))


def test_a_batch_of_evaluation_has_about_as_many_windows_as_it_would_have_texts():
    texts = Dataset.from_dict({"input_ids": [[1] * 9] * 4, "window_lengths": [[9], [5, 4], [3, 3, 3], [5, 4]]})
    assert texts_in_batch(texts, 128) == 64
    assert texts_in_batch(texts, 1) == 1
    assert texts_in_batch(texts.remove_columns("window_lengths"), 128) == 128


def test_what_cannot_be_read_in_windows_is_refused():
    tokenizer, config = tiny_tokenizer(0), SimpleNamespace()
    with pytest.raises(HfclsError, match="stride 22 leaves nothing new in a window of 24 tokens, 22 without special"):
        use_windows(config, "cpu", tokenizer=tokenizer, max_length=24, stride=22)
    with pytest.raises(HfclsError, match="needs batches of any shape, and XLA compiles a graph for each"):
        use_windows(config, "xla", tokenizer=tokenizer, max_length=24, stride=6)
    use_windows(config, "cpu", tokenizer=tokenizer, max_length=24, stride=None)
    assert vars(config) == {}  # nothing is said of what everybody does
    use_windows(config, "cpu", tokenizer=tokenizer, max_length=24, stride=6)
    assert window_stride(config, tokenizer, 24) == 6
    use_windows(config, "cpu", tokenizer=tokenizer, max_length=24, stride=None)
    assert window_stride(config, tokenizer, 24) is None
    with pytest.raises(HfclsError, match="window_stride in config.json must be a number of tokens, found 'six'"):
        window_stride(SimpleNamespace(window_stride="six"), tokenizer, 24)
    with pytest.raises(HfclsError, match="needs a fast tokenizer"):
        check_windows(SimpleNamespace(is_fast=False), 24, 6)


def test_the_log_tells_what_becomes_of_long_texts(caplog, monkeypatch):
    caplog.set_level("INFO", logger="hfcls")
    tokenizer, texts = tiny_tokenizer(0), Dataset.from_dict({"text": TEXTS, "label": [0] * len(TEXTS)})
    for stride, told in ((None, "cut: raise it, or read them whole with --long_texts windows"), (6, "read in windows")):
        caplog.clear()
        encoded = encoding.encode(texts, tokenizer, LENGTH, stride=stride)
        encoding.check_tokens(texts, encoded, tokenizer, LENGTH, allow_unknown=True, stride=stride)
        assert caplog.messages == [f"train: 42.9 % of the texts are longer than max_length 24 and {told}"]
    monkeypatch.setattr(encoding, "MOST_WINDOWS", 5)
    caplog.clear()
    encoding.check_tokens(texts, encoded, tokenizer, LENGTH, allow_unknown=True, stride=6)
    longest = [count for count in map(len, encoded["window_lengths"]) if count > 5]
    assert caplog.messages[0].endswith(f"and read in windows; {len(longest)} texts are cut after 5 windows")
