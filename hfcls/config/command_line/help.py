"""What `--help` shows beside the options: how each is written, and two commands to begin with."""

import argparse
import re
from typing import Any

from hfcls.system.terminal import wrapped

EXAMPLES = {
    "train": (
        "hfcls train --dataset reviews.csv --text_column comment --label_column grade --output_dir outputs/grades",
        "hfcls train recipes/nsmc.yaml --output_dir outputs/nsmc",
    ),
    "adapt": (
        "hfcls adapt --model beomi/kcbert-base --dataset comments.parquet --output_dir outputs/adapted",
        "hfcls adapt --model scratch --shape 4x256 --dataset comments.txt --output_dir outputs/small",
    ),
    "distill": (
        "hfcls distill --teacher outputs/grades --dataset comments.csv --output_dir outputs/student",
        "hfcls distill --teacher outputs/grades --dataset comments.csv --labelled reviews.csv --student 4x256",
    ),
    "check": (
        "hfcls check reviews.csv --text_column comment --label_column grade",
        "hfcls check reviews.csv --model beomi/kcbert-base",
    ),
    "clean": (
        "hfcls clean reviews.csv --text_column comment --label_column grade",
        "hfcls clean reviews.csv --model hfcls-small-ko --apply outputs/cleaned.csv",
    ),
    "evaluate": (
        "hfcls evaluate --model outputs/grades --dataset held_out.csv",
        "hfcls evaluate --model outputs/grades --dataset held_out.csv --compare outputs/earlier",
    ),
    "report": ("hfcls report outputs/grades", "hfcls report outputs/quickstart"),
    "predict": (
        'hfcls predict --model outputs/grades "배송이 빨라요"',
        "hfcls predict --model outputs/grades --input comments.parquet --output outputs/labelled",
    ),
    "export": ("hfcls export outputs/grades", "hfcls export outputs/grades --int8"),
    "serve": ("hfcls serve outputs/grades", "hfcls serve outputs/grades --port 8080"),
    "push": ("hfcls push outputs/grades --dry_run", "hfcls push outputs/grades --hub_private"),
    "recipes": (
        "hfcls recipes",
        "hfcls train recipes/nsmc.yaml",
    ),
    "completion": (
        "hfcls completion bash > ~/.local/share/bash-completion/completions/hfcls",
        'hfcls completion zsh > "${fpath[1]}/_hfcls"',
    ),
}


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """argparse's, with the two forms of a switch in one word, such as `--[no-]resume`, in lines that fit a terminal."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if isinstance(action, argparse.BooleanOptionalAction):
            return action.option_strings[0].replace("--", "--[no-]", 1)
        shown = super()._format_action_invocation(action)
        if action.choices and len(shown) > self._width - 6:
            return f"{action.option_strings[0]} NAME"
        return shown

    def _format_action(self, action: argparse.Action) -> str:
        if action.metavar == "COMMAND":  # the list of commands needs no head of that name
            return "".join(map(self._format_action, action._get_subactions()))  # type: ignore[attr-defined]
        return super()._format_action(action)

    def _expand_help(self, action: argparse.Action) -> str:
        text = super()._expand_help(action)
        if action.choices and super()._format_action_invocation(action) != self._format_action_invocation(action):
            return f"{', '.join(map(str, action.choices))}: {text}"
        return text

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrapped(" ".join(text.split()), width, inset=0)


def examples(command: str) -> str:
    """The end of a command's help; empty for a command without examples."""
    lines = [broken for line in EXAMPLES.get(command, ()) for broken in _broken(line)]
    return "\n".join(["examples:", *lines]) if lines else ""


def _broken(command: str) -> list[str]:
    """A command in lines of at most 78 columns, of which a shell makes one."""
    first, *flags = re.split(r" (?=--)", command)
    lines = [f"  {first}"]
    for flag in flags:
        if len(lines[-1]) + 1 + len(flag) <= 76:
            lines[-1] += f" {flag}"
        else:
            lines[-1] += " \\"
            lines.append(f"      {flag}")
    return lines


def other_spelling(word: str, known: Any) -> str:
    """`word`, or the option that it is but for `-` in place of `_`: `--dry-run` is `--dry_run`."""
    flag, equals, value = word.partition("=")
    if not flag.startswith("--") or flag in known:
        return word
    prefix = "--no-" if flag.startswith(("--no-", "--no_")) and len(flag) > len("--no-") else "--"
    for spelled in (f"--{flag[2:].replace('-', '_')}", prefix + flag[len(prefix) :].replace("-", "_")):
        if spelled in known:
            return f"{spelled}{equals}{value}"
    return word
