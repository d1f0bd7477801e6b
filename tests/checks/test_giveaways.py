"""How texts are written down is told where it gives a class away, and only there."""

import json

import pytest

import hfcls
from hfcls import cli
from hfcls.checks.giveaways import FORMS

WRITTEN = {
    "white space at an end": "정말 좋은 영화 {} ",
    "several spaces in a row": "정말  좋은 영화 {}",
    "a line break": "정말 좋은\n영화 {}",
    "quotation marks around all of it": '"정말 좋은 영화 {}"',
    "HTML": "정말 <b>좋은</b> 영화 {}",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_of_one_class_is_named_with_its_shares(form):
    rows = [{"text": WRITTEN[form].format(i), "label": "나쁨"} for i in range(30)]
    rows += [{"text": f"정말 좋은 영화 {i}", "label": "나쁨"} for i in range(30, 40)]
    rows += [{"text": f"볼 만한 영화 {i}", "label": "좋음" if i % 2 else "보통"} for i in range(80)]
    found = hfcls.check(dataset=rows, baseline=False)
    (giveaway,) = found.splits["train"].giveaways
    assert (giveaway.form, giveaway.label, giveaway.share, giveaway.elsewhere) == (form, "나쁨", 0.75, 0.0)
    assert f"train: 75% of the texts of 나쁨 have {form}, 0% of the others: a model may learn that" in "\n".join(
        found.warnings()
    )


def test_of_two_classes_that_which_has_the_form_is_named():
    rows = [{"text": f"영화 {i}" + " " * (i % 2), "label": "가나"[1 - i % 2]} for i in range(100)]
    (giveaway,) = hfcls.check(dataset=rows, baseline=False).splits["train"].giveaways
    assert (giveaway.label, giveaway.share, giveaway.elsewhere) == ("가", 1.0, 0.0)


def test_nothing_is_said_where_all_classes_are_written_alike_or_rows_are_few(tmp_path, capsys):
    alike = [{"text": f"영화 {i} ", "label": str(i % 2)} for i in range(100)]
    assert hfcls.check(dataset=alike, baseline=False).splits["train"].giveaways == []
    few = [{"text": f"영화 {i}" + " " * (i % 2), "label": str(i % 2)} for i in range(30)]
    assert hfcls.check(dataset=few, baseline=False).splits["train"].giveaways == []
    numbers = [{"text": f"영화 {i}" + " " * (i % 2), "label": i % 2 + i / 100} for i in range(90)]
    assert hfcls.check(dataset=numbers, task="regression", baseline=False).splits["train"].giveaways == []
    out = tmp_path / "found.json"
    assert cli.main(["check", "--dataset", "demo", "--no-baseline", "--output", str(out)]) == 0
    capsys.readouterr()
    assert json.loads(out.read_text("utf-8"))["splits"]["train"]["giveaways"] == []
