"""The page alone, `hfcls.launch_demo` in a notebook cell, and as a part of the application of `hfcls serve`."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.runs.folder import RESULTS_FILE
from hfcls.serving.reading import parts_of
from hfcls.system.next_steps import INSTALL_EXTRA
from hfcls.system.quoting import shortened

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import FastAPI

EXAMPLE_CHARS = 60  # of a text that looks well on a button
SETTINGS: dict[str, Any] = {
    "show_error": False,
    "max_file_size": "20mb",
    "footer_links": ["api"],
    "run_history": False,
    "ssr_mode": False,
    "enable_monitoring": False,
}
TELEMETRY = "HF_HUB_DISABLE_TELEMETRY"  # Gradio sets it for the whole process where no usage figures are wanted


def launch_demo(
    model: str | Classifier,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    max_chars: int = 2_000,
    max_texts: int = 1_000,
    trust_remote_code: bool = False,
    precision: str = "float32",
) -> "gr.Blocks":
    """Start the demonstration of a model and return it; a notebook shows it in its cell. `close()` ends it.

    Nothing leaves the machine: no tunnel, no account, no font or script from elsewhere, no usage figures.

    Args:
        model: a classifier, or the folder or Hub id of one.
        host: address to listen on; 0.0.0.0 lets other machines in.
        port: default: the first free one from 7860 on.
        max_chars: characters a text may have.
        max_texts: texts that may come at once.
        trust_remote_code: run Python code that the model's repository holds, if it needs any.
        precision: float32, int8 or bf16, see `Classifier.from_pretrained`.

    Raises:
        HfclsError: Gradio is not installed, the port is taken, or there is no classifier.
    """
    try:
        from starlette.middleware import Middleware

        from hfcls.serving.middleware import BodyLimit, max_body
        from hfcls.serving.page import CSS, t, theme
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(("gradio", "starlette", "fastapi", "prometheus_client")):
            raise
        raise HfclsError(f"the demo needs Gradio: {INSTALL_EXTRA.format(extra='serve')}") from error
    if port is not None:
        _check_free(host, port)
    name = model if isinstance(model, str) else model.model.config.name_or_path
    if isinstance(model, str):
        model = Classifier.from_pretrained(model, trust_remote_code=trust_remote_code, precision=precision)
    page = _page(model, name, max_chars, max_texts)
    try:
        page.launch(
            server_name=host, server_port=port, share=False, prevent_thread_lock=True, quiet=True,
            theme=theme(), css=CSS, i18n=t, **SETTINGS,
            app_kwargs={"middleware": [Middleware(BodyLimit, max_bytes=max_body(max_chars, max_texts))]},
        )  # fmt: skip
    except OSError as error:
        raise HfclsError(f"no free port from 7860 to 7959 on {host}: set --port ({error})") from error
    return page


def mount_page(
    app: "FastAPI", classifier: Classifier, name: str, host: str, port: int, *, max_chars: int, max_texts: int
) -> None:
    """Give an application the page at `/`."""
    import gradio as gr

    from hfcls.serving.page import CSS, t, theme

    page = _page(classifier, name, max_chars, max_texts)
    gr.mount_gradio_app(app, page, "/", server_name=host, server_port=port, theme=theme(), css=CSS, i18n=t, **SETTINGS)


def _page(classifier: Classifier, name: str, max_chars: int, max_texts: int) -> "gr.Blocks":
    from hfcls.serving.page import build_page

    with _kept_in_environment(TELEMETRY):
        page = build_page(
            classifier,
            name=Path(name).name or "model",
            examples=_examples(name, classifier.columns),
            max_chars=max_chars,
            max_texts=max_texts,
        )
    return page.queue(max_size=1_000, default_concurrency_limit=os.cpu_count() or 1)


def _check_free(host: str, port: int) -> None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise HfclsError(f"cannot listen on {host}, port {port} ({error.strerror}): choose another --port") from error


@contextmanager
def _kept_in_environment(variable: str) -> Iterator[None]:
    """Whatever is done in this context, the variable is as before after it."""
    before = os.environ.get(variable)
    try:
        yield
    finally:
        os.environ.pop(variable, None)
        if before is not None:
            os.environ[variable] = before


def _examples(folder: str, columns: Mapping[str, Any]) -> list[list[str]]:
    """Held-out texts that the run kept in its results, if it did: as many each as the model reads together."""
    names, joint = parts_of(columns), columns.get("joint")
    try:
        results: dict[str, Any] = json.loads((Path(folder) / RESULTS_FILE).read_text(encoding="utf-8"))
        kept = []
        for example in results["examples"]:
            texts = example["text"].split(joint) if joint else [example["text"], example.get("text_pair") or ""]
            if len(texts) >= len(names):
                kept.append([shortened(text, EXAMPLE_CHARS) for text in texts[: len(names)]])
        return [texts for texts in kept if any(texts)][:4]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
