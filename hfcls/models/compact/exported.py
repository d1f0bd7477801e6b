"""An exported folder, `model.onnx` and what lies beside it: read without torch, run by ONNX Runtime."""

import json
import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hfcls.errors import HfclsError
from hfcls.scoring.tasks import Task, task_for
from hfcls.system.next_steps import INSTALL_EXTRA

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

ONNX_FILE = "model.onnx"
EXPORT_FILE = "export.json"  # what a client must know beside the config, and what the export's check found
NEEDS_ONNX = f"it needs ONNX Runtime: {INSTALL_EXTRA.format(extra='onnx')}"


def is_exported(folder: Path | None) -> bool:
    """Whether `hfcls export` wrote this folder."""
    return folder is not None and (folder / ONNX_FILE).is_file()


class OnnxModel:
    """The model of an exported folder; threads may share it.

    Attributes:
        config: of the model, as in config.json: architecture, label names and what else stands there.
        export: as in export.json: `precision`, `max_length`, `pad_token_id`, `truncation_side`, `check`.
        labels: names of the classes by their id.
        task: what it says of a text.
        takes_token_types: whether it tells the second text of a pair by `token_type_ids`.
    """

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        """
        Args:
            threads: that a batch is computed with; default: OMP_NUM_THREADS if that is set, else one for each core.

        Raises:
            HfclsError: not a folder that `hfcls export` wrote, or ONNX Runtime is missing or cannot read it.
        """
        if not is_exported(folder):
            raise HfclsError(f"{folder} holds no {ONNX_FILE}: make one with `hfcls export`")
        try:
            import onnxruntime  # imported here: torch is enough for all other models
        except ImportError as error:
            raise HfclsError(f"{folder} is an exported model: {NEEDS_ONNX}") from error
        self.config, self.export = _json(folder / "config.json"), _json(folder / EXPORT_FILE)
        try:
            self.labels = [self.config["id2label"][str(i)] for i in range(len(self.config["id2label"]))]
            self.max_length, self.pad_token_id = int(self.export["max_length"]), int(self.export["pad_token_id"])
            self.precision = str(self.export["precision"])
            kept = (self.config.get(name) for name in ("thresholds", "abstain_below"))
            task = task_for(self.config.get("problem_type"), self.labels, *kept)
            if task is None:
                raise ValueError("it gives several numbers")
            self.task: Task = task
        except (KeyError, TypeError, ValueError) as error:
            raise HfclsError(f"{folder} is not what this version of hfcls exports: export it again") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or int(os.environ.get("OMP_NUM_THREADS") or 0)
        options.log_severity_level = 4  # what fails is raised
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / ONNX_FILE), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own exceptions have no base class of their own
            raise HfclsError(
                f"ONNX Runtime cannot read {folder / ONNX_FILE} ({' '.join(str(error).split()):.200}): export it again"
            ) from error
        self.takes_token_types = "token_type_ids" in [given.name for given in self._session.get_inputs()]

    def logits(
        self,
        input_ids: NDArray[np.int64],
        attention_mask: NDArray[np.int64],
        token_type_ids: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        """Float32 [N, C] of int64 [N, T]: a padded batch.

        Raises:
            HfclsError: ONNX Runtime cannot run the graph.
        """
        given = {"input_ids": input_ids, "attention_mask": attention_mask}
        if self.takes_token_types:
            given["token_type_ids"] = np.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        try:
            logits: NDArray[np.float32] = self._session.run(["logits"], given)[0]
        except Exception as error:
            if not type(error).__module__.startswith("onnxruntime"):  # whose exceptions have no base of their own
                raise
            texts, tokens = input_ids.shape
            raise HfclsError(
                f"ONNX Runtime cannot run this {self.config.get('model_type')} model on {texts} texts of {tokens} "
                f"tokens ({' '.join(str(error).split()):.200}): use the model in torch"
            ) from error
        return logits


class ExportedModel:
    """An `OnnxModel` with the few attributes of a transformers model that `Classifier` uses. It stays on the CPU."""

    def __init__(self, folder: Path) -> None:
        """Raises HfclsError as `OnnxModel`, or if transformers does not know the config."""
        import torch  # imported here, as below: the light client has neither
        from transformers import AutoConfig

        self._onnx, self.file = OnnxModel(folder), folder / ONNX_FILE
        self.precision = self._onnx.precision
        try:
            self.config: Any = AutoConfig.from_pretrained(folder)
        except Exception as error:
            raise HfclsError(f"{folder / 'config.json'} cannot be read: {' '.join(str(error).split())}") from error
        self.config._attn_implementation = "onnx"  # which cannot pack: its graph takes padded batches
        self.device = torch.device("cpu")

    def eval(self) -> "ExportedModel":
        return self

    def to(self, device: object) -> "ExportedModel":
        if str(device) != "cpu":
            logger.info("an exported model runs on the CPU, not on %s", device)
        return self

    def __call__(self, **batch: "torch.Tensor") -> SimpleNamespace:
        import torch

        arrays = {name: tensor.numpy() for name, tensor in batch.items()}
        return SimpleNamespace(logits=torch.from_numpy(self._onnx.logits(**arrays)))


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HfclsError(f"{path} cannot be read ({error}): export the model again") from error
    if not isinstance(values, dict):
        raise HfclsError(f"{path} is not what hfcls wrote: export the model again")
    return values
