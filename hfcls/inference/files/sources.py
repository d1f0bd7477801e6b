"""What the shards of a folder are made from, in a file beside them: options, and input and model by their content."""

import hashlib
import json
import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from hfcls.config.commands import PredictConfig
from hfcls.data.readers import content_sha256
from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.models.compact.exported import ExportedModel
from hfcls.system.files import write_whole

logger = logging.getLogger(__name__)

SOURCES_FILE = "_hfcls.json"  # pandas, DuckDB and Spark pass over what begins with a line when they read the folder
EARLIER_FILE = "predict.json"  # its name before
OF_THIS_PLACE = ("is_local", "local_files_only", "name_or_path")  # in tokenizer_config.json; no answer depends on them


def sources_of(
    config: PredictConfig, classifier: Classifier, sums: dict[str, str], integers: list[str]
) -> dict[str, Any]:
    """What the shards of a folder are made from; who makes them, and where they lie, is not a part of it.

    Args:
        sums: SHA-256 of each input file.
        integers: columns of text files that hold whole numbers alone.
    """
    options = {name: value for name, value in vars(config).items() if name not in ("output", "engine", "workers")}
    return {**options, "model_sha256": model_sums(classifier), "files": sums, "integer_columns": integers}


def claim(output: Path, sources: dict[str, Any], shards: Iterable[Path]) -> list[str]:
    """Write down what the shards of this folder are made from; what is known to be something else is an error.

    Every process does so, with the same bytes: none has to wait for another.

    Args:
        shards: that will be written.

    Returns:
        The columns to write as integers.

    Raises:
        HfclsError: see `continued`.
    """
    present = next((path for path in shards if path.exists()), None)  # looked for first: a note comes before a shard
    note = output / SOURCES_FILE
    if (output / EARLIER_FILE).exists() and not note.exists():
        with suppress(FileNotFoundError):  # another process has renamed it
            (output / EARLIER_FILE).rename(note)
    earlier = note.read_bytes() if note.exists() else None
    sources = continued(sources, earlier, present.name if present else None, str(output))
    output.mkdir(parents=True, exist_ok=True)
    write_whole(note, as_note(sources))
    return list(sources["integer_columns"])


@contextmanager
def given_back(output: Path, parts: Path, *, alone: bool) -> Iterator[None]:
    """What is refused before its first shard takes its note away again, or the option that the error asks for would be
    refused as another one.

    Args:
        parts: the folder of the shards.
        alone: whether no other process writes here.
    """
    try:
        yield
    except HfclsError:
        with suppress(OSError):  # it holds something
            parts.rmdir()
        if alone and [path.name for path in output.iterdir()] == [SOURCES_FILE]:
            (output / SOURCES_FILE).unlink()
        raise


def continued(sources: dict[str, Any], note: bytes | None, present: str | None, output: str) -> dict[str, Any]:
    """What the note of a folder says from now on.

    Files may be added to the input: finished shards stay as they are. A model may change its name and place, not its
    content. Columns are integers if they were when the folder was begun.

    Args:
        note: of the folder as it is.
        present: a shard that is there; if one is, so must be the note.

    Raises:
        HfclsError: the folder holds shards of something else, or of who knows what.
    """
    if note is None:
        if present:
            raise HfclsError(
                f"{output} holds {present}, but no {SOURCES_FILE} that says what it was made from: choose another "
                "--output, or delete that folder"
            )
        return sources
    as_before: dict[str, Any] = {"integer_columns": [], "output_columns": None, "bom": False, "single_file": False}
    earlier = {**as_before, **_read(note, f"{output}/{SOURCES_FILE}")}
    sources = {**sources, "integer_columns": earlier["integer_columns"]}
    if changed := _changes(earlier, sources):
        raise HfclsError(
            f"{output} holds predictions with another {', '.join(changed)}: choose another --output, or delete it"
        )
    gone = {sum: path for path, sum in earlier["files"].items() if path not in sources["files"]}
    for path, sum in sources["files"].items():
        # shards are named after the file alone: one that was moved has them already
        if path not in earlier["files"] and sum in gone and Path(path).name != Path(gone[sum]).name:
            logger.warning(
                "%s holds what %s did: whoever reads %s gets these rows twice, as long as the shards of the old name "
                "lie there; delete them", path, gone[sum], output,
            )  # fmt: skip
    return {**sources, "files": {**earlier["files"], **sources["files"]}}


def as_note(sources: dict[str, Any]) -> str:
    return json.dumps(sources, ensure_ascii=False, indent=2) + "\n"


def _read(note: bytes, where: str) -> dict[str, Any]:
    try:
        sources = json.loads(note)
        if isinstance(sources["files"], dict) and isinstance(sources["model_sha256"], dict):
            return dict(sources)
    except (ValueError, TypeError, KeyError):
        pass
    raise HfclsError(
        f"{where} is not what hfcls wrote, or an earlier version did, so it is not known what the shards beside it "
        "are: choose another --output, or delete that folder"
    )


def _changes(earlier: dict[str, Any], sources: dict[str, Any]) -> list[str]:
    """What the two were made from that differs; a model that has the same content may have another name."""
    options = sources.keys() - {"model", "model_sha256", "files"}
    changed = [name for name in sources if name in options and earlier.get(name) != sources[name]]
    known, sums = earlier["files"], sources["files"]
    changed += [path for path in sums if known.get(path, sums[path]) != sums[path]]
    if parts := [
        part for part, its_sum in sources["model_sha256"].items() if earlier["model_sha256"].get(part) != its_sum
    ]:
        changed.append(f"model ({', '.join(parts)})")
    return changed


def model_sums(classifier: Classifier) -> dict[str, str]:
    """SHA-256 of what decides an answer, as it is in memory: weights, config, tokenizer, and code if it is not ours.

    So it does not matter how many files the weights lie in, of which kind, and whether they came from a folder or from
    a revision of the Hub.
    """
    model, weights = classifier.model, hashlib.sha256()
    if isinstance(model, ExportedModel):
        weights.update(model.file.read_bytes())
    for name, tensor in [] if isinstance(model, ExportedModel) else sorted(model.state_dict().items()):
        weights.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        weights.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    config = model.config.to_dict()
    for name in ("_name_or_path", "transformers_version"):
        config.pop(name, None)
    # Code out of a repository lies in a module that is named after its content, or after its revision of the Hub.
    code = f"{type(model).__module__} {type(classifier.tokenizer).__module__}"
    return {
        "weights": weights.hexdigest(),
        "config": _sum(json.dumps(config, sort_keys=True, default=str).encode()),
        "tokenizer": _sum_of_tokenizer(classifier),
        "code": _sum(code.encode()),
    }


def _sum_of_tokenizer(classifier: Classifier) -> str:
    digest = hashlib.sha256(f"max_length {classifier.max_length}\n".encode())
    if classifier.tokenizer is None:  # of a baseline
        return digest.hexdigest()
    with tempfile.TemporaryDirectory() as aside:
        classifier.tokenizer.save_pretrained(aside)
        for path in sorted(Path(aside).rglob("*.*")):
            content = path.read_bytes()
            if path.name == "tokenizer_config.json":
                settings = json.loads(content)
                kept = {name: value for name, value in settings.items() if name not in OF_THIS_PLACE}
                content = json.dumps(kept, sort_keys=True).encode()
            digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sums_of_files(files: Iterable[Path]) -> dict[str, str]:
    """Of each file, or folder that is one table."""
    sums = {}
    for path in files:
        try:
            sums[str(path)] = content_sha256(path)
        except OSError as error:
            raise HfclsError(f"cannot read {path}: {error.strerror or error}") from error
    return sums
