"""Push a fine-tuned model to the Hugging Face Hub: checked before, in one commit, repeatable after a failure."""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalTokenNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from hfcls.baseline.model import is_baseline
from hfcls.errors import HfclsError
from hfcls.models.sources import why_damaged
from hfcls.models.tokenizers import TOKENIZER_FILES
from hfcls.publishing.card import FIGURES, for_repository
from hfcls.runs.folder import CARD_FILE, CONFIG_FILE, WEIGHTS
from hfcls.runs.weights import TAG, TOKENIZER, check_same_weights

VOCABULARIES = (*(name for name in TOKENIZER_FILES if name != "tokenizer_config.json"), "vocab.json")
# Nothing else in the folder of a run is meant for others: checkpoints and optimizer, run.yaml and results.json with
# paths of this machine, predictions and report with texts of the data.
UPLOADED = (CARD_FILE, CONFIG_FILE, *WEIGHTS, *TOKENIZER)
# What tells one model from another; a run with another seed or more data makes the same model again.
IDENTITY = ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN, with a token that can write (huggingface.co/settings/tokens)"


def push(
    folder: str | Path, hub_model_id: str | None = None, *, hub_private: bool = False, overwrite: bool = False
) -> str:
    """Upload model, tokenizer, model card and its figures in one commit; returns the address of the repository.

    Args:
        folder: what `hfcls train` wrote.
        hub_model_id: `name` or `namespace/name`; default: the name of the folder.
        hub_private: make a new repository private.
        overwrite: replace what an existing repository holds, even if it is not an earlier push of this model.

    Raises:
        HfclsError: the folder is not a finished run, nobody is logged in, the repository is not ours to replace, or the
            Hub could not be reached or refused.
    """
    folder = Path(folder)
    _check_finished(folder)
    repo_id = writable_repo_id(hub_model_id or default_name(folder))
    files = upload(folder, repo_id)
    config = json.loads(_read(folder / CONFIG_FILE))
    parent = replaceable_commit(repo_id, config, hub_private=hub_private, overwrite=overwrite)
    with _hub_errors(f"could not push {folder} to {repo_id}"):
        if parent is None:
            HfApi().create_repo(repo_id, private=hub_private or None)
        commit = HfApi().create_commit(
            repo_id,
            [CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message="Push from hfcls",
            parent_commit=parent,  # what somebody else commits after the check is not overwritten
        )
    return str(commit.repo_url)


def upload(folder: Path, repo_id: str) -> dict[str, Path | bytes]:
    """What a push of this folder uploads, by its name there: files, and the card with examples that load `repo_id`.

    Raises:
        HfclsError: model card, config, weights or tokenizer are missing, or `repo_id` is a name the Hub does not take.
    """
    _check_finished(folder)
    _check_name(repo_id)
    files: dict[str, Path | bytes] = {path.relative_to(folder).as_posix(): path for path in _glob(folder, UPLOADED)}
    card = _read(folder / CARD_FILE)
    files |= {name: folder / name for name in FIGURES if f"]({name})" in card and (folder / name).is_file()}
    return {**files, CARD_FILE: for_repository(card, repo_id).encode()}


def upload_listing(folder: Path, repo_id: str) -> str:
    """What a push of this folder uploads, a line for each file with its bytes, and their sum. Raises as `upload`."""
    sizes = {
        name: len(content) if isinstance(content, bytes) else content.stat().st_size
        for name, content in upload(folder, repo_id).items()
    }
    lines = [f"{size:>13,}  {name}" for name, size in sizes.items()]
    return "\n".join([*lines, f"{sum(sizes.values()):>13,}  bytes in {len(sizes)} files for {repo_id}"])


def default_name(folder: Path) -> str:
    """The name of a repository for this folder when the user gave none: that of the folder."""
    return folder.resolve().name


def writable_repo_id(hub_model_id: str) -> str:
    """The full id, `namespace/name`, of a repository that the logged-in user may write to as far as the token tells.

    Raises:
        HfclsError: a name the Hub does not take, no token, a wrong or read-only one, somebody else's namespace, no Hub.
    """
    _check_name(hub_model_id)
    with _hub_errors("cannot push to the Hub"):
        user = HfApi().whoami()
    if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise HfclsError(f"cannot push to the Hub: the token of {user['name']} can only read; {LOG_IN}")
    namespaces = [user["name"], *(org["name"] for org in user.get("orgs", []))]
    namespace, _, name = hub_model_id.rpartition("/")
    if namespace and namespace not in namespaces:
        raise HfclsError(
            f"cannot push to {hub_model_id}: the token belongs to {', '.join(namespaces)}, not to {namespace}; "
            "choose another --hub_model_id, or log in with another token"
        )
    return f"{namespace or user['name']}/{name}"


def replaceable_commit(
    repo_id: str, config: Mapping[str, Any], *, hub_private: bool = False, overwrite: bool = False
) -> str | None:
    """The newest commit of a repository that a model with this config may replace; None if it is yet to be created.

    An earlier push of the same model may be replaced: its card has the tag `hfcls`, and its config the same
    architecture, size, vocabulary and label names. So may an empty repository.

    Args:
        repo_id: `namespace/name`.
        config: of the model, as in config.json or `model.config.to_dict()`.
        hub_private: what is pushed must not become public.
        overwrite: replace whatever the repository holds.

    Raises:
        HfclsError: it holds something else, is public, may not be written to by this user, or the Hub is out of reach.
    """
    with _hub_errors(f"cannot push to {repo_id}"):
        try:
            info = HfApi().model_info(repo_id)
        except RepositoryNotFoundError:
            return None
        HfApi().auth_check(repo_id, write=True)
        files = {file.rfilename for file in info.siblings or []}
        other = (
            None
            if overwrite or files <= {".gitattributes"}
            else _other_content(repo_id, config, files, info.tags or [])
        )
    if hub_private and not info.private:
        raise HfclsError(
            f"{repo_id} is public and --hub_private makes only new repositories private: make it private in its "
            "settings first, or choose another --hub_model_id"
        )
    if other:
        raise HfclsError(
            f"{repo_id} exists and holds something else: {other}; choose another --hub_model_id, or replace it with "
            "hfcls push --overwrite"
        )
    return info.sha


def _other_content(repo_id: str, config: Mapping[str, Any], files: set[str], tags: list[str]) -> str | None:
    """Why a repository is not an earlier push of the model with this config; None if it is."""
    if TAG not in tags:
        return f"its model card does not have the tag {TAG}"
    if CONFIG_FILE not in files:
        return f"it has no {CONFIG_FILE}"
    with tempfile.TemporaryDirectory() as aside:  # the user's cache keeps the revision it knows
        path = HfApi().hf_hub_download(repo_id, CONFIG_FILE, local_dir=aside)
        there, here = (_identity(found) for found in (json.loads(Path(path).read_text(encoding="utf-8")), config))
    differing = [f"{key} {there[key]} there, {here[key]} here" for key in here if there[key] != here[key]]
    return "; ".join(differing) or None


def _identity(config: Mapping[str, Any]) -> dict[str, Any]:
    labels = config.get("id2label") or {}
    return {
        **{key: config.get(key) for key in IDENTITY},
        "labels": ", ".join(labels[key] for key in sorted(labels, key=int)),
    }


def _check_finished(folder: Path) -> None:
    if is_baseline(folder):
        raise HfclsError(f"{folder} holds a baseline, which the Hub has no code to run: copy the folder instead")
    for patterns in ((CARD_FILE,), (CONFIG_FILE,), WEIGHTS, VOCABULARIES):
        if not _glob(folder, patterns):
            raise HfclsError(f"{folder} holds no {patterns[0]}: give the folder of a run that `hfcls train` finished")
    if damaged := why_damaged(folder):
        raise HfclsError(f"{damaged}; copy the model anew")
    check_same_weights(folder)


def _check_name(hub_model_id: str) -> None:
    try:
        validate_repo_id(hub_model_id)
    except ValueError as error:
        raise HfclsError(
            f"hub_model_id {hub_model_id!r} cannot name a repository: {error} Choose another --hub_model_id"
        ) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HfclsError(f"cannot read {path}: {error}") from error


def _glob(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]


@contextmanager
def _hub_errors(what: str) -> Iterator[None]:
    """Whatever the client raises becomes one line: `what`, then why."""
    try:
        yield
    # HTTPError is the base of the client's HTTP library, which raises it bare when nobody answers. A failed upload of a
    # large file comes as a RuntimeError around its cause.
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        raise HfclsError(f"{what}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, LocalTokenNotFoundError):
        return f"no token found; {LOG_IN}"
    if isinstance(error, RuntimeError) and error.__cause__:
        return f"{' '.join(str(error).split())} {_reason(error.__cause__)}"
    text = re.sub(r"\?\S+", "", " ".join(str(error).split()))  # the query of an upload's address holds a signature
    if isinstance(error, HTTPError) and not isinstance(error, HfHubHTTPError):
        return f"no answer from {constants.ENDPOINT} ({text or type(error).__name__})"
    return text or type(error).__name__
