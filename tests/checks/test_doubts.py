"""The training rows that a report names are those whose label was flipped."""

import pytest
from conftest import reviews

from hfcls.checks import doubts
from hfcls.checks.doubts import find_doubts
from hfcls.data.corpora import load_corpus


@pytest.fixture
def flipped(table):
    """300 reviews, of which every thirtieth has the other label."""
    rows = [(text, str(int(label) ^ (i % 30 == 0))) for i, (text, label) in enumerate(reviews(300))]
    return load_corpus(str(table(lines=["text\tlabel", *map("\t".join, rows)])))["train"], {
        rows[i][0] for i in range(0, 300, 30)
    }


def test_flipped_labels_come_first(flipped):
    train, wrong = flipped
    found = find_doubts(train, seed=7)
    assert (found["num_rows"], len(found["rows"])) == (300, min(found["doubted"], doubts.SHOWN))
    assert len(wrong & {row["text"] for row in found["rows"][:10]}) >= 8
    assert all(row["label"] != row["suggested"] and row["probability"] > 0.5 for row in found["rows"])


def test_what_would_take_long_or_has_no_class_is_left_out(flipped, monkeypatch, tmp_path):
    train, _ = flipped
    monkeypatch.setattr(doubts, "MOST_ROWS", 299)
    assert find_doubts(train, seed=7) == {}
    doubts.save_doubts(train, tmp_path, seed=7)
    assert not (tmp_path / "doubts.json").exists()
    numbers = train.remove_columns("label").add_column("label", [i % 5 + 0.5 for i in range(300)])
    monkeypatch.undo()
    assert find_doubts(numbers, seed=7) == {}
