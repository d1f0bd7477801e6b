"""What a command writes where it is told replaces nothing that a run keeps in its folder."""

import pytest

import hfcls
from hfcls.errors import HfclsError
from hfcls.runs.folder import KEPT


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in KEPT:
        (folder / name).write_text("kept", encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", KEPT)
def test_no_output_replaces_a_file_of_a_run(run, table, classifier_folder, name):
    for work in (
        lambda output: hfcls.evaluate(model=classifier_folder, dataset=str(table(count=8)), output=output),
        lambda output: hfcls.check(dataset=str(table(count=8)), baseline=False, output=output),
    ):
        with pytest.raises(HfclsError, match=f"{name} is a file of the run that lies there: choose another --output"):
            work(str(run / name))
    assert {path.read_text("utf-8") for path in run.iterdir()} == {"kept"}


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_labelled_shards_do_not_lie_among_the_files_of_a_run(run, table, classifier_folder, engine):
    before = set(run.iterdir())
    with pytest.raises(
        HfclsError, match=r"run holds a run of hfcls train: choose another --output, such as .*labelled"
    ):
        hfcls.predict_files(model=classifier_folder, input=str(table(count=8)), output=str(run), engine=engine)
    assert set(run.iterdir()) == before
    hfcls.check(dataset=str(table(count=8)), baseline=False, output=str(run / "check.json"))  # which the report shows
