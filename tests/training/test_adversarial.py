"""FGM: each text also learns with its embeddings moved against the model, however texts are laid out and divided."""

import pytest
import torch
from architectures import CONFIGS, WITH_TOKEN_TYPES, texts, tiny
from transformers import AutoModelForSequenceClassification, LongformerConfig, TrainerCallback

from hfcls.batching.choice import collator_for
from hfcls.errors import HfclsError
from hfcls.training.arguments import ClassificationTrainingArguments
from hfcls.training.steps.adversarial import adversarial_move, text_of_tokens
from hfcls.training.trainer import ClassificationTrainer

SHARE, LENGTHS = 0.2, [3, 9, 30, 5, 17, 2, 12, 8]


def one_text_at_a_time(model, rows):
    """The obvious way: plain transformers, which is given the embeddings of a text in place of its ids."""
    embed, total = model.get_input_embeddings(), 0.0
    for row in rows:
        embedded = embed(torch.tensor([row["input_ids"]]))
        others = {name: torch.tensor([row[name]]) for name in ("token_type_ids",) if name in row}
        labels = torch.tensor([row["labels"]])
        loss = model(inputs_embeds=embedded, labels=labels, **others).loss
        (gradient,) = torch.autograd.grad(loss, embedded, retain_graph=True)
        move = SHARE * embedded.detach().norm() * gradient / gradient.norm()
        both = (loss + model(inputs_embeds=embedded + move, labels=labels, **others).loss) / 2
        (both / len(rows)).backward()
        total += both.item() / len(rows)
    return total, gradients(model)


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_a_model_that_pads_further_by_itself_is_moved_too(tmp_path):
    """Longformer pads to whole attention windows, so that its embeddings are wider than the batch."""
    size = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LongformerConfig(**size, intermediate_size=32, attention_window=8, pad_token_id=1, num_labels=3)
    rows = texts(LENGTHS[2:5], seed=1, labels=True)  # of 30 tokens at most
    found = []
    for share in (0.0, SHARE):
        torch.manual_seed(0)
        config.initializer_range, config.hidden_dropout_prob, config.attention_probs_dropout_prob = 0.2, 0.0, 0.0
        model = AutoModelForSequenceClassification.from_config(config)
        found.append(step_of(model, rows, "longest", tmp_path, fgm=share)[0])
    assert found[1] > found[0] + 0.01


class KeepGradients(TrainerCallback):
    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.kept = gradients(model)


def trainer_of(model, rows, batching, folder, **options):
    defaults = {
        "per_device_train_batch_size": len(rows),
        "max_steps": 1,
        "learning_rate": 0.0,
        "logging_steps": 1,
        "eval_strategy": "no",
        "load_best_model_at_end": False,
        "report_to": "none",
        "use_cpu": True,
        "fgm": SHARE,
    }
    args = ClassificationTrainingArguments(output_dir=str(folder), **{**defaults, **options})
    collate = collator_for(model, pad_token_id=model.config.pad_token_id or 0, max_length=64, batching=batching)
    return ClassificationTrainer(model, args, train_dataset=rows, eval_dataset=rows, data_collator=collate)


def step_of(model, rows, batching, folder, **options):
    """The loss and the gradients of one step."""
    trainer, keep = trainer_of(model, rows, batching, folder, **options), KeepGradients()
    trainer.add_callback(keep)
    trainer.train()
    return trainer.state.log_history[0]["loss"], keep.kept


@pytest.mark.parametrize("name", CONFIGS)
def test_a_step_is_that_of_one_text_at_a_time(name, tmp_path):
    rows = texts(LENGTHS, seed=1, pairs=name in WITH_TOKEN_TYPES, labels=True)
    loss, slow = one_text_at_a_time(tiny(name).train(), rows)
    plain, _ = step_of(tiny(name), rows, "packed", tmp_path, fgm=0.0)
    assert loss > plain + 0.01  # moved against the model
    for batching in ("packed", "longest", "fixed"):
        found, fast = step_of(tiny(name), rows, batching, tmp_path)
        assert found == pytest.approx(loss, abs=1e-4)
        for key, gradient in slow.items():
            torch.testing.assert_close(
                fast[key], gradient, rtol=1e-3, atol=1e-5, msg=lambda why, key=key: f"{key} {why}"
            )


@pytest.mark.parametrize(
    "options",
    [
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},
        {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8},
        {"activation_checkpointing": True},
    ],
)
def test_a_step_in_parts_is_the_whole_step(options, tmp_path):
    rows = texts(LENGTHS, seed=2, labels=True)
    loss, whole = step_of(tiny("bert"), rows, "packed", tmp_path)
    found, parts = step_of(tiny("bert"), rows, "packed", tmp_path, **options)
    assert found == pytest.approx(loss, abs=1e-4)
    for key, gradient in whole.items():
        torch.testing.assert_close(parts[key], gradient, rtol=1e-3, atol=1e-5)


def test_an_evaluation_is_not_moved(tmp_path):
    rows = texts(LENGTHS, seed=3, labels=True)
    trainer = trainer_of(tiny("bert"), rows, "packed", tmp_path)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] == before  # the rate is 0
    assert not trainer.model.get_input_embeddings()._forward_hooks


def test_frozen_embeddings_are_moved_as_well(tmp_path):
    rows, found = texts(LENGTHS, seed=4, labels=True), []
    for frozen in (False, True):
        model = tiny("bert")
        model.get_input_embeddings().weight.requires_grad_(not frozen)
        loss, kept = step_of(model, rows, "packed", tmp_path)
        found.append((loss, kept["classifier.weight"]))
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])


def test_windows_of_a_text_are_moved_one_by_one(tmp_path):
    (row,) = texts([30], seed=5, labels=True)
    loss, _ = step_of(tiny("bert"), [{**row, "window_lengths": [12, 18]}] * 2, "packed", tmp_path)
    model, ids = tiny("bert").train(), row["input_ids"]
    embedded = [model.get_input_embeddings()(torch.tensor([part])) for part in (ids[:12], ids[12:])]
    answer = lambda parts: sum(model(inputs_embeds=part).logits for part in parts) / 2  # noqa: E731
    labels = torch.tensor([row["labels"]])
    clean = torch.nn.functional.cross_entropy(answer(embedded), labels)
    moved = [
        part + SHARE * part.norm() * gradient / gradient.norm()
        for part, gradient in zip(embedded, torch.autograd.grad(clean, embedded, retain_graph=True), strict=True)
    ]
    against = torch.nn.functional.cross_entropy(answer(moved), labels)
    assert loss == pytest.approx(((clean + against) / 2).item(), abs=1e-4)


def test_what_has_no_direction_stays_where_it_is():
    of_text = torch.tensor([[1, 1, 2, 3, 0]])
    embedded = torch.ones(1, 5, 2)
    gradient = torch.tensor([[[3.0, 0], [0, 4], [0, 0], [float("inf"), 1], [5, 5]]])
    move = adversarial_move(embedded, gradient, of_text, 0.5)
    torch.testing.assert_close(move[0, :2], torch.tensor([[0.6, 0], [0, 0.8]]))  # 0.5 of the length 2, along (3, 4) / 5
    assert not move[0, 2:].any()
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert text_of_tokens({"attention_mask": mask}).tolist() == [[1, 1, 0], [2, 0, 0]]
    assert text_of_tokens({"input_ids": mask}).tolist() == [[1, 1, 1], [2, 2, 2]]


def test_it_is_refused_where_it_was_not_tried(tmp_path):
    with pytest.raises(HfclsError, match="fgm moves embeddings in the middle of the model, which torch_compile"):
        trainer_of(tiny("bert"), texts([3], seed=1, labels=True), "packed", tmp_path, torch_compile=True)
