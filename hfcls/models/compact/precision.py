"""Fewer bits for prediction: an encoder's linear layers in int8 on a CPU, or the whole model in bfloat16."""

import warnings
from typing import Any

import torch
from transformers import PreTrainedModel

from hfcls.errors import HfclsError

BF16_FEATURES = ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16")  # as torch.cpu.get_capabilities() calls them


def lower_precision(model: PreTrainedModel, precision: str) -> None:
    """Change `model`, which then is for prediction only: float32 (nothing), int8 or bf16.

    Hooks on the encoder and its layers stay, so a packed batch gives a packed batch's logits.

    Raises:
        HfclsError: there is no such precision, or the model's device has no such arithmetic.
    """
    if precision != "float32" and not isinstance(model, torch.nn.Module):
        raise HfclsError(f"an exported model keeps its precision: leave --precision {precision} out")
    if precision == "int8":
        _check_int8(model.device)
        _quantise(model.base_model)
        model.precision = precision  # type: ignore[assignment]
    elif precision == "bf16":
        _check_bf16(model.device)
        model.to(torch.bfloat16)  # type: ignore[arg-type]  # transformers wraps `to`, its signature is lost
    elif precision != "float32":
        raise HfclsError(f"precision must be one of float32, int8, bf16, found {precision!r}")


def check_float32(precision: str) -> None:
    """Raises HfclsError if a baseline is to have fewer bits."""
    if precision != "float32":
        raise HfclsError(f"a baseline is small and keeps its precision: leave --precision {precision} out")


def check_exact(model: Any, exact: bool) -> None:
    """Raises HfclsError if results are to depend on no other text, and the model rounds by the whole batch."""
    if exact and getattr(model, "precision", "float32") == "int8":
        raise HfclsError("in int8 a text's result depends on those beside it: exact batching needs float32 or bf16")


class Int8Linear(torch.nn.Module):
    """A linear layer with its weights in 8 bits (one scale a row); the input [..., I] is rounded to 7 bits as it comes.

    7 and not 8 bits: the sums of AVX2 processors without VNNI would overflow. The scale of the input is that of the
    whole batch, so a text's logits depend a little on the texts that come with it.

    These are the operators below `torch.ao.quantization.quantize_dynamic`, which itself is deprecated
    (https://github.com/pytorch/ao/issues/2259). To be replaced when torch has int8 products for a CPU that do not need
    its old quantized tensors (https://github.com/pytorch/pytorch/issues/184982).
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scales = weight.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / 127
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"torch\.quantize_per_tensor")
            rows = torch.quantize_per_channel(
                weight, scales, torch.zeros(len(weight), dtype=torch.int64), 0, torch.qint8
            )
        self.packed: Any = torch.ops.quantized.linear_prepack(rows, linear.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = torch.ops.quantized.linear_dynamic(hidden, self.packed, reduce_range=True)
        return output


def _quantise(encoder: torch.nn.Module) -> None:
    """Each linear layer of the encoder's blocks; the embeddings, the pooler and the head are cheap and stay."""
    for name, module in list(encoder.named_modules()):
        for child_name, child in list(module.named_children()):
            inside = f"{name}.{child_name}".split(".")
            if type(child) is torch.nn.Linear and "pooler" not in inside:
                setattr(module, child_name, Int8Linear(child))


def _check_int8(device: torch.device) -> None:
    if device.type != "cpu":
        raise HfclsError(f"int8 is for a CPU, and the model is on {device}: leave --precision out, or use bf16 there")
    if torch.backends.quantized.engine == "none":
        raise HfclsError("this build of torch has no int8 products for this processor: leave --precision out")


def _check_bf16(device: torch.device) -> None:
    """On a processor without it, bfloat16 is several times slower than float32."""
    if device.type == "cpu":
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        if not any(capabilities.get(feature) for feature in BF16_FEATURES):
            raise HfclsError("this processor has no bf16 arithmetic: use --precision int8, or leave it out")
    elif device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise HfclsError(f"{device} has no bf16 arithmetic: leave --precision out")
