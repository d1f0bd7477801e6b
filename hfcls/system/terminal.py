"""What a person sees while a command runs: the main process alone speaks, and times read as times."""

import logging
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from hfcls.system.quoting import visible


@contextmanager
def main_process_speaks(is_main: bool) -> Iterator[None]:
    """While in this context, processes other than the main one neither log nor draw bars."""
    ours = logging.getLogger("hfcls")
    level = ours.level
    if not is_main:
        ours.setLevel(logging.ERROR)
    try:
        with calm_libraries(is_main):
            yield
    finally:
        ours.setLevel(level)


def bars_are_seen() -> bool:
    """Whether a person sees a progress bar move: in a terminal or a notebook, not in a file or a pipe."""
    return "ipykernel" in sys.modules or sys.stderr.isatty()


@contextmanager
def calm_libraries(is_main: bool = True) -> Iterator[None]:
    """While in this context, libraries draw bars of data and downloads where they are seen, and none of weights."""
    import datasets.utils as of_data  # both take a second
    import huggingface_hub.utils as of_downloads
    from transformers.utils import logging as of_weights

    data, downloads = not of_data.are_progress_bars_disabled(), not of_downloads.are_progress_bars_disabled()
    weights, seen = of_weights.is_progress_bar_enabled(), is_main and bars_are_seen()
    of_weights.disable_progress_bar()  # and with them those of downloads
    if downloads and seen:
        of_downloads.enable_progress_bars()
    if not seen:
        of_data.disable_progress_bars()
    try:
        yield
    finally:
        if weights:
            of_weights.enable_progress_bar()
        if downloads:
            of_downloads.enable_progress_bars()
        if data:
            of_data.enable_progress_bars()


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


def wrapped(text: str, width: int, inset: int = 4) -> list[str]:
    """The lines of a text, broken between words where they are wider than `width` columns of a terminal.

    What is broken off stands `inset` columns further in than its line began. A syllable of Hangul takes two columns.
    """
    lines = []
    for line in text.split("\n"):
        further = " " * (len(line) - len(line.lstrip(" ")) + inset)
        whole = line.replace(" = ", _EQUALS)
        doubled = "".join(c + _FILL if unicodedata.east_asian_width(c) in "WF" else c for c in whole)
        parts = textwrap.wrap(doubled, width, subsequent_indent=further, break_on_hyphens=False, **_AS_IT_IS)
        lines += [part.replace(_FILL, "").replace(_EQUALS, " = ") for part in parts] or [""]
    return lines


_FILL = "\0"  # stands for the second column of a character
_EQUALS = "\1=\1"  # stands for " = ", which no line is broken at
_AS_IT_IS: Any = {"replace_whitespace": False, "expand_tabs": False, "break_long_words": False}


def for_people(text: str, stream: TextIO | None = None) -> str:
    """The text, for `stream` (standard output): without control characters, and in a terminal broken between words."""
    text = visible(text)
    if not (stream or sys.stdout).isatty():
        return text
    return "\n".join(wrapped(text, shutil.get_terminal_size().columns))


def arrange_bars(quiet: bool) -> None:
    """How the bars of tqdm look, whose libraries are imported after this: none where nobody sees them move.

    In a terminal a bar is gone when it has ended: one with a delay would stay, where a line of the log had shown it too
    early (tqdm 4.70). It leaves room for the ^C of a terminal, which would else stand on the next line.
    """
    if quiet or not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TQDM_LEAVE", "")
    os.environ.setdefault("TQDM_NCOLS", str(max(20, shutil.get_terminal_size().columns - 4)))


@contextmanager
def no_bar_stays() -> Iterator[None]:
    """What ends this context early, an error or Ctrl-C, leaves no half of a bar, so that what is told begins a line."""
    try:
        yield
    except BaseException:
        if "tqdm" in sys.modules:
            for bar in list(sys.modules["tqdm"].tqdm._instances):  # no public list (tqdm 4.67)
                bar.leave = False
                bar.close()
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)  # the ^C that the terminal shows
        raise


class BesideBarsHandler(logging.StreamHandler):
    """A line of the log on standard error, above a progress bar rather than in it.

    A record with `extra={"whole": True}` is for programs: it stays one line in a terminal too, as a container may have.
    """

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm  # takes a while, and may be told before to draw no bars

        try:
            line, whole = self.format(record), getattr(record, "whole", False)
            tqdm.write(visible(line) if whole else for_people(line, sys.stderr), file=sys.stderr)
        except Exception:
            self.handleError(record)
