"""The options of each command as keyword arguments, so that a type checker sees a wrong name; a test holds them equal
to the dataclasses, but for `dataset`, which may be an object of Python there."""

from typing import Any, Literal, TypedDict


class DataOptions(TypedDict, total=False):
    """Of `DataConfig`."""

    dataset: Any
    dataset_config: str | None
    data_dir: str | None
    text_column: str
    text_pair_column: str | None
    label_column: str
    label_columns: str | None
    label_separator: str | None
    task: Literal["classification", "regression"] | None
    drop_unlabelled: bool
    delimiter: str | None
    encoding: str | None
    quoting: Literal["csv", "backslash", "none"] | None
    no_header: bool
    sheet: str | None


class TrainOptions(DataOptions, total=False):
    """Of `TrainConfig`."""

    validation_size: float
    select_on_test: bool
    drop_duplicates: bool
    drop_overlap: bool
    max_train_samples: int | None
    max_validation_samples: int | None
    max_test_samples: int | None
    output_columns: str | None
    model: str
    max_length: int
    long_texts: Literal["truncate", "windows"]
    stride: int
    batching: Literal["packed", "longest", "fixed"] | None
    allow_unknown: bool
    trust_remote_code: bool
    row_length: int | None
    warm_head: bool
    freeze_encoder: bool
    pooling: Literal["first", "mean"] | None
    layers: str | None
    num_train_epochs: int | None
    max_steps: int | None
    batch_size: int
    gradient_accumulation_steps: int
    gradient_checkpointing: bool
    bf16: bool
    fp16: bool
    optimizer: Literal["adam", "adamw"]
    weight_decay: float | None
    learning_rate: float | None
    lr_scheduler: Literal["exponential", "linear", "cosine", "constant"]
    lr_gamma: float
    warmup_ratio: float
    layerwise_lr_decay: float
    lora_rank: int | None
    max_grad_norm: float
    label_smoothing: float
    class_weights: str
    focal_gamma: float
    rdrop: float
    fgm: float | None
    metric_for_best_model: (
        Literal["eval_loss", "accuracy", "macro_f1", "micro_f1", "pearson", "spearman", "last"] | None
    )
    eval_steps: int | None
    early_stopping_patience: int | None
    calibrate: bool | None
    target_accuracy: float | None
    seed: int
    split_seed: int | None
    seeds: int
    ensemble: bool
    output_dir: str
    resume: bool
    overwrite_output_dir: bool
    save_minutes: float
    eval_batch_size: int
    logging_steps: int
    dataloader_num_workers: int
    baseline: bool
    metrics: str | None
    report: bool
    card_language: Literal["en", "ko"]
    report_to: str
    push_to_hub: bool
    hub_model_id: str | None
    hub_private: bool


class DistillOptions(TrainOptions, total=False):
    """Of `DistillConfig`."""

    teacher: str | None
    labelled: str | None


class AdaptOptions(TypedDict, total=False):
    """Of `AdaptConfig`."""

    delimiter: str | None
    encoding: str | None
    quoting: Literal["csv", "backslash", "none"] | None
    no_header: bool
    sheet: str | None
    dataset: str | None
    text_column: str
    label_column: str | None
    validation_size: int
    model: str
    shape: str | None
    vocab_size: int | None
    max_length: int
    batching: Literal["packed", "longest", "fixed"] | None
    row_length: int | None
    trust_remote_code: bool
    mlm_probability: float
    whole_word_masking: bool
    num_train_epochs: int
    max_steps: int | None
    batch_size: int
    gradient_accumulation_steps: int
    learning_rate: float
    warmup: float
    weight_decay: float
    max_grad_norm: float
    dropout: float | None
    output_dir: str
    seed: int
    resume: bool
    overwrite_output_dir: bool
    save_minutes: float
    eval_steps: int | None
    eval_batch_size: int
    logging_steps: int
    dataloader_num_workers: int
    report_to: str
    report: bool


class CheckOptions(DataOptions, total=False):
    """Of `CheckConfig`."""

    model: str | None
    max_length: int
    batch_size: int
    trust_remote_code: bool
    baseline: bool
    seed: int
    output: str | None


class CleanOptions(DataOptions, total=False):
    """Of `CleanConfig`."""

    split: Literal["train", "validation", "test", "all"] | None
    model: str | None
    max_length: int
    trust_remote_code: bool
    seed: int
    output: str
    apply: str | None


class EvaluateOptions(TypedDict, total=False):
    """Of `EvaluateConfig`."""

    dataset: Any
    dataset_config: str | None
    data_dir: str | None
    text_column: str | None
    text_pair_column: str | None
    label_column: str | None
    label_columns: str | None
    label_separator: str | None
    task: Literal["classification", "regression"] | None
    drop_unlabelled: bool
    delimiter: str | None
    encoding: str | None
    quoting: Literal["csv", "backslash", "none"] | None
    no_header: bool
    sheet: str | None
    model: str
    trust_remote_code: bool
    compare: str | None
    split: Literal["train", "validation", "test"] | None
    label_names: str | None
    max_samples: int | None
    batch_size: int
    batching: Literal["packed", "longest", "fixed"] | None
    precision: Literal["float32", "int8", "bf16"]
    metrics: str | None
    output: str | None


class PredictOptions(TypedDict, total=False):
    """Of `PredictConfig`."""

    model: str
    trust_remote_code: bool
    batch_size: int
    batching: Literal["packed", "longest", "fixed", "exact"] | None
    precision: Literal["float32", "int8", "bf16"]
    all_scores: bool
    input: str | None
    output: str | None
    engine: Literal["local", "ray"]
    workers: int | None
    format: Literal["parquet", "csv", "jsonl"]
    bom: bool
    single_file: bool
    output_columns: str | None
    text_column: str | None
    text_pair_column: str | None
    delimiter: str | None
    encoding: str | None
    quoting: Literal["csv", "backslash", "none"] | None
    no_header: bool
    sheet: str | None
    shard_size: int


class ExportOptions(TypedDict, total=False):
    """Of `ExportConfig`."""

    model: str
    format: Literal["onnx"]
    int8: bool
    output: str | None
    trust_remote_code: bool
