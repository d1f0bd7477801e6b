"""Batches hold the rows they were made of, padded or packed, in the shapes that were asked for."""

import math
import random
import statistics
import timeit

import pytest
import torch
from transformers.trainer_pt_utils import find_batch_size

from hfcls.batching.bins import LANES, TRAINING_LANES, WIDEST_FREE_ROW, few_row_counts, tight_rows
from hfcls.batching.collate import PackedCollator, PaddedCollator, for_training, make_collator
from hfcls.data.corpora import load_corpus
from hfcls.data.encoding import encode
from hfcls.models.tokenizers import load_tokenizer

ROWS = [
    {"input_ids": [2, 7, 3], "labels": 1, "text": "ignored"},
    {"input_ids": [2, 8, 9, 10, 3], "labels": 0, "text": "ignored"},
    {"input_ids": [2, 3], "labels": 1, "text": "ignored"},
]


def lists(batch: dict[str, torch.Tensor]) -> dict[str, list]:
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())
    return {name: tensor.tolist() for name, tensor in batch.items()}


def test_padded_to_the_longest_and_to_a_fixed_width():
    batch = lists(make_collator("longest", pad_token_id=0, max_length=8)(ROWS))
    assert batch == {
        "labels": [1, 0, 1],
        "input_ids": [[2, 7, 3, 0, 0], [2, 8, 9, 10, 3], [2, 3, 0, 0, 0]],
        "attention_mask": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]],
    }
    fixed = make_collator("fixed", pad_token_id=0, max_length=8)(ROWS)
    assert fixed["input_ids"].shape == fixed["attention_mask"].shape == (3, 8)


def test_packed_rows_hold_each_text_with_its_own_positions():
    batch = lists(make_collator("packed", pad_token_id=1, max_length=8, row_length=8, position_offset=2)(ROWS))
    assert batch == {
        "labels": [1, 0, 1],
        "input_ids": [[2, 8, 9, 10, 3, 2, 7, 3], [2, 3, 1, 1, 1, 1, 1, 1]],
        "position_ids": [[2, 3, 4, 5, 6, 2, 3, 4], [2, 3, 2, 2, 2, 2, 2, 2]],
        "segment_ids": [[2, 2, 2, 2, 2, 1, 1, 1], [3, 3, 0, 0, 0, 0, 0, 0]],
        "cls_index": [5, 0, 8],
    }


@pytest.mark.parametrize("batching", ["packed", "longest", "fixed"])
def test_trainer_counts_texts_not_rows_and_token_types_follow(batching):
    rows = [{**row, "token_type_ids": [0, *[1] * (len(row["input_ids"]) - 1)]} for row in ROWS]
    batch = make_collator(batching, pad_token_id=0, max_length=8)(rows)
    assert find_batch_size(batch) == 3
    assert batch["token_type_ids"].shape == batch["input_ids"].shape
    assert int(batch["token_type_ids"].sum()) == 7
    unlabelled = [{"input_ids": row["input_ids"]} for row in ROWS]
    assert find_batch_size(make_collator(batching, pad_token_id=0, max_length=8)(unlabelled)) == 3


def test_static_shapes_are_few():
    collate = make_collator("packed", pad_token_id=0, max_length=32, row_counts={16: few_row_counts(16)})
    rng = random.Random(0)
    shapes = set()
    for _ in range(300):
        rows = [{"input_ids": [5] * rng.randint(2, rng.choice([8, 32])), "labels": 0} for _ in range(16)]
        shapes.add(tuple(collate(rows)["input_ids"].shape))
    assert {width for _, width in shapes} == {32}
    assert len(shapes) <= len(few_row_counts(16)) <= 6
    assert few_row_counts(16)[-1] == 16  # each text may need a row of its own


@pytest.mark.parametrize("lanes", [LANES, TRAINING_LANES])
@pytest.mark.parametrize("lengths", [[2], [128], [512, 2], [2] * 64, [7, 9, 100, 33, 20, 20, 5]])
def test_free_rows_hold_every_text_in_a_width_of_whole_lanes(lengths, lanes):
    width, packed = tight_rows(lengths, lanes)
    assert sorted(i for row in packed for i in row) == list(range(len(lengths)))
    assert max(sum(lengths[i] for i in row) for row in packed) <= width
    assert width % lanes == 0
    assert width <= max(WIDEST_FREE_ROW, math.ceil(max(lengths) / lanes) * lanes)


def test_rows_of_training_are_finer_than_those_of_evaluation():
    rows = [{"input_ids": [1] * length} for length in (20, 20, 20, 20)]
    collate = make_collator("packed", pad_token_id=0, max_length=128)
    assert collate(rows)["input_ids"].shape == (1, 80)
    assert for_training(collate)(rows[:2])["input_ids"].shape == (1, 40)
    assert collate(rows[:2])["input_ids"].shape == (1, 48)
    padded = make_collator("longest", pad_token_id=0, max_length=128)
    assert for_training(padded) is padded


@pytest.mark.parametrize(("lanes", "most"), [(LANES, 0.05), (TRAINING_LANES, 0.04)])
def test_free_rows_waste_less_than_five_percent_on_real_reviews(shared, lanes, most):
    corpus = load_corpus("nsmc", data_dir=str(shared))["train"].select(range(32 * 200))
    encoded = encode(corpus, load_tokenizer(str(shared / "kcbert-base")), 128).shuffle(seed=0)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    batches = [lengths[start : start + 32] for start in range(0, len(lengths), 32)]
    shapes = [(width, len(packed)) for width, packed in (tight_rows(batch, lanes) for batch in batches)]
    assert sum(lengths) > (1 - most) * sum(width * count for width, count in shapes)
    assert statistics.mean(width for width, _ in shapes) < 128  # attention costs by the width


def test_packing_a_batch_costs_less_than_a_millisecond():
    rng = random.Random(0)
    lengths = [min(128, 2 + int(rng.expovariate(1 / 17.5))) for _ in range(32)]
    assert min(timeit.repeat(lambda: tight_rows(lengths, TRAINING_LANES), number=10, repeat=5)) / 10 < 1e-3


def test_unknown_batching_is_refused():
    with pytest.raises(ValueError, match="batching must be packed, longest or fixed, found 'tight'"):
        make_collator("tight", pad_token_id=0, max_length=8)


@pytest.mark.parametrize(
    ("collate", "rows", "message"),
    [
        (PaddedCollator(0, 4), ROWS, "a text of 5 tokens does not fit the width 4"),
        (PackedCollator(0, 4), ROWS, "a text of 5 tokens does not fit a row of 4: raise row_length"),
        (PackedCollator(0, None), [*ROWS, {"input_ids": []}], "text 3 of the batch has no token"),
        (PackedCollator(0, 8, 0, {2: [1]}), ROWS, r"3 texts need 2 rows of 8 tokens, row_counts has \{2: \[1\]\}"),
        (PackedCollator(0, 8, 0, {3: [1]}), ROWS, r"3 texts need 2 rows of 8 tokens, row_counts has \{3: \[1\]\}"),
    ],
)
def test_a_batch_that_cannot_be_laid_out_is_refused_with_the_numbers(collate, rows, message):
    with pytest.raises(ValueError, match=message):
        collate(rows)
