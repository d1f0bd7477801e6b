"""The Naver sentiment movie corpus: found on disk, or fetched through Korpora, checked and only then put in place."""

import contextlib
import hashlib
import io
import logging
import os
import shutil
import socket
import tempfile
from http.client import HTTPException
from pathlib import Path

from hfcls.errors import HfclsError
from hfcls.system.retries import WAITS, with_retries

logger = logging.getLogger(__name__)

# Size in bytes and git blob id of the official files (github.com/e9t/nsmc; the same blobs stand in KoELECTRA and
# KcBERT-Finetune). A git blob id is the SHA-1 of "blob <size>\0" + content.
OFFICIAL = {
    "ratings_train.txt": (14_628_807, "ac0dba272895dc1d0b3dd5f11afbeaeb7abe7876"),
    "ratings_test.txt": (4_893_335, "b6cfcd8cd1557bcd9bf06617b0e429ed73e9a367"),
}
# Korpora passes on what urllib raises, and fails with TypeError or ValueError over a bad Content-Length.
FAILURES = (OSError, HTTPException, TypeError, ValueError, HfclsError)
STALLED_AFTER = 30.0  # seconds without a byte
LABEL_NAMES = {"0": "부정", "1": "긍정"}


def nsmc_files(data_dir: str | None = None) -> dict[str, Path]:
    """Paths of the train and test file below `data_dir` (default: ~/Korpora, as Korpora itself), fetched if missing.

    Files that are there are used as they are, without touching the network; ones that differ from the official files
    get one log line.

    Raises:
        HfclsError: a file is missing and could not be fetched whole; tells where to put it by hand.
    """
    folder = Path(os.path.expanduser(data_dir or "~/Korpora")) / "nsmc"
    if not all((folder / name).is_file() for name in OFFICIAL):
        _fetch(folder)
    for name in OFFICIAL:
        if not is_official(folder / name):
            logger.info("%s differs from the official NSMC file; it is used as it is", folder / name)
    return {"train": folder / "ratings_train.txt", "test": folder / "ratings_test.txt"}


def is_official(path: Path) -> bool:
    """Whether size and git blob id are those of the official file of that name."""
    size, blob_id = OFFICIAL[path.name]
    if path.stat().st_size != size:
        return False
    return hashlib.sha1(b"blob %d\0" % size + path.read_bytes(), usedforsecurity=False).hexdigest() == blob_id


def _fetch(folder: Path) -> None:
    """Try to download both files, a few times; raises HfclsError with the last failure and the way by hand."""
    by_hand = (
        f"put ratings_train.txt and ratings_test.txt from https://github.com/e9t/nsmc into {folder}, "
        "or name the folder above their nsmc folder with --data_dir"
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HfclsError(f"cannot write to {folder}: {error.strerror}; name another folder with --data_dir") from error
    logger.info("downloading NSMC through Korpora into %s", folder)
    try:
        with_retries(lambda: _download(folder), "the download", may_pass=lambda error: isinstance(error, FAILURES))
    except FAILURES as error:
        raise HfclsError(f"could not fetch NSMC in {len(WAITS) + 1} tries: {error!s:.300}; {by_hand}") from error


def _download(folder: Path) -> None:
    """Korpora downloads into a folder aside; what arrived whole is renamed into place, anything else is deleted."""
    from Korpora import Korpora  # imported here: only a download needs it

    aside = Path(tempfile.mkdtemp(prefix=".download-", dir=folder))
    timeout = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(STALLED_AFTER)  # Korpora sets none, and would wait for a silent server for ever
        with contextlib.redirect_stdout(io.StringIO()):  # Korpora prints its notice to stdout
            Korpora.fetch("nsmc", root_dir=str(aside), force_download=True)
        for name in OFFICIAL:
            fetched = aside / "nsmc" / name
            if not is_official(fetched):
                raise HfclsError(f"the download of {name} is not the official file ({fetched.stat().st_size:,} bytes)")
        for name in OFFICIAL:
            if not (folder / name).exists():
                os.replace(aside / "nsmc" / name, folder / name)
    finally:
        socket.setdefaulttimeout(timeout)
        shutil.rmtree(aside, ignore_errors=True)
