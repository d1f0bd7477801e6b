"""What the labels of a corpus are, and the groups by which validation is stratified."""

import numpy as np
from datasets import ClassLabel, Dataset, Features, List, Value

from hfcls.data.tasks import FEW_ROWS, label_counts, strata


def several(lists: list[list[int]]) -> Dataset:
    features = Features({"text": Value("string"), "label": List(ClassLabel(names=["가", "나", "다"]))})
    return Dataset.from_dict({"text": [str(i) for i in range(len(lists))], "label": lists}, features)


def test_rows_of_several_labels_are_grouped_by_the_rarest_that_has_rows_enough():
    lists = [[0]] * 30 + [[0, 1]] * 12 + [[2]] * (FEW_ROWS - 1) + [[]] * 15
    rows = several(lists)
    assert label_counts(rows) == {"가": 42, "나": 12, "다": FEW_ROWS - 1}
    groups, names = strata(rows)
    # of no label or of the rare one alone: a group; of the first; of the second, which is rarer
    by_group = {name: set(np.flatnonzero(groups == i).tolist()) for i, name in enumerate(names)}
    assert sorted(map(len, by_group.values())) == [12, 24, 30]
    assert {frozenset(rows) for rows in by_group.values()} == {
        frozenset(range(30)), frozenset(range(30, 42)), frozenset(range(42, 66)),
    }  # fmt: skip


def test_a_group_that_is_too_small_goes_to_the_largest():
    groups, names = strata(several([[0]] * 30 + [[0, 1]] * 12 + [[]] * 3))
    assert names == ["group 1", "group 2"]
    assert groups.dtype == np.int64
    assert groups.tolist() == [0] * 30 + [1] * 12 + [0] * 3
    assert strata(several([[0]] * 30 + [[]] * 3))[1] == ["group 1"]


def test_targets_are_grouped_by_tenths():
    rows = Dataset.from_dict({"text": ["글"] * 200, "label": [float(i) for i in range(200)]})
    groups, names = strata(rows)
    assert len(names) == 10
    assert np.bincount(groups).tolist() == [20] * 10
    assert (np.diff(groups) >= 0).all()
    assert strata(rows.select(range(99)))[1] == ["group 1"]  # fewer than ten a group
