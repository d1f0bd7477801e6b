"""One run at a time in an output folder."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hfcls.errors import HfclsError

logger = logging.getLogger(__name__)

PATIENCE = 1.0  # seconds for a run that is just ending


@contextmanager
def sole_run(path: Path) -> Iterator[None]:
    """Keep other runs out of an output folder while in this context, on every machine that has the drive.

    The lock is the system's (flock): it ends with the process that holds it, however that ends. Of several processes of
    a run one holds it.

    Args:
        path: the file to lock, in the output folder, which exists.

    Raises:
        HfclsError: another run is in the folder; names its process and host.
    """
    folder = path.parent
    lock = FileLock(path, fallback_to_soft=False, on_acquired=_sign)
    held = False
    try:
        lock.acquire(timeout=PATIENCE)
        held = True
    except Timeout:
        raise HfclsError(
            f"output_dir {folder} is in use by another run ({_holder(path)}): wait for its end, stop it, or choose "
            f"another --output_dir; if its machine is gone, delete {path}"
        ) from None
    except OSError as error:  # some network drives have no locks
        logger.warning("%s cannot be locked (%s): start no second run in it", folder, error.strerror or error)
    try:
        yield
    finally:
        if held:
            path.unlink(missing_ok=True)  # while it is held: who waits for it sees that the file is gone
            lock.release()


def _sign(descriptor: int) -> None:
    with suppress(OSError):  # a full disk
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())


def _holder(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").strip() or "its process is not known"
    return "it has just ended"
