"""Where a model comes from: a folder here, or the Hub; and why it could not be had."""

import os
from pathlib import Path
from pickle import UnpicklingError

from hfcls.errors import HfclsError


def local_folder(name: str) -> Path | None:
    """The folder of that name, or None for a Hub id; a path that is not there is an error, not a Hub id."""
    path = Path(os.path.expanduser(name))
    try:
        if path.is_dir():
            return path
    except OSError as error:  # no permission, or a name longer than names can be
        raise HfclsError(f"cannot look for the model {name:.200}: {error.strerror}") from error
    looks_like_a_path = path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1
    if looks_like_a_path or ("/" in name and path.parent.is_dir()):
        raise HfclsError(f"no model folder {name}")
    return None


def could_not_load(what: str, name: str, error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return (
            f"the {what} of {name!r} needs Python code out of its own repository, which is not run: read that code; "
            "if you trust it, give --trust_remote_code (in Python trust_remote_code=True)"
        )
    if isinstance(error, UnpicklingError):
        return f"the weights of {name!r} are a pickle of more than tensors, which is not loaded: it could run code"
    where = "" if Path(name).exists() else " (there is no folder of that name here)"
    return f"could not load the {what} of {name!r}{where}: {' '.join(str(error).split()) or type(error).__name__}"
