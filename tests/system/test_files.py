"""A file is whole or absent."""

import os
import re

import pytest

from hfcls.errors import HfclsError
from hfcls.system.files import (
    beside,
    check_writable,
    follow_umask,
    remove_leftovers,
    whole_folder,
    writable_folder,
    write_whole,
)


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


def test_a_folder_that_is_made_for_nothing_goes_again(tmp_path):
    new, mine = tmp_path / "a" / "b", tmp_path / "mine"
    mine.mkdir()
    with writable_folder(new), writable_folder(new):  # as two processes of a run do
        assert list(new.iterdir()) == []
    with pytest.raises(HfclsError, match="no data"), writable_folder(new):
        raise HfclsError("no data")
    assert not new.exists()
    with writable_folder(new):
        (new / "run.yaml").write_text("a")
    with writable_folder(mine):
        pass
    assert [path.name for path in new.iterdir()] == ["run.yaml"]
    assert mine.is_dir()


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    message = "cannot write to output_dir .*file: File exists; choose another --output_dir"
    with pytest.raises(HfclsError, match=message), writable_folder(tmp_path / "file"):
        pass
    tried = []

    def refuse(dir):
        tried.append(dir)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(HfclsError, match="Permission denied; choose another"), writable_folder(tmp_path):
        pass
    assert tried == [tmp_path]


def test_a_folder_is_whole_or_absent(tmp_path):
    path = tmp_path / "new" / "copy"
    with pytest.raises(UnicodeEncodeError), whole_folder(path) as aside:
        (aside / "train.csv").write_text("a\ud800", encoding="utf-8")
    assert list(path.parent.iterdir()) == []
    with whole_folder(path) as aside:
        (aside / "train.csv").write_text("a")
        assert not path.exists()
    assert [found.name for found in path.parent.rglob("*")] == ["copy", "train.csv"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_a_new_file_is_read_by_whom_the_umask_allows(tmp_path, umask, mode):
    path = tmp_path / "model.safetensors"
    path.touch(0o600)
    before = os.umask(umask)
    try:
        follow_umask(path)
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode
