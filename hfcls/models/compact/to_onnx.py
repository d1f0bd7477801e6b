"""Write a fine-tuned model as ONNX, with batch and length of any size, and in int8 if that is asked for."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hfcls.errors import HfclsError
from hfcls.models.compact.exported import EXPORT_FILE, ONNX_FILE
from hfcls.models.positions import position_count, usable_length
from hfcls.system.files import write_json
from hfcls.system.next_steps import INSTALL_EXTRA

TOKENS = 7  # of the example that is traced; neither 0, 1 nor the number of texts, which could be taken for constants


def write_onnx(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, *, int8: bool = False) -> None:
    """Write `model.onnx`, the config (label names and all else that stands there), the tokenizer and `export.json`.

    The graph takes int64 [N, T] `input_ids`, `attention_mask` and, where model and tokenizer know them,
    `token_type_ids`; it gives float32 [N, C] `logits`. N and T are free.

    Args:
        folder: an empty folder.
        int8: weights of the encoder's matrix products in 8 bits, their inputs rounded to 8 bits as they come.

    Raises:
        HfclsError: `hfcls[onnx]` is not installed, the tokenizer cannot be read without transformers, or torch cannot
            export this architecture.
    """
    if not tokenizer.is_fast:
        raise HfclsError(
            f"the tokenizer of {model.config.name_or_path} is one in Python, without a tokenizer.json: it cannot be "
            "exported; convert it to a fast one first"
        )
    names = _input_names(model, tokenizer)
    with _quiet():
        _write_graph(model, names, folder / ONNX_FILE)
        if int8:
            try:
                quantise(folder / ONNX_FILE)
            except (OSError, ImportError):
                raise
            except Exception as error:  # ONNX Runtime's and those of the packages it calls
                what = f"ONNX Runtime cannot write this {model.config.model_type} model in int8"
                raise HfclsError(f"{what} ({_reason(error)}): leave out --int8") from error
    model.config.save_pretrained(folder)
    # transformers leaves out the names LABEL_0 and LABEL_1
    _add(folder / "config.json", {"id2label": {str(i): name for i, name in (model.config.id2label or {}).items()}})
    tokenizer.save_pretrained(folder)
    facts = {
        "format": "onnx",
        "precision": "int8" if int8 else "float32",
        "max_length": usable_length(model.config, tokenizer),
        "positions": position_count(model.config),
        "pad_token_id": tokenizer.pad_token_id,
        "truncation_side": tokenizer.truncation_side,
        "split_special_tokens": bool(getattr(tokenizer, "split_special_tokens", False)),
    }
    write_facts(folder, facts)


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Add `facts` to `export.json`."""
    _add(folder / EXPORT_FILE, facts)


def _add(path: Path, values: dict[str, Any]) -> None:
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_json(path, {**earlier, **values})


def quantise(path: Path) -> None:
    """The weights of matrix products in 8 bits, a scale for each column; embeddings and head stay as they are."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # 7 of the 8 bits: the sums of AVX2 processors without VNNI would overflow, and the answers differ by machine
    quantize_dynamic(
        path, path, op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True, weight_type=QuantType.QInt8
    )


class _Logits(torch.nn.Module):
    """The model as a function of tensors alone."""

    def __init__(self, model: PreTrainedModel, names: list[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(**dict(zip(self.names, tensors, strict=True))).logits
        return logits


def _input_names(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    known = signature(model.forward).parameters
    with_types = "token_type_ids" in known and "token_type_ids" in tokenizer.model_input_names
    with_types &= (getattr(model.config, "type_vocab_size", None) or 0) > 1  # as `fit_tokenizer`: RoBERTa has one type
    return ["input_ids", "attention_mask", *(["token_type_ids"] if with_types else [])]


def _write_graph(model: PreTrainedModel, names: list[str], path: Path) -> None:
    ids = torch.full((2, TOKENS), int(model.config.pad_token_id or 0) + 1)
    mask = torch.ones_like(ids)
    mask[1, TOKENS - 2 :] = 0
    example = (ids, mask, torch.zeros_like(ids))[: len(names)]
    size = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    try:
        program = torch.onnx.export(
            _Logits(model, names).eval(),
            example,
            dynamo=True,
            dynamic_shapes=(tuple(size for _ in names),),
            input_names=names,
            output_names=["logits"],
            verbose=False,
        )
        program.save(str(path))  # type: ignore[union-attr]  # with dynamo it is a program
    except ImportError as error:
        raise HfclsError(f"an export needs {error.name}: {INSTALL_EXTRA.format(extra='onnx')}") from error
    except OSError:  # a full disk
        raise
    except Exception as error:  # torch's exporter has many of its own
        what = f"torch cannot export {model.config.model_type} models as ONNX"
        raise HfclsError(f"{what} ({_reason(error)}): use the model in torch") from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()):.300}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the notes of the exporters on their own workings (torchvision is missing, a treespec is deprecated)."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
