"""`hfcls adapt`: an encoder learns from unlabelled texts, goes on where it stopped, and is what `hfcls train` takes."""

import hashlib
import json
import logging
import random
import shutil
import signal
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import processes
import pytest
from conftest import WORDS
from safetensors import safe_open
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer

import hfcls
from hfcls.errors import HfclsError

SMALL = {
    "max_length": 32,
    "batch_size": 16,
    "eval_batch_size": 16,
    "num_train_epochs": 2,
    "learning_rate": 3e-3,
    "mlm_probability": 0.3,
    "logging_steps": 4,
    "report_to": "none",
}
SCRATCH = {**SMALL, "model": "scratch", "shape": "1x32", "vocab_size": 150}


@pytest.fixture
def texts(tmp_path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"{' '.join(random.Random(i).choices(WORDS, k=9))} {i}\n" for i in range(120)), "utf-8")
    return path


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def log(folder: Path) -> list[dict[str, Any]]:
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    clock = ("runtime", "per_second", "total_flos", "train_loss")
    return [{k: v for k, v in entry.items() if not k.endswith(clock)} for entry in history]


def test_a_rating_is_learned_at_the_first_token(tmp_path):
    """What follows from one word of the text is told by the finished model at [CLS], for texts it has not seen."""
    path, rng = tmp_path / "rated.jsonl", random.Random(0)
    rows = [(rng.choice(WORDS[8:10]), rng.choices(WORDS[:8], k=2)) for _ in range(400)]
    ratings = {WORDS[8]: 1, WORDS[9]: 5}
    with path.open("w", encoding="utf-8") as file:
        for word, others in rows:
            text = " ".join([*others, word, "1 5"])
            file.write(json.dumps({"text": text, "rating": ratings[word]}, ensure_ascii=False) + "\n")
    options = {**SCRATCH, "shape": "2x64", "num_train_epochs": 8, "learning_rate": 1e-2, "dropout": 0.0}
    hfcls.adapt(dataset=str(path), label_column="rating", output_dir=str(tmp_path / "rated"), report=False, **options)
    assert not (tmp_path / "rated/report.html").exists()
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "rated").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "rated")
    for word, rating in ratings.items():
        text = " ".join([*WORDS[:2], word, "1 5"])
        logits = model(**tokenizer(text, return_tensors="pt")).logits[0, 0]
        assert tokenizer.convert_ids_to_tokens(logits.argmax().item()) == str(rating)


def test_an_encoder_from_scratch_learns_and_is_what_train_takes(texts, table, tmp_path):
    result = hfcls.adapt(dataset=str(texts), output_dir=str(tmp_path / "adapted"), **SCRATCH)
    evaluations = [entry["eval_perplexity"] for entry in log(tmp_path / "adapted") if "eval_perplexity" in entry]
    assert result.perplexity is not None
    assert result.perplexity <= evaluations[-1] + 1e-6 < evaluations[0] - 1
    assert (result.num_texts, result.facts["texts"]) == (12, {"train": 108, "validation": 12})
    assert result.tokens == 2 * round(result.tokens / 2) > 108 * 2 * 9
    assert result.tokens_per_second > 0
    assert json.loads((tmp_path / "adapted/results.json").read_text())["perplexity"] == result.perplexity
    assert AutoTokenizer.from_pretrained(tmp_path / "adapted").mask_token == "[MASK]"
    assert f"perplexity is {result.perplexity:.1f}" in (tmp_path / "adapted/report.html").read_text("utf-8")
    with pytest.raises(HfclsError, match="holds an encoder that `hfcls adapt` pretrained, which classifies nothing"):
        hfcls.load_results(tmp_path / "adapted")

    trained = hfcls.fine_tune(
        model=str(tmp_path / "adapted"),
        dataset=str(table(count=40)),
        output_dir=str(tmp_path / "classifier"),
        layers="all",
        pooling="first",
        max_steps=1,
        learning_rate=1e-30,
        max_length=32,
        report=False,
        report_to="none",
    )
    with (
        safe_open(tmp_path / "adapted/model.safetensors", "pt") as before,
        safe_open(Path(trained.output_dir) / "model.safetensors", "pt") as after,
    ):
        shared = [name for name in before.keys() if name.startswith("bert.")]  # noqa: SIM118
        assert len(shared) > 15
        assert all((before.get_tensor(name) == after.get_tensor(name)).all() for name in shared)
        new = {name.rpartition(".")[0] for name in after.keys()} - {name.rpartition(".")[0] for name in before.keys()}  # noqa: SIM118
    assert new == {"classifier", "bert.pooler.dense"}


def test_a_pretrained_encoder_goes_on_learning(texts, tiny_model, tmp_path, caplog):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.add_special_tokens({"mask_token": tokenizer.convert_ids_to_tokens(len(tokenizer) - 1)})
    model = AutoModelForMaskedLM.from_pretrained(tiny_model)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    options = {**SMALL, "model": str(tmp_path / "model"), "whole_word_masking": True, "learning_rate": 1e-3}
    result = hfcls.adapt(dataset=str(texts), output_dir=str(tmp_path / "adapted"), **options)
    evaluations = [entry["eval_perplexity"] for entry in log(tmp_path / "adapted") if "eval_perplexity" in entry]
    assert result.perplexity is not None
    assert result.perplexity < evaluations[0]
    with pytest.raises(HfclsError, match="the tokenizer of .* has no mask token"):
        hfcls.adapt(dataset=str(texts), output_dir=str(tmp_path / "other"), **{**options, "model": tiny_model})


@pytest.mark.parametrize("batching", ["packed", "longest"])
def test_perplexity_does_not_depend_on_the_layout_of_batches(texts, tmp_path, batching):
    options = {**SCRATCH, "max_steps": 2, "learning_rate": 1e-30, "eval_batch_size": 5 if batching == "packed" else 3}
    results = [
        hfcls.adapt(dataset=str(texts), output_dir=str(tmp_path / str(i)), **{**options, "batching": name})
        for i, name in enumerate([batching, "fixed"])
    ]
    assert results[0].perplexity == pytest.approx(results[1].perplexity, rel=1e-5)
    assert results[0].accuracy == results[1].accuracy


def losses(folder: Path) -> list[float]:
    return [entry[name] for entry in log(folder) for name in ("loss", "eval_loss") if name in entry]


def test_the_experiment_is_one_however_it_is_divided(texts, tmp_path):
    """1 x 16, 1 x 4 with accumulation 4, padded: the same steps up to the order of sums (dropout is off)."""
    options = {**SCRATCH, "dataset": str(texts), "dropout": 0.0, "logging_steps": 1, "max_steps": 9}
    divided = {"1x16": {}, "1x4x4": {"gradient_accumulation_steps": 4}, "padded": {"batching": "longest"}}
    for name, changes in divided.items():
        hfcls.adapt(**options, **changes, output_dir=str(tmp_path / name))
    expected = losses(tmp_path / "1x16")
    assert expected[-1] < expected[0] - 0.1
    for name in divided:
        assert losses(tmp_path / name) == pytest.approx(expected, abs=1e-4), name


@pytest.mark.slow
def test_two_processes_run_the_experiment_of_one(texts, tmp_path):
    options = {**SCRATCH, "dataset": texts, "dropout": 0.0, "logging_steps": 1, "max_steps": 9, "batch_size": 32}
    flags = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    for start, name in ((launch, "2x16"), ([sys.executable], "1x32")):
        command = [*start, "-m", "hfcls.cli", "adapt", *flags, "--output_dir", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("of hidden tokens, 12 held-out texts") == 1
    results = [json.loads((tmp_path / name / "results.json").read_text()) for name in ("1x32", "2x16")]
    assert results[1]["perplexity"] == pytest.approx(results[0]["perplexity"], rel=1e-4)
    assert results[1]["accuracy"] == results[0]["accuracy"]
    assert losses(tmp_path / "2x16") == pytest.approx(losses(tmp_path / "1x32"), abs=1e-4)


def finish(options: dict[str, Any], *point: Any) -> int | None:
    return processes.finish({"command": "adapt", **options}, *point)


@pytest.mark.parametrize(
    ("name", "at", "call"),
    [
        ("SIGTERM", "training_step", 9),
        pytest.param("SIGKILL", "training_step", 20, marks=pytest.mark.slow),
        pytest.param("SIGTERM", "prediction_step", 4, marks=pytest.mark.slow),
        pytest.param("SIGINT", "training_step", 21, marks=pytest.mark.slow),
    ],
)
def test_stopped_and_resumed_it_ends_as_the_run_that_was_left_alone(texts, tmp_path, name, at, call):
    options = {**SCRATCH, "dataset": str(texts), "gradient_accumulation_steps": 2, "save_minutes": 0.003}
    options |= {"whole_word_masking": True, "dataloader_num_workers": 2}
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert finish({**options, "output_dir": str(whole)}) == 0, whole.with_suffix(".log").read_text()
    options["output_dir"] = str(stopped)
    point = f"hfcls.training.masked_lm:MaskedLMTrainer.{at}"
    expected = {"SIGTERM": 143, "SIGINT": 130, "SIGKILL": -9}[name]
    assert finish(options, getattr(signal, name), point, call) == expected, stopped.with_suffix(".log").read_text()
    assert not (stopped / "results.json").exists()
    log_before = stopped.with_suffix(".log").read_text()
    assert finish({**options, "resume": True}) == 0, stopped.with_suffix(".log").read_text()
    assert "missing keys" not in stopped.with_suffix(".log").read_text().removeprefix(log_before)  # tied, not missing
    assert weights(stopped) == weights(whole)
    assert log(stopped) == log(whole)
    assert len([entry for entry in log(whole) if "eval_perplexity" in entry]) >= 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": None}, "which texts? give --dataset"),
        ({"dataset": "absent.txt"}, "no file absent.txt: check the path"),
        ({"shape": "4-256"}, "shape must be LAYERSxHIDDEN, such as 4x256"),
        ({"shape": "4x100"}, "the hidden size 16, 32 or a multiple of 64, found 4x100"),
        (
            {"model": "beomi/kcbert-base"},
            "shape is for a model from scratch, found model beomi/kcbert-base: drop shape",
        ),
        ({"mlm_probability": 1.0}, "mlm_probability must be above 0 and below 1, found 1.0"),
        ({"warmup": 1}, "warmup must be at least 0 and below 1, found 1.0"),
        ({"seed": -1}, "seed must be from 0 to 2**32 - 1, found -1"),
        ({"row_length": 8}, "row_length must be at least 32, found 8"),
        ({"batch_size": 5, "gradient_accumulation_steps": 2}, "batch_size 5 does not divide"),
    ],
)
def test_bad_options_are_refused_by_name(texts, tmp_path, options, message):
    with pytest.raises(HfclsError) as error:
        hfcls.adapt(**{"dataset": str(texts), "output_dir": str(tmp_path / "run"), **SCRATCH, **options})
    assert message in str(error.value)


def test_a_resumed_run_takes_the_same_options_and_texts(texts, tmp_path, monkeypatch):
    options = {**SCRATCH, "dataset": str(texts), "output_dir": str(tmp_path / "run"), "max_steps": 2}
    result = hfcls.adapt(**options)
    with pytest.raises(HfclsError, match="holds a finished run"):
        hfcls.adapt(**options)
    with pytest.raises(HfclsError, match=r"with other options \(mlm_probability 0.3 -> 0.2\)"):
        hfcls.adapt(**{**options, "mlm_probability": 0.2, "resume": True})
    (tmp_path / "run/results.json").unlink()  # as if it had been killed before it wrote them
    learned: list[str] = []
    monkeypatch.setattr("hfcls.models.masked_lm.train_tokenizer", lambda *_, **__: learned.append("train_tokenizer"))
    again = hfcls.adapt(**options, resume=True)
    assert "train_tokenizer" not in learned, "that of the checkpoint is taken, whatever the library learns by now"
    assert (again.perplexity, again.tokens, again.tokens_per_second) == (result.perplexity, result.tokens, 0)
    assert "`hfcls adapt` on this file repeats it" in (tmp_path / "run/run.yaml").read_text(encoding="utf-8")
    texts.write_text(texts.read_text("utf-8") + "하나 더\n", "utf-8")
    (tmp_path / "run/results.json").unlink()
    with pytest.raises(HfclsError, match="the rows of train, validation are not those that it began with"):
        hfcls.adapt(**options, resume=True)


def test_a_finished_run_resumed_ends_at_once_as_it_is(texts, tmp_path, monkeypatch, caplog):
    """Wherever its folder is by now, and whatever became of its texts and its checkpoints."""
    options = {**SCRATCH, "dataset": str(texts), "output_dir": str(tmp_path / "run"), "max_steps": 2}
    result = hfcls.adapt(**options)
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    for checkpoint in moved.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    texts.unlink()
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in moved.rglob("*") if path.is_file()}
    monkeypatch.setattr("hfcls.pretraining.load_texts", lambda *_, **__: pytest.fail("reads"))
    with caplog.at_level(logging.INFO, "hfcls"):
        again = hfcls.adapt(**{**options, "output_dir": str(moved), "resume": True, "logging_steps": 3})
    assert again == replace(result, output_dir=str(moved))
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in moved.rglob("*") if path.is_file()} == before
    assert f"the run in {moved} is finished and is left as it is: its texts are not read again" in caplog.text


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (8, "cannot write to output_dir .*No space left on device; solve that, or choose another --output_dir"),
        (60, "no space left in .*; no checkpoint was saved yet: free some space, then continue with --resume"),
        (400, "no space left in .*/checkpoint-1 is whole: free some space, then continue with --resume"),
    ],
)
def test_a_full_disk_ends_with_one_message_and_the_run_goes_on_once_there_is_room(
    texts, full_disk, monkeypatch, left, message
):
    monkeypatch.setattr("hfcls.pretraining.check_space", lambda *args: None)  # it asks for more than there is
    drive = full_disk(left)
    run = {**SCRATCH, "dataset": str(texts), "output_dir": str(drive / "out"), "save_minutes": 0.0}
    with pytest.raises(HfclsError, match=message) as error:
        hfcls.adapt(**run)
    assert "\n" not in str(error.value)
    (drive / "other").unlink()
    assert hfcls.adapt(**run, resume=True).facts["steps"] == 14


def test_what_hides_no_token_measures_no_perplexity(texts, tmp_path):
    """It was 1.00, the best there is."""
    given = SCRATCH | {"mlm_probability": 1e-6, "max_steps": 1, "num_train_epochs": 1}
    result = hfcls.adapt(dataset=str(texts), output_dir=str(tmp_path / "run"), **given)
    assert (result.perplexity, result.loss, result.accuracy) == (None, None, None)
    assert "not measured: chance hid no token of the held-out texts" in result.table()
    assert "too few to hide a token" in (tmp_path / "run/report.html").read_text(encoding="utf-8")


def test_a_model_without_its_masked_lm_head_is_refused_or_warned_of(texts, tiny_model, tmp_path, caplog):
    """Its perplexity is that of a head from random weights."""
    given = {**SMALL, "dataset": str(texts), "output_dir": str(tmp_path / "run"), "max_steps": 1, "report": False}
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.add_special_tokens({"mask_token": tokenizer.convert_ids_to_tokens(len(tokenizer) - 1)})
    folders = {
        kind: tmp_path / kind.__name__ for kind in (AutoModelForSequenceClassification, AutoModel, AutoModelForMaskedLM)
    }
    for kind, folder in folders.items():
        kind.from_pretrained(tiny_model).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    classifier, encoder, whole = map(str, folders.values())
    with pytest.raises(HfclsError, match="is a fine-tuned classifier, with no masked-LM head: adapt the encoder"):
        hfcls.adapt(**given, model=classifier)
    hfcls.adapt(**given, model=encoder)
    assert "has no masked-LM head (cls.predictions" in caplog.text
    assert "learns first what other encoders bring along" in caplog.text
    caplog.clear()
    hfcls.adapt(**given | {"model": whole, "overwrite_output_dir": True})
    assert "masked-LM head" not in caplog.text
    with pytest.raises(HfclsError, match="model must be scratch, with --shape 2x64, found 2x64"):
        hfcls.adapt(**given | {"model": "2x64"})


def test_decomposed_hangul_is_composed_as_in_training(texts, tiny_model, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.backend_tokenizer.normalizer = None
    tokenizer.add_special_tokens({"mask_token": tokenizer.convert_ids_to_tokens(len(tokenizer) - 1)})
    AutoModelForMaskedLM.from_pretrained(tiny_model).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    given = {**SMALL, "model": str(tmp_path / "model"), "max_steps": 1, "report": False}
    hfcls.adapt(dataset=str(texts), output_dir=str(tmp_path / "adapted"), **given)
    adapted = AutoTokenizer.from_pretrained(tmp_path / "adapted")
    text = " ".join(WORDS)
    assert tokenizer.tokenize(unicodedata.normalize("NFD", text)) != tokenizer.tokenize(text)
    assert adapted.tokenize(unicodedata.normalize("NFD", text)) == tokenizer.tokenize(text)
