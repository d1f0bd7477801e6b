"""Options come from YAML, flags and Python with the same checks."""

import argparse
import os
import re
from dataclasses import fields, replace
from typing import Any, get_type_hints

import pandas as pd
import pytest
from conftest import ROOT

import hfcls
from hfcls.config import typed
from hfcls.config.commands import CheckConfig, CleanConfig, DistillConfig, EvaluateConfig, PredictConfig
from hfcls.config.defaults import OF_STEPS
from hfcls.config.optimization import LossConfig, OptimizationConfig, StartConfig
from hfcls.config.options import fixed_options, with_options
from hfcls.config.pretraining import AdaptConfig
from hfcls.config.sources import add_options, config_from, load_recipe, recipe_values
from hfcls.config.train import DataConfig, TrainConfig
from hfcls.errors import HfclsError


def parse(*argv: str) -> TrainConfig:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("recipe", nargs="?")
    add_options(parser, TrainConfig)
    return config_from(parser.parse_args(argv), TrainConfig)


def test_command_line_wins_over_recipe_and_recipe_over_defaults(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("seed: 3\nbatch_size: 16\nlearning_rate: 5e-4\nmax_steps: null\n")
    config = parse(str(recipe), "--seed", "4", "--resume")
    assert (config.seed, config.batch_size, config.learning_rate, config.resume) == (4, 16, 5e-4, True)
    assert config.num_train_epochs == TrainConfig().num_train_epochs


def test_shipped_recipes_load_and_say_what_they_are():
    *recipes, adapt = sorted((ROOT / "recipes").glob("*.yaml"))
    assert [path.stem for path in (*recipes, adapt)] == ["few_labels", "nsmc", "nsmc_kcbert", "quickstart", "small_ko"]
    assert load_recipe(adapt, AdaptConfig).output_dir == "outputs/small_ko"
    assert f"hfcls adapt recipes/{adapt.name}" in adapt.read_text(encoding="utf-8")
    for path in recipes:
        config = load_recipe(path)
        assert config.output_dir == f"outputs/{path.stem}"
        assert f"train.py recipes/{path.name}" in path.read_text(encoding="utf-8")
    book = load_recipe(ROOT / "recipes/nsmc_kcbert.yaml")
    assert (book.model, book.dataset, book.max_length, book.batch_size) == (
        "beomi/kcbert-base",
        "nsmc",
        128,
        32,
    )
    assert (book.learning_rate, book.lr_gamma, book.num_train_epochs, book.seed) == (5e-5, 0.9, 3, 7)
    assert book.select_on_test
    assert book.max_grad_norm == 0


def test_the_recipe_of_the_book_states_all_that_enters_what_is_learned():
    """No default, however it changes, changes the book's run: only what is off without a value is left out."""
    stated = recipe_values(ROOT / "recipes/nsmc_kcbert.yaml", TrainConfig)
    learned = {f.name: f.default for group in (StartConfig, OptimizationConfig, LossConfig) for f in fields(group)}
    learned |= dict.fromkeys(("metric_for_best_model", "seed", "max_length", "calibrate"))
    off = {"max_steps", "lora_rank"}
    assert set(learned) - off <= set(stated)
    assert stated == {
        "dataset": "nsmc", "model": "beomi/kcbert-base", "output_dir": "outputs/nsmc_kcbert", "select_on_test": True,
        "max_length": 128, "batch_size": 32, "num_train_epochs": 3, "learning_rate": 5e-5, "lr_gamma": 0.9,
        "max_grad_norm": 0.0, "seed": 7, "warm_head": False, "freeze_encoder": False, "pooling": "first",
        "layers": "all",
        "optimizer": "adam", "weight_decay": 0.0, "lr_scheduler": "exponential", "warmup_ratio": 0.0,
        "layerwise_lr_decay": 1.0, "gradient_accumulation_steps": 1, "gradient_checkpointing": False, "bf16": False,
        "fp16": False, "label_smoothing": 0.0, "class_weights": "none", "focal_gamma": 0.0, "rdrop": 0.0, "fgm": 0.0,
        "metric_for_best_model": "eval_loss", "calibrate": False,
    }  # fmt: skip
    honest = recipe_values(ROOT / "recipes/nsmc.yaml", TrainConfig)
    defaults = TrainConfig()
    for name in set(learned) - off:  # the book's settings with an honest protocol
        assert honest.get(name, getattr(defaults, name)) == stated[name], name


def test_the_recipe_for_few_labels_is_what_a_run_does_anyway():
    config, default = load_recipe(ROOT / "recipes/few_labels.yaml").settled(), TrainConfig().settled()
    assert replace(config, output_dir=default.output_dir) == default
    assert default.metric_for_best_model == "last"
    assert TrainConfig(early_stopping_patience=2).settled().metric_for_best_model == "eval_loss"
    assert TrainConfig(select_on_test=True).settled().metric_for_best_model == "eval_loss"
    plain = TrainConfig(warm_head=False, optimizer="adam").settled()
    assert (plain.layers, plain.pooling, plain.weight_decay) == ("all", "first", 0.0)
    random = TrainConfig(model="4x256").settled()
    assert (random.layers, random.pooling, random.weight_decay) == ("all", "first", 0.01)


@pytest.mark.parametrize("name", OF_STEPS)
def test_an_option_of_steps_that_are_not_taken_is_refused(name):
    """It was passed over without a word, and stood in the card."""
    values = {"lr_scheduler": "cosine", "lr_gamma": 0.8, "metric_for_best_model": "accuracy"}
    value = values.get(name, 0.5 if "ratio" in name or "decay" in name else 2)
    given = {name: value} | ({"lr_scheduler": "exponential"} if name == "lr_gamma" else {})
    TrainConfig(**given).settled()
    with pytest.raises(HfclsError, match="is for training by steps, of which freeze_encoder takes none: drop one"):
        TrainConfig(**given, freeze_encoder=True).settled()
    for kind, more in ((TrainConfig, {}), (DistillConfig, {}), (TrainConfig, {"select_on_test": True})):
        settled = kind(freeze_encoder=True, **more).settled()
        assert settled.settled() == settled, "its own values, which run.yaml repeats, are no slip"


@pytest.mark.parametrize(
    ("rows", "width", "epochs", "rate", "fgm"),
    [
        *[(1, 384, 6, 1e-4, 0.03), (500, 768, 6, 5e-5, 0.03), (501, 384, 6, 1e-4, 0.0), (1_500, 767, 6, 1e-4, 0.0)],
        *[(1_501, 768, 4, 5e-5, 0.0), (10_000, 768, 4, 5e-5, 0.0), (10_001, 1024, 3, 5e-5, 0.0)],
    ],
)
def test_rows_and_width_decide_what_is_left_open(rows, width, epochs, rate, fgm):
    fitted = TrainConfig().fitted(rows, width)
    assert (fitted.num_train_epochs, fitted.learning_rate, fitted.fgm) == (epochs, rate, fgm)
    given = TrainConfig(num_train_epochs=2, learning_rate=3e-4, fgm=0.1)
    assert given.fitted(rows, width) == given
    for other in ({"warm_head": False}, {"model": "scratch"}, {"freeze_encoder": True}):
        assert TrainConfig(**other).settled().fitted(rows, width).fgm == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b", "must be a mapping of option: value, found list"),
        ("lr: 1", "unknown option lr; did you mean learning_rate?"),
        ("lerning_rate: 1", "unknown option lerning_rate; did you mean learning_rate?"),
        ("seed: 1\nmodel: a\nseed: 2", "is not valid YAML: seed is given twice: keep one"),
        (f"seed: {10**30}", "seed must be a whole number below 2**32, found 1000"),
        (f"learning_rate: {10**400}", "learning_rate must be a number, found 1000"),
        ("model: ''", "model must not be empty: give a value, or leave model out"),
        ("seed: [", "is not valid YAML"),
        ("seed: seven", "seed must be a whole number, found 'seven'"),
        ("seed: true", "seed must be a whole number, found True"),
        ("resume: 'yes'", "resume must be true or false, found 'yes'"),
        ("layers: 4", "layers must be a text, in quotes, found 4"),
        ("label_column: no", "label_column must be a text, in quotes, found False"),
        ("batching: tight", "batching must be one of packed, longest, fixed, found 'tight'"),
        ("learning_rate: .nan", "learning_rate must be a number, found nan"),
    ],
)
def test_a_bad_recipe_is_refused_by_name(tmp_path, text, message):
    recipe = tmp_path / "bad.yaml"
    recipe.write_text(text)
    with pytest.raises(HfclsError, match=re.escape(message)) as error:
        load_recipe(recipe)
    assert str(recipe) in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0}, "learning_rate must be above 0, found 0"),
        ({"lr_gamma": 1.5}, "lr_gamma must be above 0 and at most 1, found 1.5"),
        ({"validation_size": 1}, "validation_size must be at least 0 and below 1, found 1"),
        ({"batch_size": 0}, "batch_size must be at least 1, found 0"),
        ({"seed": -1}, "seed must be from 0 to 2**32 - 1, found -1"),
        ({"max_train_samples": 0}, "max_train_samples must be at least 1, found 0"),
        ({"batch_size": 10, "gradient_accumulation_steps": 4}, "batch_size 10 does not divide by"),
        ({"batch_size": 2**16 + 1}, "batch_size must be at most 65536, found 65537"),
        ({"eval_batch_size": 10**9}, "eval_batch_size must be at most 65536, found 1000000000"),
        ({"max_length": 10**9}, "max_length must be at most 65536, found 1000000000"),
        ({"dataloader_num_workers": 10**6}, "dataloader_num_workers must be at most 1024, found 1000000"),
        ({"output_dir": ""}, "output_dir must not be empty"),
        ({"row_length": 64}, "row_length 64 is below max_length 128"),
        ({"row_length": 128, "batching": "fixed"}, "row_length applies to batching: packed"),
        ({"resume": True, "overwrite_output_dir": True}, "choose one"),
        ({"weight_decay": 0.01, "optimizer": "adam"}, "weight_decay 0.01 is of adamw: set --optimizer adamw"),
        ({"lr_gamma": 0.8, "lr_scheduler": "linear"}, "lr_gamma 0.8 is of the exponential schedule, found linear"),
        (
            {"warm_head": False, "pooling": "mean"},
            "pooling belongs to a head that is fitted first: set --warm_head, or",
        ),
        (
            {"warm_head": False, "freeze_encoder": True},
            "freeze_encoder belongs to a head that is fitted first",
        ),
        (
            {"freeze_encoder": True, "class_weights": "balanced"},
            "class_weights is for training by steps, of which freeze_encoder takes none: drop one",
        ),
        ({"freeze_encoder": True, "rdrop": 1.0}, "rdrop is for training by steps"),
        ({"layers": "0", "warm_head": True}, "layers must be all, auto or a whole number above 0, found 0"),
        ({"warmup_ratio": 1}, "warmup_ratio must be at least 0 and below 1, found 1"),
        ({"layerwise_lr_decay": 0}, "layerwise_lr_decay must be above 0 and at most 1, found 0"),
        ({"label_smoothing": 1}, "label_smoothing must be at least 0 and below 1, found 1"),
        ({"focal_gamma": -1}, "focal_gamma must be at least 0, found -1"),
        ({"rdrop": -1}, "rdrop must be at least 0, found -1"),
        ({"fgm": -0.1}, "fgm must be at least 0, found -0.1"),
        (
            {"metric_for_best_model": "last", "early_stopping_patience": 1},
            "early_stopping_patience needs a number to go by, and metric_for_best_model is last: drop one of them",
        ),
        ({"metric_for_best_model": "last", "select_on_test": True}, "select_on_test needs a number to go by"),
        ({"eval_steps": 0}, "eval_steps must be at least 1, found 0"),
        ({"bf16": True, "fp16": True}, "bf16 and fp16 are two ways to compute: choose one"),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(HfclsError, match=re.escape(message)):
        TrainConfig(**options)


def test_a_recipe_without_a_name_is_an_error_and_not_the_default_run():
    with pytest.raises(HfclsError, match="no recipe .* give the path of a YAML file"):
        parse("")


def test_a_tilde_is_the_home_folder_also_where_no_shell_replaces_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("output_dir: ~/runs/a\nmodel: ~/models/b\ntext_column: ~")
    with pytest.raises(HfclsError, match="text_column must be a text, found NoneType"):  # a bare tilde is YAML for null
        load_recipe(recipe)
    recipe.write_text("output_dir: ~/runs/a\nmodel: ~/models/b\ntext_column: '~'")
    config = load_recipe(recipe)
    assert (config.output_dir, config.model) == (f"{tmp_path}/runs/a", f"{tmp_path}/models/b")
    assert config.text_column == "~"


@pytest.mark.parametrize("flag", ["--max_len", "--no_such_option"])
def test_shortened_and_unknown_flags_are_errors(flag, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse(flag, "64")
    assert f"unrecognized arguments: {flag}" in capsys.readouterr().err


def test_an_option_of_several_values_takes_words_commas_and_lists():
    parsed = parse("--metrics", "f1", "./mine", "--seed", "3")
    assert (parsed.metrics, parsed.seed) == ("f1,./mine", 3)
    assert parse("--metrics", "f1", "--seed", "3", "--metrics", "./mine").metrics == "f1,./mine", "the first was lost"
    assert TrainConfig(metrics=["f1", "./mine"]).metrics == parse("--metrics", "f1,./mine").metrics == "f1,./mine"
    home = os.path.expanduser("~")
    assert EvaluateConfig(compare=["~/a", "~/b"]).compare == f"{home}/a,{home}/b"


@pytest.mark.parametrize("config_class", [TrainConfig, AdaptConfig, EvaluateConfig])
def test_help_explains_every_option(config_class):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_options(parser, config_class)
    options = [action for action in parser._actions if action.dest != "help"]
    assert {action.dest for action in options} == set(config_class.__dataclass_fields__)
    assert all(action.help for action in options)


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (TrainConfig, typed.TrainOptions),
        (AdaptConfig, typed.AdaptOptions),
        (CheckConfig, typed.CheckOptions),
        (CleanConfig, typed.CleanOptions),
        (EvaluateConfig, typed.EvaluateOptions),
        (PredictConfig, typed.PredictOptions),
        (DistillConfig, typed.DistillOptions),
    ],
)
def test_a_type_checker_sees_the_options_of_the_dataclass(config, options):
    hints = get_type_hints(config)
    if issubclass(config, DataConfig):
        hints["dataset"] = Any  # a DataFrame, for one; the config knows it by its type
    assert get_type_hints(options) == {f.name: hints[f.name] for f in fields(config)}


def test_a_misspelt_option_in_python_is_an_error_with_a_suggestion():
    with pytest.raises(HfclsError, match=r"unknown option learning_rat; did you mean learning_rate\?"):
        with_options(TrainConfig(), {"learning_rat": 1e-4})


@pytest.mark.parametrize(
    "name", ["fine_tune", "check", "clean", "evaluate", "predict_files", "adapt", "distill", "export"]
)
@pytest.mark.parametrize("given", ["reviews.csv", [], pd.DataFrame({"text": ["가"]})], ids=["str", "list", "DataFrame"])
def test_what_is_given_without_its_name_is_no_config(name, given):
    with pytest.raises(HfclsError, match=f"a {type(given).__name__} stands where a config may: say which option"):
        getattr(hfcls, name)(given)


def test_every_option_says_whether_it_may_change_on_resume_and_stands_in_the_card():
    fixed = fixed_options(TrainConfig()).keys()
    assert not fixed & {"output_dir", "num_train_epochs", "batching", "push_to_hub"}
    assert fixed >= {"learning_rate", "seed", "dataset", "model", "max_length"}
    in_card = {f.name: f.metadata["in_card"] for f in fields(TrainConfig)}
    assert {name for name, told in in_card.items() if told == "always"} == {
        *("num_train_epochs", "batch_size", "learning_rate", "lr_gamma", "max_length", "seed"),
        *("optimizer", "weight_decay", "lr_scheduler", "warmup_ratio"),
    }
