"""Several runs that differ in their seed, each in a folder of its own, and the best as the model of `output_dir`."""

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, fields, replace
from pathlib import Path
from statistics import mean
from typing import Any

from accelerate import PartialState

from hfcls.config.defaults import FITTED, OF_STEPS
from hfcls.config.optimization import LossConfig
from hfcls.config.options import changed_options, fixed_options
from hfcls.config.train import TrainConfig
from hfcls.data.corpora import load_splits
from hfcls.errors import HfclsError
from hfcls.fitting.seed_folders import (
    AVERAGE,
    check_same_rows,
    finished_seeds,
    forget_earlier,
    name_of,
    of_one_seed,
    seeds_of,
)
from hfcls.models.classes import AS_IT_IS, scale_head
from hfcls.models.loading import load_classifier
from hfcls.publishing.after_run import publish
from hfcls.publishing.hub import default_name, writable_repo_id
from hfcls.runs.checkpoints import holds_checkpoints
from hfcls.runs.folder import CARD_FILE, LOCK_FILE, OPTIONS_FILE, REPORT_FILE, RESULTS_FILE, STATE_FILE
from hfcls.runs.output_dir import check_output_dir, prepare_output_dir
from hfcls.runs.record import OneSeed, Seeds
from hfcls.runs.results import Result
from hfcls.runs.weights import remove_model, save_average
from hfcls.scoring.tasks import Regression
from hfcls.system.files import whole, writable_folder
from hfcls.system.locks import sole_run
from hfcls.training.arguments import ClassificationTrainingArguments

logger = logging.getLogger(__name__)

OF_ONE_RUN = (OPTIONS_FILE, RESULTS_FILE, CARD_FILE, REPORT_FILE, LOCK_FILE)  # which are written anew, or not copied
MEASURES = ("accuracy", "micro_f1", "pearson")  # what chooses where the checkpoints were not chosen


def run_seeds(
    config: TrainConfig,
    data: Any,
    args: ClassificationTrainingArguments,
    held: ExitStack,
    run: Callable[[TrainConfig], Result],
) -> Result:
    """Run `config.seeds` seeds in turn, from `config.seed` on; the best on the validation split becomes the model.

    All seeds have the same validation rows. Each run lies in `output_dir/seed-N` and is continued by `resume`. The
    folder is locked as long as `held` lasts.

    Args:
        data: `config.dataset`, or the object of Python that it stands for.
        run: what makes one run of it: `fine_tune`.

    Returns:
        The result of the run that was kept; `facts.seeds` tells of all of them.

    Raises:
        HfclsError: as `run`; nothing is held out to choose by, or the runs would not differ.
    """
    folder, is_main = Path(config.output_dir), args.process_index == 0
    with args.main_process_first(desc="output folder"):
        held.enter_context(writable_folder(folder))
        if is_main:
            held.enter_context(sole_run(folder / LOCK_FILE))
        _check(config, data, folder)
        pushes = config.push_to_hub and is_main
        repo_id = writable_repo_id(config.hub_model_id or default_name(folder)) if pushes else None
        finished = finished_seeds(config, folder) if config.resume else None
        if config.overwrite_output_dir and is_main:
            forget_earlier(config, folder)
    if finished:
        if is_main:
            publish(folder, repo_id=repo_id, **config.publishing_options(), again=True)
        return finished
    results = {}
    for seed in seeds_of(config):
        logger.info("seed %d (%d of %d)", seed, seed - config.seed + 1, config.seeds)
        results[name_of(seed)] = run(of_one_seed(config, folder / name_of(seed), seed=seed))
        check_same_rows(folder, results)
    if config.ensemble:
        _add_average(config, folder, results, run)
    if not is_main:
        return next(iter(results.values()))
    result = _keep_best(config, folder, results)
    publish(folder, repo_id=repo_id, **config.publishing_options())
    return result


def _check(config: TrainConfig, data: Any, folder: Path) -> None:
    if config.freeze_encoder:
        raise HfclsError("with freeze_encoder nothing is drawn by the seed: drop seeds, or freeze_encoder")
    if config.validation_size == 0 and not config.select_on_test:
        corpus, _ = load_splits(**config.split_options() | {"dataset": data})
        if "validation" not in corpus:
            raise HfclsError("seeds are chosen between by held-out rows, and there are none: raise validation_size")
    choice = {"resume": config.resume, "overwrite": config.overwrite_output_dir}
    check_output_dir(folder, asdict(config), fixed=fixed_options(config), **choice)
    if config.resume and holds_checkpoints(folder):
        raise HfclsError(f"output_dir {folder} holds a run of one seed: continue it without seeds, or choose another")


def _add_average(
    config: TrainConfig, folder: Path, results: dict[str, Result], run: Callable[[TrainConfig], Result]
) -> None:
    """One more run, which trains nothing: of the mean of the weights of all models, where they have the same shape."""
    if next(iter(results.values())).facts.problem_type == Regression.problem_type:  # type: ignore[union-attr]
        logger.warning("the mean of weights is for classes, not for numbers: ensemble is left out")
        return
    with tempfile.TemporaryDirectory() as aside:
        if not save_average([folder / name for name in results], Path(aside)):
            logger.warning("the models of these seeds have weights of different shapes: they have no average")
            return
        _make_ready(Path(aside), results.values(), trust_remote_code=config.trust_remote_code)
        unchanged = {
            "model": aside,
            "warm_head": True,
            "freeze_encoder": True,
            "pooling": "first",
            "layers": "all",
            "lora_rank": None,
            **{f.name: f.default for f in fields(LossConfig)},
            **{f.name: f.default for f in fields(TrainConfig) if f.name in OF_STEPS},
        }
        again = {"resume": False, "overwrite_output_dir": True, "report": False}
        result = run(of_one_seed(config, folder / AVERAGE, **unchanged, **again))
    results[AVERAGE] = _of_these(result, config, folder / AVERAGE, results)


def _of_these(result: Result, config: TrainConfig, folder: Path, results: Mapping[str, Result]) -> Result:
    """The record of the average: what chose the others chose it too, and no `run.yaml` repeats the place it is from."""
    first = next(iter(results.values()))
    assert result.facts is not None
    assert first.facts is not None
    protocol = f"Its weights are the mean of those of {', '.join(results)}. {first.facts.protocol}"
    own = {name: getattr(config, name) for name in ("model", "metric_for_best_model")}
    facts = replace(result.facts, model=config.model, protocol=protocol, options={**result.facts.options, **own})
    result = replace(result, note=first.note, facts=facts)
    if PartialState().is_main_process:
        result.save(folder / RESULTS_FILE)
        (folder / OPTIONS_FILE).unlink()
        publish(folder, repo_id=None, **config.publishing_options())
    return result


def _make_ready(average: Path, results: Iterable[Result], *, trust_remote_code: bool) -> None:
    """Its head is to stay. Runs are compared by the loss before calibration; it is the mean of later ones."""
    model, _ = load_classifier(str(average), trust_remote_code=trust_remote_code)
    found = [result.confidence.temperature for result in results if result.confidence]
    if temperatures := [temperature for temperature in found if temperature is not None]:
        scale_head(model, mean(temperatures))
    setattr(model.config, AS_IT_IS, True)
    model.save_pretrained(average)


def _keep_best(config: TrainConfig, folder: Path, results: dict[str, Result]) -> Result:
    """Copy the best run to `output_dir`, with a result that tells of all of them."""
    metric = str(config.metric_for_best_model).removeprefix("eval_")
    runs = []
    for name, result in results.items():
        metric = next(m for m in MEASURES if m in result.metrics) if metric == "last" else metric
        runs.append(OneSeed(name, *_validation_scores(folder / name, metric), metrics=result.metrics))
    first = next(iter(results.values()))
    assert first.facts is not None
    seeds = Seeds(metric, str(first.facts.selected_on), best_of(metric, runs).name, runs)
    kept = results[seeds.kept]
    assert kept.facts is not None
    data = {name: split.sha256 for name, split in kept.facts.splits.items()}
    options = {"resume": False, "overwrite": config.overwrite_output_dir}
    prepare_output_dir(folder, asdict(config), data, write=True, **options)
    _copy_run(folder / seeds.kept, folder)
    note, protocol = kept.note, kept.facts.protocol
    if kept.split == seeds.chosen_on:  # which chose nothing in one run
        note = note.replace("held out", "also chose the seed")
    protocol = protocol.replace("chose nothing", "chose the seed")
    fitted = {name: value for name, value in first.facts.options.items() if name in FITTED}
    facts = replace(
        kept.facts,
        model=config.model,
        options={**changed_options(config), **fitted},
        protocol=f"{protocol} {seeds.sentence(kept.split)}",
        steps=first.facts.steps,
        training_seconds=sum(result.facts.training_seconds for result in results.values() if result.facts),
        texts_per_second=first.facts.texts_per_second,
        seeds=seeds,
    )
    note = f"{note}; the best of {config.seeds} seeds on {seeds.chosen_on}"
    speed = first.rows_per_second
    result = replace(kept, output_dir=str(folder), note=note, facts=facts, rows_per_second=speed)
    result.save(folder / RESULTS_FILE)
    return result


def _copy_run(kept: Path, folder: Path) -> None:
    """The files of a run into another folder, each whole; weights of an earlier model there go."""
    files = [path for path in sorted(kept.iterdir()) if path.is_file() and path.name not in OF_ONE_RUN]
    try:
        for path in files:
            with whole(folder / path.name) as aside:
                shutil.copy2(path, aside)
    except OSError as error:
        raise HfclsError(
            f"cannot copy the best run, {kept}, to {folder}: {error.strerror or error}; all runs are whole: solve "
            "that, then continue with --resume"
        ) from error
    remove_model(folder, keep=[path.name for path in files])


def best_of(metric: str, runs: Sequence[OneSeed]) -> OneSeed:
    """The run with the best `metric` on validation, of equal ones that with the least loss, of these the first."""
    sign = 1 if metric == "loss" else -1
    return min(runs, key=lambda run: (sign * run.validation, run.validation_loss))


def _validation_scores(folder: Path, metric: str) -> tuple[float, float]:
    """The metric and the loss of the checkpoint that a run kept, on the split that chose it."""
    try:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        found = [entry for entry in state["log_history"] if "eval_loss" in entry]
        kept = [entry for entry in found if entry["step"] == state["best_global_step"]] or found[-1:]
        return float(kept[-1][f"eval_{metric}"]), float(kept[-1]["eval_loss"])
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        raise HfclsError(
            f"{folder / STATE_FILE} does not say any more how the run did on validation ({error!r}): put it back, or "
            f"delete {folder} and continue with --resume"
        ) from error
