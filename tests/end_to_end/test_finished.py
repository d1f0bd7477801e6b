"""A finished run: what touches it, what does not, and what may be said of it afterwards."""

import hashlib
import json
import logging
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

import hfcls
from hfcls import cli
from hfcls.config.defaults import OF_STEPS
from hfcls.errors import HfclsError
from hfcls.publishing.hub import upload
from hfcls.runs.folder import LOCK_FILE
from hfcls.runs.weights import check_same_weights, weights_sha256
from hfcls.system.locks import sole_run
from hfcls.training.preemption import Interrupted


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_model) -> dict:
    """The options of a run of two epochs, three steps each, in whose `output_dir` it has ended."""
    from conftest import reviews

    folder = tmp_path_factory.mktemp("finished")
    for seed, (split, count) in enumerate([("train", 90), ("validation", 30), ("test", 20)]):
        lines = ["text\tlabel", *("\t".join(row) for row in reviews(count, seed))]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = {
        "dataset": str(folder),
        "model": tiny_model,
        "max_length": 64,
        "learning_rate": 1e-3,
        "num_train_epochs": 2,
        "batch_size": 32,
        "lr_scheduler": "exponential",  # a rate that does not depend on how many epochs there will be
        "warmup_ratio": 0.0,
        "optimizer": "adam",
        "max_grad_norm": 0.0,
        "warm_head": False,
        "metric_for_best_model": "eval_loss",
        "output_dir": str(folder / "out"),
        "report": False,
        "report_to": "none",
    }
    hfcls.fine_tune(**options)
    return options


@pytest.fixture
def options(finished, tmp_path) -> dict:
    """The same in a copy of the folder."""
    shutil.copytree(finished["output_dir"], tmp_path / "out")
    return {**finished, "output_dir": str(tmp_path / "out")}


def contents(folder: str) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize("left", ["all", "no checkpoints", "another log interval"])
def test_a_finished_run_resumed_ends_at_once_as_it_is(options, left, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    monkeypatch.setattr(hfcls.ClassificationTrainer, "__init__", lambda *args, **kwargs: pytest.fail("trains"))
    if left == "no checkpoints":
        for checkpoint in Path(options["output_dir"]).glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
    before = contents(options["output_dir"])
    changed = {"logging_steps": 7} if left == "another log interval" else {}
    result = hfcls.fine_tune(**options, **changed, resume=True)
    assert contents(options["output_dir"]) == before
    assert result == replace(hfcls.load_results(options["output_dir"]), output_dir=options["output_dir"])
    told = f"the run in {options['output_dir']} is finished and is left as it is: its data are not read again; more"
    assert told in caplog.text


def test_a_finished_run_ends_at_once_though_its_encoder_is_out_of_reach(options, tmp_path, capsys):
    kept = Path(options["output_dir"], "run.yaml")
    kept.write_text(kept.read_text("utf-8").replace(options["model"], "gone/encoder"), "utf-8")
    recipe = tmp_path / "recipe.yaml"
    shutil.copy(kept, recipe)
    words = ["train", str(recipe), "--output_dir", options["output_dir"], "--no-report"]
    assert cli.main([*words, "--resume"]) == 0
    assert "split       test (20 rows" in capsys.readouterr().out
    assert cli.main([*words, "--overwrite_output_dir"]) == 1
    assert "could not load the model of 'gone/encoder'" in capsys.readouterr().err


def test_a_finished_run_with_other_weights_is_not_said_to_be_as_it_was(options):
    weights = Path(options["output_dir"], "model.safetensors")
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(HfclsError, match=r"results\.json tells of other weights .* than lie beside it"):
        hfcls.fine_tune(**options, resume=True)
    results = Path(options["output_dir"], "results.json")
    results.write_bytes(b"\xff\xfe" * 1000)
    with pytest.raises(HfclsError, match="is not the result of a run of this version of hfcls: 'utf-8' codec"):
        hfcls.fine_tune(**options, resume=True)
    Path(options["output_dir"], "run.yaml").write_text("{}")
    with pytest.raises(HfclsError, match="run.yaml does not hold its options any more"):
        hfcls.fine_tune(**options, resume=True)


def test_a_finished_run_that_lacks_its_card_gets_it(options):
    card = Path(options["output_dir"]) / "README.md"
    text = card.read_text()
    card.unlink()  # a kill between results and card
    hfcls.fine_tune(**options, resume=True)
    assert card.read_text() == text


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 8}, r"cannot resume .* with other options \(seed 7 -> 8\)"),
        ({"learning_rate": 0.1}, "with other options"),
        ({"num_train_epochs": 1}, "is finished after 6 steps, and these options ask for 3: --overwrite_output_dir"),
        ({"max_steps": 5}, "is finished after 6 steps, and these options ask for 5"),
        ({"num_train_epochs": 3}, "is finished and no whole checkpoint is left from which it could go on: --overwrite"),
    ],
)
def test_without_checkpoints_a_finished_run_is_never_trained_again(options, changed, message):
    for checkpoint in Path(options["output_dir"]).glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    before = contents(options["output_dir"])
    with pytest.raises(HfclsError, match=message):
        hfcls.fine_tune(**{**options, **changed}, resume=True)
    assert contents(options["output_dir"]) == before


def without(out: str, *names: str) -> None:
    """The record of a run that was begun before there were these options."""
    path = Path(out) / "run.yaml"
    kept = {name: value for name, value in yaml.safe_load(path.read_text("utf-8")).items() if name not in names}
    path.write_text(yaml.safe_dump(kept, allow_unicode=True), encoding="utf-8")


@pytest.mark.parametrize(
    ("option", "value", "was"),
    [
        *[
            ("long_texts", "windows", "truncate"),
            ("rdrop", 1.0, 0.0),
            ("fgm", 0.1, 0.0),
            ("calibrate", True, None),
            ("lora_rank", 4, None),
        ],
        *[("warm_head", True, False), ("optimizer", "adamw", "adam"), ("lr_scheduler", "linear", "exponential")],
        *[("warmup_ratio", 0.1, 0.0), ("metric_for_best_model", "last", "eval_loss"), ("label_columns", "a,b", None)],
    ],
)
def test_an_option_younger_than_the_run_is_not_turned_on(options, option, value, was):
    without(options["output_dir"], option)
    with pytest.raises(HfclsError, match=rf"cannot resume the run .* with other options \(.*{option} {was} -> {value}"):
        hfcls.fine_tune(**options | {option: value}, resume=True)


def test_a_run_older_than_its_options_ends_as_it_is(options):
    younger = [
        "long_texts",
        "stride",
        "rdrop",
        "fgm",
        "calibrate",
        "warm_head",
        "pooling",
        "layers",
        "optimizer",
        "weight_decay",
    ]
    without(options["output_dir"], *younger, "lr_scheduler", "warmup_ratio", "metric_for_best_model", "split_seed")
    before = contents(options["output_dir"])
    hfcls.fine_tune(**options, resume=True)
    assert contents(options["output_dir"]) == before


def test_more_epochs_go_on_and_count_the_time_of_all_parts(options, finished, tmp_path):
    earlier = hfcls.load_results(options["output_dir"])
    longer = hfcls.fine_tune(**{**options, "num_train_epochs": 3}, resume=True)
    whole = hfcls.fine_tune(**{**finished, "num_train_epochs": 3, "output_dir": str(tmp_path / "whole")})
    assert longer.metrics == whole.metrics
    assert longer.facts.steps == 9
    assert longer.facts.weights_sha256 == whole.facts.weights_sha256 != earlier.facts.weights_sha256
    assert longer.facts.training_seconds > 0.9 * earlier.facts.training_seconds
    again = hfcls.fine_tune(**{**options, "max_steps": 9}, resume=True)
    assert again.facts == longer.facts


@pytest.mark.parametrize("text", ["", "[1]", "null", "3", '{"train": 3}', '{"train": "', "\ud800"])
def test_a_record_of_the_rows_that_is_damaged_is_not_taken_for_none(options, text):
    """The run would go on with any rows."""
    (Path(options["output_dir"]) / "data.json").write_text(text, "utf-8", errors="surrogatepass")
    before = contents(options["output_dir"])
    with pytest.raises(
        HfclsError, match=r"data\.json does not say any more with which rows it began; put the file back"
    ):
        hfcls.fine_tune(**{**options, "num_train_epochs": 3}, resume=True)
    assert contents(options["output_dir"]) == before


@pytest.mark.parametrize("changed", [{"max_steps": "many"}, {"num_train_epochs": "two"}, {"num_train_epochs": [2]}])
def test_steps_that_a_damaged_record_does_not_tell_are_not_guessed(options, changed):
    path = Path(options["output_dir"]) / "run.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text("utf-8")), **changed}, allow_unicode=True), "utf-8")
    with pytest.raises(HfclsError, match="how many steps it took is not known"):
        hfcls.fine_tune(**options, resume=True)


@pytest.mark.parametrize("schedule", ["exponential", "linear"])
def test_more_epochs_of_a_schedule_that_follows_their_number_are_warned_of(
    options, finished, tmp_path, caplog, schedule
):
    run = {**finished, "lr_scheduler": schedule, "output_dir": str(tmp_path / "run")}
    hfcls.fine_tune(**run)
    assert "rise again" not in caplog.text
    hfcls.fine_tune(**{**run, "num_train_epochs": 3}, resume=True)
    told = "the run was to take 6 steps and is to take 9 now: its rates follow the new number from here on"
    assert (told in caplog.text) == (schedule == "linear")


def test_a_run_that_was_killed_before_its_results_does_not_say_it_took_no_time(options):
    earlier = hfcls.load_results(options["output_dir"])
    (Path(options["output_dir"]) / "results.json").unlink()
    resumed = hfcls.fine_tune(**options, resume=True)
    assert resumed.metrics == earlier.metrics
    assert resumed.facts.training_seconds > 0.5 * earlier.facts.training_seconds
    assert resumed.facts.texts_per_second == pytest.approx(180 / resumed.facts.training_seconds)


@pytest.fixture
def unlearnable(finished, tmp_path) -> dict:
    """Options of a run whose evaluation finds labels that nobody can learn: its first checkpoint is its best."""
    data = tmp_path / "data"
    shutil.copytree(finished["dataset"], data, ignore=shutil.ignore_patterns("out"))
    rows = "text\tlabel\n" + "".join(f"영화 {i}\t{i % 2}\n" for i in range(40))
    (data / "validation.tsv").write_text(rows, encoding="utf-8")
    return {**finished, "dataset": str(data), "output_dir": str(tmp_path / "out"), "learning_rate": 3e-3}


def test_a_run_that_stopped_early_is_not_made_longer(unlearnable, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    options = {**unlearnable, "num_train_epochs": 9, "early_stopping_patience": 1}
    result = hfcls.fine_tune(**options)
    assert result.facts.steps < 27
    before = contents(options["output_dir"])
    hfcls.fine_tune(**{**options, "num_train_epochs": 10}, resume=True)
    assert contents(options["output_dir"]) == before
    told = f"stopped early, after {result.facts.steps} steps, and is left as it is: its data are not read again"
    assert told in caplog.text


@pytest.mark.parametrize("older", [False, True])
def test_a_run_does_not_go_on_with_its_classes_in_another_order(finished, tmp_path, older):
    """Its head knows them by their numbers; the set of a script has another order in each process."""
    from conftest import reviews

    def corpus(names):
        label = datasets.ClassLabel(names=names)
        features = datasets.Features({"text": datasets.Value("string"), "label": label})
        rows = [{"text": text, "label": label.str2int(f"class {of}")} for text, of in reviews(80)]
        split = datasets.Dataset.from_list(rows, features=features)
        return datasets.DatasetDict(train=split.select(range(60)), validation=split.select(range(60, 80)))

    names, options = ["class 0", "class 1"], {**finished, "output_dir": str(tmp_path / "out")}
    hfcls.fine_tune(**{**options, "dataset": corpus(names)})
    if older:  # which did not write them down
        data = tmp_path / "out" / "data.json"
        data.write_text(json.dumps({k: v for k, v in json.loads(data.read_text()).items() if k != "classes"}))
    options |= {"resume": True, "num_train_epochs": 3}
    if not older:
        with pytest.raises(HfclsError, match="the order of the classes is not the one that it began with"):
            hfcls.fine_tune(**{**options, "dataset": corpus(names[::-1])})
    assert hfcls.fine_tune(**{**options, "dataset": corpus(names)}).facts.steps == 6


def test_a_run_that_takes_no_steps_did_not_stop_early(finished, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    frozen = {name: value for name, value in finished.items() if name not in OF_STEPS}
    frozen |= {"output_dir": str(tmp_path / "out"), "warm_head": True, "freeze_encoder": True}

    def told_to_stop(self, *args, **kwargs):
        raise Interrupted(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr("hfcls.training.trainer.ClassificationTrainer.evaluate", told_to_stop)
        with pytest.raises(Interrupted, match="^stopped by SIGTERM: the same command begins again$"):
            hfcls.fine_tune(**frozen)
    result = hfcls.fine_tune(**frozen)
    assert hfcls.fine_tune(**frozen, resume=True).metrics == result.metrics
    assert "stopped early" not in caplog.text
    assert "more --num_train_epochs" not in caplog.text


def test_the_best_checkpoint_is_forgotten_if_it_is_broken(unlearnable, caplog):
    """Its weights were altered, and would be those of the run."""
    hfcls.fine_tune(**unlearnable)
    out = Path(unlearnable["output_dir"])
    state = json.loads((out / "trainer_state.json").read_text())
    best = out / f"checkpoint-{state['best_global_step']}"
    assert best.name == "checkpoint-3"
    weights = load_file(best / "model.safetensors")
    save_file({name: tensor * 0 for name, tensor in weights.items()}, best / "model.safetensors", {"format": "pt"})
    hfcls.fine_tune(**{**unlearnable, "num_train_epochs": 3}, resume=True)
    assert f"{best}, the best so far, is not whole (model.safetensors " in caplog.text
    assert json.loads((out / "trainer_state.json").read_text())["best_global_step"] == 9
    ended, last = (load_file(folder / "model.safetensors") for folder in (out, out / "checkpoint-9"))
    assert all(torch.equal(ended[name], last[name]) for name in last)


@pytest.mark.parametrize(
    "choice", [{}, {"resume": True}, {"overwrite_output_dir": True}, {"overwrite_output_dir": True, "seeds": 2}]
)
def test_a_run_that_lives_is_left_alone(options, choice):
    out = Path(options["output_dir"])
    half = out / ".hfcls-writing/checkpoint-6/optimizer.pt"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    with sole_run(out / LOCK_FILE):
        before = contents(str(out))
        with pytest.raises(HfclsError, match=r"is in use by another run \(process \d+ on "):
            hfcls.fine_tune(**options, **choice)
        assert contents(str(out)) == before


@pytest.mark.parametrize("choice", [{}, {"resume": True, "seed": 8}, {"overwrite_output_dir": True, "model": "./no"}])
def test_a_command_that_is_refused_changes_nothing(options, choice, caplog):
    """Not even what a kill has left: the checks come first. The next one tidies, and puts back what was moved away."""
    caplog.set_level(logging.INFO, logger="hfcls")
    out = Path(options["output_dir"])
    for name in (".hfcls-writing/checkpoint-6/optimizer.pt", "results.json.0a1b2c3d.part"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(b"half")
    (out / ".hfcls-replaced").mkdir()
    (out / "checkpoint-6").rename(out / ".hfcls-replaced/checkpoint-6")
    before = contents(str(out))
    with pytest.raises(HfclsError):
        hfcls.fine_tune(**{**options, **choice})
    assert contents(str(out)) == before
    hfcls.fine_tune(**{**options, "num_train_epochs": 3}, resume=True)
    assert f"resuming from {out / 'checkpoint-6'}" in caplog.text
    assert not [path for path in out.iterdir() if path.suffix == ".part" or path.name.startswith(".")]


def test_the_model_is_not_made_of_what_a_kill_has_left(options):
    out = Path(options["output_dir"])
    (out / ".hfcls-writing").mkdir()
    (out / ".hfcls-writing/pytorch_model.bin").write_bytes(b"of another model")
    (out / "results.json").unlink()
    hfcls.fine_tune(**options, resume=True)
    assert not list(out.rglob("pytorch_model.bin"))


def test_results_and_card_name_the_weights(options):
    out = Path(options["output_dir"])
    weights = weights_sha256(out)
    assert weights == hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
    assert json.loads((out / "results.json").read_text())["facts"]["weights_sha256"] == weights
    assert f"| weights | SHA-256 `{weights}` |" in (out / "README.md").read_text()
    check_same_weights(out)
    assert "model.safetensors" in upload(out, "tester/out")


def change_weights(out: Path) -> None:
    path = out / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def change_results(out: Path) -> None:
    values = json.loads((out / "results.json").read_text())
    values["facts"]["weights_sha256"] = "0" * 64
    (out / "results.json").write_text(json.dumps(values))


def change_card(out: Path) -> None:
    lines = (out / "README.md").read_text().splitlines()
    (out / "README.md").write_text("\n".join(line for line in lines if not line.startswith("| weights |")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            change_weights,
            r"results.json tells of other weights \(SHA-256 [0-9a-f]{12}\) than lie beside it \([0-9a-f]{12}",
        ),
        (change_results, r"results.json tells of other weights \(SHA-256 0{12}\)"),
        (change_card, r"README.md tells of other weights \(SHA-256 not given\)"),
        (lambda out: (out / "results.json").unlink(), "holds no finished run: results.json is missing"),
    ],
)
def test_what_does_not_belong_together_is_not_pushed(options, change, message):
    out = Path(options["output_dir"])
    change(out)
    with pytest.raises(HfclsError, match=message):
        upload(out, "tester/out")


def test_new_weights_are_not_pushed_under_old_scores(options, monkeypatch):
    """A run that replaces another and is stopped after its model was saved."""
    out = Path(options["output_dir"])
    (out / "mine.md").write_text("mine")
    before = weights_sha256(out)

    def stopped(*args: object, **kwargs: object) -> None:
        raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr(hfcls.ClassificationTrainer, "predict", stopped)
    with pytest.raises(Interrupted):
        hfcls.fine_tune(**{**options, "seed": 8}, overwrite_output_dir=True)
    assert weights_sha256(out) != before
    assert not [name for name in ("README.md", "results.json", "predictions.parquet") if (out / name).exists()]
    assert (out / "mine.md").exists()
    with pytest.raises(HfclsError, match=r"holds no README.md: give the folder of a run that `hfcls train` finished"):
        upload(out, "tester/out")
    monkeypatch.undo()
    hfcls.fine_tune(**{**options, "seed": 8}, resume=True)
    assert "README.md" in upload(out, "tester/out")


@pytest.mark.parametrize("choice", [{}, {"resume": True}])
def test_a_model_that_is_of_no_run_is_not_replaced(finished, tiny_model, tmp_path, choice):
    """Such as the one that the run starts from."""
    base = shutil.copytree(tiny_model, tmp_path / "base")
    before = contents(str(base))
    options = {**finished, "model": str(base), "output_dir": str(base), "max_steps": 1}
    with pytest.raises(
        HfclsError, match=r"holds a model \(model.safetensors\) that is of no run of hfcls: --overwrite"
    ):
        hfcls.fine_tune(**options, **choice)
    assert contents(str(base)) == before
    hfcls.fine_tune(**options, overwrite_output_dir=True)
    assert (base / "results.json").exists()


def test_the_tokenizer_of_an_earlier_model_does_not_read_for_the_new_one(finished, tiny_model, tmp_path):
    """Its words were added to those of the new one, also after a push: other tokens, and other labels."""
    out = tmp_path / "out"
    shutil.copytree(tiny_model, out)
    (out / "added_tokens.json").write_text(json.dumps({"별로": 5, "추천": 6}))
    (out / "special_tokens_map.json").write_text(json.dumps({"unk_token": "[PAD]"}))
    hfcls.fine_tune(**{**finished, "output_dir": str(out), "max_steps": 1}, overwrite_output_dir=True)
    read = [AutoTokenizer.from_pretrained(folder)("별로 추천 꿹").input_ids for folder in (tiny_model, out)]
    assert read[0] == read[1]


def test_a_readme_of_the_user_outlives_a_run_that_is_replaced(options):
    readme = Path(options["output_dir"]) / "README.md"
    readme.write_text("# My project\n- hfcls\n")
    hfcls.fine_tune(**{**options, "max_steps": 1}, overwrite_output_dir=True)
    assert readme.read_text() == "# My project\n- hfcls\n"
    assert "README.md" in upload(readme.parent, "tester/out")  # what it says is the user's affair
