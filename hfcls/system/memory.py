"""Memory of a process whose batches have changing shapes, as packed ones have."""

import ctypes
import os
from contextlib import suppress

FEW_KERNELS = "64"  # more than the shapes of one step need


def keep_few_kernels() -> None:
    """Let oneDNN, which multiplies in bfloat16 on a CPU, keep few of the kernels that it makes for each new shape.

    It keeps 1,024, though shapes seldom come back: 0.6 of the 1.2 GB by which `hfcls adapt` grew in 160 steps. It reads
    its variable when it makes the first one; a value that the user has set stays.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", FEW_KERNELS)


def give_back_memory() -> None:
    """Give the system what malloc of glibc keeps of freed memory; does nothing where there is another malloc."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
