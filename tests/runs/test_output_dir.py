"""A folder is made, refused or begun anew with the reason named; what is not ours stays."""

import logging
from pathlib import Path

import pytest
import yaml

from hfcls.errors import HfclsError
from hfcls.runs.folder import CARD_FILE, OPTIONS_FILE, RESULTS_FILE
from hfcls.runs.output_dir import check_output_dir, prepare_output_dir


def check(folder: Path, **options: bool) -> None:
    check_output_dir(folder, {}, fixed={}, **{"resume": False, "overwrite": False, **options})


def test_what_stands_there_is_named(tmp_path):
    (tmp_path / "model.safetensors").write_text("")
    with pytest.raises(HfclsError, match=r"holds a model \(model.safetensors\) that is of no run of hfcls"):
        check(tmp_path)
    check(tmp_path, overwrite=True)
    (tmp_path / RESULTS_FILE).write_text("{}")
    with pytest.raises(HfclsError, match="holds a finished run: --resume continues it"):
        check(tmp_path)


def test_a_new_run_leaves_its_options_and_deletes_only_what_is_ours(tmp_path, caplog):
    options = {"zeta": 1, "dataset": "한글.csv"}
    (tmp_path / CARD_FILE).write_text("my own notes")
    (tmp_path / RESULTS_FILE).write_text("{}")
    assert prepare_output_dir(tmp_path, options, {}, write=True, resume=False, overwrite=True) is None
    assert not (tmp_path / RESULTS_FILE).exists()
    assert (tmp_path / CARD_FILE).read_text() == "my own notes"
    written = (tmp_path / OPTIONS_FILE).read_text("utf-8")
    assert written.startswith("# The options of this run; `hfcls train` on this file repeats it.\n")
    assert "한글.csv" in written
    assert list(yaml.safe_load(written).items()) == list(options.items())
    with caplog.at_level(logging.INFO, logger="hfcls"):
        assert prepare_output_dir(tmp_path, options, {}, write=True, resume=True, overwrite=False) is None
    assert f"no checkpoint to resume in {tmp_path}: starting fresh" in caplog.text
