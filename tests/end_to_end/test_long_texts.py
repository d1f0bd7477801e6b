"""Documents whose decisive sentence stands at the end: cut, they cannot be told apart; in windows, they can."""

import csv
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, WORDS
from safetensors.torch import load_file
from test_processes import torchrun
from transformers import AutoConfig, pipeline

import hfcls
from hfcls import cli
from hfcls.errors import HfclsError
from hfcls.inference.occlusion import occlusion

NEUTRAL = WORDS[2:6] + WORDS[10:12]
VERDICTS = ("별로 실망", "최고 추천")


def document(rng: random.Random, ending: str) -> str:
    return " ".join([*rng.choices(NEUTRAL, k=rng.randrange(20, 60)), ending])


def write(path: Path, header: list[str], rows: list) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path.parent)


@pytest.fixture
def documents(tmp_path) -> str:
    for seed, (split, count) in enumerate((("train", 120), ("validation", 30), ("test", 60))):
        rng = random.Random(seed)
        rows = [(document(rng, VERDICTS[i % 2]), ("부정", "긍정")[i % 2]) for i in range(count)]
        folder = write(tmp_path / "documents" / f"{split}.csv", ["text", "label"], rows)
    return folder


@pytest.fixture
def options(documents, tiny_model, tmp_path) -> dict:
    return {
        "dataset": documents, "model": tiny_model, "output_dir": str(tmp_path / "out"), "max_length": 16,
        "long_texts": "windows", "stride": 4, "learning_rate": 3e-3, "num_train_epochs": 6, "batch_size": 16,
        "report": False, "report_to": "none", "baseline": False, "fgm": 0.0,
    }  # fmt: skip


def test_windows_see_the_end_of_a_document_in_every_command(options, tmp_path, caplog, capsys):
    caplog.set_level("INFO", logger="hfcls")
    cut = hfcls.fine_tune(**{**options, "long_texts": "truncate", "stride": 32, "output_dir": str(tmp_path / "cut")})
    assert "longer than max_length 16 and cut: raise it, or read them whole with --long_texts windows" in caplog.text
    result = hfcls.fine_tune(**options)
    assert "train: 100.0 % of the texts are longer than max_length 16 and read in windows" in caplog.text
    assert abs(cut.metrics["accuracy"] - 0.5) < 0.2
    assert result.metrics["accuracy"] > 0.95

    out = options["output_dir"]
    config = AutoConfig.from_pretrained(out)
    assert config.window_stride == 4
    assert getattr(AutoConfig.from_pretrained(tmp_path / "cut"), "window_stride", None) is None
    found = hfcls.evaluate(model=out, dataset=options["dataset"])
    assert found.metrics == pytest.approx(result.metrics, abs=1e-5)
    with open(Path(options["dataset"]) / "test.csv", encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    classifier = hfcls.Classifier.from_pretrained(out)
    expected = classifier.logits(texts)
    for batching, size in (("longest", 7), ("fixed", 128), ("exact", 1)):
        other = hfcls.Classifier.from_pretrained(out, batching=batching, batch_size=size)
        torch.testing.assert_close(other.logits(texts), expected, atol=1e-5, rtol=0)
    alone = torch.cat([other.logits([text]) for text in texts])
    assert torch.equal(alone, other.logits(texts))  # exact, to the bit
    assert cli.main(["predict", "--model", out, texts[0]]) == 0
    assert "부정" in capsys.readouterr().out

    card = (Path(out) / "README.md").read_text(encoding="utf-8")
    assert "It reads a text in windows of 16 tokens and answers with the mean of their logits. Plain" in card
    assert "reads the first 16 tokens" not in card
    (first,) = pipeline("text-classification", model=out, device="cpu")([texts[0]], truncation=True)
    assert first["score"] != pytest.approx(classifier(texts[0])["score"], abs=1e-3)  # as the card says
    _, parts = occlusion(classifier, texts[0])
    assert parts[-1].tokens
    assert parts[-1].moved > max(abs(part.moved) for part in parts[:-5])


def test_a_run_in_windows_is_one_however_it_is_divided_and_resumed(options, tmp_path):
    again = {**options, "num_train_epochs": 2, "dataset": options["dataset"], "logging_steps": 1}
    whole = hfcls.fine_tune(**again)
    parts = hfcls.fine_tune(**{**again, "output_dir": str(tmp_path / "parts")}, gradient_accumulation_steps=4)
    padded = hfcls.fine_tune(**{**again, "output_dir": str(tmp_path / "padded")}, batching="longest", eval_batch_size=3)
    twice = {**again, "output_dir": str(tmp_path / "twice"), "rdrop": 1.0}  # without dropout, both answers agree
    hfcls.fine_tune(**twice, gradient_accumulation_steps=2)
    losses = [losses_of(tmp_path / name) for name in ("out", "parts", "padded", "twice")]
    assert len(losses[0]) == 16
    assert losses[3] == pytest.approx(losses[0], abs=1e-4)
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    assert losses[2] == pytest.approx(losses[0], abs=1e-4)
    assert parts.metrics == pytest.approx(whole.metrics, abs=1e-4)
    assert padded.metrics == pytest.approx(whole.metrics, abs=1e-4)

    out, cut = tmp_path / "out", tmp_path / "stopped"
    shutil.copytree(out, cut)
    for name in ("results.json", "model.safetensors", "trainer_state.json"):
        (cut / name).unlink()
    shutil.rmtree(cut / "checkpoint-16")
    with pytest.raises(HfclsError, match="stride"):
        hfcls.fine_tune(**{**again, "output_dir": str(cut), "stride": 5}, resume=True)
    resumed = hfcls.fine_tune(**{**again, "output_dir": str(cut)}, resume=True)
    assert resumed.metrics == whole.metrics
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (cut, out))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def losses_of(folder: Path) -> list[float]:
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


@pytest.mark.parametrize("task", ["several", "regression"])
def test_several_labels_and_numbers_stand_at_the_end_too(task, options, tmp_path):
    for seed, (split, count) in enumerate((("train", 160), ("validation", 40), ("test", 60))):
        rng, rows = random.Random(seed), []
        for i in range(count):
            said = [("배송 빠르다", "품질 좋다")[j] for j in (0, 1) if i >> j & 1]
            labels = (i & 1, i >> 1 & 1) if task == "several" else (10.0 + 5 * (i & 1) + 20 * (i >> 1 & 1),)
            rows.append((document(rng, " ".join(said)), *labels))
        header = ["배송", "품질"] if task == "several" else ["label"]
        folder = write(tmp_path / task / f"{split}.csv", ["text", *header], rows)
    asked = {"label_columns": "배송,품질"} if task == "several" else {"task": "regression"}
    result = hfcls.fine_tune(**{**options, "dataset": folder, "num_train_epochs": 12}, **asked)
    score = result.metrics["micro_f1" if task == "several" else "pearson"]
    assert score > 0.8
    found = hfcls.evaluate(model=options["output_dir"], dataset=folder, batching="longest")
    assert found.metrics == pytest.approx(result.metrics, rel=1e-3, abs=1e-4)


def test_documents_without_labels_are_predicted_in_windows_too(options, documents):
    rng = random.Random(9)
    texts = [document(rng, VERDICTS[i % 2]) for i in range(11)]
    write(Path(documents) / "test.csv", ["text"], [[text] for text in texts])
    out = hfcls.fine_tune(**{**options, "num_train_epochs": 2, "eval_batch_size": 16}).output_dir
    with open(Path(out) / "submission.csv", encoding="utf-8") as file:
        given = [row["label"] for row in csv.DictReader(file)]
    assert given == [answer["label"] for answer in hfcls.Classifier.from_pretrained(out)(texts)]


def test_an_exported_model_reads_windows_without_torch(options, tmp_path):
    # a stride above half of the room: tokenizers panics where it is to cut a pair with it
    hfcls.fine_tune(**{**options, "num_train_epochs": 2, "stride": 10})
    folder = tmp_path / "onnx"
    hfcls.export(model=options["output_dir"], output=str(folder))  # which holds it to torch, a long text among others
    rng = random.Random(5)
    texts = [document(rng, "최고"), "", "최고 추천", document(rng, "별로"), "별로 실망 " * 800]
    expected = hfcls.Classifier.from_pretrained(options["output_dir"]).logits(texts).numpy()
    light = hfcls.OnnxClassifier.from_pretrained(folder, batch_size=3)
    np.testing.assert_allclose(light.logits(texts), expected, atol=1e-5)
    np.testing.assert_allclose(hfcls.Classifier.from_pretrained(str(folder)).logits(texts).numpy(), expected, atol=1e-5)
    with pytest.raises(HfclsError, match="windows of 6 tokens hold nothing new, the stride is 10: raise max_length"):
        hfcls.OnnxClassifier.from_pretrained(folder, max_length=6)
    pairs = [(texts[0], texts[3])]
    in_torch = hfcls.Classifier.from_pretrained(options["output_dir"]).logits(pairs).numpy()
    np.testing.assert_allclose(light.logits(pairs), in_torch, atol=1e-5)


def test_a_cut_run_that_starts_from_windows_forgets_them(options, tmp_path):
    hfcls.fine_tune(**{**options, "num_train_epochs": 1})
    given = {"model": options["output_dir"], "output_dir": str(tmp_path / "next"), "max_steps": 1}
    hfcls.fine_tune(**{**options, **given, "long_texts": "truncate", "stride": 32})
    assert getattr(AutoConfig.from_pretrained(tmp_path / "next"), "window_stride", None) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"long_texts": "truncate"}, "stride applies to long_texts: windows; set that too, or drop stride"),
        ({"text_pair_column": "text"}, "long_texts: windows is for single texts, found text_pair_column"),
        ({"stride": -1}, "stride must be at least 0"),
        ({"stride": 14}, "stride 14 leaves nothing new in a window of 16 tokens"),
    ],
)
def test_what_does_not_go_together_ends_in_one_line(options, changes, message):
    with pytest.raises(HfclsError, match=message):
        hfcls.fine_tune(**{**options, **changes})
    assert not list(Path(options["output_dir"]).glob("*.*"))


def test_check_names_the_option(options, tmp_path, capsys):
    found = hfcls.check(dataset=options["dataset"], model=options["model"], max_length=16, baseline=False)
    assert any("cut at max_length 16: raise it, or read single texts whole with --long_texts" in line
               for line in found.warnings())  # fmt: skip


@pytest.mark.slow
def test_several_processes_gather_documents(options, tmp_path):
    """Each document counts once, whatever its windows: 2 processes take the steps of one, and score the same."""
    options |= {"num_train_epochs": 1, "eval_batch_size": 8, "logging_steps": 1}
    whole = hfcls.fine_tune(**options)
    options |= {"output_dir": str(tmp_path / "two")}
    del options["report"], options["baseline"]
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    done = torchrun(2, ROOT / "train.py", *flags, "--no-report", "--no-baseline")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "two/results.json").read_text())["metrics"]
    assert metrics == pytest.approx(whole.metrics, abs=1e-4)
    assert losses_of(tmp_path / "two") == pytest.approx(losses_of(tmp_path / "out"), abs=1e-4)
