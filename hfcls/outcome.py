"""What a run leaves in its folder beside the model: scores, predictions, report, card; and on the Hub, if asked."""

import logging
import shlex
from pathlib import Path

import numpy as np
from datasets import DatasetDict
from numpy.typing import NDArray

from hfcls.scoring.analysis import analyse, wilson
from hfcls.publishing.card import write_card
from hfcls.runs.folder import RESULTS_FILE
from hfcls.config.train import TrainConfig
from hfcls.data.duplicates import seen_in_train
from hfcls.errors import HfclsError, PushError
from hfcls.publishing.hub import push
from hfcls.runs.predictions import PREDICTIONS_FILE, save_predictions, text_lengths
from hfcls.runs.results import Example, Result, RunFacts, Unseen

logger = logging.getLogger(__name__)


def score_run(
    config: TrainConfig,
    corpus: DatasetDict,
    split: str | None,
    probabilities: NDArray[np.float64] | None,
    facts: RunFacts,
) -> Result:
    """The result of a run from the probabilities [N, C] of its final split; warns of a model that has not learned."""
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


def leave(
    result: Result,
    probabilities: NDArray[np.float64] | None,
    corpus: DatasetDict,
    config: TrainConfig,
    repo_id: str | None,
) -> None:
    """Write everything to `output_dir`, then push it to `repo_id` if there is one.

    Raises:
        HfclsError: the results could not be written; holds them.
        PushError: the Hub did not take the model.
    """
    folder = Path(config.output_dir)
    try:
        if result.split is not None and probabilities is not None:
            save_predictions(corpus[result.split], probabilities, folder / PREDICTIONS_FILE)
        result.save(folder / RESULTS_FILE)
    except OSError as error:
        raise HfclsError(
            f"the model is saved in {folder}, but not its results ({error.strerror or error}): "
            f"mend it, then continue with --resume. They are:\n{result.table()}"
        ) from error
    if config.report:
        try_report(folder)
    try:
        write_card(folder)
    except OSError as error:
        logger.warning("the run is saved, its model card could not be written (%s)", error.strerror or error)
    if repo_id:
        _push(folder, repo_id, private=config.hub_private)


def try_report(folder: Path) -> None:
    """Write the report of a finished run; whatever goes wrong is one line, since the model is worth more."""
    try:
        from hfcls.publishing.report import write_report

        logger.info("report: %s", write_report(folder))
    except ImportError as error:
        logger.info(
            "no report, since %s is not installed: pip install 'hfcls[report]', then hfcls report %s",
            error.name,
            folder,
        )
    except Exception as error:
        logger.warning("the run is saved, its report failed (%s); hfcls report %s tries again", error, folder)


def _push(folder: Path, repo_id: str, *, private: bool) -> None:
    try:
        logger.info("pushed to %s", push(folder, repo_id, private=private))
    except (HfclsError, KeyboardInterrupt) as error:
        why = str(error) or "the push was interrupted"
        again = f"hfcls push {shlex.quote(str(folder))} --hub_model_id {repo_id}{' --private' if private else ''}"
        raise PushError(f"the model is safe in {folder}, but {why}; try again with: {again}") from error
