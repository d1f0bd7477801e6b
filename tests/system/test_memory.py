"""Freed memory goes back to the system."""

import ctypes
import os

import psutil
import pytest

from hfcls.system.memory import FEW_KERNELS, give_back_memory, keep_few_kernels


def test_few_kernels_are_kept_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    keep_few_kernels()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == FEW_KERNELS
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "5")
    keep_few_kernels()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "5"


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
