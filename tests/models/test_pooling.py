"""Mean pooling and depth: the plain model computes what they promise, padded, packed and loaded again."""

import logging
import math

import pytest
import torch
from datasets import Dataset
from test_heads import ARCHITECTURES, labels_of, model_of, padded_logits, rows_of
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification

from hfcls.batching.choice import collator_for
from hfcls.batching.collate import PaddedCollator
from hfcls.errors import HfclsError
from hfcls.models.heads import head_features
from hfcls.models.pooling import (
    MEAN_SCALE,
    STACKED,
    add_mean_pooling,
    best_depth,
    encoder_layers,
    keep_layers,
    layer_means,
    probe_features,
    take_shape,
    warm_start,
)


@ARCHITECTURES
def test_mean_pooling_is_the_mean_in_a_plain_model(kind, tmp_path):
    model, rows = model_of(kind), rows_of(30)
    batch = PaddedCollator(model.config.pad_token_id, None)(rows)
    batch.pop("labels")
    with torch.inference_mode():
        hidden = model.base_model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    mean = (hidden * mask).sum(1) / mask.sum(1)
    assert add_mean_pooling(model) == (kind != "albert")
    if kind == "albert":
        return
    plain = head_features(model, rows, PaddedCollator(model.config.pad_token_id, None))
    if kind == "modernbert":
        assert torch.allclose(plain, mean, atol=1e-5)
    else:
        expected = F.layer_norm(MEAN_SCALE * mean + hidden[:, 0], mean.shape[-1:])
        assert torch.allclose(plain, expected, atol=1e-4)
    packed = collator_for(model, pad_token_id=model.config.pad_token_id, max_length=64)
    assert torch.allclose(head_features(model, rows, packed), plain, atol=1e-4)
    model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert torch.allclose(padded_logits(again, rows), padded_logits(model, rows), atol=1e-6)


def test_the_mean_layer_learns_where_to_look():
    """A query and a key of 0 would both stay there: each one's gradient has the other as a factor."""
    model = model_of("bert")
    add_mean_pooling(model)
    rows = rows_of(16)
    model(**PaddedCollator(0, None)(rows)).loss.backward()
    layer = model.bert.encoder.layer[-1]
    for linear in (layer.attention.self.query, layer.attention.self.value, layer.output.dense):
        assert linear.weight.grad.abs().max() > 0


def test_mean_pooling_comes_before_packing():
    model = model_of("bert")
    collator_for(model, pad_token_id=0, max_length=64)
    with pytest.raises(ValueError, match="before enable_packing"):
        add_mean_pooling(model)


@pytest.mark.parametrize("kind", STACKED)
def test_a_model_of_fewer_layers_is_one_whose_upper_layers_never_ran(kind, tmp_path):
    model, rows = model_of(kind), rows_of(20)
    collator = PaddedCollator(model.config.pad_token_id, None)
    means = layer_means(model.train(), rows, collator, batch_size=7)
    assert model.training
    assert means.shape == (2, 20, 32)
    keep_layers(model, 1)
    batch = collator(rows)
    mask = batch["attention_mask"].unsqueeze(-1)
    batch.pop("labels")
    model.eval().save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert len(encoder_layers(again)) == 1
    with torch.inference_mode():
        hidden = again.base_model(**batch).last_hidden_state
    assert torch.allclose((hidden * mask).sum(1) / mask.sum(1), means[0], atol=1e-5)
    assert torch.allclose(padded_logits(again, rows), padded_logits(model, rows), atol=1e-6)
    add_mean_pooling(again)
    assert len(encoder_layers(again)) == 2


def test_the_depth_is_where_a_probe_sees_the_classes():
    labels = labels_of(rows_of(90))
    means = torch.randn(6, 90, 8, generator=torch.Generator().manual_seed(0))
    means[3] += 3 * F.one_hot(labels, 8)
    assert best_depth(means, labels) == 4
    assert best_depth(means, F.one_hot(labels, 3).float()) == 4
    assert best_depth(means, labels.float()) == 4
    means[0] += 9 * F.one_hot(labels, 8)  # too low to be the last
    assert best_depth(means, labels) == 4


@ARCHITECTURES
def test_a_run_starts_from_a_plain_model_that_knows_the_classes(kind, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    model, rows = model_of(kind), rows_of(90)
    pad = model.config.pad_token_id
    padded = PaddedCollator(pad, None)
    warm_start(model, Dataset.from_list(rows), padded, layers="auto", pooling="mean")
    logits = padded_logits(model, rows)
    assert F.cross_entropy(logits, labels_of(rows)).item() < 0.9 * math.log(3)
    assert "head fitted on" in caplog.text
    packed = collator_for(model, pad_token_id=pad, max_length=64)(rows[:8])
    with torch.inference_mode():
        assert torch.allclose(model(**packed).logits[:8], logits[:8], atol=1e-3)
    model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert torch.allclose(padded_logits(again, rows), logits, atol=1e-5)
    resumed = model_of(kind)
    take_shape(resumed, tmp_path, pooling="mean")
    resumed.load_state_dict(model.state_dict())
    assert torch.allclose(padded_logits(resumed, rows), logits, atol=1e-5)


def test_layers_by_number_and_what_cannot_be(caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    rows, padded = Dataset.from_list(rows_of(30)), PaddedCollator(0, None)
    model = model_of("bert")
    warm_start(model, rows, padded, layers="1")
    assert (len(encoder_layers(model)), model.config.num_hidden_layers) == (1, 1)
    with pytest.raises(HfclsError, match=r"--layers 3 is more than the model has \(1\): give fewer, or all"):
        warm_start(model, rows, padded, layers="3")
    with pytest.raises(HfclsError, match="the layers of a albert model cannot be dropped: leave out --layers 1"):
        warm_start(model_of("albert"), rows, padded, layers="1")
    unknown = model_of("bert")
    unknown.config.model_type = "mystery"
    with pytest.raises(HfclsError, match="the head of a mystery model is not known; leave out --freeze_encoder"):
        warm_start(unknown, rows, padded, needed=True)
    before = {name: tensor.clone() for name, tensor in unknown.state_dict().items()}
    warm_start(unknown, rows, padded, layers="auto", pooling="mean")  # the run goes on
    assert before.keys() == unknown.state_dict().keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in unknown.state_dict().items())
    model.config.architectures = ["BertForSequenceClassification"]
    before = model.classifier.weight.clone()
    warm_start(model, rows, padded, pooling="mean")
    assert torch.equal(model.classifier.weight, before)
    assert "the model is a classifier already" in caplog.text


@ARCHITECTURES
def test_a_probe_reads_the_first_token_or_the_mean_whichever_tells_more(kind, monkeypatch):
    rows, collator = rows_of(60), PaddedCollator(model_of(kind).config.pad_token_id, None)
    labels = labels_of(rows)
    first = head_features(model_of(kind), rows, collator)
    if kind not in STACKED:
        assert torch.equal(probe_features(model_of(kind), rows, labels, collator), first)
        return
    means = layer_means(model_of(kind), rows, collator)
    assert torch.equal(layer_means(model_of(kind), rows, collator, last_only=True)[0], means[-1])
    for better in ("first", "mean"):
        # whose loss is which is told by the values: `best_depth` and the choice between the two both ask for it
        monkeypatch.setattr(
            "hfcls.models.pooling.out_of_fold_loss",
            lambda features, _, better=better: float(_is_part_of(features, first) != (better == "first")),
        )
        monkeypatch.setattr("hfcls.models.pooling.best_depth", lambda means, labels: 1)
        found = probe_features(model_of(kind), rows, labels, collator)
        assert torch.allclose(found, first if better == "first" else means[0], atol=1e-5)


def _is_part_of(features: torch.Tensor, whole: torch.Tensor) -> bool:
    return bool(
        (torch.cdist(features, whole, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1).values < 1e-3).all()
    )
