"""Command lines as people write them from habit: each is answered with what was meant."""

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any, NoReturn

from hfcls.config.command_line.help import other_spelling

TABLES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".xlsx", ".xls", ".ods", ".gz", ".zip")
RECIPES = (".yaml", ".yml")
PRECISION = "precision is a matter of the launcher: accelerate launch --mixed_precision {} train.py ..."
OTHER_NAMES = {  # of other programs' options -> ours, or what to do
    "epochs": "--num_train_epochs",
    "num_epochs": "--num_train_epochs",
    "lr": "--learning_rate",
    "model_name_or_path": "--model",
    "model_name": "--model",
    "pretrained_model_name_or_path": "--model",
    "tokenizer_name": "--model",
    "train_file": "--dataset",
    "data": "--dataset",
    "dataset_name": "--dataset",
    "data_path": "--dataset",
    "file": "--dataset",
    "dataset_config_name": "--dataset_config",
    "max_seq_length": "--max_length",
    "max_len": "--max_length",
    "doc_stride": "--stride",
    "per_device_train_batch_size": "--batch_size",
    "train_batch_size": "--batch_size",
    "per_device_eval_batch_size": "--eval_batch_size",
    "out": "--output_dir",
    "output": "--output_dir",
    "save_dir": "--output_dir",
    "sep": "--delimiter",
    "resume_from_checkpoint": "--resume",
    "do_train": "`hfcls train` trains, and scores the test split at the end",
    "do_eval": "`hfcls train` scores the test split at the end; `hfcls evaluate` scores a model",
    "do_predict": "`hfcls predict --input FILE --output FOLDER` labels files",
    "fp16": PRECISION.format("fp16"),
    "bf16": PRECISION.format("bf16"),
    "mixed_precision": "--bf16 or --fp16 of `hfcls train`; else accelerate launch --mixed_precision bf16",
    "warmup_steps": "--warmup_ratio",
    "lr_scheduler_type": "--lr_scheduler",
    "optim": "--optimizer",
    "label_smoothing_factor": "--label_smoothing",
}


class Once(argparse.Action):
    """An argument that may not be given twice with two values: of two data sets or models the first was passed over."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        if (earlier := getattr(namespace, self.dest, values)) != values:
            parser.error(f"{self.dest} is given twice ({earlier}, {values}): keep one")
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """argparse's, with a "did you mean" for options and commands that it does not know."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        args = list(sys.argv[1:] if args is None else args)
        if not self._subparsers:
            args = self._spelled(args)
            self._check_habits(args)
        known, unknown = super().parse_known_args(args, namespace)
        if unknown and not self._subparsers:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._meant(unknown[0])}")
        return known, unknown

    def error(self, message: str) -> NoReturn:
        """Ends with status 2, as argparse does."""
        if "invalid choice: " in message and "COMMAND" in message:
            action = next(action for action in self._actions if action.choices)
            word = message.split("'")[1]
            close = difflib.get_close_matches(word, list(action.choices or ()), n=1)
            known = f"known are {', '.join(action.choices or ())}"
            message = f"no command {word!r}; " + (f"did you mean {close[0]}?" if close else known)
        elif "ignored explicit argument" in message:
            message = self._no_value(message.split("/")[0].removeprefix("argument "))
        super().error(message)

    def _spelled(self, args: list[str]) -> list[str]:
        """What follows `--` are texts, and stays as it is."""
        end = args.index("--") if "--" in args else len(args)
        return [other_spelling(word, self._option_string_actions) for word in args[:end]] + args[end:]

    def _check_habits(self, args: Sequence[str]) -> None:
        for i, (flag, value) in enumerate(pairwise(args)):
            action = self._option_string_actions.get(flag)
            if isinstance(action, argparse.BooleanOptionalAction) and value.lower() in ("true", "false"):
                self.error(self._no_value(flag))
            if flag in ("--dataset", "--input"):
                values = [value]
                for further in args[i + 2 :]:
                    if further.startswith("-") or Path(further).suffix.lower() in RECIPES:
                        break
                    values.append(further)
                if len(values) > 1 and all(map(os.path.exists, values)):
                    found = ", ".join(values[:2]) + (", ..." if len(values) > 2 else "")
                    self.error(
                        f"{flag} takes one path, found {len(values)} ({found}): did you mean "
                        f"{flag} '{_pattern(values)}', in quotes, or the folder?"
                    )

    def _no_value(self, flag: str) -> str:
        return f"{flag} takes no value: write {flag}, or --no-{flag.removeprefix('--no-').removeprefix('--')} for false"

    def _meant(self, word: str) -> str:
        if not word.startswith("-"):
            flag = "--model" if is_model(word) else "--dataset" if is_data(word) else ""
            return f"; did you mean {flag} {word}?" if flag in self._known() else ""
        name = word.lstrip("-").split("=")[0].replace("-", "_")
        other = OTHER_NAMES.get(name, f"--{name}")
        if not other.startswith("--"):
            return f"; {other}"
        alone = [action.dest for action in self._get_positional_actions() if action.dest in ("model", "folder")]
        if alone and other not in self._known() and other in ("--model", "--folder", "--output_dir"):
            return f"; the {alone[0]} stands without an option: {self.prog} {alone[0].upper()}"
        close = [other] if other in self._known() else difflib.get_close_matches(f"--{name}", self._known(), n=1)
        return f"; did you mean {close[0]}?" if close else "; --help lists all options"

    def _known(self) -> list[str]:
        return list(self._option_string_actions)


def _pattern(paths: Sequence[str]) -> str:
    """A pattern that matches these paths, such as part-*.csv."""
    start = _common_start(paths).rstrip("0123456789")
    return f"{start}*{_common_start([path[len(start) :][::-1] for path in paths])[::-1]}"


def _common_start(texts: Sequence[str]) -> str:
    same = takewhile(lambda characters: len(set(characters)) == 1, zip(*texts, strict=False))
    return "".join(characters[0] for characters in same)


def is_model(name: str) -> bool:
    """Whether a word on the command line is a folder with a model."""
    try:
        return Path(name, "config.json").is_file()
    except OSError:  # a name longer than names can be
        return False


def is_data(name: str) -> bool:
    """Whether a word on the command line names data: a built-in corpus, a table that is there, or a folder."""
    try:
        path = Path(name)
        return name in ("nsmc", "demo") or path.is_dir() or (path.suffix.lower() in TABLES and path.exists())
    except OSError:  # a name longer than names can be
        return False
