"""A model folder of which a file was cut, emptied or exchanged is refused in one line that names the file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import WORDS
from tokenizers import normalizers
from transformers import BertTokenizer

from hfcls import Classifier, cli
from hfcls.errors import HfclsError

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "cut": lambda whole: whole[: len(whole) // 2],
    "a list": lambda whole: b"[]",
    "a string": lambda whole: b'"x"',
    "null": lambda whole: b"null",
    "bytes": lambda whole: b"\xff\xfe\x00\x81" * 20,
}


@pytest.fixture
def copied(classifier_folder, tmp_path) -> Path:
    return Path(shutil.copytree(classifier_folder, tmp_path / "copied"))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
def test_a_damaged_file_is_named_by_each_command(copied, table, capsys, file, damage):
    path, data = copied / file, str(table(count=8))
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    model = ["--model", str(copied)]
    for command in (
        ["predict", *model, "좋다"],
        ["evaluate", *model, "--dataset", data],
        ["train", *model, "--dataset", data, "--output_dir", str(copied / "next"), "--max_length", "32"],
    ):
        assert cli.main(command) == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hfcls: error: ")]
        assert len(lines) == 1
        assert f"{path} is damaged: " in lines[0], lines
        assert "Traceback" not in lines[0]


def test_a_tokenizer_that_is_whole_json_but_no_tokenizer_is_named(copied, capsys):
    (copied / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert cli.main(["predict", "--model", str(copied), "좋다"]) == 1
    assert f"{copied / 'tokenizer.json'} is damaged: " in capsys.readouterr().err


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
@pytest.mark.parametrize("a_folder", [False, True], ids=["gone", "a folder"])
def test_a_file_that_is_gone_or_a_folder_is_named(copied, file, a_folder):
    (copied / file).unlink()
    if a_folder:
        (copied / file).mkdir()
    with pytest.raises(HfclsError, match=file) as error:
        Classifier.from_pretrained(str(copied))
    assert len(str(error.value)) < 400
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("left", [None, "{}"])
def test_how_a_tokenizer_is_read_is_not_guessed(left, copied, tmp_path):
    """Transformers would lower the case of KcBERT's, which also takes Hangul apart, and the model would answer."""
    vocabulary = tmp_path / "vocab.txt"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "Good", "good"]
    vocabulary.write_text("\n".join(words) + "\n", encoding="utf-8")
    BertTokenizer(str(vocabulary), do_lower_case=False).save_pretrained(copied)
    Classifier.from_pretrained(str(copied))
    (copied / "tokenizer_config.json").unlink()
    if left:
        (copied / "tokenizer_config.json").write_text(left)
    with pytest.raises(HfclsError, match=r"no tokenizer_config\.json that says how it is read"):
        Classifier.from_pretrained(str(copied))
    shutil.copy(vocabulary, copied)  # as older encoders have it, beside a tokenizer.json
    with pytest.raises(HfclsError, match=r"does not say how tokenizer\.json is read \(tokenizer_class\), and"):
        Classifier.from_pretrained(str(copied))


@pytest.mark.parametrize("cased", [True, False])
def test_a_class_that_transformers_guesses_must_read_the_tokenizer_as_it_was_made(cased, copied, tmp_path):
    vocabulary = tmp_path / "vocab.txt"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(WORDS if cased else ["good"]), "go", "##od"]
    vocabulary.write_text("\n".join(words) + "\n", encoding="utf-8")
    BertTokenizer(str(vocabulary), do_lower_case=not cased).save_pretrained(copied)
    expected = Classifier.from_pretrained(str(copied)).probabilities(["Good 최고"])
    config = json.loads((copied / "tokenizer_config.json").read_text("utf-8"))
    guessed = {name: value for name, value in config.items() if name not in ("tokenizer_class", "do_lower_case")}
    (copied / "tokenizer_config.json").write_text(json.dumps(guessed))
    if cased:
        with pytest.raises(HfclsError, match=r"does not say how tokenizer\.json is read .* than it was made"):
            Classifier.from_pretrained(str(copied))
    else:
        assert torch.equal(Classifier.from_pretrained(str(copied)).probabilities(["Good 최고"]), expected)


def test_a_class_that_reads_a_tokenizer_otherwise_than_it_was_made_is_warned_of(copied, caplog):
    """Of a class of its own, transformers 5 takes the vocabulary alone, not the normalizer."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "good"]
    vocabulary = {word: i for i, word in enumerate(words)}
    saved = BertTokenizer(vocabulary, do_lower_case=False)
    saved.save_pretrained(copied)
    Classifier.from_pretrained(str(copied))
    assert not caplog.messages
    saved.backend_tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    saved.save_pretrained(copied)
    Classifier.from_pretrained(str(copied))
    (said,) = caplog.messages
    assert "as BertTokenizer, otherwise than it was made (['[UNK]', '[UNK]'" in said
    assert "for ['good', 'good'" in said
    config = json.loads((copied / "tokenizer_config.json").read_text("utf-8"))
    (copied / "tokenizer_config.json").write_text(json.dumps({**config, "tokenizer_class": "PreTrainedTokenizerFast"}))
    caplog.clear()
    assert Classifier.from_pretrained(str(copied)).tokenizer.tokenize("Good") == ["good"]
    assert not caplog.messages


def test_a_baseline_without_its_n_grams_is_told_from_an_unknown_architecture(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "baseline", "id2label": {"0": "a", "1": "b"}}')
    with pytest.raises(HfclsError, match=r"a baseline without its baseline\.json: copy the whole folder"):
        Classifier.from_pretrained(str(tmp_path))
