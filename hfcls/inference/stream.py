"""Lines of a pipe or file as they come, in constant memory."""

import os
from collections.abc import Iterator

from hfcls.errors import HfclsError

BLOCK = 1 << 16  # bytes that a pipe holds


def arriving_lines(descriptor: int) -> Iterator[list[str]]:
    """The UTF-8 lines that have arrived by now, without their line ends, until the end of the file.

    A slow writer's line comes at once and alone, a fast one's by the hundred: there is no buffer to wait for.

    Raises:
        HfclsError: a line is not UTF-8; names the line, after the lines before it were given.
    """
    rest, number = bytearray(), 0  # of the line whose end has not come: what was looked at is not looked at again
    while True:
        block = os.read(descriptor, BLOCK)
        first, *others = block.split(b"\n")
        rest += first
        lines: list[bytes | bytearray] = []
        if others:
            lines, rest = [rest, *others[:-1]], bytearray(others[-1])
        elif not block and rest:
            lines = [rest]
        texts = []
        for line in lines:
            number += 1
            try:
                texts.append(line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r"))
            except UnicodeDecodeError as error:
                if texts:
                    yield texts
                raise HfclsError(
                    f"standard input, line {number} is not UTF-8; the lines before it are labelled. If it is CP949 "
                    "(EUC-KR), put `iconv -f cp949 -t utf-8` before hfcls in the pipe"
                ) from error
        if texts:
            yield texts
        if not block:
            return
