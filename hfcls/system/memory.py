"""Memory that a process no longer uses, given back to the system."""

import ctypes
from contextlib import suppress


def give_back_memory() -> None:
    """Give the system what malloc of glibc keeps of freed memory; does nothing where there is another malloc.

    Each packed batch has a shape of its own, so that its tensors seldom fit the gaps which earlier ones left, and the
    heap grows: by 1.1 GB in 160 steps of `hfcls adapt` in bfloat16, of which 1.0 GB were free.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
