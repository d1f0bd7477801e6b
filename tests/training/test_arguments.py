"""Each argument of Trainer is honoured or refused: none is taken in silence and does nothing."""

from dataclasses import fields
from types import NoneType
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from architectures import CONFIGS, tiny
from transformers import (
    AutoModelForSequenceClassification,
    BertForSequenceClassification,
    FunnelConfig,
    GPT2Config,
    Trainer,
    TrainingArguments,
    XLMConfig,
)
from transformers.optimization import get_scheduler

from hfcls.batching.collate import make_collator
from hfcls.config.train import TrainConfig
from hfcls.data.corpora import load_corpus
from hfcls.data.encoding import encode
from hfcls.errors import HfclsError
from hfcls.models.loading import load_model
from hfcls.models.tokenizers import load_tokenizer
from hfcls.scoring.losses import classification_loss
from hfcls.training.accepted import REFUSED
from hfcls.training.arguments import ClassificationTrainingArguments, training_arguments
from hfcls.training.optim import layerwise_groups
from hfcls.training.trainer import ClassificationTrainer

# What ClassificationTrainer does itself with an argument; the tests below hold it to that.
OURS = {
    *("adam_beta1", "adam_beta2", "adam_epsilon", "optim", "optim_args", "optim_target_modules", "weight_decay"),
    *("lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "learning_rate", "label_smoothing_factor"),
    *(
        "train_sampling_strategy",
        "data_seed",
        "seed",
        "dataloader_persistent_workers",
        "save_strategy",
        "save_only_model",
    ),
    *("metric_for_best_model", "greater_is_better", "save_total_limit", "eval_strategy", "eval_delay", "eval_steps"),
    *("per_device_train_batch_size", "per_device_eval_batch_size", "disable_tqdm", "resume_from_checkpoint"),
}
# What Trainer, its accelerator, its loaders and its log do with an argument goes through no code of ours.
TRAINERS = {
    *("output_dir", "num_train_epochs", "max_steps", "gradient_accumulation_steps", "average_tokens_across_devices"),
    *("max_grad_norm", "bf16", "fp16", "bf16_full_eval", "fp16_full_eval", "tf32", "activation_checkpointing"),
    *("activation_checkpointing_kwargs", "gradient_checkpointing", "gradient_checkpointing_kwargs", "torch_compile"),
    *("torch_compile_backend", "torch_compile_mode", "use_liger_kernel", "liger_kernel_config", "use_cache"),
    *("torch_empty_cache_steps", "logging_strategy", "logging_steps", "logging_first_step", "log_on_each_node"),
    *("logging_nan_inf_filter", "include_num_input_tokens_seen", "log_level", "log_level_replica", "report_to"),
    *("run_name", "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id", "eval_on_start"),
    *("eval_use_gather_object", "eval_accumulation_steps", "save_steps", "save_on_each_node", "debug"),
    *("load_best_model_at_end", "ignore_data_skip", "full_determinism", "use_cpu", "dataloader_num_workers"),
    *("dataloader_pin_memory", "dataloader_prefetch_factor", "dataloader_multiprocessing_context"),
    *("dataloader_in_order", "remove_unused_columns", "ddp_find_unused_parameters", "ddp_bucket_cap_mb"),
    *("ddp_broadcast_buffers", "ddp_static_graph", "ddp_backend", "ddp_timeout", "fsdp", "fsdp_config"),
    *("skip_memory_metrics", "local_rank"),
}
# Of example scripts, and of a sampling that is refused: Trainer itself does nothing with them.
NOBODYS = {"do_train", "do_eval", "do_predict", "length_column_name"}


def test_every_argument_of_trainer_is_accounted_for():
    """A new release of transformers with another one fails here, until somebody has looked what it does."""
    known = [OURS, TRAINERS, NOBODYS, set(REFUSED)]
    assert sum(map(len, known)) == len(set.union(*known)), "each stands once"
    assert {field.name for field in fields(TrainingArguments)} == set.union(*known)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("accelerator_config", {"split_batches": True}),
        ("auto_find_batch_size", True),
        ("batch_eval_metrics", True),
        ("dataloader_drop_last", True),
        ("deepspeed", {"zero_optimization": {}}),
        ("enable_jit_checkpoint", True),
        ("eval_do_concat_batches", False),
        ("hub_model_id", "a/b"),
        ("hub_strategy", "end"),
        ("include_for_metrics", ["inputs"]),
        ("label_names", ["stars"]),
        ("neftune_noise_alpha", 5.0),
        ("prediction_loss_only", True),
        ("push_to_hub", True),
        ("restore_callback_states_from_checkpoint", True),
    ],
)
def test_what_would_do_nothing_is_refused(tmp_path, argument, value):
    with pytest.raises(HfclsError, match=rf"^{argument}=.* is not taken: {REFUSED[argument][:20]}"):
        ClassificationTrainingArguments(output_dir=str(tmp_path), **{argument: value})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"train_sampling_strategy": "group_by_length"},
            "must be random or sequential, whose order a resumed run repeats, found group_by_length",
        ),
        ({"train_sampling_strategy": "x"}, "must be one of random, sequential, .*, found x"),
        (
            {"activation_checkpointing_kwargs": {"use_reentrant": False}},
            "does nothing without activation_checkpointing",
        ),
        (
            {"fsdp_config": {"version": 2}},
            "fsdp_config does nothing without fsdp: set that as well, or drop fsdp_config",
        ),
        (
            {"fsdp": True, "fsdp_config": {"fsdp_version": 2, "min_num_param": 9}},
            "fsdp_config knows no 'min_num_param'; did you mean min_num_params",
        ),
        ({"dataloader_persistent_workers": True}, "does nothing without dataloader_num_workers"),
        ({"optim": "adamw_torch", "optim_target_modules": "all-linear"}, "belong to another optimizer"),
        ({"lr_scheduler_kwargs": {"num_cycles": 2}}, "lr_scheduler_kwargs belongs to a schedule of Trainer"),
        ({"lr_scheduler_type": "linear", "lr_gamma": 0.8}, "lr_gamma belongs to lr_scheduler_type exponential"),
        ({"optim_args": "a=1"}, "belong to another optimizer: set optim as well"),
        ({"label_smoothing_factor": 1.5}, "label_smoothing_factor must be from 0 to below 1, found 1.5"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, arguments, message):
    with pytest.raises(HfclsError, match=message):
        ClassificationTrainingArguments(output_dir=str(tmp_path), **arguments)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("label_smoothing_factor", "x", "must be a number, found 'x'"),
        ("label_smoothing_factor", None, "must be a number, found NoneType"),
        ("layerwise_lr_decay", [1], "must be a number, found list"),
        ("learning_rate", -1e-5, "must be at least 0, found -1e-05"),
        ("learning_rate", float("nan"), "must be a number, found nan"),
        ("warmup_steps", "x", "must be a number, found 'x'"),
        ("logging_steps", None, "must be a number, found NoneType"),
        ("dataloader_num_workers", 1.5, "must be a whole number, found 1.5"),
        ("per_device_train_batch_size", 0, "must be at least 1, found 0"),
        ("focal_gamma", -1, "must be at least 0, found -1"),
        ("rdrop", "much", "must be a number, found 'much'"),
        ("lora_rank", 0, "must be at least 1, found 0"),
        ("seed", "x", "must be a whole number, found 'x'"),
        ("bf16", "no", "must be true or false, found 'no'"),
        ("metric_for_best_model", 1, "must be str | None, found 1"),
        ("class_weights", [1.0, -1.0], "must be a list of numbers from 0 on, found [1.0, -1.0]"),
        ("class_weights", ["1"], "must be list[float] | None, found ['1']"),
        ("class_weights", "balanced", "must be list[float] | None, found 'balanced'"),
        ("class_weights", 2.0, "must be list[float] | None, found 2.0"),
        ("max_steps", 0, "must be at least 1, or -1: as num_train_epochs says, found 0"),
        ("adam_beta1", 1, "must be from 0 to below 1, found 1"),
        ("ddp_backend", "x", "must be one of nccl, gloo, mpi, "),
        ("fsdp", [1], "must be bool | str | list[str] | None, found [1]"),
        ("debug", ["x"], "must be one of underflow_overflow, tpu_metrics_debug"),
        ("report_to", "tensorbord", "must be one of all, none, "),
        ("torch_compile_backend", "x", "must be one of no, eager, "),
        ("activation_checkpointing_kwargs", {"reentrant": True}, "knows no 'reentrant'; did you mean use_reentrant?"),
        ("activation_checkpointing_kwargs", "use_reentrant", "must be dict[str, Any] | None, found 'use_reentrant'"),
        ("lr_scheduler_type", "x", "must be one of exponential, linear, cosine, "),
        ("optim", "adam", "must be one of adamw_torch, adamw_torch_fused, "),
        ("eval_strategy", "x", "must be one of no, steps, epoch, found x"),
        ("save_strategy", [1], "must be str, found [1]"),
    ],
)
def test_a_value_that_cannot_be_is_named_in_one_line(tmp_path, argument, value, message):
    with pytest.raises(HfclsError) as raised:
        ClassificationTrainingArguments(output_dir=str(tmp_path), **{argument: value})
    assert f"{argument} {message}" in str(raised.value)
    assert "\n" not in str(raised.value)


WRONG = ["x", -1, -0.5, 2.5, float("nan"), [1], ["x"], {"a": 1}, None, True, 10**30, "", object(), (1,), '{"a": 1}']
TEXTS = {  # any text is such a name
    *("output_dir", "run_name", "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"),
    *("metric_for_best_model", "length_column_name", "resume_from_checkpoint"),
}
NOTHING = dict.fromkeys(("optim_args", "optim_target_modules", "debug", "fsdp", "fsdp_config"), "")  # as if not given
MEANT = {  # values that Trainer gives a meaning of their own
    "max_steps": -1,
    "local_rank": -1,
    "fsdp": True,
    "class_weights": [1],
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("field", fields(ClassificationTrainingArguments), ids=lambda field: field.name)
def test_each_wrong_value_of_each_argument_is_named_or_does_what_it_says(tmp_path, field):
    """Of 15 values that are wrong for most of them: nothing else is taken, and nothing ends in another error."""
    name, hint = field.name, get_type_hints(ClassificationTrainingArguments)[field.name]
    kinds = {*(get_args(hint) or [hint])}
    for value in WRONG:
        fine = (
            (value is None and NoneType in kinds)
            or (value is True and bool in kinds)
            or (value in (2.5, 10**30) and type(value) is not bool and float in kinds and not isinstance(value, tuple))
            or (isinstance(value, str) and name in TEXTS)
            or (name in NOTHING and value == NOTHING[name])
            or (name in MEANT and value in (MEANT[name], tuple(MEANT[name]) if name == "class_weights" else None))
        )
        try:
            ClassificationTrainingArguments(
                **{"output_dir": str(tmp_path), "report_to": "none", "use_cpu": True, name: value}
            )
        except (HfclsError, ValueError) as error:
            message = str(error)
            assert name in message, (name, value)
            assert "\n" not in message
        else:
            assert fine, (name, value)


@pytest.mark.parametrize(
    ("optim", "given", "message"),
    [
        ("sgd", "momentum=0.50,nesterov=true", None),
        ("sgd", "momentom=0.5", "optim_args: SGD of Trainer does not take momentom=0.5"),
        ("sgd", "weight_decay=0.5", "SGD of Trainer does not take weight_decay=0.5"),  # an argument of its own
        ("adamw_torch", "beta1=0.5", "AdamW of Trainer does not take beta1=0.5"),
        ("adafactor", "momentum", "Adafactor of Trainer does not take momentum|optim_args must be name=value"),
    ],
)
def test_options_of_an_optimizer_that_it_would_pass_over_are_refused(build, optim, given, message):
    if message is None:
        assert build(optim=optim, optim_args=given).create_optimizer().defaults["nesterov"] is True
        return
    with pytest.raises(HfclsError, match=message):
        build(optim=optim, optim_args=given).create_optimizer()


def test_numbers_of_numpy_and_those_written_as_texts_are_taken(tmp_path):
    """YAML 1.1 reads 5e-5 as a text."""
    args = ClassificationTrainingArguments(
        output_dir=str(tmp_path),
        learning_rate="5e-5",
        seed=np.int64(3),
        weight_decay=np.float32(0.5),
        class_weights=(1, 2.0),
    )
    assert (args.learning_rate, args.seed, args.weight_decay) == (5e-5, 3, 0.5)


@pytest.fixture
def build(table, tiny_model, tmp_path):
    """A trainer that takes six steps on 40 reviews, with these arguments over its own."""
    tokenizer = load_tokenizer(tiny_model)
    rows = encode(load_corpus(str(table(count=40))), tokenizer, 64)["train"]

    def make(
        trainer: Any = ClassificationTrainer, arguments: Any = ClassificationTrainingArguments, **given: Any
    ) -> Any:
        torch.manual_seed(7)
        model = load_model(tiny_model, ["부정", "긍정"])
        values = {"per_device_train_batch_size": 16, "max_steps": 6, "learning_rate": 5e-4, "logging_steps": 1}
        values |= {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False, "use_cpu": True}
        others = {name: given.pop(name) for name in ("compute_loss_func", "optimizer_cls_and_kwargs") if name in given}
        args = arguments(output_dir=str(tmp_path / "out"), report_to="none", **{**values, **given})
        collate = make_collator("fixed", pad_token_id=tokenizer.pad_token_id, max_length=64)
        return trainer(model, args, train_dataset=rows, eval_dataset=rows, data_collator=collate, **others)

    return make


def history(trainer: Any, key: str) -> list[float]:
    return [entry[key] for entry in trainer.state.log_history if key in entry]


def test_by_default_the_optimizer_is_adam_as_torch_has_it(build):
    trainer = build()
    optimizer = trainer.create_optimizer()
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.defaults == torch.optim.Adam([torch.zeros(1)], lr=5e-4, fused=True).defaults
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize(
    ("arguments", "kind", "expected"),
    [
        ({"adam_beta1": 0.8, "adam_beta2": 0.9, "adam_epsilon": 1e-3}, "Adam", {"betas": (0.8, 0.9), "eps": 1e-3}),
        ({"weight_decay": 0.1, "adam_beta1": 0.8}, "AdamW", {"betas": (0.8, 0.999)}),
        ({"optim": "adamw_torch"}, "AdamW", {"weight_decay": 0.0}),
        ({"optim": "sgd", "optim_args": "momentum=0.5"}, "SGD", {"momentum": 0.5}),
        ({"optimizer_cls_and_kwargs": (torch.optim.SGD, {"lr": 0.25})}, "SGD", {"lr": 0.25}),
    ],
)
def test_another_optimizer_is_the_one_that_was_asked_for(build, arguments, kind, expected):
    optimizer = build(**arguments).create_optimizer()
    assert type(optimizer).__name__ == kind
    assert {name: optimizer.param_groups[0][name] for name in expected} == expected
    decays = {group["weight_decay"] for group in optimizer.param_groups}
    assert decays == ({0.1, 0.0} if "weight_decay" in arguments else {0.0})


def test_weight_decay_learns_what_trainer_learns(build):
    """Neither biases nor layer norms decay. The rows are in order, since Trainer shuffles by the global generator."""
    given = {
        "weight_decay": 0.5,
        "lr_scheduler_type": "linear",
        "warmup_steps": 2,
        "train_sampling_strategy": "sequential",
    }
    ours = build(**given)
    theirs = build(Trainer, **given, max_grad_norm=0.0)
    for trainer in (ours, theirs):
        trainer.train()
    assert history(ours, "learning_rate") == history(theirs, "learning_rate")
    for one, other in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "given",
    [
        {"lr_scheduler_type": "linear"},
        {"lr_scheduler_type": "cosine", "warmup_steps": 2},
        {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_rate": 0.1}, "warmup_steps": 0.5},
        {"lr_scheduler_type": "constant"},
    ],
)
def test_a_schedule_of_trainer_is_taken_as_it_is(build, given):
    trainer = build(**given)
    trainer.train()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=5e-4)
    warmup = given.get("warmup_steps", 0)
    scheduler = get_scheduler(
        given["lr_scheduler_type"], optimizer, int(6 * warmup) if warmup < 1 else warmup, 6,
        given.get("lr_scheduler_kwargs"),
    )  # fmt: skip
    expected = []
    for _ in range(6):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert history(trainer, "learning_rate") == expected


@pytest.mark.parametrize("warmup", [4, 0.67])
def test_the_rate_of_the_book_warms_up_if_asked(build, warmup):
    """Three steps an epoch, in which the rate is 5e-4, then 0.9 of it."""
    trainer = build(warmup_steps=warmup)
    trainer.train()
    rates = [5e-4 * min(step / (warmup if warmup > 1 else 5), 1) * 0.9 ** (step // 3) for step in range(6)]
    assert history(trainer, "learning_rate") == pytest.approx(rates, rel=1e-12)
    assert trainer.args.lr_scheduler_type.value == "exponential"  # as the card of Trainer wants to know it


def test_label_smoothing_is_that_of_torch_and_of_trainer(build):
    logits, labels = torch.randn(8, 3), torch.tensor([0, 1, 2, -100, 1, 0, 2, 1])
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.2)
    torch.testing.assert_close(classification_loss({"logits": logits}, labels, label_smoothing=0.2), expected)
    given = {"label_smoothing_factor": 0.2, "lr_scheduler_type": "linear", "train_sampling_strategy": "sequential"}
    ours, theirs = build(**given), build(Trainer, **given, max_grad_norm=0.0)
    for trainer in (ours, theirs):
        trainer.train()
    assert history(ours, "loss")[:2] == pytest.approx(history(theirs, "loss")[:2], abs=1e-5)  # the third batch is short
    plain = build(lr_scheduler_type="linear", train_sampling_strategy="sequential")
    plain.train()
    assert history(plain, "loss")[0] != pytest.approx(history(ours, "loss")[0], abs=1e-3)
    with pytest.raises(HfclsError, match="label_smoothing_factor is for the loss of ClassificationTrainer: drop it"):
        build(label_smoothing_factor=0.2, compute_loss_func=classification_loss)


def test_each_layer_has_its_rate_and_what_trains_stands_in_one_group(build):
    trainer = build(layerwise_lr_decay=0.5, weight_decay=0.1, lr_scheduler_type="linear")
    optimizer = trainer.create_optimizer()
    assert type(optimizer) is torch.optim.AdamW
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    assert sorted(id(p) for group in optimizer.param_groups for p in group["params"]) == sorted(names)
    for group in optimizer.param_groups:
        for name in (names[id(parameter)] for parameter in group["params"]):
            depth = 3 if "embeddings" in name else 2 if "layer.0." in name else 1 if "layer.1." in name else 0
            assert group["lr"] == 5e-4 * 0.5**depth, name
            assert group["weight_decay"] == (0.0 if name.endswith("bias") or "LayerNorm" in name else 0.1), name
    trainer.create_scheduler(6)
    assert trainer._get_learning_rate() == 5e-4  # the log tells that of the head


@pytest.mark.parametrize("name", list(CONFIGS))
def test_the_layers_of_each_architecture_are_found(name):
    model = tiny(name)
    groups = layerwise_groups(model, 1.0, 0.5, 0.0, ())
    layers = 1 if name == "albert" else 2  # which shares the weights of all its layers
    assert [group["lr"] for group in groups] == [0.5**depth for depth in range(layers + 2)]
    head = {name for name, _ in model.named_parameters() if name.startswith(("classifier", "pre_classifier", "head"))}
    ours = {id(parameter) for parameter in groups[0]["params"]}
    assert head <= {name for name, parameter in model.named_parameters() if id(parameter) in ours}


@pytest.mark.parametrize(
    "config",
    [
        GPT2Config(vocab_size=50, n_embd=16, n_layer=4, n_head=2, pad_token_id=0),
        FunnelConfig(vocab_size=50, block_sizes=[2, 2], d_model=16, n_head=2, d_head=8, d_inner=32),
        XLMConfig(vocab_size=50, emb_dim=16, n_layers=4, n_heads=2, pad_index=0),
    ],
)
def test_layers_that_are_not_called_so_have_rates_of_their_own_too(config):
    groups = layerwise_groups(AutoModelForSequenceClassification.from_config(config), 1.0, 0.5, 0.0, ())
    assert [group["lr"] for group in groups] == [0.5**depth for depth in range(6)]
    assert len({len(group["params"]) for group in groups[1:5]}) == 1


def test_a_model_without_layers_has_no_rates_by_layer():
    class Flat(BertForSequenceClassification):
        def named_parameters(self, *args, **kwargs):
            yield from self.classifier.named_parameters("classifier")

    with pytest.raises(HfclsError, match="layerwise_lr_decay: the layers of this model are not known: drop it"):
        layerwise_groups(Flat(tiny("bert").config), 1.0, 0.5, 0.0, ())


def test_options_of_a_run_become_arguments_of_trainer(tmp_path):
    def arguments(**options):
        return training_arguments(
            **TrainConfig(output_dir=str(tmp_path), report_to="none", **options).training_options()
        )

    fresh = arguments()  # what follows from the data is not there yet
    assert (fresh.is_adam, fresh.lr_scheduler_type.value, fresh.max_grad_norm) == (True, "linear", 1.0)
    assert (fresh.load_best_model_at_end, arguments(metric_for_best_model="last").load_best_model_at_end) == (
        True,
        False,
    )
    book = arguments(optimizer="adam", lr_scheduler="exponential", warmup_ratio=0.0)
    assert (book.is_adam, book.lr_scheduler_type.value, book.eval_strategy) == (True, "exponential", "epoch")
    args = arguments(
        optimizer="adamw", weight_decay=0.02, lr_scheduler="constant", warmup_ratio=0.1, label_smoothing=0.05,
        focal_gamma=1.5, layerwise_lr_decay=0.9, gradient_checkpointing=True, bf16=True, eval_steps=5,
        metric_for_best_model="macro_f1",
    )  # fmt: skip
    assert (args.is_adam, args.weight_decay, args.lr_scheduler_type.value) == (False, 0.02, "constant_with_warmup")
    assert (args.get_warmup_steps(50), args.label_smoothing_factor, args.focal_gamma) == (5, 0.05, 1.5)
    assert (args.layerwise_lr_decay, args.activation_checkpointing, args.bf16) == (0.9, True, True)
    assert (args.eval_strategy, args.eval_steps, args.save_strategy, args.save_steps) == ("steps", 5, "steps", 5)
    assert (args.metric_for_best_model, args.greater_is_better) == ("macro_f1", True)
    with pytest.raises(HfclsError, match="fp16 needs a GPU, found a CPU: use --bf16"):
        arguments(fp16=True)


def test_several_labels_a_text_are_not_smoothed(build, tiny_model):
    trainer = build()
    trainer.model.config.problem_type = "multi_label_classification"
    trainer.args.label_smoothing_factor = 0.1
    with pytest.raises(HfclsError, match="label_smoothing is for one label a text, and this model has several"):
        ClassificationTrainer(trainer.model, trainer.args)


def test_rows_in_order_if_asked(build):
    trainer = build(train_sampling_strategy="sequential")
    loader = trainer.get_train_dataloader()
    ids = [row for batch in loader for row in batch["input_ids"].tolist()][:40]
    expected = trainer.data_collator([trainer.train_dataset[i] for i in range(40)])["input_ids"].tolist()
    assert ids == expected


def test_workers_that_stay_do_not_bring_the_rows_of_another_dataset(build):
    trainer = build(dataloader_persistent_workers=True, dataloader_num_workers=1)
    assert trainer.evaluate()["eval_samples_per_second"] > 0
    first = trainer.get_eval_dataloader()
    second = trainer.get_eval_dataloader(trainer.train_dataset.select(range(7)))
    assert [trainer.num_examples(loader) for loader in (first, second)] == [40, 7]
