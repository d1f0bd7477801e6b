"""fine_tune: the whole chapter in one call, from labelled texts to a saved model and its numbers."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from numpy.typing import NDArray
from scipy.special import softmax

from hfcls.training.arguments import training_arguments
from hfcls.runs.folder import check_output_dir, check_space, prepare_output_dir
from hfcls.config.train import TrainConfig
from hfcls.errors import HfclsError
from hfcls.runs.record import run_facts, split_facts
from hfcls.training.failures import explain
from hfcls.publishing.hub import check_login, check_repo, default_name
from hfcls.runs.checkpoints import ASIDE
from hfcls.outcome import leave, score_run
from hfcls.training.preemption import Interrupted, StopSignals
from hfcls.preparation import Preparation, collator, prepare
from hfcls.runs.results import Result
from hfcls.training.trainer import ClassificationTrainer, ClassificationTrainingArguments

logger = logging.getLogger(__name__)


def fine_tune(config: TrainConfig | None = None, /, **options: Any) -> Result:
    """Fine-tune an encoder on labelled texts; model, tokenizer, numbers, report and model card end in `output_dir`.

    Args:
        config: options, for instance of `load_recipe("recipes/nsmc.yaml")`; default `TrainConfig()`.
        **options: any field of `TrainConfig`, over those of `config`.

    Returns:
        The metrics on the test split, scored once after the checkpoint was chosen on the validation split. Without a
        test split they are those of the split that chose the checkpoint, and `note` says so.

    Raises:
        HfclsError: data, model, options or output folder are not what is needed; says what to do.
        Interrupted: SIGTERM or Ctrl-C; what was done is saved.
        PushError: the run has ended and all is saved, but the Hub did not take the model.
    """
    config = replace(config or TrainConfig(), **options)
    args = training_arguments(config)
    with _main_process_speaks(args):
        return _fine_tune(config, args)


def _fine_tune(config: TrainConfig, args: ClassificationTrainingArguments) -> Result:
    """All that can fail for want of data, model, login or space is tried before an earlier run is replaced."""
    output_dir, choice = Path(config.output_dir), {"resume": config.resume, "overwrite": config.overwrite_output_dir}
    repo_id = None
    if config.push_to_hub and args.process_index == 0:  # a login that is missing shows now, not after the training
        repo_id = check_login(config.hub_model_id or default_name(output_dir))
    with args.main_process_first(desc="output folder"):
        check_output_dir(output_dir, asdict(config), **choice)
    with args.main_process_first(desc="data"):  # the main process fills datasets' cache, the others read it
        run = prepare(config)
    splits = split_facts(run.corpus)
    if repo_id:
        check_repo(repo_id, run.model.config.to_dict(), private=config.hub_private)
    num_parameters = run.model.num_parameters()  # counted before FSDP cuts the model into pieces
    if args.should_save:
        check_space(output_dir, num_parameters, args.save_total_limit or 1)
    with args.main_process_first(desc="output folder"):
        hashes = {name: split.sha256 for name, split in splits.items()}
        checkpoint = prepare_output_dir(output_dir, asdict(config), hashes, write=args.should_save, **choice)

    signals = StopSignals()
    trainer = _trainer(config, args, run, signals)
    with signals:
        training, probabilities = _train(trainer, run, checkpoint)
    facts = run_facts(
        config,
        trainer,
        training,
        splits,
        num_parameters=num_parameters,
        carved=run.carved,
        eval_split=run.eval_split,
    )
    result = score_run(config, run.corpus, run.final_split, probabilities, facts)
    if trainer.is_world_process_zero():
        leave(result, probabilities, run.corpus, config, repo_id)
    return result


@contextmanager
def _main_process_speaks(args: ClassificationTrainingArguments) -> Iterator[None]:
    """While in this context, processes other than the main one neither log nor draw bars."""
    ours, had_bars = logging.getLogger("hfcls"), not are_progress_bars_disabled()
    level = ours.level
    if not args.should_log:
        ours.setLevel(logging.ERROR)
        disable_progress_bars()
    try:
        yield
    finally:
        ours.setLevel(level)
        if had_bars and not args.should_log:
            enable_progress_bars()


def _trainer(
    config: TrainConfig, args: ClassificationTrainingArguments, run: Preparation, signals: StopSignals
) -> ClassificationTrainer:
    if run.eval_split is None:
        args.eval_strategy, args.load_best_model_at_end = "no", False
    trainer = ClassificationTrainer(
        model=run.model,
        args=args,
        train_dataset=run.encoded["train"],
        eval_dataset=run.encoded[run.eval_split] if run.eval_split else None,
        data_collator=collator(config, args, run.model, run.tokenizer, run.encoded),
        processing_class=run.tokenizer,
        signals=signals,
    )
    logger.info(
        "%s: %s; training on %s, batches of %d %s",
        config.dataset,
        ", ".join(f"{split} {len(rows):,}" for split, rows in run.corpus.items()),
        "the CPU" if (args.world_size, args.device.type) == (1, "cpu") else f"{args.world_size} x {args.device.type}",
        config.batch_size,
        f"({args.mixed_precision})" if getattr(args, "mixed_precision", "no") != "no" else "(float32)",
    )
    return trainer


def _train(
    trainer: ClassificationTrainer, run: Preparation, checkpoint: Path | None
) -> tuple[dict[str, float], NDArray[np.float64] | None]:
    """Train, save the model and score the final split: Trainer's metrics, and probabilities [N, C].

    Raises:
        Interrupted: told to stop; what was done is saved.
        HfclsError: what `hfcls.training.failures` explains, such as a full disk.
    """
    folder, predictions = Path(str(trainer.args.output_dir)), None
    try:
        training = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        save_model(trainer, folder)
        trainer.save_state()
        if run.final_split:
            predictions = trainer.predict(run.encoded[run.final_split], metric_key_prefix="final")
    except Interrupted as interrupted:
        state = trainer.state
        raise Interrupted(
            interrupted.signal,
            f"stopped by {interrupted.signal.name} at step {state.global_step:,} of {state.max_steps:,}, "
            f"which is saved in {folder}: the same command with --resume goes on from there",
        ) from None
    except Exception as error:
        if explanation := explain(error, folder, checkpoint):
            raise HfclsError(explanation) from error
        raise
    return training.metrics, softmax(np.asarray(predictions.predictions, np.float64), -1) if predictions else None


def save_model(trainer: ClassificationTrainer, folder: Path) -> None:
    """Model and tokenizer, each file whole or absent, without the pickled training arguments."""
    aside = folder / f"model{ASIDE}"
    trainer.save_model(str(aside))
    if trainer.args.should_save:
        (aside / "training_args.bin").unlink(missing_ok=True)
        # safetensors 0.8 writes files that only their owner can read, whatever the umask
        umask = os.umask(0)
        os.umask(umask)
        (aside / "model.safetensors").chmod(0o666 & ~umask)
        for path in aside.iterdir():
            os.replace(path, folder / path.name)
        aside.rmdir()
