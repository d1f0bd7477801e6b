"""Work that may fail in passing is done again."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

logger = logging.getLogger(__name__)
T = TypeVar("T")

WAITS = (1.0, 5.0)  # seconds before the second and the third try


def with_retries(work: Callable[[], T], what: str, *, may_pass: Callable[[Exception], bool]) -> T:
    """What `work` returns; an error that `may_pass` is logged, and `work` is done again after each of `WAITS`.

    Args:
        what: is tried, such as "writing a checkpoint".

    Raises:
        Exception: of the last try, or one that does not pass.
    """
    for wait in WAITS:
        try:
            return work()
        except Exception as error:
            if not may_pass(error):
                raise
            why = str(getattr(error, "strerror", None) or error)  # the error itself would keep alive what it holds
            logger.warning("%s failed (%.300s): trying again in %g s", what, why, wait)
            time.sleep(wait)
    return work()
