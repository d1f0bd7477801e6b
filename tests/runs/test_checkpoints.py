"""A sealed folder is known to be whole; anything else is named."""

import shutil
from pathlib import Path

import pytest

from hfcls.errors import HfclsError
from hfcls.runs import sealing
from hfcls.runs.checkpoints import (
    check_space,
    foreign_checkpoints,
    holds_checkpoints,
    newest_whole_checkpoint,
    rotate_checkpoints,
    sorted_checkpoints,
)
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
    (parent / ".hfcls-writing/checkpoint-1").mkdir(parents=True)
    if stage != "writing":
        (parent / ".hfcls-replaced").mkdir()
        sealed.rename(parent / ".hfcls-replaced/checkpoint-1")
    if stage == "new in place":
        sealed.mkdir()
        (sealed / "new").touch()
        sealing.seal(sealed)
    assert holds_checkpoints(parent)
    sealing.tidy(parent)
    assert [path.name for path in parent.iterdir()] == ["checkpoint-1"]
    assert sealing.why_broken(sealed) is None
    assert (sealed / "new").exists() == (stage == "new in place")


@pytest.mark.parametrize(
    "delete",
    [
        lambda parent: rotate_checkpoints(parent, 1, newest=parent / "checkpoint-2", best=None),
        lambda parent: prepare_output_dir(parent, {}, {}, write=True, resume=False, overwrite=True),
    ],
    ids=["rotation", "a run that replaces it"],
)
def test_a_checkpoint_that_is_half_deleted_at_a_kill_is_nobody_elses(sealed, monkeypatch, delete):
    """It was taken for one of a plain Trainer, and the run was refused for ever."""
    parent = sealed.parent
    shutil.copytree(sealed, parent / "checkpoint-2")

    def killed(folder: Path, **_: object) -> None:
        if folder.exists():
            (folder / "manifest.json").unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sealing.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            delete(parent)
    assert foreign_checkpoints(parent) == []
    sealing.tidy(parent)
    assert "checkpoint-1" not in {path.name for path in parent.rglob("*")}


def test_a_checkpoint_that_is_replaced_is_there_until_the_new_one_is(sealed, monkeypatch):
    """Killed between any two steps, one of the two is left."""
    parent = sealed.parent
    aside = parent / ".hfcls-writing/checkpoint-1"
    aside.mkdir(parents=True)
    (aside / "new").touch()
    sealing.seal(aside)
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if path == aside:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        sealing.put_in_place(aside, sealed)
    monkeypatch.undo()
    sealing.tidy(parent)
    assert (sealed / "weights").is_file()
    assert sealing.why_broken(sealed) is None


def test_what_an_earlier_kill_left_is_not_in_the_way(sealed):
    parent = sealed.parent
    aside, left = parent / ".hfcls-writing/checkpoint-1", parent / ".hfcls-replaced/checkpoint-1"
    for folder, name in ((aside, "new"), (left, "left")):
        folder.mkdir(parents=True)
        (folder / name).touch()
    sealing.seal(aside)
    sealing.put_in_place(aside, sealed)
    assert sorted(path.name for path in sealed.iterdir()) == ["manifest.json", "new"]
    assert not left.parent.exists()


NOT_OURS = (
    "checkpoint-7.old/weights",
    "checkpoint-7.part/x",
    "checkpoint-notes.part",
    "checkpoint.part",
    "model.part/x",
)


@pytest.fixture
def foreign(tmp_path) -> dict[Path, str]:
    """Files of the user, with names near to ours, and a checkpoint of a plain Trainer's."""
    files = {tmp_path / name: name for name in (*NOT_OURS, "notes.old", "checkpoint-500/trainer_state.json")}
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return files


def test_what_we_did_not_write_is_not_deleted(sealed, foreign):
    """Whatever the user keeps beside a run, tidying, rotating and replacing leave alone."""
    folder = sealed.parent
    shutil.copytree(sealed, folder / "checkpoint-1.old")  # a backup, with our seal in it
    copied = {path: path.read_text() for path in (folder / "checkpoint-1.old").rglob("*") if path.is_file()}
    sealing.tidy(folder)
    rotate_checkpoints(folder, 1, newest=sealed, best=None)
    with pytest.raises(HfclsError, match="checkpoint-500 is in the way, and hfcls did not write it: move it away"):
        sealing.put_in_place(folder / "anything", folder / "checkpoint-500")
    prepare_output_dir(folder, {}, {}, write=True, resume=False, overwrite=True)
    assert {path: path.read_text() for path in foreign | copied} == foreign | copied
    assert not sealed.exists()


@pytest.mark.parametrize("choice", ["", "resume", "overwrite"])
def test_a_folder_with_checkpoints_of_others_is_refused(sealed, foreign, choice):
    """Of ours as well: the run would come to step 500 in the end."""
    with pytest.raises(
        HfclsError, match=r"holds checkpoint-500, which hfcls did not write, .* --model .*checkpoint-500"
    ):
        check_output_dir(sealed.parent, {}, fixed={}, resume=choice == "resume", overwrite=choice == "overwrite")


def checkpoints(folder: Path, *steps: int) -> list[Path]:
    found = [folder / f"checkpoint-{step}" for step in steps]
    for path in found:
        path.mkdir(parents=True)
        sealing.seal(path)
    return found


@pytest.mark.parametrize(
    ("steps", "newest", "best", "limit", "left"),
    [
        ((1, 2, 3), 3, None, 2, (2, 3)),
        ((1, 2, 3), 3, 1, 2, (1, 3)),
        ((1, 2, 3), 3, 1, 1, (1, 3)),
        ((1, 2, 3, 9, 10), 3, 1, 2, (1, 3)),  # 9 and 10 are broken: the run has gone back to 2
        ((1, 2, 3, 9), 3, None, 3, (1, 2, 3)),
        ((2, 10), 10, None, 1, (10,)),
        ((1, 2, 3), 3, None, None, (1, 2, 3)),
        ((2, 3), 3, 1, 1, (3,)),  # the best is gone
    ],
)
def test_the_newest_and_the_best_checkpoint_are_kept(tmp_path, steps, newest, best, limit, left):
    checkpoints(tmp_path, *steps)
    best = tmp_path / f"checkpoint-{best}" if best else None
    rotate_checkpoints(tmp_path, limit, newest=tmp_path / f"checkpoint-{newest}", best=best)
    assert sorted_checkpoints(tmp_path) == [tmp_path / f"checkpoint-{step}" for step in left]


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
    checkpoints(tmp_path, 1)
    with (tmp_path / "checkpoint-1/optimizer.pt").open("wb") as file:
        file.truncate(3 * 2**30)  # a resumed run writes over what it wrote before
    check_space(tmp_path, 108_000_000, 2)
    (tmp_path / "checkpoint-1/optimizer.pt").rename(tmp_path / "mine.tar")  # nobody writes over this
    with pytest.raises(HfclsError, match=r"has 2\.0 GiB free"):
        check_space(tmp_path, 108_000_000, 2)
