"""Which README.md is a card of ours, and what the hash of a folder's weights is."""

import pytest

from hfcls.runs.weights import MARKER, is_our_card, remove_model, weights_sha256

OURS = f"---\nlanguage: ko\ntags:\n- hfcls\n---\n{MARKER}\n# A model\n"


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        (OURS, True),
        (OURS.replace("\n", "\r\n"), True),
        (f"---\ntags: [a, hfcls]\n---\n{MARKER}\n", True),
        ("---\ntags: [a, hfcls]\n---\n", False),
        ("# My project\n- hfcls\n- other\n", False),
        ("---\ntags: hfcls\n---\n", False),
        ("---\ntags:\n- other\n---\ntags:\n- hfcls\n---\n", False),
        ("---\n- hfcls\n---\n", False),
        ("---\ntags: [\n---\n", False),
        ("", False),
    ],
)
def test_a_card_is_ours_by_its_metadata_and_its_marker(tmp_path, text, ours):
    path = tmp_path / "README.md"
    path.write_text(text, newline="")
    assert is_our_card(path) == ours


def test_weights_in_several_files_are_hashed_in_their_order(tmp_path):
    for name in ("model-00002-of-00002", "model-00001-of-00002"):
        (tmp_path / f"{name}.safetensors").write_text(name)
    first = weights_sha256(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").write_text("x")
    assert weights_sha256(tmp_path) != first


def test_only_weights_and_tokenizer_of_an_earlier_model_are_deleted(tmp_path):
    weights = ["model.safetensors", "model-00001-of-00002.safetensors", "baseline.safetensors"]
    weights += ["tokenizer.json", "vocab.txt", "added_tokens.json", "special_tokens_map.json"]
    others = ["config.json", "model.safetensors.bak", "mine.safetensors"]
    for name in [*weights, *others]:
        (tmp_path / name).touch()
    remove_model(tmp_path, keep=["model.safetensors", "tokenizer.json"])
    assert {path.name for path in tmp_path.iterdir()} == {*others, "model.safetensors", "tokenizer.json"}
    remove_model(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(others)
