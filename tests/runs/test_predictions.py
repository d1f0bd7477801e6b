"""What a run leaves of each scored row: names, probabilities, and which errors the model was surest of."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from pyarrow import parquet

from hfcls.runs.folder import PREDICTIONS_FILE
from hfcls.runs.predictions import (
    Example,
    confident_errors,
    first_examples,
    sample_texts,
    save_predictions,
    slices_of,
)
from hfcls.scoring.tasks import Regression, SingleLabel

NAMES = ["부정", "긍정", "중립"]
TASK = SingleLabel(NAMES)
PROBABILITIES = np.array(
    [[0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.05, 0.05, 0.9], [0.7, 0.2, 0.1], [0.3, 0.3, 0.4]]
)


@pytest.fixture
def pairs() -> Dataset:
    return Dataset.from_dict(
        {"text": list("가나다라마바"), "text_pair": list("아자차카타파"), "label": [1, 1, 0, 2, 2, 0]},
        Features({"text": Value("string"), "text_pair": Value("string"), "label": ClassLabel(names=NAMES)}),
    )


def test_the_surest_errors_come_first_and_no_others(pairs, tmp_path):
    assert confident_errors(tmp_path, 5) == []
    save_predictions(pairs, PROBABILITIES, TASK, tmp_path / PREDICTIONS_FILE)
    errors = confident_errors(tmp_path, 3)
    assert [(row["text"], row["text_pair"], row["label"], row["predicted"]) for row in errors] == [
        ("다", "차", "부정", "긍정"),
        ("마", "타", "중립", "부정"),  # as sure as the one before: in the order of the file
        ("나", "자", "긍정", "부정"),
    ]
    assert [row["probability"] for row in errors] == pytest.approx([0.7, 0.7, 0.6])
    assert len(confident_errors(tmp_path, 10)) == 4


def test_examples_are_the_first_rows_with_what_the_model_says(pairs):
    examples = first_examples(pairs, PROBABILITIES, TASK)
    assert [(example.text, example.text_pair, example.label, example.predicted) for example in examples] == [
        ("가", "아", "긍정", "긍정"),
        ("나", "자", "긍정", "부정"),
        ("다", "차", "부정", "긍정"),
    ]
    assert [example.score for example in examples] == [0.8, 0.6, 0.7]
    assert first_examples(pairs.remove_columns("text_pair"), PROBABILITIES, TASK)[0].text_pair is None
    assert len(first_examples(pairs.select(range(2)), PROBABILITIES, TASK)) == 2


def test_texts_are_sliced_with_their_pairs_and_numbers_are_not(pairs, tmp_path):
    assert slices_of(tmp_path) == []
    save_predictions(pairs, PROBABILITIES, TASK, tmp_path / PREDICTIONS_FILE)
    assert slices_of(tmp_path) == []  # all are of one length
    longer = pairs.map(lambda row, i: {"text_pair": row["text_pair"] * (i + 1)}, with_indices=True)
    save_predictions(longer, PROBABILITIES, TASK, tmp_path / PREDICTIONS_FILE)
    found = {kind.name: (kind.num_rows, kind.low, kind.high, kind.accuracy.value) for kind in slices_of(tmp_path)}
    assert found == {"short": (2, 2, 3, 0.5), "medium": (2, 4, 5, 0.5), "long": (2, 6, 7, 0.0)}
    numbers = longer.cast_column("label", Value("float64"))
    save_predictions(numbers, np.arange(6.0), Regression(["점수"]), tmp_path / PREDICTIONS_FILE)
    assert parquet.read_table(tmp_path / PREDICTIONS_FILE).column_names == ["text", "text_pair", "label", "predicted"]
    assert slices_of(tmp_path) == []


def test_a_text_to_try_is_one_of_the_run_or_a_hint(tmp_path):
    examples = [Example(" ", "긍정", "긍정", 0.9), Example("가나다라마", "긍정", "긍정", 0.9, "짝")]
    assert sample_texts(examples, tmp_path, pair=False, width=40) == ["가나다라마"]
    assert sample_texts(examples, tmp_path, pair=True, width=40) == ["가나다라마", "짝"]
    assert sample_texts([], tmp_path, pair=False, width=40) == ["여기에 글을 쓰세요"]
