"""Freed memory goes back to the system."""

import ctypes

import psutil
import pytest

from hfcls.system.memory import give_back_memory


def test_gaps_between_what_is_used_are_given_back():
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("this malloc gives back by itself")
    give_back_memory()
    process, megabyte = psutil.Process(), 1 << 20
    blocks = [bytearray(1 << 16) for _ in range(2048)]
    del blocks[::2]
    kept = process.memory_info().rss
    give_back_memory()
    assert kept - process.memory_info().rss > 48 * megabyte  # of 64
