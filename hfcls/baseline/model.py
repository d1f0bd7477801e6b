"""The baseline as a model that is kept: a folder with its weights, its n-grams and the names of its classes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfcls.baseline.linear import SETTINGS_FILE, Baseline
from hfcls.baseline.ngrams import Text
from hfcls.errors import HfclsError
from hfcls.system.files import write_json

if TYPE_CHECKING:
    import torch

BASELINE = "baseline"  # as --model, and as the model_type in config.json
CONFIG = "config.json"


def is_baseline(folder: Path | None) -> bool:
    """Whether a run with `--model baseline` left this folder."""
    if folder is None or not (folder / SETTINGS_FILE).is_file():
        return False
    try:  # its files may lie beside those of an encoder, from an earlier run in the folder
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("model_type") == BASELINE


def save_baseline(fitted: Baseline, label_names: list[str], folder: Path, *, data_columns: dict[str, Any]) -> None:
    """Write a folder that `Classifier.from_pretrained` reads; `data_columns` are those of the training data."""
    fitted.save(folder)
    config = {"model_type": BASELINE, "id2label": dict(enumerate(label_names)), "data_columns": data_columns}
    write_json(folder / CONFIG, config)


class BaselineModel:
    """A kept `Baseline` with the few attributes of a transformers model that `Classifier` uses. It stays on the CPU."""

    def __init__(self, folder: Path) -> None:
        """Raises HfclsError if a file is missing or damaged."""
        import torch  # imported here, as below: the baseline itself needs neither
        from transformers import PreTrainedConfig

        self.fitted = Baseline.load(folder)
        try:
            values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            names = [values["id2label"][str(i)] for i in range(len(self.fitted.bias))]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HfclsError(f"{folder / CONFIG} does not name the classes ({error!r}): train it again") from error
        config: Any = PreTrainedConfig(id2label=dict(enumerate(names)))
        config.data_columns = values.get("data_columns")
        config.model_type, config.name_or_path = BASELINE, str(folder)
        self.config = config
        self.config.problem_type = "multi_label_classification" if self.fitted.multi_label else None
        self.device = torch.device("cpu")

    def eval(self) -> "BaselineModel":
        return self

    def to(self, device: object) -> "BaselineModel":
        return self

    def state_dict(self) -> "dict[str, torch.Tensor]":
        """The weights and, as bytes, the n-grams: all that decides an answer."""
        import torch

        ngrams = np.frombuffer("\n".join(self.fitted.ngrams.ngrams).encode() or b"\n", np.uint8)
        arrays: dict[str, Any] = {"weight": self.fitted.weight, "bias": self.fitted.bias, "idf": self.fitted.ngrams.idf}
        return {name: torch.from_numpy(array.copy()) for name, array in {**arrays, "ngrams": ngrams}.items()}

    def logits(self, texts: "list[Text]") -> "torch.Tensor":
        """Float32 [len(texts), num_labels].

        Raises:
            HfclsError: pairs of texts where single ones were learned from, or the other way round.
        """
        import torch

        wanted = "pairs of texts" if self.fitted.ngrams.pairs else "single texts"
        if texts and isinstance(texts[0], tuple) != self.fitted.ngrams.pairs:
            raise HfclsError(f"{self.config.name_or_path} is a baseline of {wanted}: give it {wanted}")
        return torch.from_numpy(self.fitted.logits(texts)).float()
