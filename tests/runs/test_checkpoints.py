"""A sealed folder is known to be whole; anything else is named."""

from pathlib import Path

import pytest

from hfcls.errors import HfclsError
from hfcls.runs import sealing
from hfcls.runs.checkpoints import check_space, newest_whole_checkpoint
from hfcls.runs.output_dir import check_output_dir, prepare_output_dir


@pytest.fixture
def sealed(tmp_path) -> Path:
    folder = tmp_path / "checkpoint-1"
    (folder / "inner").mkdir(parents=True)
    (folder / "weights").write_bytes(b"abc" * 1000)
    (folder / "inner/state").write_bytes(b"")
    sealing.seal(folder)
    return folder


def test_a_sealed_folder_is_whole(sealed):
    assert sealing.why_broken(sealed) is None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / "weights").unlink(), "weights is missing"),
        (lambda f: (f / "weights").write_bytes(b"abc"), "weights has 3 bytes of 3,000"),
        (lambda f: (f / "weights").write_bytes(b"abd" * 1000), "weights was altered"),
        (lambda f: (f / "inner/state").unlink(), "inner/state is missing"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json cannot be read"),
        (lambda f: (f / "manifest.json").write_text("[]"), "manifest.json cannot be read"),
    ],
)
def test_what_is_broken_is_named(sealed, damage, reason):
    damage(sealed)
    assert sealing.why_broken(sealed).startswith(reason)


@pytest.mark.parametrize("stage", ["writing", "old moved", "new in place"])
def test_tidy_after_a_kill_keeps_one_whole_folder(sealed, stage):
    parent = sealed.parent
    old, part = parent / "checkpoint-1.old", parent / "checkpoint.part"
    if stage == "writing":
        (part / "checkpoint-1").mkdir(parents=True)
    else:
        sealed.rename(old)
        if stage == "new in place":
            sealed.mkdir()
            (sealed / "new").touch()
            sealing.seal(sealed)
    sealing.tidy(parent, "checkpoint")
    assert [path.name for path in parent.iterdir()] == ["checkpoint-1"]
    assert sealing.why_broken(sealed) is None


def test_a_tampered_checkpoint_is_named_and_passed_over(sealed, caplog):
    newer = sealed.with_name("checkpoint-2")
    newer.mkdir()
    (newer / "weights").write_bytes(b"abc")
    sealing.seal(newer)
    assert newest_whole_checkpoint(sealed.parent) == newer
    (newer / "weights").write_bytes(b"abd")
    assert newest_whole_checkpoint(sealed.parent) == sealed
    assert "checkpoint-2 is not whole (weights was altered): trying the one before it" in caplog.text


def test_a_drive_too_small_is_refused_before_training(tmp_path, monkeypatch):
    usage = type("usage", (), {"free": 2 * 2**30})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    check_space(tmp_path, 10_000_000, 2)
    with pytest.raises(HfclsError, match=r"has 2\.0 GiB free, the run needs 4\.1 GiB for 3 checkpoints and the model"):
        check_space(tmp_path, 108_000_000, 2)
    (tmp_path / "checkpoint-1").mkdir()
    with (tmp_path / "checkpoint-1/optimizer.pt").open("wb") as file:
        file.truncate(3 * 2**30)  # a resumed run writes over what it wrote before
    check_space(tmp_path, 108_000_000, 2)
    (tmp_path / "checkpoint-1/optimizer.pt").rename(tmp_path / "mine.tar")  # nobody writes over this
    with pytest.raises(HfclsError, match=r"has 2\.0 GiB free"):
        check_space(tmp_path, 108_000_000, 2)


def test_a_foreign_file_in_the_output_folder_is_not_touched(tmp_path):
    (tmp_path / "notes.old").write_text("mine")
    check_output_dir(tmp_path, {}, resumable=(), resume=False, overwrite=True)
    prepare_output_dir(tmp_path, {}, {}, write=True, resume=False, overwrite=True)
    assert (tmp_path / "notes.old").read_text() == "mine"
