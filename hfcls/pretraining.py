"""The story of `hfcls adapt`, top to bottom: prepare, train, measure, leave.

All that can fail for want of texts, model or space is tried before an earlier run is replaced.
"""

import logging
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import DatasetDict
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments, set_seed

from hfcls.batching.choice import choose_batching, collator_for_run
from hfcls.batching.collate import for_training
from hfcls.batching.masking import DrawnRows, Masking, MaskingCollator
from hfcls.config.options import changed_options, fixed_options, with_options
from hfcls.config.pretraining import SCRATCH_VOCABULARY, AdaptConfig
from hfcls.data.formats.table import ReadOptions
from hfcls.data.splits import texts_sha256
from hfcls.data.texts import encode_texts, hold_out, load_texts, token_count
from hfcls.errors import HfclsError
from hfcls.models.masked_lm import masked_lm_and_tokenizer, ordinary_ids, set_dropout
from hfcls.publishing.after_run import try_report
from hfcls.runs.checkpoints import check_space, newest_whole_checkpoint
from hfcls.runs.folder import LOCK_FILE
from hfcls.runs.output_dir import check_output_dir, prepare_output_dir
from hfcls.runs.pretrained import AdaptResult, finished_adapted, save_adapted
from hfcls.runs.record import hardware, versions
from hfcls.system.files import writable_folder
from hfcls.system.locks import sole_run
from hfcls.system.terminal import main_process_speaks
from hfcls.training.arguments import check_same_rows
from hfcls.training.failures import explained
from hfcls.training.masked_lm import MaskedLMTrainer, pretraining_arguments
from hfcls.training.preemption import StopSignals

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hfcls.config.typed import AdaptOptions

logger = logging.getLogger(__name__)


def adapt(config: AdaptConfig | None = None, /, **options: "Unpack[AdaptOptions]") -> AdaptResult:
    """Pretrain an encoder on texts without labels, by masked language modelling; `fine_tune` then begins from it.

    Args:
        config: options, for instance of `load_recipe(PATH, AdaptConfig)`; default `AdaptConfig()`.
        **options: any field of `AdaptConfig`, over those of `config`; `dataset` is needed.

    Returns:
        The perplexity of the hidden tokens of held-out texts, and what the run was made of, as in `output_dir`.

    Raises:
        HfclsError: texts, model, options or output folder are not what is needed; says what to do.
        Interrupted: SIGTERM or Ctrl-C; what was done is saved.
    """
    config = with_options(AdaptConfig() if config is None else config, options)
    if config.dataset is None:
        raise HfclsError("which texts? give --dataset: a file of texts, or a folder of such files")
    args = pretraining_arguments(**config.training_options())
    with main_process_speaks(args.should_log), ExitStack() as held:
        return _run(config, args, held)


def _run(config: AdaptConfig, args: TrainingArguments, held: ExitStack) -> AdaptResult:
    folder, options = Path(config.output_dir), asdict(config)
    choice = {"resume": config.resume, "overwrite": config.overwrite_output_dir}

    # Prepare: is the folder free, are the texts there, the model there, the disk large enough?
    with args.main_process_first(desc="output folder"):
        held.enter_context(writable_folder(folder))
        if args.process_index == 0:
            held.enter_context(sole_run(folder / LOCK_FILE))
        check_output_dir(folder, options, fixed=fixed_options(config), **choice)
        if config.resume and (finished := finished_adapted(folder)):
            if config.report and args.process_index == 0:
                try_report(folder, again=True)
            return finished
    with args.main_process_first(desc="texts"):  # the main process fills datasets' cache, the others read it
        run = _prepare(config)
    check_same_rows(args, run.hashes)
    num_parameters = run.model.num_parameters()  # counted before FSDP cuts the model into pieces
    if args.should_save:
        check_space(folder, num_parameters, args.save_total_limit or 1)
    with args.main_process_first(desc="output folder"):
        checkpoint = prepare_output_dir(folder, options, run.hashes, "adapt", write=args.should_save, **choice)

    # Train, and save the model.
    signals = StopSignals()
    trainer = _trainer(config, args, run, signals)
    with signals:
        metrics = _train(trainer, run, checkpoint)

    # Leave.
    result = _result(config, trainer, run, metrics, num_parameters)
    if trainer.is_world_process_zero():
        save_adapted(result, folder)
        if config.report:
            try_report(folder)
    return result


# Prepare


@dataclass(kw_only=True)
class _Preparation:
    """What a run needs before its first step.

    Attributes:
        texts: train, and validation if texts are held out.
        encoded: the same as `input_ids` and `words`; a long text has several rows.
        hashes, tokens: of the texts of each split, of all training rows.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    texts: DatasetDict
    encoded: DatasetDict
    hashes: dict[str, str]
    tokens: int


def _prepare(config: AdaptConfig) -> _Preparation:
    """Load and encode the texts, and load the model, or begin a new one, or raise HfclsError."""
    texts = load_texts(str(config.dataset), config.text_column, config.label_column, ReadOptions.of(config))
    texts = hold_out(texts, config.validation_size, config.seed)
    set_seed(config.seed)  # new weights are random
    model, tokenizer = masked_lm_and_tokenizer(
        config.model,
        max_length=config.max_length,
        texts=texts["train"]["text"],
        shape=config.layers_and_width(),
        vocab_size=config.vocab_size or SCRATCH_VOCABULARY,
        earlier=newest_whole_checkpoint(Path(config.output_dir)) if config.resume else None,
        trust_remote_code=config.trust_remote_code,
    )
    if config.dropout is not None:
        set_dropout(model, config.dropout)
    encoded = encode_texts(texts, tokenizer, config.max_length)
    return _Preparation(
        model=model,
        tokenizer=tokenizer,
        texts=texts,
        encoded=encoded,
        hashes={split: texts_sha256(rows) for split, rows in texts.items()},
        tokens=token_count(encoded["train"]),
    )


# Train


def _trainer(config: AdaptConfig, args: TrainingArguments, run: _Preparation, signals: StopSignals) -> MaskedLMTrainer:
    held_out = run.encoded.get("validation")
    if held_out is None:
        args.eval_strategy = "no"
    layout: Any = for_training(
        collator_for_run(
            run.model,
            args,
            run.encoded,
            pad_token_id=run.tokenizer.pad_token_id,
            max_length=config.max_length,
            batching=config.batching,
            row_length=config.row_length,
        )
    )
    hidden = ordinary_ids(run.tokenizer), config.mlm_probability, config.whole_word_masking
    masking = Masking(run.tokenizer.mask_token_id, *hidden)
    rows = run.encoded["train"]
    trainer = MaskedLMTrainer(
        model=run.model,
        args=args,
        train_dataset=DrawnRows(rows, config.seed, each_epoch=True),
        eval_dataset=None if held_out is None else DrawnRows(held_out, config.seed, each_epoch=False),
        data_collator=MaskingCollator(layout, masking),
        processing_class=run.tokenizer,
        tokens=run.tokens,
        save_minutes=config.save_minutes,
        signals=signals,
    )
    logger.info(
        "%s: %s texts, %s tokens in %s rows; learning on %s, %d rows (about %s tokens) a step",
        config.dataset,
        *(f"{count:,}" for count in (len(run.texts["train"]), run.tokens, len(rows))),
        "the CPU" if (args.world_size, args.device.type) == (1, "cpu") else f"{args.world_size} x {args.device.type}",
        config.batch_size,
        f"{config.batch_size * run.tokens / len(rows):,.0f}",
    )
    return trainer


def _train(trainer: MaskedLMTrainer, run: _Preparation, checkpoint: Path | None) -> dict[str, float]:
    """Train, save the model and measure it on the held-out texts: Trainer's metrics of both.

    Raises:
        Interrupted: told to stop; what was done is saved.
        HfclsError: what `hfcls.training.failures` explains, such as a full disk.
    """
    with explained(trainer, checkpoint):
        metrics = dict(trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None).metrics)
        trainer.save_whole_model(Path(str(trainer.args.output_dir)))
        trainer.save_state()
        if "validation" in run.encoded:
            metrics |= trainer.evaluate(metric_key_prefix="final")
    return metrics


# Leave


def _result(
    config: AdaptConfig, trainer: MaskedLMTrainer, run: _Preparation, metrics: dict[str, float], num_parameters: int
) -> AdaptResult:
    args, state = trainer.args, trainer.state
    return AdaptResult(
        output_dir=config.output_dir,
        perplexity=metrics.get("final_perplexity"),
        loss=metrics.get("final_loss"),
        accuracy=metrics.get("final_accuracy"),
        num_texts=len(run.texts["validation"]) if "validation" in run.texts else 0,
        seed=config.seed,
        tokens=round(trainer.clock.tokens_per_step(state) * state.global_step),
        tokens_per_second=trainer.clock.mean_rate(state),
        facts={
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "model": config.model,
            "architecture": type(run.model).__name__,
            "num_parameters": num_parameters,
            "dataset": config.dataset,
            "texts": {split: len(rows) for split, rows in run.texts.items()},
            "sha256": run.hashes,
            "options": changed_options(config),
            "batching": choose_batching(run.model, config.batching),
            "steps": state.global_step,
            "epochs": state.epoch,
            "training_seconds": metrics["train_runtime"],
            "hardware": hardware(args.device, args.world_size),
            "precision": trainer.accelerator.mixed_precision,
            "versions": versions(),
        },
    )
