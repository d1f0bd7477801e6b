"""ClassificationTrainer learns what the book's plain loop learns."""

import errno
import logging
import math
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import EvalPrediction, Trainer, TrainerCallback, TrainingArguments

from hfcls.batching.bins import LANES, TRAINING_LANES
from hfcls.batching.collate import PaddedCollator, make_collator
from hfcls.data.corpora import load_corpus
from hfcls.data.encoding import encode
from hfcls.errors import HfclsError
from hfcls.models.loading import load_model
from hfcls.models.tokenizers import load_tokenizer
from hfcls.runs.checkpoints import newest_whole_checkpoint
from hfcls.runs.sealing import why_broken
from hfcls.scoring.losses import classification_loss
from hfcls.scoring.metrics import classification_metrics
from hfcls.training import resuming
from hfcls.training.arguments import ClassificationTrainingArguments
from hfcls.training.callbacks import TimedCheckpointCallback
from hfcls.training.preemption import Interrupted, StopSignals
from hfcls.training.trainer import ClassificationTrainer

Build = Callable[..., ClassificationTrainer]


class Recorder:
    """A collator that keeps the rows of every batch it makes."""

    def __init__(self, collate):
        self.collate = collate
        self.batches: list[list[dict]] = []

    def __call__(self, rows):
        self.batches.append(rows)
        return self.collate(rows)


@pytest.fixture
def build(table, tiny_model, tmp_path) -> Build:
    """A trainer on 70 reviews (batches of 16: the last one is short) without evaluation, logging every step."""
    tokenizer = load_tokenizer(tiny_model)
    rows = encode(load_corpus(str(table(count=70))), tokenizer, 64)["train"]

    def make(batching: str = "fixed", **options: object) -> ClassificationTrainer:
        torch.manual_seed(7)
        model = load_model(tiny_model, ["부정", "긍정"])
        defaults = {
            "per_device_train_batch_size": 16,
            "num_train_epochs": 2,
            "learning_rate": 5e-4,
            "logging_steps": 1,
            "eval_strategy": "no",
            "load_best_model_at_end": False,
            "report_to": "none",
            "use_cpu": True,
        }
        args = ClassificationTrainingArguments(output_dir=str(tmp_path / "out"), **{**defaults, **options})
        collate = Recorder(make_collator(batching, pad_token_id=tokenizer.pad_token_id, max_length=64))
        return ClassificationTrainer(model, args, train_dataset=rows, eval_dataset=rows, data_collator=collate)

    return make


def history(trainer: ClassificationTrainer, key: str) -> list[float]:
    return [entry[key] for entry in trainer.state.log_history if key in entry]


def plain_loop(
    model: torch.nn.Module, epochs: list[list[list[dict]]], pad: int, learning_rate: float
) -> tuple[list[float], list[float]]:
    """The book's training, written out: pad to a fixed width, Adam, ExponentialLR stepped once per epoch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    collate = PaddedCollator(pad, 64)
    losses, rates = [], []
    model.train()
    for batches in epochs:
        for rows in batches:
            optimizer.zero_grad()
            loss = model(**collate(rows)).loss
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    return losses, rates


@pytest.mark.parametrize("batching", ["fixed", "longest", "packed"])
def test_losses_and_rates_are_those_of_the_plain_loop(build, tiny_model, batching):
    trainer = build(batching, num_train_epochs=10)
    trainer.train()
    batches = trainer.data_collator.batches
    assert [sum(row["labels"] != -100 for row in rows) for rows in batches[:5]] == [16, 16, 16, 16, 6]
    assert len(batches) == 50
    torch.manual_seed(7)
    model = load_model(tiny_model, ["부정", "긍정"])
    losses, rates = plain_loop(model, [batches[i : i + 5] for i in range(0, 50, 5)], model.config.pad_token_id, 5e-4)
    assert history(trainer, "learning_rate") == rates
    assert losses[-1] < 0.5 * losses[0]  # it learns, so the comparison is one of moving weights
    tolerance = 1e-5 if batching == "fixed" else 1e-4
    torch.testing.assert_close(history(trainer, "loss"), losses, rtol=0, atol=tolerance)


@pytest.mark.parametrize("options", [{"gradient_accumulation_steps": 4}, {"max_steps": 7}, {"num_train_epochs": 3}])
def test_the_rate_is_that_of_its_epoch_at_every_step(build, options):
    trainer = build(**{"per_device_train_batch_size": 4, **options})
    trainer.train()
    steps_per_epoch = math.ceil(70 / (4 * trainer.args.gradient_accumulation_steps))
    rates = history(trainer, "learning_rate")
    assert len(rates) == trainer.state.max_steps
    for step, rate in enumerate(rates):
        assert rate == pytest.approx(5e-4 * 0.9 ** (step // steps_per_epoch), rel=1e-12)


def test_accumulated_steps_are_the_steps_of_the_whole_batch(build):
    """4 x 4 rows learn what 16 rows learn, also in the last, short step of 6 rows (4 + 2)."""
    whole, parts = build(), build(per_device_train_batch_size=4, gradient_accumulation_steps=4)
    for trainer in (whole, parts):
        trainer.train()
    torch.testing.assert_close(history(parts, "loss"), history(whole, "loss"), rtol=0, atol=1e-5)
    torch.testing.assert_close(history(parts, "grad_norm"), history(whole, "grad_norm"), rtol=1e-3, atol=1e-5)


OF_LOSS_AND_RATE = {
    "label_smoothing_factor": 0.1,
    "class_weights": [0.5, 2.0],
    "focal_gamma": 1.5,
    "layerwise_lr_decay": 0.7,
    "weight_decay": 0.1,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.3,
    "max_grad_norm": 1.0,
}


@pytest.mark.parametrize("parts", [{"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}, {}])
def test_loss_and_rates_of_any_kind_are_exact_packed_and_in_parts(build, parts):
    whole, other = build(**OF_LOSS_AND_RATE), build("packed", **parts, **OF_LOSS_AND_RATE)
    for trainer in (whole, other):
        trainer.train()
    assert history(other, "learning_rate") == history(whole, "learning_rate")
    torch.testing.assert_close(history(other, "loss"), history(whole, "loss"), rtol=0, atol=1e-4)
    torch.testing.assert_close(history(other, "grad_norm"), history(whole, "grad_norm"), rtol=1e-3, atol=1e-4)


def test_the_weighted_loss_of_a_step_is_the_formula(build, tiny_model):
    trainer = build(max_steps=1, **OF_LOSS_AND_RATE)
    trainer.train()
    torch.manual_seed(7)
    batch = trainer.data_collator.collate(trainer.data_collator.batches[0])
    logits = load_model(tiny_model, ["부정", "긍정"])(**batch).logits
    probabilities, total = logits.softmax(-1), 0.0
    for row, label in zip(probabilities, batch["labels"], strict=True):
        smoothed = -(0.95 * row[label].log() + 0.05 * row[1 - label].log())
        total += [0.5, 2.0][label] * (1 - row[label]) ** 1.5 * smoothed
    assert history(trainer, "loss")[0] == pytest.approx(total.item() / 16, abs=1e-5)


@pytest.mark.parametrize("parts", [{"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}, {}])
def test_rdrop_without_dropout_takes_the_plain_steps_and_warns(build, parts, caplog):
    """Both answers to a text are then the same, packed, in parts, and in the short last step of an epoch."""
    plain = build()
    assert "rdrop" not in caplog.text
    twice = build("packed", rdrop=1.0, **parts)
    assert "rdrop: the model has no dropout, so both answers to a text are the same: drop it" in caplog.messages
    for trainer in (plain, twice):
        trainer.train()
    assert {len(rows) for rows in twice.data_collator.batches} == ({8} if parts else {32})
    torch.testing.assert_close(history(twice, "loss"), history(plain, "loss"), rtol=0, atol=1e-4)
    torch.testing.assert_close(history(twice, "grad_norm"), history(plain, "grad_norm"), rtol=1e-3, atol=1e-4)
    assert twice.evaluate()["eval_loss"] == pytest.approx(plain.evaluate()["eval_loss"], abs=1e-4)


@pytest.mark.parametrize("batching", ["fixed", "packed"])
def test_rdrop_asks_two_answers_with_different_dropout_to_agree(build, batching):
    losses = []
    for weight in (1e-9, 1.0):
        trainer = build(batching, rdrop=weight, max_steps=1)
        for module in trainer.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.3
        trainer.train()
        losses += history(trainer, "loss")
    assert losses[1] > losses[0] + 1e-3


@pytest.mark.parametrize("batching", ["fixed", "packed"])
def test_gradient_checkpointing_changes_no_loss(build, batching):
    plain, thrifty = build(batching), build(batching, activation_checkpointing=True)
    for trainer in (plain, thrifty):
        trainer.train()
    assert thrifty.model.is_activation_checkpointing
    torch.testing.assert_close(history(thrifty, "loss"), history(plain, "loss"), rtol=0, atol=1e-6)


def test_evaluation_counts_every_row_once_whatever_the_batch(build):
    results = []
    for size in (1, 7, 64, 128):
        trainer = build("packed", per_device_eval_batch_size=size)
        results.append(trainer.evaluate())
        output = trainer.predict(trainer.eval_dataset)
        assert output.predictions.shape == (70, 2)
    logits, labels = torch.from_numpy(output.predictions).double(), torch.from_numpy(output.label_ids)
    assert results[-1]["eval_accuracy"] == (logits.argmax(-1) == labels).double().mean().item()
    assert results[-1]["eval_loss"] == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item())
    for result in results:
        assert result["eval_accuracy"] == results[0]["eval_accuracy"]
        assert result["eval_loss"] == pytest.approx(results[0]["eval_loss"], abs=1e-6)


def test_filler_counts_in_no_speed(build):
    trainer = build(per_device_eval_batch_size=64)
    metrics = trainer.predict(trainer.eval_dataset).metrics
    assert metrics["test_samples_per_second"] * metrics["test_runtime"] == pytest.approx(70, rel=0.05)
    assert trainer.num_examples(trainer.get_train_dataloader()) == 70


def test_two_visible_gpus_do_not_double_the_batch(build, caplog, tmp_path):
    """Trainer would wrap the model in DataParallel and multiply the batch by the number of GPUs."""
    assert build().args.train_batch_size == 16
    args = ClassificationTrainingArguments(output_dir=str(tmp_path), per_device_train_batch_size=16, use_cpu=True)
    assert args.device.type == "cpu"
    args._n_gpu = 2
    assert args.train_batch_size == 32
    ClassificationTrainer(build().model, args, data_collator=lambda rows: rows, eval_dataset=[])
    assert args.train_batch_size == 16
    assert "2 GPUs are visible, but one process uses one of them" in caplog.text


@pytest.mark.parametrize("given", [{}, OF_LOSS_AND_RATE])
def test_resuming_in_mid_epoch_repeats_rates_and_losses(build, given):
    trainer = build(save_strategy="steps", save_steps=3, save_total_limit=None, **given)
    trainer.train()
    resumed = build(save_strategy="no", **given)
    resumed.train(resume_from_checkpoint=str(Path(trainer.args.output_dir) / "checkpoint-6"))
    assert history(resumed, "loss") == history(trainer, "loss")
    assert history(resumed, "learning_rate") == history(trainer, "learning_rate")
    for ours, theirs in zip(resumed.model.parameters(), trainer.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_train_loss_of_a_resumed_run_is_over_its_own_steps(build):
    """Also where the checkpoint lies between two lines of the log."""
    losses = build(save_strategy="steps", save_steps=6, save_total_limit=None)
    losses.train()
    between = build(save_strategy="steps", save_steps=6, logging_steps=4)
    between.train()
    resumed = build(save_strategy="no", logging_steps=4)
    resumed.train(resume_from_checkpoint=str(Path(between.args.output_dir) / "checkpoint-6"))
    expected = history(losses, "loss")[6:]
    assert len(expected) == 4
    assert history(resumed, "train_loss") == pytest.approx([sum(expected) / 4])
    assert history(resumed, "loss") == history(between, "loss")


def test_a_resumed_run_evaluates_where_the_whole_one_does(build):
    """A stop after the last step, whose evaluation Trainer does although its number is no multiple of eval_steps."""
    given = {"eval_strategy": "steps", "eval_steps": 4, "eval_delay": 2, "save_strategy": "steps", "save_steps": 5}
    whole = build(**given)
    whole.train()
    for step in (4, 10):  # of ten
        stopped = build(**given)
        (timed,) = (c for c in stopped.callback_handler.callbacks if isinstance(c, TimedCheckpointCallback))
        stopped.add_callback(StopAt(step, timed.signals))
        stopped.callback_handler.callbacks.sort(key=lambda callback: callback is timed)
        with pytest.raises(Interrupted):
            stopped.train()
        assert not any("eval_loss" in entry and entry["step"] == step for entry in stopped.state.log_history)
        resumed = build(**given)
        resumed.train(resume_from_checkpoint=str(Path(stopped.args.output_dir) / f"checkpoint-{step}"))
        assert history(resumed, "eval_loss") == history(whole, "eval_loss")
        assert history(resumed, "step") == history(whole, "step")


class StopAt(TrainerCallback):
    """A signal that comes in a certain step."""

    def __init__(self, step: int, signals: StopSignals) -> None:
        self.step, self.signals = step, signals

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if state.global_step == self.step:
            self.signals._noted = signal.SIGTERM


def test_a_checkpoint_of_a_plain_trainer_is_not_resumed_from(build, tmp_path):
    trainer = build(max_steps=2)
    args = TrainingArguments(str(tmp_path / "plain"), max_steps=2, save_steps=2, use_cpu=True, report_to="none")
    plain = Trainer(trainer.model, args, train_dataset=trainer.train_dataset, data_collator=trainer.data_collator)
    plain.train()
    checkpoint = tmp_path / "plain/checkpoint-2"
    with pytest.raises(HfclsError, match="checkpoint-2: it is no checkpoint of ClassificationTrainer; train"):
        build().train(resume_from_checkpoint=str(checkpoint))
    with pytest.raises(HfclsError, match="nowhere: it is no checkpoint of ClassificationTrainer"):
        build().train(resume_from_checkpoint=str(tmp_path / "nowhere"))
    assert (checkpoint / "optimizer.pt").is_file()


def test_a_checkpoint_without_its_optimizer_is_not_resumed_from(build):
    trainer = build(save_strategy="steps", save_steps=2, max_steps=2, save_only_model=True)
    trainer.train()
    with pytest.raises(
        HfclsError, match=r"was saved without its optimizer \(save_only_model\); train from its weights"
    ):
        build().train(resume_from_checkpoint=True)


def test_unused_memory_is_given_back_every_few_steps(build, monkeypatch):
    given_back = []
    monkeypatch.setattr(resuming, "give_back_memory", lambda: given_back.append(True))
    monkeypatch.setattr(resuming, "STEPS_OF_MEMORY", 3)
    build(max_steps=7).train()
    assert len(given_back) == 3


def test_resuming_from_the_newest_takes_the_newest_that_is_whole(build):
    with pytest.raises(HfclsError, match="no whole checkpoint to resume from in"):
        build().train(resume_from_checkpoint=True)
    trainer = build(save_strategy="steps", save_steps=3, save_total_limit=None)
    trainer.train()
    out = Path(trainer.args.output_dir)
    (out / "checkpoint-9/optimizer.pt").write_bytes(b"cut")
    shutil.rmtree(out / "checkpoint-10")
    resumed = build(save_strategy="steps", save_steps=3, save_total_limit=2)
    resumed.train(resume_from_checkpoint=True)
    assert history(resumed, "loss") == history(trainer, "loss")
    assert sorted(path.name for path in out.iterdir()) == ["checkpoint-10", "checkpoint-9"]
    assert newest_whole_checkpoint(out).name == "checkpoint-10"
    assert why_broken(out / "checkpoint-9") is None  # written anew in place of the broken one


def test_a_trainer_leaves_the_checkpoints_of_others_alone(build):
    """In its own folder: it rotates what it has sealed."""
    trainer = build(save_strategy="steps", save_steps=1, save_total_limit=1, max_steps=3)
    out = Path(trainer.args.output_dir)
    for name in ("checkpoint-1000", "checkpoint-0"):
        (out / name).mkdir(parents=True)
        (out / name / "model.safetensors").write_bytes(b"theirs")
    trainer.train()
    assert sorted(path.name for path in out.iterdir()) == ["checkpoint-0", "checkpoint-1000", "checkpoint-3"]
    (out / "checkpoint-2").mkdir()
    (out / "checkpoint-2/model.safetensors").write_bytes(b"theirs")
    with pytest.raises(HfclsError, match="checkpoint-2 is in the way, and hfcls did not write it: move it away"):
        build(save_strategy="steps", save_steps=1, max_steps=3).train()
    assert (out / "checkpoint-2/model.safetensors").read_bytes() == b"theirs"


def test_a_checkpoint_holds_nothing_of_one_that_was_killed(build):
    trainer = build(save_strategy="steps", save_steps=2, max_steps=2)
    left = Path(trainer.args.output_dir) / ".hfcls-writing/checkpoint-2/rng_state_7.pth"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of a larger launch")
    trainer.train()
    assert not list(Path(trainer.args.output_dir).rglob("rng_state_7.pth"))
    assert [path.name for path in Path(trainer.args.output_dir).iterdir()] == ["checkpoint-2"]


def test_a_model_holds_nothing_of_one_that_was_killed(build, tmp_path):
    left = tmp_path / "model/.hfcls-writing/pytorch_model.bin"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of another model")
    build().save_whole_model(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]


def test_the_loss_is_over_the_labels_of_the_whole_step():
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, -100, 1])
    mean = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(classification_loss({"logits": logits}, labels), mean)
    torch.testing.assert_close(classification_loss({"logits": logits}, labels, torch.tensor(8)), mean / 2)
    several = torch.rand(5, 3).round()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, several)
    torch.testing.assert_close(classification_loss({"logits": logits}, several), expected)


def test_metrics_by_hand():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 0.5]]).numpy()
    metrics = classification_metrics(EvalPrediction(predictions=logits, label_ids=torch.tensor([0, 1, 1, 1]).numpy()))
    assert metrics["accuracy"] == 0.75
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert metrics["loss"] == pytest.approx((0.126928 + 0.313262 + 3.048587 + 0.474077) / 4, abs=1e-5)


def test_training_packs_into_finer_rows_than_evaluation(build):
    trainer = build(per_device_train_batch_size=2, per_device_eval_batch_size=2)
    trainer.data_collator = make_collator("packed", pad_token_id=0, max_length=64)
    widths = [batch["input_ids"].shape[1] for batch in trainer.get_train_dataloader()]
    assert not any(width % TRAINING_LANES for width in widths)
    assert any(width % LANES for width in widths)
    assert not any(batch["input_ids"].shape[1] % LANES for batch in trainer.get_eval_dataloader())


def test_evaluating_changes_nothing_of_training(build):
    """Trainer's evaluation draws random numbers, by which the next epoch would be shuffled and dropped out."""
    with_evaluation, without = build(eval_strategy="steps", eval_steps=2), build()
    for trainer in (with_evaluation, without):
        trainer.train()
    assert len(history(with_evaluation, "eval_loss")) == 5
    assert history(with_evaluation, "loss") == history(without, "loss")


@pytest.mark.parametrize(("code", "failures", "saved"), [("EIO", 2, True), ("EIO", 3, False), ("EACCES", 1, False)])
def test_writing_to_a_slow_drive_is_tried_again(build, monkeypatch, caplog, code, failures, saved):
    number, seal, failed = getattr(errno, code), resuming.seal, []

    def failing(folder: Path) -> None:
        if len(failed) < failures:
            failed.append(folder)
            raise OSError(number, "the drive went away")
        seal(folder)

    monkeypatch.setattr(resuming, "seal", failing)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    trainer = build(save_strategy="steps", save_steps=2, max_steps=3)
    caplog.set_level(logging.WARNING)
    if saved:
        trainer.train()
        assert caplog.text.count("writing a checkpoint failed (the drive went away): trying again") == failures
        assert newest_whole_checkpoint(Path(trainer.args.output_dir)).name == "checkpoint-3"
    else:
        with pytest.raises(OSError, match="the drive went away"):
            trainer.train()
        assert newest_whole_checkpoint(Path(trainer.args.output_dir)) is None
