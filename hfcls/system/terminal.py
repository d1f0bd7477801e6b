"""What a person sees while a command runs: the main process alone speaks, and times read as times."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def main_process_speaks(is_main: bool) -> Iterator[None]:
    """While in this context, processes other than the main one neither log nor draw bars."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars  # takes a second

    ours, had_bars = logging.getLogger("hfcls"), not are_progress_bars_disabled()
    level = ours.level
    if not is_main:
        ours.setLevel(logging.ERROR)
        disable_progress_bars()
    try:
        yield
    finally:
        ours.setLevel(level)
        if had_bars and not is_main:
            enable_progress_bars()


@contextmanager
def only_warnings(name: str) -> Iterator[None]:
    """While in this context, the loggers below that `name` tell nothing but warnings."""
    theirs = logging.getLogger(name)
    level = theirs.level
    theirs.setLevel(logging.WARNING)
    try:
        yield
    finally:
        theirs.setLevel(level)


def duration(seconds: float) -> str:
    """Such as `13 s`, `3 min 20 s` or `1 h 7 min`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{round(seconds / 60) // 60} h {round(seconds / 60) % 60} min"


def aligned(rows: list[tuple[str, str]]) -> list[str]:
    """Lines with the values below each other."""
    width = max(12, *(len(name) + 2 for name, _ in rows))
    return [f"  {name:<{width}}{value}" for name, value in rows]


def padded(text: str, width: int) -> str:
    """The text with spaces up to `width` columns of a terminal, of which a syllable of Hangul takes two."""
    from rich.cells import cell_len  # which the light client, that serves an export, does without

    return text + " " * (width - cell_len(text))


def columns(*cells: object) -> str:
    """Cells side by side, each as wide as a score with its interval."""
    return "  ".join(f"{cell!s:<24}" for cell in cells).rstrip()


def quiet_loading() -> None:
    """No bars of transformers while weights are loaded and saved; the bar of training is another."""
    from transformers.utils.logging import disable_progress_bar  # takes a second

    disable_progress_bar()


def no_bars() -> None:
    """No progress bars of tqdm, whose libraries are imported after this: nobody sees them move in a file or a pipe."""
    os.environ.setdefault("TQDM_DISABLE", "1")


class BesideBarsHandler(logging.StreamHandler):
    """A line of the log on standard error, above a progress bar rather than in it."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm  # takes a while, and may be told before to draw no bars

        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except Exception:
            self.handleError(record)
