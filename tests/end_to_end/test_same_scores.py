"""What a run scores is what the saved model scores: with `evaluate`, with `Classifier` and with plain transformers."""

import csv
import json
import random
from pathlib import Path

import pytest
import torch
from architectures import CONFIGS, encoder_folder, tiny_tokenizer
from conftest import WORDS, reviews
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, ModernBertConfig, pipeline

import hfcls
from hfcls import Classifier, HfclsError


def write(folder: Path, rows: list[dict[str, str]]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for split, part in (("train", rows[: len(rows) // 2]), ("test", rows[len(rows) // 2 :])):
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, rows[0].keys())
            table.writeheader()
            table.writerows(part)
    return str(folder)


def three_classes(count: int, pairs: bool) -> list[dict[str, str]]:
    rng = random.Random(0)
    names = ["중립", "긍정", "부정"]
    rows = []
    for _ in range(count):
        label = rng.choice(names)
        first = {"긍정": "최고 추천", "부정": "별로 실망", "중립": "영화 음악"}[label]
        row = {"text": " ".join([first, *rng.choices(WORDS, k=rng.randrange(20))]), "label": label}
        rows.append({**row, "second": rng.choice([*WORDS, "", ""])} if pairs else row)  # "" for one call is no text
    return rows


@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_run_scores_what_its_saved_model_scores(name, pairs, tmp_path):
    dataset = write(tmp_path / "data", three_classes(80, pairs))
    columns = {"text_pair_column": "second"} if pairs else {}
    run = hfcls.fine_tune(
        dataset=dataset,
        **columns,
        model=encoder_folder(name, tmp_path / "encoder"),
        max_length=24,
        max_steps=6,
        learning_rate=3e-3,
        output_dir=str(tmp_path / "run"),
        report=False,
        report_to="none",
    )
    again = hfcls.evaluate(model=run.output_dir, dataset=dataset, **columns)
    assert again.metrics == pytest.approx(run.metrics, abs=1e-6)
    config = json.loads((tmp_path / "run/config.json").read_text("utf-8"))
    assert config["problem_type"] == "single_label_classification"

    rows = list(csv.DictReader((tmp_path / "data/test.csv").read_text("utf-8").splitlines()))
    texts = [(row["text"], row["second"]) if pairs else row["text"] for row in rows]
    plain = pipeline("text-classification", model=run.output_dir, truncation=True, max_length=24)
    asked = [{"text": text[0], "text_pair": text[1]} for text in texts] if pairs else texts
    theirs = [answer[0] if isinstance(answer, list) else answer for answer in (plain(one) for one in asked)]
    for ours, their in zip(Classifier.from_pretrained(run.output_dir)(texts), theirs, strict=True):
        assert ours["label"] == their["label"]
        assert ours["score"] == pytest.approx(their["score"], abs=1e-5)


@pytest.mark.parametrize("how", [{}, {"freeze_encoder": True}, {"lora_rank": 2}, {"task": "regression"}], ids=str)
def test_what_was_trained_in_bfloat16_is_scored_in_float32(how, tmp_path):
    """As it answers wherever it is loaded: scores in bfloat16 were those of no model that anybody has."""
    rows = three_classes(80, pairs=False)
    if "task" in how:
        rows = [{"text": row["text"], "label": str(len(row["text"]) / 8)} for row in rows]
    dataset = write(tmp_path / "data", rows)
    steps = {} if "freeze_encoder" in how else {"max_steps": 6, "learning_rate": 3e-3}
    run = hfcls.fine_tune(
        dataset=dataset, model=encoder_folder("bert", tmp_path / "encoder"), max_length=24, bf16=True, **steps, **how,
        output_dir=str(tmp_path / "run"), report=False, report_to="none",
    )  # fmt: skip
    assert run.facts.precision == "bf16"
    assert hfcls.evaluate(model=run.output_dir, dataset=dataset).metrics == pytest.approx(run.metrics, abs=1e-6)


@pytest.mark.parametrize("kind", ["modernbert", "bert"])
def test_evidence_beyond_512_tokens_is_read_by_the_saved_model_too(kind, tmp_path):
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    tokenizer = tiny_tokenizer(0)
    config_class = BertConfig if kind == "bert" else ModernBertConfig
    config = config_class(**size, vocab_size=100, max_position_embeddings=1000, pad_token_id=0, initializer_range=0.5)
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).base_model.save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    rng = random.Random(1)
    words = [word for word in WORDS if len(tokenizer(word, add_special_tokens=False)["input_ids"]) == 1]
    rows = [
        {"text": " ".join(rng.choices(words, k=rng.choice([600, 700]))), "label": rng.choice("ab")} for _ in range(24)
    ]
    dataset = write(tmp_path / "data", rows)
    run = hfcls.fine_tune(
        dataset=dataset, model=str(tmp_path / "encoder"), max_length=800, max_steps=1, batch_size=4,
        output_dir=str(tmp_path / "run"), validation_size=0, report=False, report_to="none",
    )  # fmt: skip
    classifier = Classifier.from_pretrained(run.output_dir)
    assert classifier.max_length == 800
    again = hfcls.evaluate(model=run.output_dir, dataset=dataset)
    assert again.metrics == pytest.approx(run.metrics, abs=1e-6)
    short = Classifier.from_pretrained(run.output_dir, max_length=512)
    assert not torch.allclose(classifier.logits([rows[0]["text"]]), short.logits([rows[0]["text"]]), atol=1e-6)


def test_a_model_without_a_stated_length_is_cut_at_its_positions(tmp_path):
    """64 positions and a tokenizer that knows no limit: a longer text crashed the model."""
    folder = encoder_folder("bert", tmp_path / "encoder", max_position_embeddings=64)
    model = hfcls.load_model(folder, ["a", "b"])
    model.save_pretrained(tmp_path / "model")
    tiny_tokenizer(0).save_pretrained(tmp_path / "model")
    classifier = Classifier.from_pretrained(str(tmp_path / "model"))
    assert classifier.max_length == 64
    assert classifier("영화 " * 200)["label"] in "ab"
    with pytest.raises(HfclsError, match="max_length 65 is more than the model's 64 positions"):
        Classifier.from_pretrained(str(tmp_path / "model"), max_length=65)


def test_a_roberta_whose_tokenizer_pads_with_another_token_is_reloaded_as_it_was_scored(tmp_path):
    folder = tmp_path / "encoder"
    encoder_folder("roberta", folder)
    tiny_tokenizer(0).save_pretrained(folder)  # pads with 0, the model counts positions from its own 1
    dataset = write(tmp_path / "data", [{"text": text, "label": label} for text, label in reviews(60)])
    run = hfcls.fine_tune(
        dataset=dataset, model=str(folder), max_length=24, max_steps=4, learning_rate=3e-3,
        output_dir=str(tmp_path / "run"), report=False, report_to="none",
    )  # fmt: skip
    assert json.loads((tmp_path / "run/config.json").read_text("utf-8"))["pad_token_id"] == 1
    assert hfcls.evaluate(model=run.output_dir, dataset=dataset).metrics == pytest.approx(run.metrics, abs=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("batching", ["packed", "longest", "fixed", "exact"])
def test_a_text_that_holds_special_tokens_has_the_logits_of_plain_transformers(name, batching, tmp_path):
    folder = encoder_folder(name, tmp_path / "model")
    torch.manual_seed(1)
    hfcls.load_model(folder, ["a", "b"]).save_pretrained(folder)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    hostile = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    rng = random.Random(2)
    texts = [" ".join(rng.choices([*WORDS[:5], *hostile], k=rng.randrange(1, 12))) for _ in range(12)]
    texts += ["[PAD] 영화 [PAD]", "[PAD]", "영화 [PAD] 최고"]
    pairs = [
        ("영화", "최고"),
        ("[PAD]", "[PAD] 영화"),
        ("[SEP] [SEP]", ""),
        ("", "[PAD]"),
        ("영화 [CLS]", " "),
        ("", ""),
    ]
    classifier = Classifier.from_pretrained(folder, batching=batching, batch_size=5, max_length=40)
    ours = [*classifier.logits(texts), *classifier.logits(pairs)]
    for given, logits in zip([*((text,) for text in texts), *pairs], ours, strict=True):
        plain = tokenizer(*given, return_tensors="pt")
        if model.config.model_type in ("roberta", "xlm-roberta", "distilbert", "modernbert"):
            plain.pop("token_type_ids", None)
        torch.testing.assert_close(model.eval()(**plain).logits[0], logits, rtol=0, atol=1e-5)
