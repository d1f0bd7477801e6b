"""Where a model comes from: a folder here, or the Hub; and why it could not be had."""

import json
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from huggingface_hub import constants, get_session, is_offline_mode, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from tokenizers import Tokenizer

from hfcls.baseline.linear import SETTINGS_FILE
from hfcls.baseline.model import BASELINE, is_baseline
from hfcls.errors import HfclsError
from hfcls.system.files import check_types

logger = logging.getLogger(__name__)

# The folder that `hfcls train` makes its own in, so that outputs/run is no Hub id even before the first run.
OUTPUTS = "outputs/"
HUB_SECONDS = 3.0
# Encoders that come with the package, by the name that --model takes.
ENCODERS = Path(__file__).with_name("encoders")
SHIPPED = ("hfcls-small-ko",)
READ_ALIKE = "영화 재미 최고 정말 이 Good GOOD é ①"  # lower case, accents (taken off Hangul too) and NFKC show in it
JSON_FILES = ("config.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.json")
# Of a config: what transformers takes in any type, and what we keep there ourselves.
KEYS: dict[str, Any] = {
    "architectures": list[str] | None,
    "problem_type": str | None,
    "data_columns": dict[str, Any] | None,
    "thresholds": list[float] | None,
    "abstain_below": float | None,
}
# Over what its config asks for: Trainer would gather the states of all layers, and cannot read a tuple.
LOGITS_ALONE: dict[str, Any] = {"return_dict": True, "output_hidden_states": False, "output_attentions": False}
_heard: dict[str, tuple[float, bool]] = {}  # by endpoint: when it was asked, and whether it answered


def local_folder(name: str) -> Path | None:
    """The folder of that name, or of that shipped encoder; None for a Hub id. A path that is not there is an error."""
    path = Path(os.path.expanduser(name))
    try:
        if path.is_dir():
            return path
    except OSError as error:  # no permission, or a name longer than names can be
        raise HfclsError(f"cannot look for the model {name:.200}: {error.strerror}") from error
    if name in SHIPPED:
        return ENCODERS / name
    looks_like_a_path = path.is_absolute() or name.startswith((".", "~", OUTPUTS)) or name.count("/") > 1
    if looks_like_a_path or ("/" in name and path.parent.is_dir()):
        raise HfclsError(f"no model folder {name}: name one that hfcls train wrote, or a model on the Hub")
    return None


def encoder_folder(name: str) -> Path | None:
    """As `local_folder`, for a model of transformers: raises HfclsError if a baseline lies there."""
    folder = local_folder(name)
    if is_baseline(folder):
        raise HfclsError(
            f"{name} holds a baseline, which has no encoder: it predicts, but is neither exported nor trained further; "
            f"--model {BASELINE} fits one anew"
        )
    return folder


def check_reachable(name: str) -> None:
    """Raises HfclsError for a Hub id that cannot be had, in a second: torch and transformers take many to import."""
    if local_folder(name) is not None or hub_answers():
        return
    try:
        kept = try_to_load_from_cache(name, "config.json")
    except HFValidationError:  # transformers says what is wrong with it
        return
    if not isinstance(kept, str):
        raise HfclsError(could_not_load("model", name, OSError()))


def load_config(name: str, *, trust_remote_code: bool = False) -> Any:
    """The config of a Hub id or folder; raises HfclsError if it cannot be loaded."""
    from transformers import AutoConfig  # imported here, or what is not there is told seconds later

    folder = encoder_folder(name)
    if folder and (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise HfclsError(f"{name} is an adapter of peft without its model: save the two as one (merge_and_unload)")
    if folder and not (folder / "config.json").is_file():
        raise HfclsError(f"{name} is not a model folder: it has no config.json, as a finished run of hfcls train has")
    if folder and _kind(folder / "config.json") == BASELINE:  # what else makes it one is not there
        raise HfclsError(f"{name} is a baseline without its {SETTINGS_FILE}: copy the whole folder, or train it again")
    try:
        config = AutoConfig.from_pretrained(str(folder or name), **loading_options(name, trust_remote_code))
    except Exception as error:
        raise HfclsError(could_not_load("model", name, error)) from error
    try:
        for key, hint in KEYS.items():
            check_types(getattr(config, key, None), hint, key)
    except TypeError as error:
        raise HfclsError(f"config.json of {name} is not as it was written: {error}") from error
    return config


def loading_options(name: str, trust_remote_code: bool) -> dict[str, Any]:
    """Options of `from_pretrained`: if the Hub does not answer, its cache is read without half a minute of retries."""
    away = local_folder(name) is None and not hub_answers()
    return {"trust_remote_code": trust_remote_code, "local_files_only": away}


def hub_answers() -> bool:
    """Whether the Hub gives any answer within `HUB_SECONDS`; it is asked once in a minute."""
    if is_offline_mode():
        return False
    at, answered = _heard.get(constants.ENDPOINT, (-math.inf, False))
    if time.monotonic() - at > 60:
        answered = _answers(constants.ENDPOINT)
        _heard[constants.ENDPOINT] = (time.monotonic(), answered)
    return answered


def _answers(endpoint: str) -> bool:
    answers: list[int] = []

    def ask() -> None:
        try:
            answers.append(get_session().head(endpoint, timeout=HUB_SECONDS).status_code)
        except Exception:  # httpx2's own classes, which huggingface_hub does not export
            return

    thread = threading.Thread(target=ask, daemon=True)  # looking up a name may hang, whatever the timeout
    thread.start()
    thread.join(HUB_SECONDS)
    return bool(answers)


def why_damaged(folder: Path) -> str | None:
    """Which of a model's files does not hold what it should; None if all do that are there."""
    from safetensors import safe_open

    for path in (folder / name for name in JSON_FILES):
        try:
            if not path.exists():
                continue
            if not isinstance(json.loads(path.read_text(encoding="utf-8")), dict):
                return f"{path} is damaged: it holds no JSON object"
            if path.name == "tokenizer.json":
                Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises nothing narrower
            return f"{path} is damaged: {' '.join(str(error).split()):.200}"
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "np"):
                pass
        except Exception as error:  # its own class, or the system's
            return f"{path} is damaged: {' '.join(str(error).split()):.200}"
    return None


def check_described(name: str, folder: Path) -> None:
    """Raises HfclsError if a tokenizer.json lies there and nothing that says how it is read.

    transformers guesses the class by the model's then: BERT's takes Hangul apart, and texts are cut elsewhere.
    """
    about = folder / "tokenizer_config.json"
    if (folder / "vocab.txt").is_file():  # as older encoders lie on the Hub: how they are read is looked at afterwards
        return
    if (folder / "tokenizer.json").is_file() and (not about.is_file() or about.read_bytes().strip() == b"{}"):
        raise HfclsError(
            f"{name} has a tokenizer.json, and no {about.name} that says how it is read and where texts are cut: "
            "copy the whole folder again, or save the tokenizer anew with transformers' save_pretrained"
        )


def check_guess(name: str, tokens: Callable[[str], list[str]]) -> None:
    """Holds a tokenizer to its tokenizer.json, of which transformers takes the vocabulary alone for a class of its own.

    A difference is warned of, since the class may be meant; in a folder whose class is guessed it is an `HfclsError`.
    `tokens` gives those of a text, without special ones, as transformers reads it.
    """
    folder, file_name = local_folder(name), "tokenizer.json"
    file = Path(folder / file_name if folder else str(try_to_load_from_cache(name, file_name)))
    about = file.with_name("tokenizer_config.json")
    if not file.is_file():
        return
    said = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else {}
    itself = Tokenizer.from_file(str(file))
    itself.no_padding()
    itself.no_truncation()
    found, expected = tokens(READ_ALIKE), itself.encode(READ_ALIKE, add_special_tokens=False).tokens
    if found == expected:
        return
    at = max(i for i in range(len(expected) + 1) if found[:i] == expected[:i])
    differs = f"otherwise than it was made ({found[at : at + 5]} for {expected[at : at + 5]})"
    if folder and "tokenizer_class" not in said and "do_lower_case" not in said:
        raise HfclsError(
            f"{about} does not say how tokenizer.json is read (tokenizer_class), and transformers reads it {differs}: "
            "save the tokenizer anew with save_pretrained"
        )
    logger.warning(
        "transformers reads %s as %s, %s: if the model was trained on the latter, set tokenizer_class to "
        "PreTrainedTokenizerFast in %s", file, said.get("tokenizer_class", "a guessed class"), differs, about.name
    )  # fmt: skip


def sets_case(folder: Path) -> bool:
    """Whether the files of a tokenizer say if it lowers the case; vocab.txt alone does not."""
    if (folder / "tokenizer.json").is_file():
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and "do_lower_case" in json.loads(config.read_text(encoding="utf-8"))


def _kind(config: Path) -> str | None:
    try:
        values = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values.get("model_type") if isinstance(values, dict) else None


def could_not_load(what: str, name: str, error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return (
            f"the {what} of {name!r} needs Python code out of its own repository, which is not run: read that code; "
            "if you trust it, give --trust_remote_code (in Python trust_remote_code=True)"
        )
    if isinstance(error, UnpicklingError):
        return f"the weights of {name!r} are a pickle of more than tensors, which is not loaded: it could run code"
    if "tiktoken" in str(error):  # transformers 5.23 asks for it too, and it reads none of these files
        needed = find_spec("sentencepiece") is None and "backend tokenizer" not in str(error)
        how = "the package sentencepiece reads: pip install sentencepiece" if needed else "transformers cannot read"
        return f"the {what} of {name!r} is in files that {how}" + ("" if needed else "; convert it to a tokenizer.json")
    why, where = " ".join(str(error).split()) or type(error).__name__, ""
    folder = Path(os.path.expanduser(name))
    if folder.is_dir() and (damaged := why_damaged(folder)):
        return f"{damaged}; copy the model anew"
    if not folder.exists():
        where = " (there is no folder of that name here)"
        if isinstance(error, OSError) and not hub_answers():
            asked = "is not asked (HF_HUB_OFFLINE)" if is_offline_mode() else "does not answer"
            why = (
                f"{constants.ENDPOINT} {asked}, and no earlier download of it is kept here: give --model a folder, or "
                f"train {SHIPPED[0]}, which comes with hfcls"
            )
    return f"could not load the {what} of {name!r}{where}: {why}"
