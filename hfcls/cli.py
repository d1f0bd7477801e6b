"""The command line: `hfcls COMMAND`, with a subcommand for each."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import argcomplete

from hfcls import commands
from hfcls.config.command_line.habits import Once, Parser
from hfcls.config.command_line.help import HelpFormatter, examples
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
from hfcls.config.pretraining import AdaptConfig
from hfcls.config.sources import add_options
from hfcls.config.train import TrainConfig
from hfcls.errors import FailedElsewhere, HfclsError, PushError
from hfcls.system.files import is_disk_full, with_causes
from hfcls.system.launch import leave_process_group, speaks_first, world_size
from hfcls.system.next_steps import INSTALL
from hfcls.system.terminal import BesideBarsHandler, arrange_bars, for_people, no_bar_stays
from hfcls.training.preemption import Interrupted
from hfcls.version import __version__


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
    arrange_bars(args.quiet)
    status = 0
    try:
        with no_bar_stays():
            args.run(args)
    except PushError as error:
        _tell(f"error: {error}")
        status = 3
    except HfclsError as error:
        if not isinstance(error, FailedElsewhere) and speaks_first():
            _tell(f"error: {error}")
        return 1
    except Interrupted as interrupted:
        _leave_once()
        if speaks_first():
            _tell(str(interrupted))
        status = 128 + interrupted.signal
    except KeyboardInterrupt:
        _leave_once()
        if speaks_first():
            _tell(f"interrupted{_going_on(args)}")
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes at exit
    except ModuleNotFoundError as error:  # as in the container, which has what `hfcls serve` of an export needs
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "hfcls"):
            raise
        _tell(f"error: this needs {missing}, which is not installed here: {INSTALL}")
        return 1
    except Exception as error:
        if (message := _known(error)) is None:
            raise
        if speaks_first():
            _tell(f"error: {message}")
        return 1
    leave_process_group()
    return status


def _known(error: Exception) -> str | None:
    """What happened to the machine or to another process of the run, wherever it was noticed."""
    causes = list(with_causes(error))
    if any(map(is_disk_full, causes)):
        place = getattr(error, "filename", None) or "the output or of the caches (TMPDIR, HF_HOME)"
        return f"no space left on the drive of {place}: free some, then try again"
    if world_size() > 1:
        from hfcls.training.failures import lost_process  # by now torch is there

        return lost_process(causes)
    return None


def _tell(message: str) -> None:
    """On standard error; names out of the data move no cursor and change no colour there."""
    print(for_people(f"hfcls: {message}", sys.stderr), file=sys.stderr)


def _going_on(args: argparse.Namespace) -> str:
    """How a command goes on that was interrupted outside its training; the others begin anew."""
    if args.run in (commands.run_train, commands.run_adapt, commands.run_distill):
        return ": the same command with --resume goes on from the last checkpoint, if there is one"
    return ": the same command makes the shards that are missing" if getattr(args, "input", None) else ""


def _leave_once() -> None:
    """A second Ctrl-C, which `timeout` and launchers send after the first, does not break the exit of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="hfcls",
        description="Fine-tune a pretrained encoder for Korean text classification.",
        epilog="options of a command: hfcls COMMAND --help\na first run:          hfcls train recipes/quickstart.yaml",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"hfcls {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    train = _add_command(subparsers, "train", "[recipe]", "fine-tune a model on labelled texts")
    train.add_argument("recipe", nargs="?", help="YAML file of options; a flag takes precedence over it")
    add_options(train, TrainConfig)
    train.set_defaults(run=commands.run_train)

    adapt = _add_command(subparsers, "adapt", "[recipe]", "pretrain an encoder on texts without labels")
    adapt.add_argument("recipe", nargs="?", help="YAML file of options; a flag takes precedence over it")
    add_options(adapt, AdaptConfig)
    adapt.set_defaults(run=commands.run_adapt)

    distill = _add_command(subparsers, "distill", "[recipe]", "train a small model on what a large one says of texts")
    distill.add_argument("recipe", nargs="?", help="YAML file of options; a flag takes precedence over it")
    add_options(distill, DistillConfig)
    distill.set_defaults(run=commands.run_distill)

    check = _add_command(subparsers, "check", "[dataset]", "look at labelled texts before training on them")
    check.add_argument("dataset", nargs="?", action=Once, default=argparse.SUPPRESS, help="the same as --dataset")
    add_options(check, CheckConfig)
    check.set_defaults(run=commands.run_check)

    clean = _add_command(subparsers, "clean", "[dataset]", "find labels that look wrong")
    clean.add_argument("dataset", nargs="?", action=Once, default=argparse.SUPPRESS, help="the same as --dataset")
    add_options(clean, CleanConfig)
    clean.set_defaults(run=commands.run_clean)

    evaluate = _add_command(subparsers, "evaluate", "", "score a fine-tuned model on labelled texts")
    add_options(evaluate, EvaluateConfig)
    evaluate.set_defaults(run=commands.run_evaluate)

    report = _add_command(subparsers, "report", "folder", "show a finished run as one page, report.html")
    report.add_argument("folder", help="output_dir of `hfcls train` or `hfcls adapt`")
    report.set_defaults(run=commands.run_report)

    predict = _add_command(subparsers, "predict", "[texts ...]", "label texts, or files of any size")
    predict.add_argument("texts", nargs="*", help="texts to label; without any, the lines of standard input")
    add_options(predict, PredictConfig)
    predict.set_defaults(run=commands.run_predict)

    export = _add_command(subparsers, "export", "[model]", "write a fine-tuned classifier as ONNX")
    export.add_argument("model", nargs="?", action=Once, default=argparse.SUPPRESS, help="the same as --model")
    add_options(export, ExportConfig)
    export.set_defaults(run=commands.run_export)

    serve = _add_command(subparsers, "serve", "model", "answer over HTTP, with a page for people")
    serve.add_argument("model", help="folder or Hub id of a fine-tuned classifier")
    add_options(serve, ServeConfig)
    serve.set_defaults(run=commands.run_serve)

    push = _add_command(subparsers, "push", "folder", "publish a fine-tuned model on the Hugging Face Hub")
    push.add_argument("folder", help="output_dir of a run")
    add_options(push, PushConfig)
    push.set_defaults(run=commands.run_push)

    recipes = _add_command(subparsers, "recipes", "", "list the recipes and Accelerate configs that come with hfcls")
    recipes.set_defaults(run=commands.run_recipes)

    completion = _add_command(subparsers, "completion", "shell", "print a script that completes commands and options")
    completion.add_argument("shell", choices=["bash", "zsh", "fish"], help="the shell that is to read it")
    completion.set_defaults(run=commands.run_completion)
    return parser


def _add_command(subparsers: Any, name: str, positional: str, help: str) -> argparse.ArgumentParser:
    """A subcommand whose usage is one line: the list of all its options would bury a message about one of them."""
    usage = " ".join(f"hfcls {name} [--help] [options] {positional}".split())
    parser: argparse.ArgumentParser = subparsers.add_parser(
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


if __name__ == "__main__":
    sys.exit(main())
