"""Trainer whose steps and metrics are the same on any number of processes."""

import logging
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from accelerate.utils import extract_model_from_parallel
from transformers import EvalPrediction, Trainer, TrainingArguments
from transformers.trainer_pt_utils import nested_truncate
from transformers.trainer_utils import EvalLoopOutput
from transformers.utils import is_torch_xla_available

from hfcls.batching.sampling import EpochSampler, FilledDataset
from hfcls.batching.windows import over_windows, texts_in_batch
from hfcls.errors import HfclsError
from hfcls.scoring.losses import IGNORED_LABEL

logger = logging.getLogger(__name__)


class WholeBatchTrainer(Trainer):
    """Trainer whose steps and metrics are the same on any number of processes."""

    args: Any

    def __init__(self, *, compute_metrics: Callable[[EvalPrediction], dict[str, float]], **kwargs: Any) -> None:
        super().__init__(compute_metrics=without_filler(compute_metrics), **kwargs)

    def _get_dataloader(
        self,
        dataset: Any,
        description: str,
        batch_size: int,
        sampler_fn: Callable[..., Any] | None = None,
        is_training: bool = False,
        dataloader_key: str | None = None,
    ) -> Any:
        """Trainer's own, with every row once and in whole batches.

        It keeps no loader: with `dataloader_persistent_workers`, Trainer would evaluate the next dataset on the rows of
        the first (transformers 5.23). Of texts in windows, so few are evaluated at once that a forward pass has as many
        windows, about, as it would have texts.
        """
        batch_size = batch_size if is_training else texts_in_batch(dataset, batch_size)
        filled = FilledDataset(dataset, batch_size * self.args.world_size)
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        shuffled = is_training and self.args.train_sampling_strategy == "random"
        sampler = EpochSampler(filled, seed if shuffled else None)
        loader = super()._get_dataloader(filled, description, batch_size, lambda _: sampler, is_training)
        # so that the epoch reaches it also through the two wrappers of a run with several processes that is resumed
        _unwrapped(loader).set_sampler(sampler)
        return loader

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Trainer's own, with the mean of the logits of a text's windows in place of theirs."""
        return super().compute_loss(over_windows(model), inputs, *args, **kwargs)

    def prediction_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Trainer's own, as `compute_loss`; without labels it asks the model itself."""
        return super().prediction_step(over_windows(model), inputs, *args, **kwargs)

    def leave_mixed_precision(self) -> None:
        """From here on the model computes in float32, as it will wherever it is loaded: its scores are told of that."""
        self.accelerator.native_amp = False  # a model that took no step is prepared only when it predicts
        extract_model_from_parallel(self.model, keep_fp32_wrapper=False)

    def num_examples(self, dataloader: Any) -> int:
        """Rows of the loader's dataset, without filler."""
        dataset = _unwrapped(dataloader).dataset
        return len(dataset.rows if isinstance(dataset, FilledDataset) else dataset)

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Trainer's own, with metrics over each row of the dataset once: filler stands behind them and is cut off."""
        rows = self.num_examples(dataloader)
        output = super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)
        if self.args.world_size > 1 and not (self.is_in_train or self.is_fsdp_enabled):
            # Accelerate would take the model as prepared, and the processes of a later training would each learn alone.
            vars(self.model).pop("_is_accelerate_prepared", None)
        return EvalLoopOutput(_first(output.predictions, rows), _first(output.label_ids, rows), output.metrics, rows)


def without_filler(
    compute_metrics: Callable[[EvalPrediction], dict[str, float]],
) -> Callable[[EvalPrediction], dict[str, float]]:
    """`compute_metrics` over the rows that count: filler stands behind them, and all of its labels are -100."""

    def metrics(found: EvalPrediction) -> dict[str, float]:
        labels = np.asarray(found.label_ids)
        is_filler = (labels == IGNORED_LABEL).reshape(len(labels), -1).all(axis=1)
        rows = len(labels) - int(is_filler[::-1].cumprod().sum())
        return compute_metrics(EvalPrediction(nested_truncate(found.predictions, rows), labels[:rows]))

    return metrics


def _first(arrays: Any, rows: int) -> Any:
    return None if arrays is None else nested_truncate(arrays, rows)


def _unwrapped(loader: Any) -> Any:
    """Accelerate's loader; on XLA another one is wrapped around it."""
    return getattr(loader, "dataloader", loader)


def batch_per_process(batch_size: int, world_size: int, gradient_accumulation_steps: int) -> int:
    """Rows of each forward pass, so that an optimizer step has `batch_size` rows over all processes.

    Raises:
        HfclsError: it does not divide.
    """
    passes = world_size * gradient_accumulation_steps
    if batch_size % passes:
        raise HfclsError(
            f"batch_size {batch_size} does not divide by {world_size} processes x "
            f"{gradient_accumulation_steps} accumulation steps = {passes}; choose a multiple of {passes}"
        )
    return batch_size // passes


def only_cpu() -> bool:
    """Trainer's `use_cpu`: without it, several processes on a machine without an accelerator would each train alone."""
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true":
        return True
    return not (torch.accelerator.is_available() or is_torch_xla_available())


def use_one_gpu(args: TrainingArguments) -> None:
    """DataParallel, which Trainer takes else, would multiply the batch by the GPUs, and cannot split packed rows."""
    if args.n_gpu > 1:
        logger.warning(
            "%d GPUs are visible, but one process uses one of them; `accelerate launch --multi_gpu` uses all",
            args.n_gpu,
        )
        args._n_gpu = 1
