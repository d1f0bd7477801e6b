"""The loss of a step, held to the formula written out row by row."""

import math
import re

import pytest
import torch

from hfcls.errors import HfclsError
from hfcls.scoring.losses import classification_loss, read_class_weights

LABELS = torch.tensor([0, 2, -100, 1, 2, 2, 0])
OPTIONS = [
    {"class_weights": [0.5, 3.0, 1.0]},
    {"focal_gamma": 2.0},
    {"focal_gamma": 0.5, "class_weights": [0.5, 3.0, 1.0], "label_smoothing": 0.1},
]


def written_out(
    logits: torch.Tensor, labels: torch.Tensor, *, label_smoothing=0.0, class_weights=None, focal_gamma=0.0
):
    total, counted = 0.0, 0
    for row, label in zip(logits.softmax(-1).tolist(), labels.tolist(), strict=True):
        if label == -100:
            continue
        wanted = [label_smoothing / 3 + (1 - label_smoothing) * (i == label) for i in range(3)]
        loss = -sum(share * math.log(p) for share, p in zip(wanted, row, strict=True))
        total += (class_weights or [1, 1, 1])[label] * (1 - row[label]) ** focal_gamma * loss
        counted += 1
    return total / counted


@pytest.mark.parametrize("options", OPTIONS)
def test_weights_and_focus_are_the_formula(options):
    logits = 3 * torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    assert classification_loss({"logits": logits}, LABELS, **options).item() == pytest.approx(
        written_out(logits, LABELS, **options), rel=1e-5
    )


@pytest.mark.parametrize("options", OPTIONS)
def test_the_parts_of_a_step_add_up_to_the_whole(options):
    logits = 3 * torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    whole = classification_loss({"logits": logits}, LABELS, **options)
    parts = [
        classification_loss({"logits": logits[rows]}, LABELS[rows], num_items_in_batch=6, **options)
        for rows in (slice(0, 3), slice(3, 4), slice(4, 7))
    ]
    torch.testing.assert_close(sum(parts), whole)


@pytest.mark.parametrize("soft", [False, True])
def test_rdrop_is_the_mean_of_both_answers_and_of_both_divergences(soft):
    logits = (3 * torch.randn(8, 3, generator=torch.Generator().manual_seed(0))).requires_grad_()
    labels = torch.tensor([0, 2, -100, 1])
    if soft:
        labels = torch.nn.functional.one_hot(labels.clamp(min=0), 3).float().where(labels.ne(-100)[:, None], -100)
    first, second = logits.log_softmax(-1).chunk(2)
    kl = [
        torch.nn.functional.kl_div(a, b, reduction="none", log_target=True)
        for a, b in [(first, second), (second, first)]
    ]
    divergence = (sum(kl).sum(-1) / 2)[[0, 1, 3]].mean()
    plain = classification_loss({"logits": logits}, labels.repeat(2, *[1] * soft), exclusive=True)
    whole = classification_loss({"logits": logits}, labels.repeat(2, *[1] * soft), rdrop=0.7, exclusive=True)
    torch.testing.assert_close(whole, plain + 0.7 * divergence)
    items, parts = 6 * (3 if soft else 1), 0.0
    for rows in (slice(0, 1), slice(1, 4)):  # of each, all texts and then all again
        twice = torch.cat([logits[:4][rows], logits[4:][rows]])
        parts += classification_loss(
            {"logits": twice}, torch.cat([labels[rows], labels[rows]]), items, rdrop=0.7, exclusive=True
        )
    torch.testing.assert_close(parts, whole)
    with torch.no_grad():  # an evaluation has each text once
        odd = classification_loss({"logits": logits[:3]}, labels[:3], rdrop=0.7, exclusive=True)
    torch.testing.assert_close(odd, classification_loss({"logits": logits[:3]}, labels[:3], exclusive=True).detach())


def test_a_row_that_is_known_already_has_a_gradient_that_is_a_number():
    logits = torch.tensor([[200.0, -200.0, 0.0], [-200.0, 200.0, 0.0]], requires_grad=True)
    classification_loss({"logits": logits}, torch.tensor([0, 0]), focal_gamma=0.5).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[0].abs().max() < 1e-6 < logits.grad[1].abs().max()


@pytest.mark.parametrize(
    ("text", "weights"),
    [("none", None), ("긍정=2, b,c=0.5", [1.0, 2.0, 0.5]), ("a=b=.5", [0.5, 1.0, 1.0])],
)
def test_class_weights_are_read_by_name(text, weights):
    assert read_class_weights(text, {"a=b": 12, "긍정": 4, "b,c": 0}) == weights


def test_balanced_weights_make_each_class_count_as_much_and_a_row_1_on_average():
    counts = {"부정": 12, "긍정": 4, "없음": 0}
    weights = read_class_weights("balanced", counts)
    products = [weight * count for weight, count in zip(weights, counts.values(), strict=True)]
    assert products == pytest.approx([8, 8, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("even", "class_weights must be none, balanced or NAME=NUMBER,OTHER=NUMBER, found 'even'"),
        ("긍정=-1", "class_weights must be none, balanced or NAME=NUMBER,OTHER=NUMBER, found '긍정=-1'"),
        ("부정=0,긍정=0", "class_weights gives no class a weight above 0, found '부정=0,긍정=0'"),
        ("좋음=2", "class_weights names '좋음', which is no class; the classes are 부정, 긍정"),
    ],
)
def test_class_weights_that_mean_nothing_are_refused(text, message):
    with pytest.raises(HfclsError, match=re.escape(message)):
        read_class_weights(text, {"부정": 1, "긍정": 1})


def test_soft_labels_are_the_cross_entropy_to_them_and_parts_add_up():
    generator = torch.Generator().manual_seed(0)
    logits, taught = 3 * torch.randn(7, 3, generator=generator), torch.rand(7, 3, generator=generator).softmax(-1)
    written = -(taught * logits.log_softmax(-1)).sum(-1)
    whole = classification_loss({"logits": logits}, taught, exclusive=True)
    torch.testing.assert_close(whole, written.mean())
    certain = torch.nn.functional.one_hot(LABELS.clamp(min=0), 3).float()
    torch.testing.assert_close(
        classification_loss({"logits": logits}, certain, exclusive=True, label_smoothing=0.1),
        classification_loss({"logits": logits}, LABELS.clamp(min=0), label_smoothing=0.1),
    )
    taught[2] = -100.0  # filler, as it stands behind a short batch
    kept = written[[0, 1, 3, 4, 5, 6]].mean()
    torch.testing.assert_close(classification_loss({"logits": logits}, taught, exclusive=True), kept)
    parts = [
        classification_loss({"logits": logits[rows]}, taught[rows], num_items_in_batch=6 * 3, exclusive=True)
        for rows in (slice(0, 3), slice(3, 4), slice(4, 7))
    ]
    torch.testing.assert_close(sum(parts), kept)
