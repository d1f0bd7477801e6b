"""`hfcls distill` and `hfcls.distill`: a small student learns what a teacher says of texts that nobody labelled."""

import re
from contextlib import ExitStack, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from datasets import Dataset, DatasetDict, concatenate_datasets

from hfcls.baseline.model import BASELINE
from hfcls.config.commands import DistillConfig, PredictConfig
from hfcls.config.options import fixed_options, with_options
from hfcls.data.columns import text_columns, with_columns
from hfcls.data.corpora import load_corpus
from hfcls.data.formats.table import ReadOptions
from hfcls.data.origins.files import input_files
from hfcls.data.readers import read_table, text_problem
from hfcls.data.splits import carve_validation
from hfcls.data.targets.probabilities import (
    PREFIX,
    probability_classes,
    with_certain_labels,
    with_soft_labels,
)
from hfcls.data.tasks import SOFT_LABEL, TAUGHT, task_of, tell_origin
from hfcls.errors import HfclsError
from hfcls.finetune import whole_run
from hfcls.inference.shards import predict_files
from hfcls.models.classes import task_of_config
from hfcls.models.scratch import scratch_shape
from hfcls.models.sources import load_config
from hfcls.runs.folder import LOCK_FILE, TEACHER_FOLDER
from hfcls.runs.output_dir import check_output_dir
from hfcls.runs.results import Result
from hfcls.scoring.metrics import check_metric, further_metrics
from hfcls.scoring.tasks import SingleLabel
from hfcls.system.files import writable_folder
from hfcls.system.locks import sole_run
from hfcls.system.quoting import quoted
from hfcls.system.terminal import main_process_speaks, only_warnings
from hfcls.training.arguments import training_arguments

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hfcls.config.typed import DistillOptions


ADDED = ("predicted_label", "predicted_score", "abstain")  # by a teacher to the columns of a file, with probabilities


def distill(config: DistillConfig | None = None, /, **options: "Unpack[DistillOptions]") -> Result:
    """Train a student on the probabilities that a teacher gives to unlabelled texts, and on labelled ones.

    The teacher reads each text once; its answers lie in `output_dir/teacher`, from where a run that was stopped
    goes on, and where another student finds them: without `teacher`, that folder is a `dataset`. So is any file with
    columns `probability_CLASS`, whoever made it. The student's loss is the cross-entropy to these probabilities (Hinton
    et al. 2015); of a labelled text the label is certain. All else is `fine_tune`.

    Args:
        config: options; default `DistillConfig()`.
        **options: any field of `DistillConfig`, over those of `config`.

    Returns:
        As `fine_tune`. Without labelled texts, a part of the others is held out, and the scores say how often the
        student agrees with the teacher; `note` says so.

    Raises:
        HfclsError: data, models, options or output folder are not what is needed; says what to do.
        Interrupted: SIGTERM or Ctrl-C; what was done is saved.
        PushError: the run has ended and all is saved, but the Hub did not take the model.
    """
    config = with_options(DistillConfig() if config is None else config, options).settled()
    if config.dataset is None:
        raise HfclsError("distill needs texts: give a file or folder of them as --dataset")
    if config.model == BASELINE:
        raise HfclsError("a student learns probabilities, and the baseline learns labels: choose another --student")
    if config.text_column and len(text_columns(config.text_column)) > 1:
        raise HfclsError(f"distill reads one column of texts, found {config.text_column}: write them into one column")
    args = training_arguments(**config.training_options())
    with main_process_speaks(args.should_log), ExitStack() as held:
        folder, choice = Path(config.output_dir), {"resume": config.resume, "overwrite": config.overwrite_output_dir}
        with args.main_process_first(desc="output folder"):
            held.enter_context(writable_folder(folder))
            check_output_dir(folder, asdict(config), fixed=fixed_options(config), **choice)
        # what else may be wrong is found before the teacher reads all texts
        with args.main_process_first(desc="labelled texts"):
            labelled = _labelled(config)
        if not scratch_shape(config.model):
            load_config(config.model, trust_remote_code=config.trust_remote_code)
        if config.teacher:  # which takes hours: another run in the folder is told before, and is kept out
            with sole_run(folder / LOCK_FILE) if args.process_index == 0 else nullcontext():
                _ask(config, folder / TEACHER_FOLDER)
        args.distributed_state.wait_for_everyone()  # each process has asked its share; before, some are not there
        answers = input_files(config.dataset)
        if config.teacher:
            answers = _answers_to(answers, folder / TEACHER_FOLDER)
        with args.main_process_first(desc="soft labels"):
            corpus = _corpus(config, answers, labelled)
        return whole_run(config, corpus, args, held, "distill")


def _ask(config: DistillConfig, folder: Path) -> None:
    """Write the files with this process's share of the teacher's answers; what is there already is not asked again."""
    teacher = str(config.teacher)
    about = load_config(teacher, trust_remote_code=config.trust_remote_code)
    if not isinstance(task := task_of_config(about), SingleLabel):
        raise HfclsError(f"{teacher} does not give a text one label, and distill is for models that do")
    pair = (getattr(about, "data_columns", None) or {}).get("text_pair_column")
    if pair and not config.text_pair_column:  # predict would take it, and the student would not
        raise HfclsError(f"{teacher} was fine-tuned on pairs of texts: set --text_pair_column, there it was {pair!r}")
    check_metric(str(config.metric_for_best_model), task.problem_type)
    further_metrics(config.metrics, task, config.trust_remote_code)
    asked = ("text_column", "text_pair_column", "delimiter", "encoding", "quoting", "no_header", "sheet")
    predict_files(
        PredictConfig(
            model=teacher,
            input=config.dataset,
            output=str(folder),
            all_scores=True,
            batch_size=config.eval_batch_size,
            trust_remote_code=config.trust_remote_code,
            **{name: getattr(config, name) for name in asked},
        )
    )


def _answers_to(texts: list[Path], folder: Path) -> list[Path]:
    """The teacher's shards of these files; of files that are in the dataset no more, the folder may hold others."""
    names = "|".join(re.escape(path.name) for path in texts)
    shard = re.compile(rf"(?:{names})-\d+-of-\d+\.parquet")
    return [path for path in sorted(folder.glob("*.parquet")) if shard.fullmatch(path.name)]


def _corpus(config: DistillConfig, answers: list[Path], labelled: DatasetDict) -> DatasetDict:
    """Train, with soft labels, and the splits that choose and are scored, with true labels where there are such."""
    reading = ReadOptions.of(config)
    tables = {path: read_table(path, ReadOptions() if config.teacher else reading) for path in answers}
    classes = probability_classes(next(iter(tables.values())), str(answers[0]))
    taught = concatenate_datasets([_taught(config, path, rows, classes) for path, rows in tables.items()])
    who = f"the teacher {Path(config.teacher).name!r}" if config.teacher else "another model"
    named = {split: f"{config.labelled} ({split})" for split in labelled}
    corpus = DatasetDict({split: with_certain_labels(rows, named[split], classes) for split, rows in labelled.items()})
    told = f"{len(taught):,} training texts have the probabilities for labels that {who} gave"
    if own := len(corpus.get("train", ())):
        told += f", {own:,} have labels of their own"
    corpus.setdefault("train", taught)
    if "validation" not in corpus and config.validation_size and not config.select_on_test:
        corpus = carve_validation(corpus, config.validation_size, config.cut_seed)
        told += f"; {config.validation_size:.0%} of the {'latter' if own else 'texts'} became validation"
        if not own:
            corpus["validation"] = tell_origin(corpus["validation"], f"{TAUGHT} {who}")
    if own:
        corpus["train"] = concatenate_datasets([corpus["train"], taught])
    held_out = {split: rows.remove_columns(SOFT_LABEL) for split, rows in corpus.items() if split != "train"}
    return DatasetDict({"train": tell_origin(corpus["train"], f"{told}. "), **held_out})


def _taught(config: DistillConfig, path: Path, rows: Dataset, classes: list[str]) -> Dataset:
    """The rows of a file of answers with their soft labels."""
    if missing := [name for name in classes if PREFIX + name not in rows.column_names]:
        raise HfclsError(f"{path} has no column {quoted([PREFIX + name for name in missing])}, which other files have")
    own = {name for name in rows.column_names if name.startswith(PREFIX)}
    if more := sorted(own.difference(PREFIX + name for name in classes)):  # a class without its share of all texts
        raise HfclsError(f"{path} has the column {quoted(more)}, which other files have not")
    answers = rows.select_columns([PREFIX + name for name in classes])
    wanted = {"text_column": config.text_column, "text_pair_column": config.text_pair_column}
    texts = {option: name for option, name in wanted.items() if name is not None}
    rows = rows.select_columns(
        [name for name in rows.column_names if name not in ADDED and not name.startswith(PREFIX)]
    )
    # of the teacher's answers the log has told already which columns of the texts were taken
    with only_warnings("hfcls.data.columns") if config.teacher else nullcontext():
        rows = with_columns(rows, str(path), texts, no_header=config.no_header or None, labels=classes)
    for column in texts.values():
        if problem := text_problem(rows, column):
            raise HfclsError(f"{path}: column {column!r} {problem}: set --text_column, or mend the file")
    return with_soft_labels(concatenate_datasets([rows, answers], axis=1), str(path), list(texts.values()), classes)


def _labelled(config: DistillConfig) -> DatasetDict:
    """The splits with true labels."""
    if config.labelled is None:
        return DatasetDict()
    corpus = load_corpus(**config.corpus_options() | {"dataset": config.labelled})
    if not isinstance(task_of(next(iter(corpus.values()))), SingleLabel):
        raise HfclsError(f"{config.labelled} has several labels for a text, and the teacher gives one")
    return corpus
