"""The page of `hfcls serve`: one text with how much each word weighed, many texts, and the same as an API."""

import csv
import html
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from hfcls.data.readers import DELIMITERS
from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.inference.occlusion import Part, occlusion
from hfcls.scoring.tasks import MultiLabel, Regression, Task, shown
from hfcls.serving.reading import limited, read_rows
from hfcls.system.quoting import label_cell, one_line, spreadsheet_cell

T = TypeVar("T")

TEXTS = {
    "en": {
        "title": "# Try the model",
        "one": "One text",
        "many": "Many texts",
        "text": "Text",
        "text_hint": "Type a sentence and press Enter",
        "classify": "Classify",
        "examples": "Examples",
        "answer": "Answer",
        "legend": "How much each word moved the decision: green speaks for it, red against it. Thin lines part tokens.",
        "texts": "Texts, one a line",
        "from_file": "or a file (txt, csv, tsv)",
        "results": "Results (the first 100)",
        "download": "Download all as csv",
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
        "legend": "낱말이 판단을 얼마나 움직였는지: 초록은 판단을 돕고 빨강은 거스릅니다. 가는 선은 토큰의 경계입니다.",
        "texts": "문장 (한 줄에 하나)",
        "from_file": "또는 파일 (txt, csv, tsv)",
        "results": "결과 (앞의 100개)",
        "download": "모두 csv로 내려받기",
    },
}
t = gr.I18n(**TEXTS)  # chooses by the language of the browser; `launch` must be given it too
UNSURE = "확신이 부족하니 사람이 판단해야 합니다. The model is not sure enough: a person should decide."
SHOWN = 100
PREDICTED = {"predicted_label": "label", "predicted_score": "score"}  # columns -> what stands in them
# Fonts of the system, one with Hangul on each: nothing is fetched.
FONTS = ("system-ui", "Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans KR", "Noto Sans CJK KR", "NanumGothic")
CSS = """
.gradio-container, .gradio-container main { width: 100%; max-width: 46rem !important; margin: 0 auto !important; }
footer > :not(.show-api) { display: none !important; }
.hfcls-name .html-container { padding: 0 !important; }
.hfcls-label { font-size: 1.75rem; font-weight: 600; margin: 0 0 .75rem; }
.hfcls-bar { display: grid; grid-template-columns: minmax(4rem, max-content) 1fr 3.5rem; gap: .75rem;
  align-items: center; margin: .375rem 0; }
.hfcls-bar > div { height: .625rem; border-radius: .3rem; background: var(--neutral-200); overflow: hidden; }
.dark .hfcls-bar > div { background: var(--neutral-700); }
.hfcls-bar > div > div { height: 100%; background: var(--neutral-400); }
.hfcls-label + .hfcls-bar > div > div { background: var(--primary-500); }
.hfcls-bar > span:last-child { text-align: right; font-variant-numeric: tabular-nums; }
.hfcls-words { margin: 1.25rem 0 .5rem; line-height: 2.2; overflow-wrap: anywhere; }
.hfcls-word { display: inline-block; max-width: 100%; line-height: 1.4; padding: .2rem .3rem; border-radius: .3rem; }
.hfcls-word > span + span { border-left: 1px solid color-mix(in srgb, currentColor 35%, transparent); }
.hfcls-legend { font-size: .85rem; opacity: .8; }
.hfcls-cut { opacity: .4; text-decoration: line-through; }
"""


def theme() -> gr.themes.Base:
    """Plain and calm, in the fonts of the system."""
    return gr.themes.Base(
        primary_hue="teal", neutral_hue="slate", font=[*FONTS, "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )


def build_page(
    classifier: Classifier, *, name: str, examples: Sequence[str] = (), max_chars: int, max_texts: int
) -> gr.Blocks:
    """The page and the API `/classify`, `/classify_many` and `/explain`, which take the same limits."""

    def classify(text: str) -> dict[str, Any]:
        return _with_errors_shown(lambda: classifier(limited([text], max_chars, 1)[0], all_scores=True))

    def classify_many(texts: list[str]) -> list[dict[str, Any]]:
        return _with_errors_shown(lambda: classifier(limited(texts, max_chars, max_texts), all_scores=True))

    def explain(text: str) -> dict[str, Any]:
        scores, parts = _with_errors_shown(lambda: occlusion(classifier, limited([text], max_chars, 1)[0]))
        return {"scores": scores, "parts": [vars(part) for part in parts]}

    def show(text: str) -> tuple[str, Any]:
        scores, parts = _with_errors_shown(lambda: occlusion(classifier, limited([text], max_chars, 1)[0]))
        return answer(scores, parts, classifier.task), gr.Markdown(visible=True)

    def label(texts: str, file: str | None) -> tuple[Any, Any]:
        header, rows = _with_errors_shown(lambda: read_rows(texts, file, max_chars, max_texts))
        column = header.index("text")
        answers = _with_errors_shown(lambda: classifier(limited([row[column] for row in rows], max_chars, max_texts)))
        added = {"predicted_labels": "labels"} if isinstance(classifier.task, MultiLabel) else dict(PREDICTED)
        if getattr(classifier.task, "abstain_below", None) is not None:
            added["abstain"] = "abstain"
        header = [*header, *added]
        rows = [
            [*row, *(cell(a[key], classifier.labels) for key in added.values())]
            for row, a in zip(rows, answers, strict=True)
        ]
        with tempfile.TemporaryDirectory(prefix="hfcls-") as aside:
            path = Path(aside) / "labelled.csv"
            with path.open("w", encoding="utf-8-sig", newline="") as out:  # the mark tells Excel that it is UTF-8
                csv.writer(out).writerows([map(spreadsheet_cell, row) for row in (header, *rows)])
            kept = download.move_resource_to_block_cache(path)  # Gradio's copy, which goes with its `delete_cache`
        table = gr.Dataframe(value=rows[:SHOWN], headers=header, visible=True)
        return table, gr.DownloadButton(value=kept, visible=True)

    with gr.Blocks(title=f"hfcls: {one_line(name)}", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown(t("title"))
        labels = " / ".join(map(one_line, classifier.labels[:12]))
        gr.HTML(f"<code>{html.escape(one_line(name))}</code> · {html.escape(labels)}", elem_classes="hfcls-name")
        with gr.Tab(t("one")):
            text = gr.Textbox(label=t("text"), placeholder=t("text_hint"), lines=1, max_lines=8, autofocus=True)
            button = gr.Button(t("classify"), variant="primary")
            out = gr.HTML(label=t("answer"))
            legend = gr.Markdown(t("legend"), elem_classes="hfcls-legend", visible=False)
            if examples:
                gr.Examples(
                    [[example] for example in examples], text, [out, legend], show, label=t("examples"),
                    run_on_click=True, cache_examples=False, api_visibility="private",
                )  # fmt: skip
            gr.on(
                [text.submit, button.click],
                show,
                text,
                [out, legend],
                show_progress="minimal",
                api_visibility="private",
            )
        with gr.Tab(t("many")):
            texts = gr.Textbox(label=t("texts"), lines=5, max_lines=12)
            file = gr.File(label=t("from_file"), file_types=[*DELIMITERS], height=140)
            run = gr.Button(t("classify"), variant="primary")
            table = gr.Dataframe(label=t("results"), visible=False, interactive=False, wrap=True)
            download = gr.DownloadButton(t("download"), visible=False)  # type: ignore[arg-type]  # it takes both
            run.click(label, [texts, file], [table, download], show_progress="minimal", api_visibility="private")
        for function in (classify, classify_many, explain):
            gr.api(function, api_name=function.__name__)
    return page


def cell(value: Any, names: Sequence[str] = ()) -> str:
    """What stands in a table for a label, several of these names, a number, or yes and no."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return label_cell(value, names)
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def answer(scores: dict[str, float], parts: list[Part], task: Task) -> str:
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
        words.append(f'<span class="hfcls-word" title="{part.moved:+.3f}" style="{style}">{pieces}</span>')
    if told.get("abstain"):
        bars += f'<p class="hfcls-legend">{UNSURE}</p>'
    return f'<div class="hfcls-label">{html.escape(decision)}</div>{bars}<p class="hfcls-words">{" ".join(words)}</p>'


def _with_errors_shown(work: Callable[[], T]) -> T:
    """Our errors reach the page, which reads them as HTML, and the API; Gradio hides all others."""
    try:
        return work()
    except HfclsError as error:
        message = html.escape(str(error), quote=False)
        raise gr.Error(message, duration=None, print_exception=False) from error
