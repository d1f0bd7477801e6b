"""A file is whole or absent."""

import re

import pytest

from hfcls.errors import HfclsError
from hfcls.system.files import beside, check_writable, remove_leftovers, write_whole


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path):
    path = tmp_path / "a.json"
    write_whole(path, "하나")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")
    assert path.read_text(encoding="utf-8") == "하나"
    assert list(tmp_path.iterdir()) == [path]


def test_only_what_a_killed_writer_left_is_deleted(tmp_path):
    path = tmp_path / "model"
    for aside in (beside(path), beside(path)):
        aside.mkdir()
    beside(path).write_text("left")
    (tmp_path / "model.mine4you.part").mkdir()
    (tmp_path / "model.part").write_text("mine")
    remove_leftovers(path)
    assert sorted(left.name for left in tmp_path.iterdir()) == ["model.mine4you.part", "model.part"]


def test_a_look_at_whether_a_file_can_be_written_leaves_none_and_changes_none(tmp_path):
    path = tmp_path / "new" / "a.json"
    check_writable(path, "output")
    assert list(path.parent.iterdir()) == []
    path.write_text("mine")
    check_writable(path, "output")
    assert path.read_text() == "mine"
    for wrong in (tmp_path, path / "b", tmp_path / ("가" * 200)):
        with pytest.raises(HfclsError, match=re.escape(f"cannot write {wrong}: ") + ".*; choose another --output"):
            check_writable(wrong, "output")
