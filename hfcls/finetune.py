"""The story of a run, top to bottom: prepare, train, score, leave.

All that can fail for want of data, model, login or space is tried before an earlier run is replaced.
"""

import logging
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import DatasetDict
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from hfcls.baseline.beside import score_baseline
from hfcls.baseline.model import BASELINE
from hfcls.batching.choice import check_batching, choose_batching, collator_for, collator_for_run
from hfcls.batching.windows import use_windows
from hfcls.checks.doubts import save_doubts
from hfcls.config.options import changed_options, fixed_options, with_data
from hfcls.config.train import TrainConfig
from hfcls.data.corpora import load_trainable
from hfcls.data.duplicates import drop_copies
from hfcls.data.encoding import check_tokens, encode
from hfcls.data.origins.unlabelled import Unlabelled
from hfcls.data.splits import SplitFacts, carve, carving, hashes, limit_rows, selecting_split, split_facts
from hfcls.data.targets.names import warn_of_labels
from hfcls.data.tasks import origin_of_labels, task_of
from hfcls.fitting.baseline import fit_baseline
from hfcls.fitting.seeds import run_seeds
from hfcls.models.loading import joined_columns, joint_of, model_and_tokenizer
from hfcls.models.pooling import take_shape, warm_start
from hfcls.publishing.after_run import publish
from hfcls.publishing.hub import default_name, replaceable_commit, writable_repo_id
from hfcls.publishing.submission import save_submission
from hfcls.runs.checkpoints import check_space, newest_whole_checkpoint
from hfcls.runs.folder import LOCK_FILE
from hfcls.runs.output_dir import check_output_dir, finished_result, prepare_output_dir
from hfcls.runs.record import RunFacts, batch_facts, hardware, protocol, work_ahead
from hfcls.runs.results import Result, save_run, scored_result
from hfcls.runs.weights import weights_sha256
from hfcls.scoring.confidence.fitting import check_confidence, tuned_on_validation
from hfcls.scoring.losses import read_class_weights
from hfcls.scoring.metrics import check_metric, further_metrics
from hfcls.scoring.tasks import Task
from hfcls.system.files import writable_folder
from hfcls.system.locks import sole_run
from hfcls.system.terminal import main_process_speaks
from hfcls.training.arguments import ClassificationTrainingArguments, check_same_rows, training_arguments
from hfcls.training.failures import explained
from hfcls.training.optim import loss_for
from hfcls.training.preemption import StopSignals
from hfcls.training.trainer import ClassificationTrainer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hfcls.config.typed import TrainOptions

logger = logging.getLogger(__name__)


def fine_tune(config: TrainConfig | None = None, /, **options: "Unpack[TrainOptions]") -> Result:
    """Fine-tune an encoder on labelled texts; model, tokenizer, numbers, report and model card end in `output_dir`.

    Args:
        config: options, for instance of `load_recipe("recipes/nsmc.yaml")`; default `TrainConfig()`.
        **options: fields of `TrainConfig`, over those of `config`; `dataset` is all that `load_corpus` takes.

    Returns:
        The metrics on the test split, scored once at the end; without one those of validation, and `note` says so.

    Raises:
        HfclsError: data, model, options or output folder are not what is needed; says what to do.
        Interrupted: SIGTERM or Ctrl-C; what was done is saved.
        PushError: the run has ended and all is saved, but the Hub did not take the model.
    """
    config, data = with_data(TrainConfig() if config is None else config, options)
    if config.model == BASELINE:
        return fit_baseline(config, data)
    config = config.settled()
    args = training_arguments(**config.training_options())
    with main_process_speaks(args.should_log), ExitStack() as held:
        if config.seeds > 1:
            return run_seeds(config, data, args, held, lambda one: fine_tune(one, dataset=data))
        return whole_run(config, data, args, held)


def whole_run(
    config: TrainConfig, data: Any, args: ClassificationTrainingArguments, held: ExitStack, command: str = "train"
) -> Result:
    """What `fine_tune` does with these options, for `command`; the folder is locked as long as `held` lasts."""
    folder, options, is_main = Path(config.output_dir), asdict(config), args.process_index == 0
    choice = {"resume": config.resume, "overwrite": config.overwrite_output_dir}

    # Prepare: is the login good, the folder free, the data there, the model there, the disk large enough?
    with args.main_process_first(desc="output folder"):
        pushes = config.push_to_hub and is_main  # a login that is missing shows now, not after the training
        repo_id = writable_repo_id(config.hub_model_id or default_name(folder)) if pushes else None
        held.enter_context(writable_folder(folder))
        if is_main:
            held.enter_context(sole_run(folder / LOCK_FILE))
        check_output_dir(folder, options, fixed=fixed_options(config), **choice)
        finished = finished_result(folder, options) if config.resume else None
    if finished:
        if is_main:
            publish(folder, repo_id=repo_id, **config.publishing_options(), again=True)
        return finished
    with args.main_process_first(desc="data"):  # the main process fills datasets' cache, the others read it
        run = _prepare(config, data, args.device.type)
    config = config.fitted(len(run.encoded["train"]), getattr(run.model.config, "hidden_size", None))
    vars(args).update(config.fitted_options())
    check_metric(str(config.metric_for_best_model), run.task.problem_type)
    check_confidence(run.task.problem_type, **config.confidence_options())
    further = further_metrics(config.metrics, run.task, config.trust_remote_code) if is_main else None
    seconds = _warm_start(config, args, run) if config.warm_head else 0.0
    check_same_rows(args, hashes(splits := split_facts(run.corpus)), run.unlabelled and run.unlabelled.sha256)
    args.class_weights = read_class_weights(config.class_weights, splits["train"].classes)
    loss_for(run.model, args)  # refuses what does not go together
    num_parameters = run.model.num_parameters()  # counted before FSDP cuts the model into pieces
    with args.main_process_first(desc="checkpoint"):
        if repo_id:
            replaceable_commit(repo_id, run.model.config.to_dict(), hub_private=config.hub_private)
        if args.should_save:
            check_space(folder, num_parameters, args.save_total_limit or 1)
        checkpoint = prepare_output_dir(folder, options, hashes(splits), command, write=args.should_save, **choice)

    # Train, and save the model.
    trainer = _trainer(config, args, run, signals := StopSignals())
    with signals:
        outputs = _train(config, trainer, run, checkpoint, frozen=seconds if config.freeze_encoder else None)

    # Score.
    facts = _facts(config, trainer, run, splits, num_parameters)
    given: dict[str, Any] = {"output_dir": config.output_dir, "seed": config.seed, "further": further}
    result = scored_result(run.corpus, run.scored, outputs, run.task, facts, **given, fitted=trainer.fitted)
    if config.baseline and is_main and run.scored:
        result.baseline = score_baseline(run.corpus, run.scored, run.task, outputs, seed=config.seed)

    # Leave: results, predictions, report and card in the folder; the model on the Hub, if asked.
    if is_main:
        if config.baseline and config.report:
            save_doubts(run.corpus["train"], folder, config.seed)
        save_run(result, run.corpus[run.scored] if run.scored else None, outputs, run.task, folder)
        publish(folder, repo_id=repo_id, **config.publishing_options())
    return result


# Prepare


@dataclass(kw_only=True)
class _Preparation:
    """What a run needs before its first step.

    Attributes:
        task: what the model is to say of a text.
        corpus: the splits as they are used, with texts; `encoded` has the same rows as `input_ids`.
        carved: how the validation split was cut from train; empty if it was not.
        selected_on: the split that chooses the checkpoint; None: nothing does.
        scored: the split that is scored at the end; None: nothing is.
        unlabelled: a test split that is predicted, since it has no labels.
    """

    task: Task
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    corpus: DatasetDict
    encoded: DatasetDict
    carved: str
    selected_on: str | None
    scored: str | None
    unlabelled: Unlabelled | None


def _prepare(config: TrainConfig, data: Any, device: str) -> _Preparation:
    """Encode `data` (`config.dataset`, or its object) and load the model with a head for it, or raise HfclsError."""
    joint = joint_of(config.text_column, config.model, trust_remote_code=config.trust_remote_code)
    corpus, unlabelled = load_trainable(**config.split_options() | {"dataset": data, "joint": joint})
    carved = not ("validation" in corpus or config.select_on_test or config.validation_size == 0)
    task = task_of(corpus["train"], config.label_column)
    set_seed(config.seed)  # the new head starts from random weights
    model, tokenizer = model_and_tokenizer(
        config.model,
        task.names,
        max_length=config.max_length,
        texts=corpus["train"]["text"],
        trust_remote_code=config.trust_remote_code,
        problem_type=task.problem_type,
    )
    check_batching(model, tokenizer, config.batching, max_length=config.max_length)
    model.config.data_columns = config.columns() | joined_columns(config.text_column, joint)  # for later commands
    stride = config.stride if config.long_texts == "windows" else None
    reading: dict[str, Any] = {"tokenizer": tokenizer, "max_length": config.max_length, "stride": stride}
    use_windows(model.config, device, **reading)
    encoded = encode(corpus, task=task, **reading)
    check_tokens(corpus["train"], encoded["train"], allow_unknown=config.allow_unknown, **reading)
    corpus, encoded = (limit_rows(rows, config.row_limits()) for rows in (corpus, encoded))
    if carved:
        corpus, encoded = carve(corpus, encoded, config.validation_size, config.cut_seed, config.max_validation_samples)
    drop_copies(corpus, encoded, drop_duplicates=config.drop_duplicates, drop_overlap=config.drop_overlap)
    warn_of_labels(corpus["train"])
    if unlabelled:
        encoded["unlabelled"] = encode(unlabelled.texts, **reading)
    selected_on = selecting_split(corpus, select_on_test=config.select_on_test, patience=config.early_stopping_patience)
    return _Preparation(
        task=task,
        model=model,
        tokenizer=tokenizer,
        corpus=corpus,
        encoded=encoded,
        carved=carving(config.validation_size, config.cut_seed) if carved else "",
        selected_on=selected_on,
        scored="test" if "test" in corpus else selected_on,
        unlabelled=unlabelled,
    )


# Train


def _trainer(
    config: TrainConfig, args: ClassificationTrainingArguments, run: _Preparation, signals: StopSignals
) -> ClassificationTrainer:
    if run.selected_on is None:
        args.eval_strategy, args.load_best_model_at_end = "no", False
    trainer = ClassificationTrainer(
        model=run.model,
        args=args,
        train_dataset=run.encoded["train"],
        eval_dataset=run.encoded[run.selected_on] if run.selected_on else None,
        data_collator=collator_for_run(
            run.model,
            args,
            run.encoded,
            pad_token_id=run.tokenizer.pad_token_id,
            max_length=config.max_length,
            batching=config.batching,
            row_length=config.row_length,
        ),
        processing_class=run.tokenizer,
        signals=signals,
    )
    logger.info("%s: %s", config.dataset, work_ahead(run.corpus, config.batch_size, args))
    return trainer


def _warm_start(config: TrainConfig, args: ClassificationTrainingArguments, run: _Preparation) -> float:
    """The seconds it took to fit the head; on an accelerator, but for XLA, which would compile graphs for it."""
    if config.resume and not config.freeze_encoder and (checkpoint := newest_whole_checkpoint(Path(config.output_dir))):
        take_shape(run.model, checkpoint, pooling=str(config.pooling))
        return 0.0
    if args.device.type != "xla":
        run.model.to(args.device)  # type: ignore[arg-type]
    pad, shape = run.tokenizer.pad_token_id, {"layers": str(config.layers), "pooling": str(config.pooling)}
    collator = collator_for(run.model, pad_token_id=pad, max_length=config.max_length, batching="longest")
    return warm_start(run.model, run.encoded["train"], collator, **shape, needed=config.freeze_encoder)


def _train(
    config: TrainConfig, trainer: ClassificationTrainer, run: _Preparation, start: Path | None, frozen: float | None
) -> NDArray[np.float64] | None:
    """Train, save the model and predict the scored split: outputs of the task; None if there is none.

    Args:
        start: the checkpoint to go on from.
        frozen: seconds that the head took, where nothing else is to train.

    Raises:
        Interrupted: told to stop; what was done is saved.
        HfclsError: what `hfcls.training.failures` explains, such as a full disk.
    """
    folder, predictions = Path(str(trainer.args.output_dir)), None
    with explained(trainer, start):
        if frozen is None:
            trainer.train(resume_from_checkpoint=str(start) if start else None)
        else:
            trainer.train_nothing(frozen)
        run.task = trainer.finish(run.task, run.encoded, run.scored, **config.confidence_options())
        trainer.save_whole_model(folder)
        trainer.save_state()
        if run.scored:
            predictions = trainer.predict(run.encoded[run.scored], metric_key_prefix="final")
        if run.unlabelled:
            predicted = run.task.outputs(trainer.predict(run.encoded["unlabelled"]).predictions)
            save_submission(run.unlabelled, run.task, predicted, folder, write=trainer.args.should_save)
    return run.task.outputs(predictions.predictions) if predictions else None


# Score


def _facts(
    config: TrainConfig, trainer: ClassificationTrainer, run: _Preparation, splits: dict[str, SplitFacts], size: int
) -> RunFacts:
    args, unlabelled = trainer.args, len(run.unlabelled.rows) if run.unlabelled else 0
    tuned = tuned_on_validation(run.task, trainer.fitted, validation="validation" in splits)
    return RunFacts(
        model=config.model,
        architecture=type(run.model).__name__,
        problem_type=run.task.problem_type,
        num_parameters=size,
        dataset=config.dataset,
        splits=splits,
        selected_on=run.selected_on,
        protocol=origin_of_labels(run.corpus["train"])
        + protocol(splits, run.selected_on, run.carved, str(config.metric_for_best_model), unlabelled, tuned),
        submission_rows=unlabelled,
        options=changed_options(config),
        batching=choose_batching(run.model, config.batching),
        **batch_facts(run.encoded["train"], args.train_batch_size, config.max_length, config.row_length, config.seed),
        steps=trainer.state.global_step,
        training_seconds=trainer.training_seconds,
        texts_per_second=run.encoded["train"].num_rows * (trainer.state.epoch or 0) / trainer.training_seconds,
        hardware=hardware(args.device, args.world_size),
        precision=trainer.accelerator.mixed_precision,
        weights_sha256=weights_sha256(Path(config.output_dir)) if trainer.is_world_process_zero() else "",
    )
