"""Each warning of a data check is said in English and in Korean, with the same numbers and names."""

import json
import re
from dataclasses import replace

import pytest

from hfcls.checks.findings import Duplicates, Findings, SplitFindings
from hfcls.checks.giveaways import FORMS as FOUND_FORMS
from hfcls.checks.giveaways import Giveaway
from hfcls.checks.warnings import FORMS, warnings_of

CLASSES = {"Good": 400, "good": 300, "nan": 21, "a,b": 5, "a,c": 4, "b": 3, "c,b": 3, "없음": 0}


@pytest.fixture
def findings() -> Findings:
    """Everything is wrong with both splits."""
    split = SplitFindings(
        rows=736, classes=CLASSES, characters={}, tokens={}, truncated=0.31, unknown=0.27, empty=11, near_empty=12,
        invalid=13, decomposed=14, giveaways=[Giveaway(form, "Good", 0.91, 0.17) for form in FOUND_FORMS],
    )  # fmt: skip
    copies = Duplicates(
        repeated={"train": 15, "test": 16}, several_labels={"train": 17, "test": 18}, in_train={"test": 19}
    )
    return Findings(
        dataset="mine.csv", model="an/encoder", max_length=64, batch_size=16, splits={"train": split, "test": split},
        duplicates={"normalized": copies}, near_examples=[],
    )  # fmt: skip


def test_the_korean_of_a_warning_says_what_its_english_says(findings):
    said = list(warnings_of(findings))
    assert len(said) == len(set(said)) == 2 * (12 + len(FOUND_FORMS)) + 1
    many = SplitFindings(
        **vars(findings.splits["train"]) | {"classes": {f"클래스 {i}": 1 for i in range(20)}, "rows": 20}
    )
    said += list(warnings_of(replace(findings, splits={"train": many})))
    assert "train: 20 classes in 20 rows: is it the right --label_column?" in [english for english, _ in said]
    for english, korean in said:
        split, _, korean = korean.partition(": ")
        assert split == {"train": "학습 데이터", "test": "테스트 데이터"}[english.partition(": ")[0]]
        assert re.search("[가-힣]", korean)
        told = english.partition(": ")[2]
        assert sorted(re.findall(r"[\d.,]*\d%?", told)) == sorted(re.findall(r"[\d.,]*\d%?", korean)), (told, korean)
        assert re.findall("--[a-z_]+", told) == re.findall("--[a-z_]+", korean)
        rest = re.sub(
            r"--[a-z_]+|an/encoder|windows|max_length|HTML|F1|NFC|Good|good|nan|\ba\b|\bb\b|\bc\b", "", korean
        )
        assert not re.search("[A-Za-z]{2}", rest), korean


def test_both_are_kept_for_the_report(findings, tmp_path):
    findings.save(tmp_path / "check.json")
    kept = json.loads((tmp_path / "check.json").read_text("utf-8"))
    assert list(zip(kept["warnings"], kept["warnings_ko"], strict=True)) == list(warnings_of(findings))
    assert kept["warnings"] == findings.warnings()
    assert set(FORMS) == set(FOUND_FORMS)
