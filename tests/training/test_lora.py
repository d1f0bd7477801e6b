"""LoRA: the steps are those of a plain padded peft loop, and what is saved is a plain model."""

import logging
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification, pipeline

import hfcls as package
from hfcls.batching.choice import collator_for
from hfcls.batching.collate import PaddedCollator
from hfcls.config.train import TrainConfig
from hfcls.errors import HfclsError
from hfcls.models.compact.lora import add_lora, merge_lora
from hfcls.models.loading import load_model
from hfcls.models.tokenizers import load_tokenizer
from hfcls.training.arguments import ClassificationTrainingArguments, training_arguments
from hfcls.training.trainer import ClassificationTrainer

peft = pytest.importorskip("peft")
RANK, RATE, SIZE = 4, 5e-3, 16


def started(folder: str):
    torch.manual_seed(3)
    return load_model(folder, ["0", "1"])


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # peft 0.21 asks for it
def test_packed_steps_are_those_of_a_plain_padded_peft_loop(table, tiny_model, tmp_path):
    tokenizer = load_tokenizer(tiny_model)
    rows = package.encode(package.load_corpus(str(table(count=64))), tokenizer, 32)["train"]
    model = started(tiny_model)
    config = TrainConfig(
        output_dir=str(tmp_path),
        lora_rank=RANK,
        learning_rate=RATE,
        batch_size=SIZE,
        logging_steps=1,
        report_to="none",
        num_train_epochs=3,
        optimizer="adam",
        weight_decay=0.0,
        lr_scheduler="exponential",
        lr_gamma=0.9,
        warmup_ratio=0.0,
        max_grad_norm=0.0,
    )
    args = training_arguments(**config.training_options())
    args.train_sampling_strategy, args.eval_strategy, args.load_best_model_at_end = "sequential", "no", False
    collator = collator_for(model, pad_token_id=tokenizer.pad_token_id, max_length=32)
    trainer = ClassificationTrainer(model=model, args=args, train_dataset=rows, data_collator=collator)
    drawn = {name: value.clone() for name, value in model.state_dict().items()}

    options = {"r": RANK, "lora_alpha": 2 * RANK, "target_modules": ["query", "key", "value", "dense"]}
    plain = peft.get_peft_model(
        started(tiny_model),
        peft.LoraConfig(**options, exclude_modules=r".*pooler.*", modules_to_save=["classifier", "pooler"]),
    )
    for name, value in plain.named_parameters():
        if ".lora_" in name:
            value.data.copy_(drawn[name.removeprefix("base_model.model.")])
    trained = {name for name, value in plain.named_parameters() if value.requires_grad}
    assert len(trained) == len([p for p in model.parameters() if p.requires_grad])
    optimizer = torch.optim.Adam([p for p in plain.parameters() if p.requires_grad], lr=RATE)
    padded, losses = PaddedCollator(tokenizer.pad_token_id, None), []
    for epoch in range(3):
        optimizer.param_groups[0]["lr"] = RATE * 0.9**epoch
        for start in range(0, 64, SIZE):
            batch = padded(rows.select(range(start, start + SIZE)).to_list())
            labels = batch.pop("labels")
            loss = F.cross_entropy(plain(**batch).logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    trainer.train()
    ours = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert ours == pytest.approx(losses, abs=2e-4)
    assert losses[-1] < 0.7 * losses[0]
    merged = plain.merge_and_unload().state_dict()
    assert set(model.state_dict()) == set(merged)
    first = started(tiny_model).state_dict()
    for name, value in model.state_dict().items():
        assert torch.allclose(value, merged[name], atol=1e-3), name
        stays = "embeddings" in name or "LayerNorm" in name or ("encoder" in name and name.endswith("bias"))
        assert torch.equal(value, first[name]) == stays, name


def test_updates_begin_at_zero_and_merge_into_the_layers_they_came_from(tiny_model, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    model, before = started(tiny_model), started(tiny_model)
    batch = {"input_ids": torch.arange(5, 25).reshape(2, 10)}
    add_lora(model, RANK, seed=1)
    assert "LoRA of rank 4" in caplog.text
    with torch.inference_mode():
        assert torch.equal(model.eval()(**batch).logits, before.eval()(**batch).logits)
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.1)
        logits = model(**batch).logits
    assert not torch.allclose(logits, before(**batch).logits, atol=1e-3)
    merge_lora(model)
    assert [type(m) for m in model.modules()] == [type(m) for m in before.modules()]
    assert torch.allclose(model(**batch).logits, logits, atol=1e-5)
    merge_lora(before)  # nothing to do


@pytest.fixture
def options(table, tiny_model, tmp_path):
    return {
        "dataset": str(table(count=120)),
        "model": tiny_model,
        "output_dir": str(tmp_path / "run"),
        "max_length": 32,
        "lora_rank": RANK,
        "learning_rate": RATE,
        "batch_size": SIZE,
        "num_train_epochs": 2,
        "lr_scheduler": "constant",
        "warmup_ratio": 0.0,
        "report": False,
        "baseline": False,
    }


def test_a_run_ends_as_a_plain_model_and_resumes_to_the_bit(options, tmp_path):
    whole = package.fine_tune(
        **{**options, "num_train_epochs": 4, "output_dir": str(tmp_path / "whole")}, warm_head=True
    )
    package.fine_tune(**options, warm_head=True)
    resumed = package.fine_tune(**{**options, "num_train_epochs": 4}, warm_head=True, resume=True)
    assert resumed.facts.steps == whole.facts.steps
    assert resumed.facts.weights_sha256 == whole.facts.weights_sha256
    folder = tmp_path / "run"
    assert not any("lora" in name or "base_layer" in name for name in load_file(folder / "model.safetensors"))
    text = "최고 추천 영화"
    told = pipeline("text-classification", model=str(folder))(text)[0]
    assert package.Classifier.from_pretrained(str(folder))(text)["score"] == pytest.approx(told["score"], abs=1e-5)
    assert whole.metrics["accuracy"] > 0.8
    assert AutoModelForSequenceClassification.from_pretrained(folder).num_parameters() == whole.facts.num_parameters


def test_what_cannot_be_is_refused_in_one_line(options, monkeypatch):
    with pytest.raises(HfclsError, match="freeze_encoder leaves alone: drop one"):
        package.fine_tune(**options, warm_head=True, freeze_encoder=True)
    with pytest.raises(HfclsError, match="lora_rank must be at least 1"):
        package.fine_tune(**{**options, "lora_rank": 0})
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(HfclsError, match=r"lora_rank needs peft: pip install -e '.\[lora\]'"):
        package.fine_tune(**options)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft's own
@pytest.mark.parametrize("kind", ["lora", "prompt"])
def test_a_model_in_an_adapter_of_peft_is_trained_scored_and_resumed(table, tiny_model, tmp_path, kind):
    """Given to ClassificationTrainer as it is, packed where its adapter allows it; the loss is that of plain peft."""
    tokenizer = load_tokenizer(tiny_model)
    rows = package.encode(package.load_corpus(str(table(count=48))), tokenizer, 32)["train"]

    def trainer(epochs: int) -> ClassificationTrainer:
        torch.manual_seed(0)
        config = (
            peft.LoraConfig(task_type="SEQ_CLS", r=RANK, target_modules=["query", "value"])
            if kind == "lora"
            else peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3)
        )
        model = peft.get_peft_model(started(tiny_model), config)
        args = ClassificationTrainingArguments(
            output_dir=str(tmp_path), num_train_epochs=epochs, per_device_train_batch_size=16, learning_rate=1e-2,
            report_to="none", use_cpu=True, load_best_model_at_end=False,
        )  # fmt: skip
        collator = collator_for(model, pad_token_id=tokenizer.pad_token_id, max_length=32)
        assert isinstance(collator, PaddedCollator) == (kind == "prompt")
        return ClassificationTrainer(model, args, train_dataset=rows, eval_dataset=rows, data_collator=collator)

    whole = trainer(2)
    whole.train()
    with torch.no_grad():
        batch = PaddedCollator(tokenizer.pad_token_id, None)(rows.to_list())
        labels = batch.pop("labels")
        loss = F.cross_entropy(whole.model.eval()(**batch).logits, labels).item()
    assert whole.evaluate()["eval_loss"] == pytest.approx(loss, abs=1e-5)
    resumed = trainer(2)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
