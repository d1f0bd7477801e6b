"""The command line: `hfcls train | adapt | check | evaluate | report | predict | export | serve | push`."""

import argparse
import json
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import argcomplete

from hfcls.config.commands import CheckConfig, EvaluateConfig, ExportConfig, PredictConfig, PushConfig, ServeConfig
from hfcls.config.habits import Parser, is_data
from hfcls.config.help import HelpFormatter, examples
from hfcls.config.pretraining import AdaptConfig
from hfcls.config.sources import add_options, config_from, shipped_files
from hfcls.config.train import TrainConfig
from hfcls.errors import FailedElsewhere, HfclsError, PushError
from hfcls.system.launch import check_launch, leave_process_group, speaks_first
from hfcls.system.next_steps import INSTALL_EXTRA, REAL_RUN, command_of, try_it
from hfcls.system.quoting import visible
from hfcls.system.terminal import BesideBarsHandler, no_bars, quiet_loading
from hfcls.training.preemption import Interrupted
from hfcls.version import __version__

EXAMPLE_CHARS = 40  # of the text in the last line of `hfcls train`


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit status.

    It is 0, 1 (an error to mend), 2 (bad usage), 3 (trained and saved, but not pushed to the Hub), 130 (Ctrl-C) or 143
    (SIGTERM).
    """
    parser, given = _parser(), list(sys.argv[1:] if argv is None else argv)
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could follow
        argcomplete.autocomplete(parser)
    args = parser.parse_args(given or ["--help"])
    logger = logging.getLogger("hfcls")
    logger.setLevel(logging.WARNING if args.quiet else logging.INFO)
    if not logger.hasHandlers():  # not the root logger: what other libraries print themselves would come twice
        logger.addHandler(BesideBarsHandler())
    if args.quiet or not sys.stderr.isatty():
        no_bars()
    status = 0
    try:
        args.run(args)
    except PushError as error:
        print(f"hfcls: error: {error}", file=sys.stderr)
        status = 3
    except HfclsError as error:
        if not isinstance(error, FailedElsewhere) and speaks_first():
            print(f"hfcls: error: {error}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        if speaks_first():
            print(f"\nhfcls: {interrupted}", file=sys.stderr)
        status = 128 + interrupted.signal
    except KeyboardInterrupt:
        if speaks_first():
            print(
                "hfcls: interrupted; `hfcls train` and `hfcls adapt` continue from the last checkpoint with --resume, "
                "`hfcls predict --input` when it is started again",
                file=sys.stderr,
            )
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes at exit
    leave_process_group()
    return status


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="hfcls",
        description="Fine-tune a pretrained encoder for Korean text classification.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"hfcls {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = _addcommand_of(commands, "train", "[recipe]", "fine-tune a model on labelled texts")
    train.add_argument("recipe", nargs="?", help="YAML file of options; a flag takes precedence over it")
    add_options(train, TrainConfig)
    train.set_defaults(run=_train)

    adapt = _addcommand_of(commands, "adapt", "[recipe]", "pretrain an encoder on texts without labels")
    adapt.add_argument("recipe", nargs="?", help="YAML file of options; a flag takes precedence over it")
    add_options(adapt, AdaptConfig)
    adapt.set_defaults(run=_adapt)

    check = _addcommand_of(commands, "check", "[dataset]", "look at labelled texts before training on them")
    check.add_argument("dataset", nargs="?", default=argparse.SUPPRESS, help="the same as --dataset")
    add_options(check, CheckConfig)
    check.set_defaults(run=_check)

    evaluate = _addcommand_of(commands, "evaluate", "", "score a fine-tuned model on labelled texts")
    add_options(evaluate, EvaluateConfig)
    evaluate.set_defaults(run=_evaluate)

    report = _addcommand_of(commands, "report", "folder", "show a finished run as one page, report.html")
    report.add_argument("folder", help="output_dir of `hfcls train`")
    report.set_defaults(run=_report)

    predict = _addcommand_of(commands, "predict", "[texts ...]", "label texts, or files of any size")
    predict.add_argument("texts", nargs="*", help="texts to label; without any, the lines of standard input")
    add_options(predict, PredictConfig)
    predict.set_defaults(run=_predict)

    export = _addcommand_of(commands, "export", "[model]", "write a fine-tuned classifier as ONNX")
    export.add_argument("model", nargs="?", default=argparse.SUPPRESS, help="the same as --model")
    add_options(export, ExportConfig)
    export.set_defaults(run=_export)

    serve = _addcommand_of(commands, "serve", "model", "answer over HTTP, with a page for people")
    serve.add_argument("model", help="folder or Hub id of a fine-tuned classifier")
    add_options(serve, ServeConfig)
    serve.set_defaults(run=_serve)

    push = _addcommand_of(commands, "push", "folder", "publish a fine-tuned model on the Hugging Face Hub")
    push.add_argument("folder", help="output_dir of a run")
    add_options(push, PushConfig)
    push.set_defaults(run=_push)

    recipes = _addcommand_of(commands, "recipes", "", "list the recipes and Accelerate configs that come with hfcls")
    recipes.set_defaults(run=_recipes)

    completion = _addcommand_of(commands, "completion", "shell", "print a script that completes commands and options")
    completion.add_argument("shell", choices=["bash", "zsh", "fish"], help="the shell that is to read it")
    completion.set_defaults(run=_completion)
    return parser


def _addcommand_of(commands: Any, name: str, positional: str, help: str) -> argparse.ArgumentParser:
    """A subcommand whose usage is one line: the list of all its options would bury a message about one of them."""
    usage = " ".join(f"hfcls {name} [--help] [options] {positional}".split())
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        usage=usage,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        epilog=examples(name),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--quiet", action="store_true", help="say only what goes wrong, and the result")
    return parser


def _train(args: argparse.Namespace) -> None:
    config = config_from(args, TrainConfig)
    check_launch()  # before ten seconds of imports
    from accelerate import PartialState

    from hfcls.finetune import fine_tune
    from hfcls.runs.results import load_results, sample_texts

    quiet_loading()
    try:
        result = fine_tune(config)
    except PushError:
        print(visible(f"\n{load_results(config.output_dir).table()}\n"))
        raise
    if not PartialState().is_main_process:
        return
    print(visible(f"\n{result.table()}\n"))
    if config.dataset == "demo":
        model = "a small model with random weights" if config.model == "scratch" else visible(config.model)
        print(f"{REAL_RUN.format(model=model, accelerate=command_of('accelerate'))}\n")
    texts = sample_texts(result, pair=config.text_pair_column is not None, width=EXAMPLE_CHARS)
    print(f"Try it: {try_it(config.output_dir, texts)}")


def _adapt(args: argparse.Namespace) -> None:
    config = config_from(args, AdaptConfig)
    from accelerate import PartialState

    from hfcls.pretraining import adapt

    quiet_loading()
    result = adapt(config)
    if PartialState().is_main_process:
        print(f"\n{result.table()}\n")
        print(f"Now: {command_of('hfcls')} train --model {shlex.quote(config.output_dir)} --dataset YOUR_LABELLED_FILE")


def _check(args: argparse.Namespace) -> None:
    config = config_from(args, CheckConfig)
    from hfcls.checks.inspect import check

    print(visible(check(config).text()))


def _evaluate(args: argparse.Namespace) -> None:
    config = config_from(args, EvaluateConfig)

    from hfcls.inference.evaluation import evaluate

    quiet_loading()
    result = evaluate(config)
    print(visible("\n\n".join([result.table(), *result.details()])))


def _report(args: argparse.Namespace) -> None:
    try:
        from hfcls.publishing.report import write_report
    except ImportError as error:
        raise HfclsError(f"a report needs {error.name}: {INSTALL_EXTRA.format(extra='report')}") from error
    print(write_report(args.folder))


def _predict(args: argparse.Namespace) -> None:
    config = config_from(args, PredictConfig)
    if config.input:
        if args.texts:
            raise HfclsError("give texts or --input, not both")
        from hfcls.inference.shards import predict_files

        predict_files(config)
        return
    if files := [text for text in args.texts if os.path.isfile(text) and is_data(text)]:
        raise HfclsError(f"{files[0]} is a file: did you mean --input {files[0]} --output FOLDER?")
    from hfcls.inference.classifier import Classifier
    from hfcls.inference.stream import arriving_lines
    from hfcls.inference.texts import rounded

    classifier = Classifier.from_pretrained(
        config.model,
        trust_remote_code=config.trust_remote_code,
        batch_size=config.batch_size,
        batching=config.batching,
        precision=config.precision,
    )
    if not args.texts and sys.stdin.isatty():
        print("type a text and press Enter; Ctrl-D ends", file=sys.stderr)
    for chunk in [args.texts] if args.texts else arriving_lines(sys.stdin.fileno()):
        for text, answer in zip(chunk, classifier(chunk, all_scores=config.all_scores), strict=True):
            print(json.dumps({"text": text, **rounded(answer)}, ensure_ascii=False))
        sys.stdout.flush()


def _export(args: argparse.Namespace) -> None:
    config = config_from(args, ExportConfig)

    from hfcls.exporting import export

    quiet_loading()
    print(export(config).text())


def _serve(args: argparse.Namespace) -> None:
    config = config_from(args, ServeConfig)
    from hfcls.serving.server import serve

    serve(args.model, config)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # all is answered; on a busy machine Python takes seconds to put torch away


def _push(args: argparse.Namespace) -> None:
    config = config_from(args, PushConfig)
    from hfcls.publishing.hub import default_name, push, upload_listing

    folder = Path(args.folder)
    if not config.dry_run:
        print(push(folder, config.hub_model_id, hub_private=config.hub_private, overwrite=config.overwrite))
        return
    repo_id = config.hub_model_id or default_name(folder)
    print(f"{upload_listing(folder, repo_id)}; nothing was sent")


def _recipes(args: argparse.Namespace) -> None:
    for path in shipped_files():
        print(f"{path}\n    {path.read_text(encoding='utf-8').splitlines()[0].removeprefix('# ')}")


def _completion(args: argparse.Namespace) -> None:
    print(argcomplete.shellcode(["hfcls"], shell=args.shell))


if __name__ == "__main__":
    sys.exit(main())
