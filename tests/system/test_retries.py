"""Work that fails in passing is done three times at most, and an error that does not pass is raised at once."""

import pytest

from hfcls.system import retries
from hfcls.system.retries import WAITS, with_retries  # the real ones: conftest.py takes their place later


class Work:
    """Raises the errors one after another, then returns "done"."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.tries = 0

    def __call__(self) -> str:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def passes(error: Exception) -> bool:
    return isinstance(error, OSError)


@pytest.fixture
def waited(monkeypatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(retries, "WAITS", WAITS)
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


def test_it_waits_longer_each_time_and_says_why(waited, caplog):
    work = Work(OSError(5, "the drive went away"), OSError("no answer"))
    assert with_retries(work, "writing", may_pass=passes) == "done"
    assert (work.tries, waited) == (3, [1.0, 5.0])
    assert caplog.messages == [
        "writing failed (the drive went away): trying again in 1 s",
        "writing failed (no answer): trying again in 5 s",
    ]


def test_the_last_error_is_raised(waited):
    work = Work(*(OSError(f"try {i}") for i in range(1, 5)))
    with pytest.raises(OSError, match="try 3"):
        with_retries(work, "writing", may_pass=passes)
    assert (work.tries, waited) == (3, [1.0, 5.0])


def test_an_error_that_does_not_pass_is_raised_at_once(waited):
    work = Work(ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        with_retries(work, "writing", may_pass=passes)
    assert (work.tries, waited) == (1, [])
