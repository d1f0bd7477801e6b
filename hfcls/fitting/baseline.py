"""The story of a run of `--model baseline`: prepare, fit, score, leave; it takes seconds, so nothing is resumed."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from datasets import DatasetDict
from safetensors import SafetensorError

from hfcls.baseline.beside import labels_of, texts_of
from hfcls.baseline.linear import Baseline
from hfcls.baseline.model import BASELINE, save_baseline
from hfcls.config.options import changed_options, fixed_options
from hfcls.config.train import SplitConfig, TrainConfig
from hfcls.data.corpora import load_trainable
from hfcls.data.duplicates import drop_copies
from hfcls.data.origins.unlabelled import Unlabelled
from hfcls.data.splits import SplitFacts, carve_validation, carving, limit_rows, split_facts
from hfcls.data.targets.names import warn_of_labels
from hfcls.data.tasks import task_of
from hfcls.errors import HfclsError
from hfcls.models.loading import joined_columns
from hfcls.publishing.after_run import publish
from hfcls.publishing.submission import save_submission
from hfcls.runs.folder import LOCK_FILE, RESULTS_FILE
from hfcls.runs.output_dir import check_output_dir, prepare_output_dir
from hfcls.runs.record import RunFacts, hardware
from hfcls.runs.results import Result, load_results, save_run, scored_result
from hfcls.runs.weights import remove_model, weights_sha256
from hfcls.scoring.metrics import further_metrics
from hfcls.scoring.tasks import SingleLabel
from hfcls.system.files import writable_folder
from hfcls.system.launch import joining
from hfcls.system.locks import sole_run
from hfcls.training.steps.whole_batches import only_cpu

logger = logging.getLogger(__name__)

# The options that decide what a baseline is, or what its run leaves; all others are of an encoder.
HEEDED = {f.name for f in fields(SplitConfig)} - {"select_on_test"} | {
    *("model", "seed", "split_seed", "trust_remote_code", "baseline", "metrics", "report", "card_language")
}


def fit_baseline(config: TrainConfig, data: Any) -> Result:
    """Fit a baseline on labelled texts; it, its numbers, report and model card end in `output_dir`.

    Args:
        data: `config.dataset`, or the object of Python that it stands for.

    Nothing is selected, so that a validation split is only scored, where there is no test split. A recipe for an
    encoder may serve: the log names the options that have no effect, and the record leaves them out.

    Raises:
        HfclsError: data, options or output folder are not what is needed; says what to do.
    """
    _check_options(config)
    folder, options = Path(config.output_dir), asdict(config)
    choice = {"resume": config.resume, "overwrite": config.overwrite_output_dir}
    with writable_folder(folder), sole_run(folder / LOCK_FILE):
        # Prepare.
        check_output_dir(folder, options, fixed=fixed_options(config), **choice)
        if config.resume and (folder / RESULTS_FILE).exists():
            logger.info("the baseline in %s is finished and is left as it is: its data are not read again", folder)
            return load_results(folder)
        if ignored := sorted(changed_options(config).keys() - HEEDED):
            logger.warning("a baseline has no encoder, so these options have no effect: %s", ", ".join(ignored))
        run = _prepare(config, data)
        further = further_metrics(config.metrics, run.task, config.trust_remote_code)
        hashes = {name: split.sha256 for name, split in run.splits.items()}
        prepare_output_dir(folder, options, hashes, write=True, **choice)

        # Fit, and save it.
        start, train = time.perf_counter(), run.corpus["train"]
        fitted = Baseline.fit(texts_of(train), labels_of(train), len(run.task.names), seed=config.seed)
        seconds = time.perf_counter() - start
        with _one_line(folder):
            remove_model(folder)
            columns = config.columns() | joined_columns(config.text_column)
            save_baseline(fitted, run.task.names, folder, data_columns=columns)
            if run.unlabelled:
                answers = fitted.probabilities(texts_of(run.unlabelled.texts))
                save_submission(run.unlabelled, run.task, answers, folder)

        # Score, and leave.
        rows = run.corpus[run.scored] if run.scored else None
        probabilities = None if rows is None else fitted.probabilities(texts_of(rows))
        given: dict[str, Any] = {"output_dir": config.output_dir, "seed": config.seed, "further": further}
        facts = _facts(config, run, fitted, seconds)
        result = scored_result(run.corpus, run.scored, probabilities, run.task, facts, **given)
        save_run(result, rows, probabilities, run.task, folder)
        publish(folder, repo_id=None, **config.publishing_options())
    return result


def _check_options(config: TrainConfig) -> None:
    """Raises HfclsError for what a baseline cannot do."""
    with joining():  # on a CPU, each would be taken for one that is alone
        world_size = PartialState(cpu=only_cpu()).num_processes
    if world_size > 1:
        raise HfclsError(f"a baseline is fitted by one process, found {world_size}: start it without accelerate launch")
    if config.seeds > 1:
        raise HfclsError("a baseline is the same with every seed: drop seeds")
    if config.push_to_hub:
        raise HfclsError("the Hub has no code to run a baseline: drop push_to_hub, and copy its folder")
    if config.calibrate or config.target_accuracy is not None:
        raise HfclsError("calibrate and target_accuracy are for an encoder: drop them, or choose one")


@dataclass(kw_only=True)
class _Preparation:
    """What a baseline needs: see the one of `hfcls.finetune`."""

    task: SingleLabel
    corpus: DatasetDict
    splits: dict[str, SplitFacts]
    carved: str
    scored: str | None
    unlabelled: Unlabelled | None


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    """What goes wrong while the folder is written to, such as a full disk, becomes an `HfclsError`."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise HfclsError(f"cannot write the baseline to {folder}: {reason}; solve that, and run it again") from error


def _prepare(config: TrainConfig, data: Any) -> _Preparation:
    """The splits of `data` (`config.dataset`, or its object) as they are used, or raise HfclsError."""
    corpus, unlabelled = load_trainable(**config.split_options() | {"dataset": data})
    corpus, carved = limit_rows(corpus, config.row_limits()), ""
    if not ({"validation", "test"} & set(corpus) or config.validation_size == 0):
        corpus = carve_validation(corpus, config.validation_size, config.cut_seed)
        corpus = limit_rows(corpus, config.row_limits())
        carved = carving(config.validation_size, config.cut_seed)
    drop_copies(corpus, drop_duplicates=config.drop_duplicates, drop_overlap=config.drop_overlap)
    warn_of_labels(corpus["train"])
    task = task_of(corpus["train"], config.label_column)
    if not isinstance(task, SingleLabel):
        raise HfclsError("a baseline is kept where each text has one class: choose an encoder for this data")
    return _Preparation(
        task=task,
        corpus=corpus,
        splits=split_facts(corpus),
        carved=carved,
        scored=next((split for split in ("test", "validation") if split in corpus), None),
        unlabelled=unlabelled,
    )


def _facts(config: TrainConfig, run: _Preparation, fitted: Baseline, seconds: float) -> RunFacts:
    return RunFacts(
        model=BASELINE,
        architecture=BASELINE,
        num_parameters=fitted.weight.size + fitted.bias.size,
        dataset=config.dataset,
        splits=run.splits,
        selected_on=None,
        protocol=_protocol(run.scored, run.carved, run.unlabelled is not None),
        submission_rows=len(run.unlabelled.rows) if run.unlabelled else 0,
        options={name: value for name, value in changed_options(config).items() if name in HEEDED},
        batching="",
        padding={},
        tokens_per_text=0.0,
        steps=0,
        training_seconds=seconds,
        texts_per_second=len(run.corpus["train"]) / seconds,
        hardware=hardware(torch.device("cpu"), 1),
        precision="no",
        weights_sha256=weights_sha256(Path(config.output_dir)),
        problem_type=run.task.problem_type,
    )


def _protocol(scored: str | None, carved: str, unlabelled: bool) -> str:
    if scored is None:
        return "Nothing was held out, so nothing was measured."
    if scored == "test":
        return "Nothing was selected. The test split was scored once."
    origin = f", {carved}," if carved else ""
    why = "The test split has no labels" if unlabelled else "There is no test split"
    return f"Nothing was selected. {why}: the validation split{origin} was scored once."
