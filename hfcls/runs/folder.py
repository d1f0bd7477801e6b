"""The name of every file in the folder of a run, once; weights and tokenizer have the names of transformers."""

import logging
from collections.abc import Sequence
from pathlib import Path

import yaml

from hfcls.errors import HfclsError

logger = logging.getLogger(__name__)

OPTIONS_FILE = "run.yaml"  # the options of the run: a recipe that repeats it
DATA_FILE = "data.json"  # SHA-256 of each split and the order of classes: a run goes on with the rows it began with
RESULTS_FILE = "results.json"  # written last: its presence says that the run is finished
PREDICTIONS_FILE = "predictions.parquet"  # the scored rows, with what the model says of each
SUBMISSION_FILE = "submission.csv"  # what the model says of a test split without labels
PRECISION_FILE = "precision.json"  # whether int8 and bf16 keep the labels of predictions.parquet
STATE_FILE = "trainer_state.json"  # what Trainer logged
TEACHER_FOLDER = "teacher"  # of `hfcls distill`: what the teacher says, in shards of `hfcls predict`
CONFIG_FILE = "config.json"  # of the model
CARD_FILE = "README.md"  # the model card, as the Hub wants it to be called
REPORT_FILE = "report.html"
REPORT_FOLDER = "report"  # beside the page: figures as SVG and PNG, and numbers.json
NUMBERS_FILE = "numbers.json"  # in REPORT_FOLDER: all that the page shows
DOUBTS_FILE = "doubts.json"  # training rows whose label looks wrong, shown in the report
CHECK_FILE = "check.json"  # the findings of `hfcls check`, shown in the report if they lie here
# One file, or an index and its shards; or a baseline.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors", "baseline.safetensors")

CHECKPOINT = "checkpoint"  # checkpoint-N: the run after N optimizer steps
SEAL_FILE = "manifest.json"  # of a checkpoint: size and SHA-256 of each of its files, and the sign that we wrote it
# Nobody else's names: what lies there is deleted by the next run.
LOCK_FILE = ".hfcls-lock"  # held for the life of a run: process and host
ASIDE = ".hfcls-writing"  # holds what is being written, a `checkpoint-N` or the files of the model, until it is whole
REPLACED = ".hfcls-replaced"  # holds the `checkpoint-N` that is about to be replaced by a newer one

KEPT = (
    *(OPTIONS_FILE, DATA_FILE, RESULTS_FILE, PREDICTIONS_FILE, SUBMISSION_FILE, PRECISION_FILE, STATE_FILE),
    *(CONFIG_FILE, CARD_FILE, REPORT_FILE, DOUBTS_FILE, "model.safetensors", "tokenizer.json"),
)


def check_not_of_a_run(path: Path, option: str) -> None:
    """Raises HfclsError if `path`, which `option` chose to write to, is a file that a run keeps in its folder."""
    if path.name in KEPT and holds_run(path.parent):
        raise HfclsError(f"{path} is a file of the run that lies there: choose another --{option}")


def warn_of_learned_rows(models: Sequence[str], dataset: str) -> None:
    """A score on the file of training tells what a model remembers: most of its rows were learned."""
    from hfcls.data.formats.folders import split_of  # imported here: others want names alone, not what reads tables

    path = Path(dataset).resolve()
    places = {path, path.parent} if split_of(path) == "train" else {path}  # a run may have read the whole folder
    for model in models:
        try:
            options = yaml.safe_load((Path(model) / OPTIONS_FILE).read_text(encoding="utf-8"))
            learned = [Path(str(options[name])).resolve() for name in ("dataset", "labelled") if options.get(name)]
        except (OSError, ValueError, yaml.YAMLError, AttributeError):  # no run, or one that was damaged
            continue
        if places.intersection(learned):
            logger.warning(
                "%s was trained on rows of %s, as its %s says: a score on them shows memory, not what it does with "
                "new texts",
                *(model, dataset, OPTIONS_FILE),
            )


def holds_run(folder: Path) -> bool:
    """Whether a run was begun there."""
    return (folder / OPTIONS_FILE).is_file()
