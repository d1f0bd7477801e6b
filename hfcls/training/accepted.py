"""Which arguments of Trainer are taken, and what each may be."""

import os
from typing import Any

from accelerate.utils import DynamoBackend
from transformers import SchedulerType
from transformers.debug_utils import DebugOption
from transformers.integrations import INTEGRATION_TO_CALLBACK
from transformers.trainer_pt_utils import AcceleratorConfig
from transformers.trainer_utils import IntervalStrategy, SaveStrategy
from transformers.training_args import OptimizerNames

from hfcls.training.optim import EpochSchedule

_HUB = "push the folder of a run that has ended, with hfcls.push"
_LOOP = "it was never held against the exact loss and the resuming of ClassificationTrainer"
REFUSED = {  # arguments of Trainer that would do nothing here, or something else than they say, and why
    "accelerator_config": "batches are divided over processes in one way, in which every row counts once",
    "auto_find_batch_size": "another batch size learns something else; raise gradient_accumulation_steps",
    "batch_eval_metrics": "metrics are over all rows at once",
    "dataloader_drop_last": "every row counts; a short batch is filled with rows that do not",
    "deepspeed": _LOOP,
    "enable_jit_checkpoint": "SIGTERM and Ctrl-C end in a checkpoint without it",
    "eval_do_concat_batches": "metrics are over all rows at once",
    "include_for_metrics": "metrics get predictions and labels",
    "label_names": "the column of a batch is called labels",
    "neftune_noise_alpha": "its noise would depend on how texts are packed",
    "parallelism_config": _LOOP,
    "prediction_loss_only": "eval_loss is computed from the predictions of all rows",
    "restore_callback_states_from_checkpoint": "a resumed run goes on exactly without it",
    **dict.fromkeys(("push_to_hub", "hub_model_id", "hub_strategy", "hub_token", "hub_private_repo"), _HUB),
    **dict.fromkeys(("hub_always_push", "hub_revision"), _HUB),
}
CHECKPOINTING = ("activation_checkpointing_kwargs", "gradient_checkpointing_kwargs")
KINDS: dict[str, Any] = {  # where Trainer takes more, or less, than its annotations say
    "output_dir": str | os.PathLike[str] | None,
    "fsdp": bool | str | list[str] | None,
    "debug": str | list[str],
    "accelerator_config": AcceleratorConfig | dict[str, Any] | str | None,
    **dict.fromkeys((*CHECKPOINTING, "lr_scheduler_kwargs"), dict[str, Any] | None),
}
LEAST = {
    **dict.fromkeys(("learning_rate", "lr_gamma", "weight_decay", "adam_epsilon", "warmup_steps", "fgm"), 0),
    **dict.fromkeys(("num_train_epochs", "max_grad_norm", "focal_gamma", "rdrop", "save_minutes", "eval_delay"), 0),
    **dict.fromkeys(("logging_steps", "eval_steps", "save_steps", "dataloader_num_workers", "seed", "data_seed"), 0),
    **dict.fromkeys(("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"), 1),
    **dict.fromkeys(("lora_rank", "early_stopping_patience", "eval_accumulation_steps", "torch_empty_cache_steps"), 1),
    **dict.fromkeys(("ddp_timeout", "ddp_bucket_cap_mb", "dataloader_prefetch_factor"), 1),
    "save_total_limit": 0,
}
KNOWN: dict[str, list[Any]] = {
    "lr_scheduler_type": [EpochSchedule.EXPONENTIAL, *SchedulerType],
    "optim": [*OptimizerNames],
    "save_strategy": [*SaveStrategy],
    **{name: [*IntervalStrategy] for name in ("logging_strategy", "eval_strategy")},
    "include_num_input_tokens_seen": [True, False, "all", "non_padding", "no"],
    "report_to": ["all", "none", *INTEGRATION_TO_CALLBACK],
    "debug": [*DebugOption, " ".join(DebugOption)],
    "torch_compile_backend": [backend.lower() for backend in DynamoBackend],
    "torch_compile_mode": ["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"],
}
OF_CHECKPOINTING = ("use_reentrant", "preserve_rng_state", "context_fn", "determinism_check", "debug")
OF_FSDP = (
    *("version", "auto_wrap_policy", "min_num_params", "transformer_layer_cls_to_wrap", "activation_checkpointing"),
    *("cpu_offload", "cpu_ram_efficient_loading", "state_dict_type", "reshard_after_forward", "forward_prefetch"),
    *("backward_prefetch", "use_orig_params", "sync_module_states", "limit_all_gathers"),
    *("xla", "xla_fsdp_v2", "xla_fsdp_settings", "xla_fsdp_grad_ckpt"),
)
KEYS = {  # what a dict may hold; Trainer passes over all else
    **dict.fromkeys(CHECKPOINTING, OF_CHECKPOINTING),
    "fsdp_config": (*OF_FSDP, *(f"fsdp_{name}" for name in OF_FSDP)),
}
WORKERS = ("dataloader_num_workers",)
BELONGS = {  # what does nothing without another argument
    **dict.fromkeys(CHECKPOINTING, ("activation_checkpointing", "gradient_checkpointing")),
    "liger_kernel_config": ("use_liger_kernel",),
    "fsdp_config": ("fsdp",),
    **{f"dataloader_{name}": WORKERS for name in ("prefetch_factor", "persistent_workers", "multiprocessing_context")},
}
