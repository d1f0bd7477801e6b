"""Answers as people read them: as HTML on the page, as csv and as a workbook to download."""

import csv
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hfcls.inference.occlusion import Part
from hfcls.scoring.tasks import Regression, Task, shown
from hfcls.system.quoting import label_cell, spreadsheet_cell, visible

SHOWN = 100  # rows
# Gradio's own rules for tables win over those of a style sheet.
BARE = 'style="border:0"'
LINE = 'style="border:0;border-bottom:1px solid var(--border-color-primary);padding:.35rem .75rem .35rem 0"'
LONGEST_CELL = 32_767  # characters that a cell of Excel holds
TABLE = {  # what stands above the results: columns, then a line of them
    "en": ("Label", "Probability", "Text", "Texts: {count:,}", "the first {shown}"),
    "ko": ("예측", "확률", "문장", "문장 {count:,}개", "앞의 {shown}개"),
}

PAGE = {  # what the page says, by language
    "en": {
        "title": "# Try the model",
        "one": "One text",
        "many": "Many texts",
        "text": "Text",
        "text_hint": "Type a sentence and press Enter",
        "classify": "Classify",
        "examples": "Examples",
        "answer": "Answer",
        "legend": "How much each word moved the decision: green speaks for it, red against it; point at a word, tap it "
        "or go to it with Tab for its number. Thin lines part tokens.",
        "texts": "Texts, one a line",
        "pairs": "Texts, one row a line, with a tab between the columns",
        "from_file": "or a file (txt, csv, Excel, json, parquet)",
        "column": "Column with the texts",
        "columns": "Columns with the texts, in this order",
        "csv": "Download all as csv",
        "xlsx": "Download all as Excel (xlsx)",
    },
    "ko": {
        "title": "# 모델 써 보기",
        "one": "한 문장",
        "many": "여러 문장",
        "text": "문장",
        "text_hint": "문장을 쓰고 Enter를 누르세요",
        "classify": "분류하기",
        "examples": "예문",
        "answer": "결과",
        "legend": "낱말이 판단을 얼마나 움직였는지: 초록은 판단을 돕고 빨강은 거스릅니다. 낱말을 가리키거나 누르거나 "
        "Tab으로 옮겨 가면 값이 보입니다. 가는 선은 토큰의 경계입니다.",
        "texts": "문장 (한 줄에 하나)",
        "pairs": "문장 (한 줄에 한 행, 열 사이는 탭)",
        "from_file": "또는 파일 (txt, csv, 엑셀, json, parquet)",
        "column": "문장이 있는 열",
        "columns": "문장이 있는 열 (순서대로)",
        "csv": "모두 csv로 내려받기",
        "xlsx": "모두 엑셀(xlsx)로 내려받기",
    },
}

UNSURE = {
    "en": "The model is not sure enough: a person should decide.",
    "ko": "확신이 부족하니 사람이 판단해야 합니다.",
}


def cell(value: Any, names: Sequence[str] = ()) -> str:
    """What stands in a table for a label, several of these names, a number, or yes and no."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return label_cell(value, names)
    if isinstance(value, float):
        return f"{value:.4f}" if value == 0 or abs(value) >= 0.001 else f"{value:.4g}"
    return str(value)


def results(texts: Sequence[str], told: Sequence[Sequence[str]], language: str) -> str:
    """The first rows as a table: label and probability before the text, which may be long."""
    label, probability, text, count, first = TABLE[language]
    heads = [label, *([probability] if told and len(told[0]) > 1 else []), text]
    caption = count.format(count=len(texts)) + (f", {first.format(shown=SHOWN)}" if len(texts) > SHOWN else "")
    rows = "".join(
        f"<tr {BARE}>" + "".join(f"<td {LINE}>{html.escape(visible(value))}</td>" for value in (*more, text)) + "</tr>"
        for more, text in zip(told[:SHOWN], texts[:SHOWN], strict=True)
    )
    head = "".join(f'<th scope="col" {LINE}>{name}</th>' for name in heads)
    return f'<table class="hfcls-rows" {BARE}><caption>{caption}</caption><tr {BARE}>{head}</tr>{rows}</table>'


def answer(scores: dict[str, float], parts: list[Part], task: Task, language: str = "en") -> str:
    """The decision, a bar for each class (the 12 most probable), and the words in their colours, as HTML."""
    told = task.answer(list(scores.values()), all_scores=False)
    decision = cell(told["score"]) if isinstance(task, Regression) else shown(told.get("labels", told.get("label")))
    ranked = [] if isinstance(task, Regression) else sorted(scores.items(), key=lambda item: -item[1])[:12]
    bars = "".join(
        f'<div class="hfcls-bar"><span>{html.escape(label)}</span><div><div style="width:{score:.1%}"></div></div>'
        f"<span>{score:.1%}</span></div>"
        for label, score in ranked
    )
    largest = max((abs(part.moved) for part in parts), default=0) or 1
    words = []
    for part in parts:
        pieces = "".join(f"<span>{html.escape(token)}</span>" for token in part.tokens)
        if not part.tokens:
            words.append(f'<span class="hfcls-word hfcls-cut">{html.escape(part.text)}</span>')
            continue
        hue, strength = (160 if part.moved > 0 else 10), 0.6 * abs(part.moved) / largest
        style = f"background:hsl({hue} 70% 45% / {strength:.2f})"
        moved, name = f"{part.moved:+.3f}", html.escape(part.text)
        words.append(
            f'<button type="button" class="hfcls-word" data-moved="{moved}" aria-label="{name} {moved}" '
            f'style="{style}">{pieces}</button>'
        )
    if told.get("abstain"):
        bars += f'<p class="hfcls-legend">{UNSURE[language]}</p>'
    return f'<div class="hfcls-label">{html.escape(decision)}</div>{bars}<p class="hfcls-words">{" ".join(words)}</p>'


def write_csv(table: Sequence[Sequence[str | None]], folder: Path) -> Path:
    """In UTF-8 with its mark, which tells Excel so; nothing in it is computed."""
    path = folder / "labelled.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        csv.writer(out).writerows([[spreadsheet_cell(value or "") for value in row] for row in table])
    return path


def write_workbook(table: Sequence[Sequence[str | None]], folder: Path) -> Path:
    """One sheet; every cell is text, so that nothing in it is computed, linked or rounded."""
    import xlsxwriter  # type: ignore[import-untyped]

    path = folder / "labelled.xlsx"
    with xlsxwriter.Workbook(str(path), {"constant_memory": True}) as workbook:
        sheet = workbook.add_worksheet()
        for i, row in enumerate(table):
            for j, value in enumerate(row):
                sheet.write_string(i, j, (value or "")[:LONGEST_CELL])
    return path
