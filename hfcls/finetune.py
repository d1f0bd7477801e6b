"""fine_tune: the whole chapter in one call, from labelled texts to a saved model and its numbers."""

import errno
import logging
import os
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from datasets import DatasetDict
from datasets.utils import disable_progress_bars
from numpy.typing import NDArray
from scipy.special import softmax
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed
from transformers.utils import is_torch_xla_available

from hfcls.analysis import analyse, wilson
from hfcls.card import write_card
from hfcls.checkpoints import RESULTS_FILE, check_space, newest_whole_checkpoint, prepare_output_dir
from hfcls.collate import make_collator
from hfcls.config import TrainConfig
from hfcls.corpora import carve_validation, load_corpus
from hfcls.duplicates import kept_train_rows, seen_in_train
from hfcls.encoding import encode
from hfcls.errors import HfclsError, PushError
from hfcls.facts import run_facts
from hfcls.hub import check_login, check_repo, default_name, push
from hfcls.manifest import ASIDE
from hfcls.modeling import SCRATCH, load_model, load_tokenizer, scratch_model, train_tokenizer
from hfcls.packing import choose_batching, packing_support, position_offset
from hfcls.predictions import PREDICTIONS_FILE, save_predictions, text_lengths
from hfcls.preemption import Interrupted, StopSignals
from hfcls.results import Example, Result, RunFacts, Unseen
from hfcls.trackers import trackers
from hfcls.trainer import ClassificationTrainer, ClassificationTrainingArguments
from hfcls.xla import static_row_counts

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
    if not args.should_log:
        logging.getLogger("hfcls").setLevel(logging.ERROR)
        disable_progress_bars()
    output_dir = Path(config.output_dir)
    repo_id = None
    if config.push_to_hub and args.process_index == 0:  # a login that is missing shows now, not after the training
        repo_id = check_login(config.hub_model_id or default_name(output_dir))
    with args.main_process_first(desc="output folder"):
        checkpoint = prepare_output_dir(
            output_dir, asdict(config), resume=config.resume, overwrite=config.overwrite_output_dir
        )
    with args.main_process_first(desc="data"):  # the main process fills datasets' cache, the others read it
        corpus = load_corpus(
            config.dataset,
            dataset_config=config.dataset_config,
            data_dir=config.data_dir,
            text_column=config.text_column,
            text_pair_column=config.text_pair_column,
            label_column=config.label_column,
        )
        carved = "validation" not in corpus
        model, tokenizer = _load(config, corpus)
        encoded = _splits(encode(corpus, tokenizer, config.max_length), config)
        corpus = _splits(corpus, config)
    if repo_id:
        check_repo(repo_id, model.config.to_dict(), private=config.hub_private)
    if config.drop_duplicates or config.drop_overlap:
        kept = kept_train_rows(corpus, drop_duplicates=config.drop_duplicates, drop_overlap=config.drop_overlap)
        corpus["train"], encoded["train"] = corpus["train"].select(kept), encoded["train"].select(kept)
    eval_split = _eval_split(corpus, config)
    if eval_split is None:
        args.eval_strategy, args.load_best_model_at_end = "no", False

    num_parameters = model.num_parameters()  # counted before FSDP cuts the model into pieces
    if args.should_save:
        check_space(output_dir, num_parameters, args.save_total_limit or 1)
    signals = StopSignals()
    trainer = ClassificationTrainer(
        model=model,
        args=args,
        train_dataset=encoded["train"],
        eval_dataset=encoded[eval_split] if eval_split else None,
        data_collator=_collator(config, args, model, tokenizer, encoded),
        processing_class=tokenizer,
        signals=signals,
    )
    logger.info(
        "%s: %s; training on %s, batches of %d %s",
        config.dataset,
        ", ".join(f"{split} {len(rows):,}" for split, rows in corpus.items()),
        "the CPU" if (args.world_size, args.device.type) == (1, "cpu") else f"{args.world_size} x {args.device.type}",
        config.batch_size,
        f"({args.mixed_precision})" if getattr(args, "mixed_precision", "no") != "no" else "(float32)",
    )
    final_split = "test" if "test" in encoded else eval_split
    predictions = None
    try:
        with signals:
            training = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            save_model(trainer, output_dir)
            if final_split:
                predictions = trainer.predict(encoded[final_split], metric_key_prefix="final")
    except Interrupted as interrupted:
        state = trainer.state
        raise Interrupted(
            interrupted.signal,
            f"stopped by {interrupted.signal.name} at step {state.global_step:,} of {state.max_steps:,}, "
            f"which is saved in {output_dir}: the same command with --resume goes on from there",
        ) from None
    except UnpicklingError as error:
        raise HfclsError(
            f"{checkpoint} holds a pickle of more than tensors, which is not loaded, since it could run code: "
            "delete that checkpoint if it did not come from you"
        ) from error
    except Exception as error:
        if not is_disk_full(error):
            raise
        last = newest_whole_checkpoint(output_dir)
        raise HfclsError(
            f"no space left in {output_dir}; {f'{last} is whole' if last else 'no checkpoint was saved yet'}: "
            "free some space, then continue with --resume"
        ) from error

    facts = run_facts(
        config, trainer, training.metrics, corpus, num_parameters=num_parameters, carved=carved, eval_split=eval_split
    )
    probabilities = softmax(np.asarray(predictions.predictions, np.float64), axis=-1) if predictions else None
    result = _result(config, corpus, final_split, probabilities, facts)
    if trainer.is_world_process_zero():
        try:
            trainer.save_state()
            if final_split is not None and probabilities is not None:
                save_predictions(corpus[final_split], probabilities, output_dir / PREDICTIONS_FILE)
            result.save(output_dir / RESULTS_FILE)
        except OSError as error:
            raise HfclsError(
                f"the model is saved in {output_dir}, but not its results ({error.strerror or error}): "
                f"mend it, then continue with --resume. They are:\n{result.table()}"
            ) from error
        if config.report:
            try_report(output_dir)
        write_card(output_dir)
        if repo_id:
            _push(output_dir, repo_id, private=config.hub_private)
    return result


def try_report(folder: Path) -> None:
    """Write the report of a finished run; whatever goes wrong is one line, since the model is worth more."""
    try:
        from hfcls.report import write_report

        logger.info("report: %s", write_report(folder))
    except ImportError as error:
        logger.info(
            "no report, since %s is not installed: pip install 'hfcls[report]', then hfcls report %s",
            error.name,
            folder,
        )
    except Exception as error:
        logger.warning("the run is saved, its report failed (%s); hfcls report %s tries again", error, folder)


def training_arguments(config: TrainConfig) -> ClassificationTrainingArguments:
    """Trainer's arguments for these options; starts the process group if there are several processes.

    Raises:
        HfclsError: the global batch does not divide by processes times accumulation steps, or an unknown tracker.
    """
    # Without this, several processes on a machine without an accelerator would each train alone.
    use_cpu = not (torch.accelerator.is_available() or is_torch_xla_available())
    args = ClassificationTrainingArguments(
        output_dir=config.output_dir,
        num_train_epochs=config.num_train_epochs,
        max_steps=config.max_steps or -1,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        per_device_eval_batch_size=config.eval_batch_size,
        learning_rate=config.learning_rate,
        lr_gamma=config.lr_gamma,
        early_stopping_patience=config.early_stopping_patience,
        save_minutes=config.save_minutes,
        max_grad_norm=config.max_grad_norm,
        seed=config.seed,
        logging_steps=config.logging_steps,
        dataloader_num_workers=config.dataloader_num_workers,
        report_to=trackers(config.report_to),
        use_cpu=use_cpu or os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true",
    )
    parts = args.world_size * config.gradient_accumulation_steps
    if config.batch_size % parts:
        raise HfclsError(
            f"batch_size {config.batch_size} does not divide by {args.world_size} processes x "
            f"{config.gradient_accumulation_steps} accumulation steps = {parts}; choose a multiple of {parts}"
        )
    args.per_device_train_batch_size = config.batch_size // parts
    if args.device.type == "xla":
        args.eval_accumulation_steps = 1  # or predictions grow on the device, with a graph to compile for each length
        args.dataloader_pin_memory = False
    return args


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


def _push(folder: Path, repo_id: str, *, private: bool) -> None:
    try:
        logger.info("pushed to %s", push(folder, repo_id, private=private))
    except (HfclsError, KeyboardInterrupt) as error:
        why = str(error) or "the push was interrupted"
        again = f"hfcls push {shlex.quote(str(folder))} --hub_model_id {repo_id}{' --private' if private else ''}"
        raise PushError(f"the model is safe in {folder}, but {why}; try again with: {again}") from error


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of Python, torch or safetensors means that the disk or quota is full."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    text = str(error)
    return "No space left on device" in text or "PytorchStreamWriter failed" in text or "file write failed" in text


def _load(config: TrainConfig, corpus: DatasetDict) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer; the tokenizer keeps `max_length`, so that `Classifier` cuts texts as training did."""
    if "train" not in corpus:
        raise HfclsError(f"{config.dataset} has no train split; it has {', '.join(corpus)}")
    label_names = corpus["train"].features["label"].names
    set_seed(config.seed)  # the new head starts from random weights
    if config.model == SCRATCH:
        tokenizer = train_tokenizer(corpus["train"]["text"])
        model = scratch_model(tokenizer, label_names, config.max_length)
    else:
        trust = config.trust_remote_code
        tokenizer = load_tokenizer(config.model, trust_remote_code=trust)
        model = load_model(config.model, label_names, max_length=config.max_length, trust_remote_code=trust)
        if len(tokenizer) > model.config.vocab_size:
            raise HfclsError(
                f"the tokenizer of {config.model} has {len(tokenizer):,} tokens, its model only "
                f"{model.config.vocab_size:,}: they do not belong together"
            )
    tokenizer.model_max_length = config.max_length
    return model, tokenizer


def _splits(corpus: DatasetDict, config: TrainConfig) -> DatasetDict:
    """The first rows as asked, then a validation split carved from train where the data has none."""
    limits = {
        "train": config.max_train_samples,
        "validation": config.max_validation_samples,
        "test": config.max_test_samples,
    }
    corpus = DatasetDict(
        {split: rows.select(range(min(len(rows), limits[split] or len(rows)))) for split, rows in corpus.items()}
    )
    if "validation" in corpus or config.select_on_test or config.validation_size == 0:
        return corpus
    return carve_validation(corpus, config.validation_size, config.seed)


def _eval_split(corpus: DatasetDict, config: TrainConfig) -> str | None:
    if config.select_on_test:
        if "test" not in corpus:
            raise HfclsError(f"select_on_test needs a test split; {config.dataset} has {', '.join(corpus)}")
        logger.warning("the checkpoint is chosen on the test split, as in the book: its score is not a held-out one")
        return "test"
    return "validation" if "validation" in corpus else None


def _collator(
    config: TrainConfig,
    args: ClassificationTrainingArguments,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    encoded: DatasetDict,
) -> Any:
    asked = config.batching or ("packed" if config.row_length else None)
    batching = choose_batching(model, asked)
    if asked is None and batching != "packed":
        logger.info("batches are padded to the longest, not packed: %s", packing_support(model))
    row_counts = None
    if args.device.type == "xla":
        if batching == "longest":
            logger.info("batches are padded to %d tokens, since XLA compiles a graph for each width", config.max_length)
            batching = "fixed"
        row_counts = static_row_counts(args, encoded, config.row_length or config.max_length)
    return make_collator(
        batching,
        pad_token_id=tokenizer.pad_token_id,
        max_length=config.max_length,
        row_length=config.row_length,
        position_offset=position_offset(model.config),
        row_counts=row_counts,
    )


def _result(
    config: TrainConfig,
    corpus: DatasetDict,
    split: str | None,
    probabilities: NDArray[np.float64] | None,
    facts: RunFacts,
) -> Result:
    speed = facts.texts_per_second
    if split is None or probabilities is None:
        return Result(config.output_dir, None, 0, config.seed, {}, speed, "no validation or test split", facts=facts)
    if split == "test":
        note = "also chose the checkpoint" if config.select_on_test else "scored once"
    else:
        note = "also chose the checkpoint; there is no test split"
    rows = corpus[split]
    names = rows.features["label"].names
    labels = rows.with_format("numpy")["label"][:]
    analysis = analyse(labels, probabilities, names, lengths=text_lengths(rows))
    right_unseen = (probabilities.argmax(axis=-1) == labels)[~seen_in_train(corpus, split)]
    unseen = Unseen(len(right_unseen), wilson(int(right_unseen.sum()), len(right_unseen)))
    if len(called := [row.label for row in analysis.classes if row.predicted]) == 1:
        logger.warning("the model calls every text of the %s split %s: it has not learned", split, called[0])
    examples = [
        Example(row["text"], names[row["label"]], names[int(p.argmax())], float(p.max()))
        for row, p in zip(rows.select(range(min(3, len(rows)))), probabilities, strict=False)
    ]
    return Result(
        config.output_dir,
        split,
        len(rows),
        config.seed,
        analysis.metrics(),
        speed,
        note,
        examples,
        analysis,
        facts,
        unseen=unseen,
    )
