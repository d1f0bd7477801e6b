"""MkDocs hooks: tables of options from hfcls/config/, and links to files outside docs/ as plain text.

A page says `<!-- options: TrainConfig -->` where a table is wanted; on a Korean page it is in Korean (options_ko.yaml).
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

import yaml

from hfcls import config

OPTIONS = re.compile(r"<!-- options: (\w+) -->")
KOREAN_HELP = Path(__file__).with_name("options_ko.yaml")
HEADS = {"en": ("option", "default", "what it does"), "ko": ("옵션", "기본값", "하는 일")}
OUTSIDE = re.compile(r"(?<!!)\[([^\]]+)\]\((?:\.\./)+(?!how-to|reference|images)[^)]*\)")


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Called by MkDocs with each page before it is rendered."""
    language = "ko" if page.file.src_uri.endswith(".ko.md") else "en"
    markdown = OPTIONS.sub(lambda found: options_table(found[1], language), markdown)
    depth = page.file.src_uri.count("/")
    if depth == 0:  # a page of docs/ itself: ../ leads out of the site, to a file of the repository
        return OUTSIDE.sub(r"\1", markdown)
    return re.sub(r"(?<!!)\[([^\]]+)\]\((?:\.\./){2,}[^)]*\)", r"\1", markdown)


def on_post_page(output: str, **kwargs: Any) -> str:
    """Called by MkDocs with each page after it is rendered: what the theme lacks for those who use no mouse.

    Its search is no dialog, and its hidden switch of colours cannot be reached by Tab.
    """
    output = output.replace('data-md-component="search" role="dialog"', 'data-md-component="search" role="search"')
    return output.replace('<input class="md-option"', '<input tabindex="-1" class="md-option"')


def options_table(name: str, language: str = "en") -> str:
    """A Markdown table of the options of one dataclass of `hfcls.config`: as flag, default and help."""
    korean = yaml.safe_load(KOREAN_HELP.read_text(encoding="utf-8")) if language == "ko" else {}
    lines = [f"| {' | '.join(HEADS[language])} |", "| --- | --- | --- |"]
    for field in dataclasses.fields(getattr(config, name)):
        default = "" if field.default in (None, dataclasses.MISSING) else f"`{field.default}`"
        text = field.metadata["help"]
        text = (korean[text] if korean else text).replace("|", "\\|")
        lines.append(f"| `--{field.name}` | {default} | {text} |")
    return "\n".join(lines)
