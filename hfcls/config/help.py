"""What `--help` shows beside the options: how each is written, and two commands to begin with."""

import argparse
from typing import Any

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
    """argparse's, with the two forms of a switch in one word, such as `--[no-]resume`."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if isinstance(action, argparse.BooleanOptionalAction):
            return action.option_strings[0].replace("--", "--[no-]", 1)
        return super()._format_action_invocation(action)


def examples(command: str) -> str:
    """The end of a command's help; empty for a command without examples."""
    lines = EXAMPLES.get(command, ())
    return "\n".join(["examples:", *(f"  {line}" for line in lines)]) if lines else ""


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
