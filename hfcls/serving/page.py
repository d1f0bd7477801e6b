"""The page of `hfcls serve`: one text with how much each word weighed, many texts, and the same as an API."""

import html
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from hfcls.data.formats.table import unique_names
from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.inference.occlusion import occlusion
from hfcls.scoring.tasks import MultiLabel
from hfcls.serving.answers import PAGE, answer, cell, results, write_csv, write_workbook
from hfcls.serving.reading import (
    FILE_TYPES,
    VisitorError,
    check_some,
    columns_of,
    is_lines,
    likely_column,
    limited,
    parts_of,
    read_rows,
    texts_there,
)
from hfcls.system.quoting import one_line

T = TypeVar("T")

t = gr.I18n(**PAGE)  # chooses by the language of the browser; `launch` must be given it too
AT_ONCE = 64  # texts between two signs of progress
PREDICTED = {"predicted_label": "label", "predicted_score": "score"}  # columns -> what stands in them
# Fonts of the system, one with Hangul on each: nothing is fetched.
FONTS = ("system-ui", "Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans KR", "Noto Sans CJK KR", "NanumGothic")
CSS = """
.gradio-container, .toast-wrap { word-break: keep-all; overflow-wrap: anywhere; }
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
.hfcls-word { display: inline-block; position: relative; border: 0; margin: 0; font: inherit; color: inherit;
  max-width: 100%; line-height: 1.4; padding: .2rem .3rem; border-radius: .3rem; }
.hfcls-word > span + span { border-left: 1px solid color-mix(in srgb, currentColor 35%, transparent); }
.hfcls-word[data-moved]:is(:hover, :focus-visible, :focus)::after { content: attr(data-moved); position: absolute;
  left: 0; bottom: 100%; z-index: 2; padding: .1rem .4rem; border-radius: .3rem; font-size: .8rem; white-space: nowrap;
  background: var(--neutral-900); color: #fff; }
.hfcls-word:focus-visible { outline: 2px solid var(--primary-600); }
button[role=tab].selected { color: var(--primary-700) !important; }
.dark button[role=tab].selected { color: var(--primary-400) !important; }
input.subdued { color: inherit !important; }
span.or { color: var(--neutral-600) !important; }
.dark span.or { color: var(--neutral-300) !important; }
footer .show-api { color: var(--neutral-600) !important; }
.dark footer .show-api { color: var(--neutral-300) !important; }
.hfcls-rows { width: 100%; border-collapse: collapse; font-size: .95rem; }
.hfcls-rows caption { text-align: left; padding: .5rem 0; }
.hfcls-rows th, .hfcls-rows td { text-align: left; vertical-align: top; overflow-wrap: anywhere; }
.hfcls-rows td:first-child { font-weight: 600; min-width: 3.5rem; }
.hfcls-rows td:nth-child(2) { font-variant-numeric: tabular-nums; white-space: nowrap; }
.hfcls-rows th { white-space: nowrap; }
.hfcls-legend { font-size: .85rem; opacity: .8; word-break: keep-all; }
.hfcls-cut { opacity: .4; text-decoration: line-through; }
"""

# Gradio 6.31 notes that `?view=api` asks for the description of the API, and shows it after a click only.
OPEN_API = """() => {
  const asked = () => new URLSearchParams(location.search).get("view") === "api";
  const link = document.querySelector("footer .show-api");
  if (asked() && link) { link.click(); if (!asked()) link.click(); }
}"""


def theme() -> gr.themes.Base:
    """Plain and calm, in the fonts of the system."""
    return gr.themes.Base(
        primary_hue="teal", neutral_hue="slate", font=[*FONTS, "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ).set(  # white on teal is readable from 700 on
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
    )


def build_page(
    classifier: Classifier, *, name: str, examples: Sequence[Sequence[str]] = (), max_chars: int, max_texts: int
) -> gr.Blocks:
    """The page and the API `/classify`, `/classify_many` and `/explain`, which take the same limits.

    Args:
        examples: each a text, or as many as the model reads together.
    """
    names = parts_of(classifier.columns)
    joined = "text_columns" in classifier.columns

    def classify(text: str) -> dict[str, Any]:
        return _with_errors_shown(lambda: classifier(limited([text], max_chars, 1)[0], all_scores=True))

    def classify_many(texts: list[str]) -> list[dict[str, Any]]:
        return _with_errors_shown(lambda: classifier(limited(texts, max_chars, max_texts), all_scores=True))

    def explain(text: str) -> dict[str, Any]:
        scores, parts = _with_errors_shown(lambda: occlusion(classifier, limited([text], max_chars, 1)[0]))
        return {"scores": scores, "parts": [vars(part) for part in parts]}

    def show(request: gr.Request | None, *texts: str) -> tuple[str, Any]:
        checked = _with_errors_shown(lambda: limited([*texts], max_chars, len(names)), request)
        one: Any = checked[0] if len(names) == 1 else tuple(checked)
        scores, parts = _with_errors_shown(lambda: occlusion(classifier, one), request)
        return answer(scores, parts, classifier.task, _language(request)), gr.Markdown(visible=True)

    def likely(columns: list[str]) -> list[str]:
        found = [likely_column(columns, wanted) for wanted in names]
        return [column for column in found if column] if len({*found}) == len(names) else []

    def columns(file: str | None, request: gr.Request | None = None) -> Any:
        if not file or _with_errors_shown(lambda: is_lines(file, len(names)), request):
            return gr.Dropdown(choices=[], value=None, visible=False)
        found = _with_errors_shown(lambda: columns_of(file, max_texts), request)
        chosen: Any = likely(found) if len(names) > 1 else next(iter(likely(found)), None)
        return gr.Dropdown(choices=found, value=chosen, visible=True, multiselect=len(names) > 1)

    def label(
        texts: str,
        file: str | None,
        column: str | list[str] | None = None,
        request: gr.Request | None = None,
        progress: Any = gr.Progress(),  # noqa: B008  # so Gradio wants it
    ) -> tuple[Any, Any, Any]:
        chosen = [column] if isinstance(column, str) else column or []
        if not file or _with_errors_shown(lambda: is_lines(file, len(names)), request):
            chosen = names
        elif not chosen:  # whoever is faster than the chooser
            chosen = likely(_with_errors_shown(lambda: columns_of(file, max_texts), request))
        reading = max_chars, max_texts, len(names)
        header, rows = _with_errors_shown(lambda: read_rows(texts, file, chosen, *reading), request)
        found = texts_there([[row[header.index(name)] for name in chosen] for row in rows], joined=joined)
        there = [text for text in found if text is not None]
        _with_errors_shown(lambda: check_some(map("".join, there)), request)
        answers: list[Any] = []
        for start in range(0, len(there), AT_ONCE):
            progress((start, len(there)))
            part: Any = [text if len(names) > 1 else text[0] for text in there[start : start + AT_ONCE]]
            answers += _with_errors_shown(lambda part=part: classifier(part), request)  # type: ignore[misc]
        added = {"predicted_labels": "labels"} if isinstance(classifier.task, MultiLabel) else dict(PREDICTED)
        if getattr(classifier.task, "abstain_below", None) is not None:
            added["abstain"] = "abstain"
        labelled = iter([[cell(a[key], classifier.labels) for key in added.values()] for a in answers])
        told = [[""] * len(added) if text is None else next(labelled) for text in found]
        named = unique_names([*header, *added])
        table: list[list[Any]] = [named, *([*row, *more] for row, more in zip(rows, told, strict=True))]
        with tempfile.TemporaryDirectory(prefix="hfcls-") as aside:
            files = [write_csv(table, Path(aside)), write_workbook(table, Path(aside))]
            kept = [download.move_resource_to_block_cache(path) for path in files]  # Gradio's copies, which it deletes
        shown_rows = results([" / ".join(text or ()) for text in found], told, _language(request))
        return (
            gr.HTML(shown_rows, visible=True),
            gr.DownloadButton(value=kept[0], visible=True),
            gr.DownloadButton(value=kept[1], visible=True),
        )

    with gr.Blocks(title=f"hfcls: {one_line(name)}", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown(t("title"))
        labels = " / ".join(map(one_line, classifier.labels[:12]))
        gr.HTML(f"<code>{html.escape(one_line(name))}</code> · {html.escape(labels)}", elem_classes="hfcls-name")
        with gr.Tab(t("one")):
            heads: list[Any] = [one_line(part) for part in names] if len(names) > 1 else [t("text")]
            boxes = [
                gr.Textbox(label=head, placeholder=t("text_hint"), lines=1, max_lines=8, autofocus=i == 0)
                for i, head in enumerate(heads)
            ]
            button = gr.Button(t("classify"), variant="primary")
            out = gr.HTML(label=t("answer"))
            legend = gr.Markdown(t("legend"), elem_classes="hfcls-legend", visible=False)
            if examples:
                gr.Examples(
                    [*map(list, examples)], boxes, [out, legend], show, label=t("examples"),
                    run_on_click=True, cache_examples=False, api_visibility="private",
                )  # fmt: skip
            gr.on(
                [*(box.submit for box in boxes), button.click],
                show,
                boxes,
                [out, legend],
                show_progress="minimal",
                api_visibility="private",
            )
        with gr.Tab(t("many")):
            several = len(names) > 1
            texts = gr.Textbox(label=t("pairs" if several else "texts"), lines=5, max_lines=12)
            file = gr.File(label=t("from_file"), file_types=[*FILE_TYPES], height=140)
            column = gr.Dropdown(
                label=t("columns" if several else "column"), visible=False, interactive=True, multiselect=several
            )
            run = gr.Button(t("classify"), variant="primary")
            with gr.Row():
                download = gr.DownloadButton(t("csv"), visible=False)  # type: ignore[arg-type]  # it takes both
                workbook = gr.DownloadButton(t("xlsx"), visible=False)  # type: ignore[arg-type]
            table = gr.HTML(visible=False)
            file.change(columns, file, column, show_progress="hidden", api_visibility="private")
            run.click(
                label, [texts, file, column], [table, download, workbook], show_progress="full",
                show_progress_on=table, api_visibility="private",
            )  # fmt: skip
        page.load(None, js=OPEN_API, api_visibility="private")
        for function in (classify, classify_many, explain):
            gr.api(function, api_name=function.__name__)
    return page


def _language(request: gr.Request | None) -> str:
    """Of the page: Korean where the browser asks for it first, as Gradio's own texts have it."""
    asked = request.headers.get("accept-language", "") if request and request.headers else ""
    return "ko" if asked.lower().startswith("ko") else "en"


def _with_errors_shown(work: Callable[[], T], request: gr.Request | None = None) -> T:
    """Our errors reach the page, which reads them as HTML, and the API; Gradio hides all others."""
    try:
        return work()
    except HfclsError as error:
        language = _language(request)
        told = error.in_language[language] if isinstance(error, VisitorError) and request else str(error)
        title = {"ko": "오류", "en": "Error"}[language]
        raise gr.Error(html.escape(told, quote=False), None, title=title, print_exception=False) from error
