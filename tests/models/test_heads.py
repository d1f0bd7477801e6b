"""The warm head, for each architecture that can be packed: what is fitted is what the plain model then computes."""

import copy
import math

import pytest
import torch
from conftest import reviews
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch.nn import functional as F
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    ModernBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from hfcls.batching.choice import collator_for
from hfcls.batching.collate import PaddedCollator
from hfcls.models import heads
from hfcls.models.heads import head_features, head_layers, warm_head
from hfcls.models.pooling import add_mean_pooling

SIZE = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "num_labels": 3,
}
CONFIGS = {
    "bert": BertConfig(**SIZE),
    "electra": ElectraConfig(**SIZE, embedding_size=16),
    "roberta": RobertaConfig(**SIZE, pad_token_id=1, type_vocab_size=1),
    "xlm-roberta": XLMRobertaConfig(**SIZE, pad_token_id=1, type_vocab_size=1),
    "distilbert": DistilBertConfig(
        vocab_size=60, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=66, num_labels=3
    ),
    "albert": AlbertConfig(**SIZE, embedding_size=16),
    "modernbert": ModernBertConfig(
        **SIZE, local_attention=16, global_attn_every_n_layers=2, classifier_pooling="cls", pad_token_id=0
    ),
}
ARCHITECTURES = pytest.mark.parametrize("kind", list(CONFIGS))


def model_of(kind: str):
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(copy.deepcopy(CONFIGS[kind])).eval()


def rows_of(count: int = 150) -> list[dict]:
    """The class is which of three tokens a text begins with, three times."""
    generator = torch.Generator().manual_seed(1)
    rows = []
    for _ in range(count):
        label = int(torch.randint(3, (), generator=generator))
        words = torch.randint(10, 60, (int(torch.randint(3, 20, (), generator=generator)),), generator=generator)
        rows.append({"input_ids": [2, *[5 + label] * 3, *words.tolist(), 3], "labels": label})
    return rows


def padded_logits(model, rows):
    batch = PaddedCollator(model.config.pad_token_id, None)(rows)
    with torch.inference_mode():
        return model.eval()(**batch).logits


def labels_of(rows):
    return torch.tensor([row["labels"] for row in rows])


@ARCHITECTURES
@pytest.mark.parametrize("batching", ["packed", "longest"])
def test_features_are_what_the_head_reads(kind, batching):
    model, rows = model_of(kind).train(), rows_of(40)
    collator = collator_for(model, pad_token_id=model.config.pad_token_id, max_length=64, batching=batching)
    features = head_features(model, rows, collator, batch_size=16)
    layers = head_layers(model)
    with torch.inference_mode():
        logits = layers.out(layers.activation(layers.dense(features)))
    assert model.training
    assert not layers.dense._forward_pre_hooks
    assert torch.allclose(logits, padded_logits(model, rows), atol=1e-5)


@ARCHITECTURES
def test_a_warm_head_knows_the_classes_and_stays_a_plain_model(kind, tmp_path):
    model, rows = model_of(kind), rows_of()
    encoder = copy.deepcopy(model.base_model)
    collator = PaddedCollator(model.config.pad_token_id, None)
    cold = F.cross_entropy(padded_logits(model, rows), labels_of(rows)).item()
    unseen = warm_head(model, head_features(model, rows, collator), labels_of(rows))
    logits = padded_logits(model, rows)
    assert F.cross_entropy(logits, labels_of(rows)).item() < unseen + 0.02 < math.log(3)
    assert F.cross_entropy(logits, labels_of(rows)).item() < 0.8 * cold
    model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert torch.equal(padded_logits(again, rows), logits)
    for (name, new), old in zip(model.base_model.named_parameters(), encoder.parameters(), strict=True):
        assert torch.equal(new, old) or "pooler" in name


def test_the_fit_is_that_of_scikit_learn():
    torch.manual_seed(0)
    inputs = torch.randn(200, 8) * torch.arange(1, 9) + 3
    labels = (inputs[:, 0] - 3 + torch.randn(200) > 0).long() + (inputs[:, 1] > 4).long()
    weight, bias = heads._path(inputs, labels, 3, (0.01,))[0]
    theirs = LogisticRegression(C=0.01, tol=1e-8, max_iter=1000).fit(inputs.numpy(), labels.numpy())
    ours = F.linear(inputs, weight, bias).softmax(-1)
    assert torch.allclose(ours, torch.from_numpy(theirs.predict_proba(inputs.numpy())).float(), atol=2e-3)


def test_a_fit_on_standardised_inputs_is_folded_into_the_layer():
    torch.manual_seed(0)
    inputs = torch.randn(90, 4) * torch.tensor([1.0, 10.0, 0.1, 0.0]) + torch.tensor([0.0, 50.0, 3.0, 7.0])
    labels = (inputs[:, 1] > 50).long()
    weight, bias, loss = heads._fitted(inputs, labels, 2)
    assert weight.isfinite().all()
    assert loss < 0.4
    assert (F.linear(inputs, weight, bias).argmax(-1) == labels).float().mean() > 0.95
    scaled = StandardScaler().fit_transform(inputs)
    # Of two classes scikit-learn penalises one weight, w; we penalise -w/2 and w/2, half as much.
    theirs = LogisticRegression(C=2 * max(heads.STRENGTHS), tol=1e-8).fit(scaled, labels.numpy())
    ours = F.linear(inputs, weight, bias).softmax(-1)[:, 1]
    assert torch.allclose(ours, torch.from_numpy(theirs.predict_proba(scaled)[:, 1]).float(), atol=5e-3)


@pytest.mark.parametrize("task", ["multi_label", "regression", "one class", "one row", "constant"])
def test_other_labels_and_few_rows(task):
    config = copy.deepcopy(CONFIGS["bert"])
    config.num_labels = 1 if task == "regression" else 3
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    rows = rows_of(1 if task == "one row" else 80)
    features = head_features(model, rows, PaddedCollator(0, None))
    labels = labels_of(rows)
    if task == "multi_label":
        labels = F.one_hot(labels, 3).float()
    elif task == "regression":
        labels = labels.float()
    elif task == "one class":
        labels = torch.ones_like(labels)
    elif task == "constant":
        features = torch.ones_like(features)
    assert math.isfinite(warm_head(model, features, labels))
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    logits = padded_logits(model, rows)
    if task == "regression":
        assert F.mse_loss(logits[:, 0], labels) < labels.var()
    elif task == "one class":
        assert (logits.argmax(-1) == 1).all()
    elif task == "multi_label":
        assert ((logits > 0).float() == labels).float().mean() > 0.67


def test_an_unknown_head_says_so():
    gpt = AutoModelForSequenceClassification.from_config(
        GPT2Config(vocab_size=60, n_embd=32, n_layer=1, n_head=2, num_labels=2, pad_token_id=0)
    )
    with pytest.raises(ValueError, match="head of a gpt2 model is not known"):
        head_layers(gpt)


def test_a_real_corpus_of_words_is_learned_without_touching_the_encoder(tiny_model):
    from hfcls.data.encoding import tokenize
    from hfcls.models.loading import load_model
    from hfcls.models.tokenizers import load_tokenizer

    tokenizer = load_tokenizer(tiny_model)
    texts = reviews(300)
    encoded = tokenize(tokenizer, [text for text, _ in texts], max_length=64)
    rows = [{"input_ids": ids, "labels": int(y)} for ids, (_, y) in zip(encoded["input_ids"], texts, strict=True)]
    torch.manual_seed(0)
    model = load_model(tiny_model, ["부정", "긍정"])
    add_mean_pooling(model)
    collator = collator_for(model, pad_token_id=tokenizer.pad_token_id, max_length=64)
    warm_head(model, head_features(model, rows[:200], collator), labels_of(rows[:200]))
    right = padded_logits(model, rows[200:]).argmax(-1) == labels_of(rows[200:])
    assert right.float().mean() > 0.75


def test_probes_out_of_fold_have_not_seen_the_row():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(300, 6, generator=generator)
    labels = (features[:, :3] + 0.5 * torch.randn(300, 3, generator=generator)).argmax(1)
    folds = torch.arange(300) % 5
    found = heads.out_of_fold_probabilities(features, labels, folds, 3)
    assert torch.allclose(found.sum(1), torch.ones(300), atol=1e-5)
    standard = (features - features.mean(0)) / features.std(0, unbiased=False)
    seen = folds != 2
    fits = []
    for strength in heads.PROBES:
        fitted = LogisticRegression(C=strength, tol=1e-6, max_iter=1000)
        fits.append(fitted.fit(standard[seen].numpy(), labels[seen].numpy()))
    gaps = [abs(torch.tensor(fit.predict_proba(standard[~seen].numpy())) - found[~seen]).max().item() for fit in fits]
    assert min(gaps) < 1e-3  # one of the penalties, fitted on the other four folds
    flipped = labels.clone()
    flipped[2] = (labels[2] + 1) % 3
    again = heads.out_of_fold_probabilities(features, flipped, folds, 3)
    assert torch.allclose(again[2], found[2], atol=1e-5)
    assert not torch.allclose(again[3], found[3], atol=1e-5)
