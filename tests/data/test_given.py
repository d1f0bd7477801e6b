"""Corpora given as objects of Python: how they are held changes neither texts nor labels."""


import pytest
from datasets import Dataset

from hfcls.data.corpora import load_corpus

TEXTS = [f"글 {i} 번" for i in range(6)]
LISTS = [["a"], ["b", "a"], [], ["a", "b"], ["b"], ["c"]]


@pytest.mark.parametrize(
    "label", [[1, 0, 0, None, 1, 0], [["a"], ["b", "a"], [], ["a"], None, ["c"]]], ids=["one", "several"]
)
@pytest.mark.parametrize("form", ["torch", "numpy", "pandas", "arrow"])
def test_the_format_of_a_dataset_changes_nothing(tmp_path, label, form):
    rows = Dataset.from_dict({"text": [*TEXTS[:5], None], "label": label})
    plain = load_corpus(rows, drop_unlabelled=True)["train"]
    formatted = rows.with_format(form)
    formatted.save_to_disk(tmp_path / "saved")  # which keeps the format
    for given in (formatted, rows.with_format(form, columns=["label"]), str(tmp_path / "saved")):
        found = load_corpus(given, drop_unlabelled=True)["train"]
        assert (found.features, found[:]) == (plain.features, plain[:])


def test_a_transform_is_not_applied_and_the_log_says_so(caplog):
    rows = Dataset.from_dict({"text": TEXTS, "label": [1, 0] * 3}).with_transform(lambda batch: {"ids": batch["text"]})
    assert load_corpus(rows)["train"]["text"][:] == TEXTS
    assert "its rows are read as they are stored" in caplog.text
