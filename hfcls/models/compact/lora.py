"""LoRA (Hu et al. 2021): the encoder stays, small low-rank updates of its linear layers train beside the whole head.

After training the updates are added to the weights they belong to: what is saved is a plain model again.
"""

import logging
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from hfcls.errors import HfclsError
from hfcls.system.next_steps import INSTALL_EXTRA

logger = logging.getLogger(__name__)

ALPHA = 2  # times the rank: an update is B A times alpha / rank
ADAPTER = "default"


def add_lora(model: PreTrainedModel, rank: int, seed: int) -> None:
    """Put updates of `rank` on all linear layers of the encoder, in place; they, the head and the pooler train.

    Packing may be enabled before or after. Updates are 0 at first, so that the model answers as before.

    Raises:
        HfclsError: peft is not installed, or the encoder has no linear layers.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise HfclsError(f"lora_rank needs peft: {INSTALL_EXTRA.format(extra='lora')}") from error
    encoder = f"{model.base_model_prefix}."
    inner = [name for name, _ in model.named_modules() if name.startswith(encoder) and ".pooler" not in name]
    linear = [name for name in inner if isinstance(model.get_submodule(name), nn.Linear)]
    if not linear:
        raise HfclsError(
            f"lora_rank: a {model.config.model_type} model has no linear layers to put updates on: drop it"
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=ALPHA * rank, target_modules=linear), model, ADAPTER)
    for name, weight in model.named_parameters():
        weight.requires_grad_(".lora_" in name or not name.startswith(encoder) or ".pooler" in name)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    logger.info("LoRA of rank %d: %s of %s weights train", rank, f"{trained:,}", f"{model.num_parameters():,}")


def merge_lora(model: PreTrainedModel) -> None:
    """Add the updates to their weights, in place, and take the layers that held them away; all weights may train."""
    holders: list[tuple[str, Any]] = [(n, m) for n, m in model.named_modules() if hasattr(m, "lora_A")]
    for name, holder in holders:
        holder.merge()
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, holder.get_base_layer())
    if holders:
        model.requires_grad_(True)
