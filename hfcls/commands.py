"""What each command does with its options: imports come here, so that `--help` and a slip need none of them."""

import argparse
import json
import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import argcomplete

from hfcls.config.command_line.habits import is_data, is_model
from hfcls.config.commands import (
    CheckConfig,
    CleanConfig,
    DistillConfig,
    EvaluateConfig,
    ExportConfig,
    PredictConfig,
    PushConfig,
    ServeConfig,
)
from hfcls.config.defaults import RANDOM
from hfcls.config.pretraining import AdaptConfig
from hfcls.config.sources import config_from, shipped_files
from hfcls.config.train import TrainConfig
from hfcls.errors import HfclsError, PushError
from hfcls.system.launch import check_launch, world_size
from hfcls.system.next_steps import INSTALL_EXTRA, command_of, try_it
from hfcls.system.quoting import visible
from hfcls.system.terminal import for_people

EXAMPLE_CHARS = 20  # of the text in the last line of `hfcls train`


def run_train(args: argparse.Namespace) -> None:
    config = config_from(args, TrainConfig)
    check_launch()  # before ten seconds of imports
    if not config.resume:  # a finished run ends at once, whatever became of its encoder
        _check_reachable(config.model)
    from accelerate import PartialState

    from hfcls.finetune import fine_tune
    from hfcls.runs.predictions import sample_texts
    from hfcls.runs.results import load_results

    try:
        result = fine_tune(config)
    except PushError:
        print(for_people(f"\n{load_results(config.output_dir).table()}\n"))
        raise
    if not PartialState().is_main_process:
        return
    print(for_people(f"\n{result.table()}\n"))
    folder, pair = Path(config.output_dir), config.text_pair_column is not None
    texts = sample_texts(result.examples, folder, pair=pair, width=EXAMPLE_CHARS)
    print(f"Try it: {try_it(config.output_dir, texts)}")


def run_adapt(args: argparse.Namespace) -> None:
    config = config_from(args, AdaptConfig)
    check_launch()
    if not config.resume:
        _check_reachable(config.model)
    from accelerate import PartialState

    from hfcls.pretraining import adapt

    result = adapt(config)
    if PartialState().is_main_process:
        print(for_people(f"\n{result.table()}\n"))
        print(f"Now: {command_of('hfcls')} train --model {shlex.quote(config.output_dir)} --dataset YOUR_LABELLED_FILE")


def run_distill(args: argparse.Namespace) -> None:
    config = config_from(args, DistillConfig)
    check_launch()
    _check_reachable(config.teacher, config.model)
    from accelerate import PartialState

    from hfcls.distilling import distill

    result = distill(config)
    if not PartialState().is_main_process:
        return
    print(for_people(f"\n{result.table()}\n"))
    if config.teacher and config.labelled and result.split == "test":  # else its rows have trained the student
        words = ["--model", config.output_dir, "--compare", config.teacher, "--dataset", config.labelled]
        print(f"Beside its teacher: {command_of('hfcls')} evaluate {visible(shlex.join(words))}")


def run_check(args: argparse.Namespace) -> None:
    config = config_from(args, CheckConfig)
    _check_reachable(config.model)
    from hfcls.checks.inspect import check

    print(for_people(check(config).text()))


def run_clean(args: argparse.Namespace) -> None:
    config = config_from(args, CleanConfig)
    _check_reachable(config.model)
    from hfcls.checks.cleaning import clean

    print(for_people(clean(config).text()))


def run_evaluate(args: argparse.Namespace) -> None:
    config = config_from(args, EvaluateConfig)
    _check_reachable(config.model, *config.compared())
    from hfcls.inference.evaluation import evaluate

    result = evaluate(config)
    print(for_people("\n\n".join([result.table(), *result.details()])))


def run_report(args: argparse.Namespace) -> None:
    try:
        from hfcls.publishing.pages.report import write_report
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        raise HfclsError(f"a report needs {missing}: {INSTALL_EXTRA.format(extra='report')}") from error
    print(write_report(args.folder))


def run_predict(args: argparse.Namespace) -> None:
    config = config_from(args, PredictConfig)
    if config.input:
        if args.texts:
            raise HfclsError("give texts or --input, not both")
        _check_reachable(config.model)
        from hfcls.inference.shards import predict_files

        written = predict_files(config)
        if world_size() == 1:  # of several, each knows of its own files alone
            # Not `output`, an address that may hold keys: the names of the shards hold none.
            where = written[0].parent if isinstance(written[0], Path) else written[0].rpartition("/")[0]
            print(for_people(f"{len(written):,} {'file' if len(written) == 1 else 'files'} in {where}"))
        return
    if models := [text for text in args.texts if text and is_model(text)]:
        raise HfclsError(f"{models[0]} is a folder with a model: did you mean --model {models[0]}?")
    if files := [text for text in args.texts if os.path.isfile(text) and is_data(text)]:
        raise HfclsError(f"{files[0]} is a file: did you mean --input {files[0]} --output FOLDER?")
    _check_reachable(config.model)
    from hfcls.inference.classifier import Classifier
    from hfcls.inference.stream import arriving_lines
    from hfcls.inference.texts import rounded
    from hfcls.scoring.tasks import Regression

    classifier = Classifier.from_pretrained(
        config.model,
        trust_remote_code=config.trust_remote_code,
        batch_size=config.batch_size,
        batching=config.batching,
        precision=config.precision,
    )
    if not args.texts and sys.stdin is None:
        raise HfclsError("there is no standard input to read texts from: give them, or --input")
    if not args.texts and sys.stdin.isatty():
        print("type a text and press Enter; Ctrl-D ends", file=sys.stderr)
    unit = isinstance(classifier.task, Regression)
    for chunk in [args.texts] if args.texts else arriving_lines(sys.stdin.fileno()):
        for text, answer in zip(chunk, classifier(chunk, all_scores=config.all_scores), strict=True):
            _print_json({"text": text, **rounded(answer, unit=unit)})
        sys.stdout.flush()


def _print_json(value: dict[str, Any]) -> None:
    """On a line, as people read it; with escapes where the output lacks a character, as a pipe of CP949 does emoji."""
    try:
        print(json.dumps(value, ensure_ascii=False))
    except UnicodeEncodeError:
        print(json.dumps(value))


def run_export(args: argparse.Namespace) -> None:
    config = config_from(args, ExportConfig)
    _check_reachable(config.model)
    from hfcls.exporting import export

    print(for_people(export(config).text()))


def run_serve(args: argparse.Namespace) -> None:
    config = config_from(args, ServeConfig)
    _check_reachable(args.model)
    from hfcls.serving.server import serve

    serve(args.model, config)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # all is answered; on a busy machine Python takes seconds to put torch away


def run_push(args: argparse.Namespace) -> None:
    config = config_from(args, PushConfig)
    from hfcls.publishing.hub import default_name, push, upload_listing

    folder = Path(args.folder)
    if not config.dry_run:
        print(push(folder, config.hub_model_id, hub_private=config.hub_private, overwrite=config.overwrite))
        return
    repo_id = config.hub_model_id or default_name(folder)
    print(f"{upload_listing(folder, repo_id)}; nothing was sent")


def _check_reachable(*models: str | None) -> None:
    """Before the imports of torch and transformers, which take seconds; where they are missing, these say so."""
    if not all(map(find_spec, ("accelerate", "datasets", "torch", "transformers"))):
        return
    from hfcls.models.sources import BASELINE, check_reachable

    for model in models:
        if model is not None and model != BASELINE and not RANDOM.fullmatch(model):
            check_reachable(model)


def run_recipes(args: argparse.Namespace) -> None:
    for path in shipped_files():
        print(path)
        print(for_people(f"    {path.read_text(encoding='utf-8').splitlines()[0].removeprefix('# ')}"))


def run_completion(args: argparse.Namespace) -> None:
    print(argcomplete.shellcode(["hfcls"], shell=args.shell))
