"""Which weights results and card are about, and whether a card is ours.

Both carry the SHA-256 of the weights that were scored.
"""

import hashlib
import re
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub.repocard import metadata_load

from hfcls.errors import HfclsError
from hfcls.models.tokenizers import TOKENIZER_FILES
from hfcls.runs.folder import CARD_FILE, RESULTS_FILE, WEIGHTS
from hfcls.runs.results import load_results

TAG = "hfcls"  # in the metadata of every card: it tells repositories of hfcls from others
TOKENIZER = (*TOKENIZER_FILES, "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt")
MARKER = "<!-- A model card of hfcls: the next run in this folder writes it anew. Delete this line to keep it. -->"
IN_CARD = re.compile(r"^\| (?:weights|가중치) \| SHA-256 `([0-9a-f]{64})` \|\s*$", re.MULTILINE)


def weights_sha256(folder: Path) -> str:
    """SHA-256 of the weights in `folder`: of their file, or of their files in the order of names."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in WEIGHTS for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def remove_model(folder: Path, keep: Collection[str] = ()) -> None:
    """Delete weights and tokenizer of an earlier model, which may have had other files; those called as in `keep` stay.

    What is left of a tokenizer is read along with the new one, whose texts then become other tokens.
    """
    for path in {path for pattern in (*WEIGHTS, *TOKENIZER) for path in folder.glob(pattern)}:
        if path.name not in keep:
            path.unlink()


def is_our_card(path: Path) -> bool:
    """Whether the file has both signs of ours, the tag in its metadata and the marker in a line of its own."""
    try:
        metadata = metadata_load(path) or {}
        marked = MARKER in path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError, yaml.YAMLError):
        return False
    tags = metadata.get("tags")
    return marked and isinstance(tags, list) and TAG in tags


def check_same_weights(folder: Path) -> None:
    """See that weights, results and card of a folder are of one run; a card that is not ours may say what it likes.

    Raises:
        HfclsError: they are not, or the run has no results.
    """
    facts, present = load_results(folder).facts, weights_sha256(folder)
    described = {RESULTS_FILE: facts.weights_sha256 if facts else ""}
    if is_our_card(folder / CARD_FILE):
        card = IN_CARD.search((folder / CARD_FILE).read_text(encoding="utf-8", errors="replace"))
        described[CARD_FILE] = card[1] if card else ""
    for name, weights in described.items():
        if weights != present:
            raise HfclsError(
                f"{folder / name} tells of other weights (SHA-256 {weights[:12] or 'not given'}) than lie beside it "
                f"({present[:12]}): bring them back, or train again with --overwrite_output_dir"
            )


def save_average(folders: Sequence[Path], target: Path) -> bool:
    """A model whose weights are the mean of those in `folders`, saved in `target` with the tokenizer of the first.

    Models that were fine-tuned from the same weights may be averaged (model soups, Wortsman et al. 2022). Means are
    taken in float64; a weight that is no fraction, such as a position, is that of the first. False, and nothing is
    saved, where the models do not have the same weights in the same shapes.
    """
    from safetensors.torch import load_file, save_file  # imported here: not all that reads a run has torch

    sums: dict[str, Any] = {}
    for number, folder in enumerate(folders):
        weights = {
            name: value for path in sorted(folder.glob("model*.safetensors")) for name, value in load_file(path).items()
        }
        if number == 0:
            first, sums = weights, {name: value.double() for name, value in weights.items()}
        elif {name: value.shape for name, value in weights.items()} != {name: sum.shape for name, sum in sums.items()}:
            return False
        else:
            for name, value in weights.items():
                sums[name] += value
    for path in folders[0].iterdir():
        if path.is_file() and not any(path.match(pattern) for pattern in WEIGHTS):
            shutil.copy2(path, target / path.name)
    means = {
        name: (total / len(folders)).to(first[name].dtype) if first[name].is_floating_point() else first[name]
        for name, total in sums.items()
    }
    save_file(means, target / "model.safetensors", metadata={"format": "pt"})
    return True
