"""An exported model answers as the one in torch, without torch."""

import json
import logging
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from architectures import CONFIGS, WITH_TOKEN_TYPES, bare_tokenizer, tiny
from conftest import ROOT, WORDS, reviews
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForSequenceClassification

from hfcls import cli
from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.inference.onnx_classifier import OnnxClassifier
from hfcls.models.compact.to_onnx import write_onnx
from hfcls.models.loading import load_classifier
from hfcls.models.tokenizers import train_tokenizer

TEXTS = ["영화 최고", "", "별로 " * 100, "정말 재미 없다 ㅠㅠ", "🎬 없는 글자 \u0000"]
LONG = "별로 실망 " * 20_000
PAIRS = [("영화 최고", "별로"), ("", ""), ("재미", ""), ("별로 " * 100, "최고 " * 100), ("재미", "정말 재미 없다 ㅠㅠ")]


@pytest.fixture(scope="module")
def folders(classifier_folder, tmp_path_factory):
    """The classifier of conftest in torch, exported in float32, and in int8."""
    home = tmp_path_factory.mktemp("exported")
    for name, int8 in (("float32", False), ("int8", True)):
        model, tokenizer = load_classifier(classifier_folder)
        (home / name).mkdir()
        write_onnx(model, tokenizer, home / name, int8=int8)
    return {"torch": classifier_folder, "float32": str(home / "float32"), "int8": str(home / "int8")}


@pytest.fixture(scope="module")
def both(folders):
    return Classifier.from_pretrained(folders["torch"]), OnnxClassifier.from_pretrained(folders["float32"])


@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_proven_architecture_gives_the_logits_of_torch(architecture, tmp_path):
    """One text and many, short and cut, alone and in pairs: shapes that the export did not see."""
    tokenizer = train_tokenizer([text for text, _ in reviews(300)], vocab_size=100)
    tokenizer.model_max_length = 64
    model = tiny(architecture)
    write_onnx(model, tokenizer, tmp_path)
    exported = OnnxClassifier.from_pretrained(tmp_path)
    original = Classifier(model, tokenizer, batching="longest")
    assert exported.model.takes_token_types == (architecture in WITH_TOKEN_TYPES)
    for texts in (TEXTS, TEXTS[:1], TEXTS[1:2], [text for text, _ in reviews(40)]):
        np.testing.assert_allclose(exported.logits(texts), original.logits(texts).numpy(), atol=1e-5, rtol=0)
    if architecture != "distilbert" and architecture in WITH_TOKEN_TYPES:
        np.testing.assert_allclose(exported.logits(PAIRS), original.logits(PAIRS).numpy(), atol=1e-5, rtol=0)
        swapped = [(second, first) for first, second in PAIRS]
        assert np.abs(exported.logits(PAIRS) - exported.logits(swapped)).max() > 1e-3


@pytest.mark.parametrize("kind", ["qwen2", "opt", "ctrl", "openai-gpt"])  # of positions by angle, and of their own
def test_texts_of_which_no_token_is_left_are_read_as_in_torch(kind, tmp_path):
    """Alone and among others: without special tokens around it an empty text has none."""
    tokenizer = bare_tokenizer(eos="</s>", pad="<pad>")
    tokenizer.model_max_length = 16
    torch.manual_seed(0)
    size = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 32}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.2, "pad_token_id": 1}
    own = {"ffn_dim": 32, "word_embed_proj_dim": 16, "init_std": 0.2} if kind == "opt" else {}
    config = AutoConfig.for_model(kind, **size, **heads, **own, max_position_embeddings=32)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    write_onnx(model, tokenizer, tmp_path)
    original, exported = Classifier(model, tokenizer, batching="longest"), OnnxClassifier.from_pretrained(tmp_path)
    for texts in ([""], ["", ""], ["", "영화 최고", "별로"], [("", "")], [("", ""), ("최고", "별로")]):
        np.testing.assert_allclose(exported.logits(texts), original.logits(texts).numpy(), atol=1e-5, rtol=0)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(max_size=80), max_size=9), pairs=st.booleans(), max_length=st.sampled_from([None, 5, 20]))
def test_any_texts_get_the_answers_of_the_classifier(folders, texts, pairs, max_length):
    asked = list(zip(texts, reversed(texts), strict=True)) if pairs else texts
    original = Classifier.from_pretrained(folders["torch"], max_length=max_length)
    exported = OnnxClassifier.from_pretrained(folders["float32"], max_length=max_length, batch_size=4)
    answers, expected = exported(asked, all_scores=True), original(asked, all_scores=True)
    assert [answer["label"] for answer in answers] == [answer["label"] for answer in expected]
    for answer, wanted in zip(answers, expected, strict=True):
        assert answer["scores"] == pytest.approx(wanted["scores"], abs=1e-5)


@given(text=st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_the_tokens_are_those_of_transformers(both, text):
    original, exported = both
    assert exported.tokenizer.encode(text).ids == original._rows([text])[0]["input_ids"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_texts_are_cut_on_the_side_of_the_tokenizer(classifier_folder, tmp_path, side):
    model, tokenizer = load_classifier(classifier_folder)
    tokenizer.truncation_side = side
    write_onnx(model, tokenizer, tmp_path)
    text = "최고 " * 80 + "별로 " * 80
    exported, original = OnnxClassifier.from_pretrained(tmp_path), Classifier(model, tokenizer)
    for texts in ([text, "최고" + LONG], [(text, LONG), (LONG, text), (LONG + "최고", LONG), ("최고", LONG)]):
        np.testing.assert_allclose(exported.logits(texts), original.logits(texts).numpy(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["가", 3], "text 1 is not a text"),
        ([("가", "나"), "다"], "text 1 is a text, but text 0 is a pair"),
        (["\ud800"], "half a character"),
        (b"x", "expected a text"),
        (None, "expected a text"),
    ],
)
def test_what_is_no_text_is_refused_as_by_the_classifier(both, texts, message):
    for classifier in both:
        with pytest.raises(HfclsError, match=message):
            classifier(texts)


def test_a_text_gets_an_answer_a_list_a_list_and_nothing_nothing(both):
    original, exported = both
    assert exported([]) == original([]) == []
    assert exported.logits([]).shape == (0, 2)
    assert set(exported("영화")) == {"label", "score"}
    assert "부정" not in repr(exported)
    assert "float32" in repr(exported)


def test_threads_may_share_it(both):
    exported = both[1]
    rng = random.Random(0)
    batches = [[" ".join(rng.choices(WORDS, k=rng.randrange(30))) for _ in range(20)] for _ in range(8)]
    expected = [exported.logits(batch) for batch in batches]
    wrong: list[int] = []

    def work(i: int) -> None:
        if not np.array_equal(exported.logits(batches[i]), expected[i]):
            wrong.append(i)

    threads = [threading.Thread(target=work, args=(i % 8,)) for i in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_classifier_takes_an_exported_folder(folders, caplog):
    original, exported = (Classifier.from_pretrained(folders[name]) for name in ("torch", "float32"))
    for texts in (TEXTS, PAIRS):
        np.testing.assert_allclose(exported.logits(texts), original.logits(texts), atol=1e-5, rtol=0)
    assert exported.labels == ["부정", "긍정"]
    assert "cpu" in repr(exported)
    with caplog.at_level(logging.INFO):
        assert Classifier.from_pretrained(folders["float32"], device="meta").logits(["가"]).shape == (1, 2)
    assert "on the CPU, not on meta" in caplog.text
    with pytest.raises(HfclsError, match="cannot pack batches"):
        Classifier.from_pretrained(folders["float32"], batching="packed")
    with pytest.raises(HfclsError, match="keeps its precision"):
        Classifier.from_pretrained(folders["float32"], precision="int8")


def test_exact_bits_depend_on_no_other_text(folders):
    classifier = Classifier.from_pretrained(folders["float32"], batching="exact")
    texts = [text for text, _ in reviews(40)]
    together = classifier.logits(texts)
    assert all((classifier.logits([text])[0] == row).all() for text, row in zip(texts, together, strict=True))
    with pytest.raises(HfclsError, match="exact batching needs float32"):
        Classifier.from_pretrained(folders["int8"], batching="exact")


def test_int8_is_smaller_and_near(folders):
    sizes = [Path(folders[name], "model.onnx").stat().st_size for name in ("float32", "int8")]
    assert sizes[1] < sizes[0]  # the graph itself is most of a tiny model
    exact, rounded = (
        OnnxClassifier.from_pretrained(folders[name]).probabilities(TEXTS) for name in ("float32", "int8")
    )
    assert 0 < np.abs(exact - rounded).max() < 0.05


def test_commands_take_an_exported_folder(folders, tmp_path, capsys):
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n영화 최고,긍정\n별로 실망,부정\n", encoding="utf-8")
    for name in ("torch", "float32"):
        out = tmp_path / name
        assert (
            cli.main(
                ["predict", "--model", folders[name], "--input", str(rows), "--output", str(out), "--format", "csv"]
            )
            == 0
        )
        scores = ["--dataset", str(rows), "--output", str(tmp_path / f"{name}.json")]
        assert cli.main(["evaluate", "--model", folders[name], *scores]) == 0
    metrics = [json.loads((tmp_path / f"{name}.json").read_text())["metrics"] for name in ("torch", "float32")]
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-5)
    labels = [next((tmp_path / name).glob("*.csv")).read_text().count("긍정") for name in ("torch", "float32")]
    assert labels[0] == labels[1]
    shutil.copytree(folders["float32"], tmp_path / "exported")
    ask = ["predict", "--model", str(tmp_path / "exported"), "--input", str(rows), "--output", str(tmp_path / "again")]
    assert cli.main(ask) == 0
    (tmp_path / "exported/model.onnx").touch()  # the same model, whatever its time says
    assert cli.main(ask) == 0
    path = tmp_path / "exported/config.json"
    config = json.loads(path.read_text("utf-8"))
    config["id2label"]["0"] = "싫음"
    path.write_text(json.dumps(config), encoding="utf-8")
    assert cli.main(ask) == 1
    assert "holds predictions with another" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["config.json", "export.json", "tokenizer.json", "model.onnx"])
def test_a_folder_with_a_broken_or_missing_file_is_an_error(folders, tmp_path, file):
    for content in (None, b"", b"{}", b"[]", b"\xff{"):
        folder = tmp_path / repr(content)
        shutil.copytree(folders["float32"], folder)
        (folder / file).unlink()
        if content is not None:
            (folder / file).write_bytes(content)
        with pytest.raises(HfclsError, match=r"again|hfcls export"):
            OnnxClassifier.from_pretrained(folder)


LIGHT = """
import sys, time
began = time.perf_counter()
from hfcls import OnnxClassifier
seconds = time.perf_counter() - began
print(OnnxClassifier.from_pretrained(sys.argv[1])("영화 최고")["label"])
heavy = {"torch", "transformers", "datasets", "pyarrow", "sklearn", "pandas", "accelerate"} & set(sys.modules)
assert not heavy, heavy
print(seconds)
"""


def test_the_light_client_imports_nothing_heavy(folders):
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, folders["float32"]],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=ROOT,
    )
    label, seconds = done.stdout.split()
    assert label in ("부정", "긍정")
    assert float(seconds) < 5  # 0.1 on a quiet machine; the slow test measures it


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": -1}, "batch_size must be at least 1, found -1"),
        ({"max_length": -5}, "max_length must be from 3 to 64, found -5"),
        ({"max_length": 2}, "max_length must be from 3 to 64, found 2"),
        ({"max_length": 65}, "max_length must be from 3 to 64, found 65"),
    ],
)
def test_sizes_without_room_for_a_text_or_beyond_the_model_are_refused(folders, options, message):
    with pytest.raises(HfclsError, match=message):
        OnnxClassifier.from_pretrained(folders["float32"], **options)


def test_an_answer_that_is_no_number_is_an_error(classifier_folder, tmp_path):
    """The first class was given, with a probability of NaN, which is not even JSON."""
    model, tokenizer = load_classifier(classifier_folder)
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight[tokenizer("영화")["input_ids"][1]] = float("nan")
    write_onnx(model, tokenizer, tmp_path)
    for classifier in (Classifier(model, tokenizer, batching="longest"), OnnxClassifier.from_pretrained(tmp_path)):
        assert classifier("최고")["score"] > 0
        with pytest.raises(HfclsError, match=r"answers text 1 with \[nan, nan\], which is no answer"):
            classifier.logits(["최고", "영화"])
