"""`hfcls serve`: the application on a socket, until Ctrl-C or SIGTERM."""

import asyncio
import errno
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfcls.config.commands import ServeConfig
from hfcls.errors import HfclsError
from hfcls.inference.texts import Text
from hfcls.models.compact.exported import is_exported
from hfcls.system.next_steps import INSTALL_EXTRA

if TYPE_CHECKING:
    import uvicorn

    from hfcls.serving.batcher import Batcher

PORTS = range(7860, 7960)  # of which the first free one is taken where none is given
TOKEN_VARIABLE = "HFCLS_TOKEN"
PATIENCE = 8.0  # seconds in which the requests that a signal finds are answered
GRACE = 1  # seconds for what is open then: a connection kept alive, a stream of the page


def serve(model: str, config: ServeConfig) -> None:
    """Serve until Ctrl-C or SIGTERM: what was asked before it is answered, then it ends.

    Raises:
        HfclsError: a package or the model is missing, the port is taken, or the token cannot be read.
    """
    token = _token(config.token_file)
    _listening(config.host, config.port).close()  # tried before the model is loaded, and open when it is there
    server, batcher, listening = _server(model, config, token)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    asyncio.run(_until_signal(server, batcher, listening))


def _server(model: str, config: ServeConfig, token: str | None) -> "tuple[uvicorn.Server, Batcher, socket.socket]":
    try:
        import uvicorn

        from hfcls.serving.api import build_api
        from hfcls.serving.batcher import Batcher
        from hfcls.serving.metrics import Metrics
    except ModuleNotFoundError as error:
        raise HfclsError(f"serving needs {error.name}: {INSTALL_EXTRA.format(extra='serve')}") from error
    with_page = config.page and token is None and find_spec("gradio") is not None
    classifier = _classifier(model, config, with_page=with_page)
    metrics = Metrics()

    def classify(texts: list[Text]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = classifier(texts, all_scores=True)
        return answers

    batcher = Batcher(
        classify,
        batch_size=config.batch_size,
        wait_ms=config.wait_ms,
        max_waiting=config.max_waiting,
        workers=config.workers,
        on_batch=metrics.batch,
    )
    metrics.waiting(lambda: batcher.waiting)
    listening = _listening(config.host, config.port)
    limits: dict[str, Any] = {"max_chars": config.max_chars, "max_texts": config.max_texts}
    name, (host, port) = Path(model).name or "model", listening.getsockname()[:2]
    app = build_api(
        batcher, metrics, name=name, task=classifier.task, columns=classifier.columns, **limits, token=token,
        cors_origin=config.cors_origin,
    )  # fmt: skip
    if with_page:
        from hfcls.serving.app import mount_page

        mount_page(app, classifier, model, host, port, **limits)
    host = f"[{config.host}]" if ":" in config.host else config.host

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # `_until_signal` does: uvicorn's would raise the signal again at the end

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            print(f"{model} is at http://{host}:{port}/ (Ctrl-C ends it)", flush=True)

    settings = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=GRACE
    )
    return Server(settings), batcher, listening


async def _until_signal(server: "uvicorn.Server", batcher: "Batcher", listening: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    endings: list[asyncio.Task[None]] = []

    async def end() -> None:
        await batcher.drain(PATIENCE)
        server.should_exit = True

    def stop() -> None:
        if endings:  # the second signal: at once
            server.should_exit = server.force_exit = True
        else:
            endings.append(loop.create_task(end()))

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    await server.serve([listening])


def _classifier(model: str, config: ServeConfig, *, with_page: bool) -> Any:
    """The light client where it is enough: the page marks tokens, which needs a tokenizer of transformers."""
    if is_exported(Path(model).expanduser()) and not with_page and config.precision == "float32":
        from hfcls.inference.onnx_classifier import OnnxClassifier

        return OnnxClassifier.from_pretrained(model, batch_size=config.batch_size)
    try:
        from hfcls.inference.classifier import Classifier
    except ModuleNotFoundError as error:
        raise HfclsError(
            f"{model} needs {error.name}, which is not installed: `hfcls export` makes a folder that runs without it"
        ) from error
    return Classifier.from_pretrained(
        model, trust_remote_code=config.trust_remote_code, batch_size=config.batch_size, precision=config.precision
    )


def _token(path: str | None) -> str | None:
    """The token of the file, else of the variable, else none.

    Raises:
        HfclsError: the file cannot be read, or the token is empty or cannot stand in a header.
    """
    if path is None:
        token, source = os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE
        if token is None:
            return None
    else:
        source = path
        try:
            token = Path(path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise HfclsError(f"cannot read token_file {path} ({reason}): give a file with one line") from error
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise HfclsError(f"{source} holds no token: one line of letters, digits and signs is needed")
    return token


def _listening(host: str, port: int | None) -> socket.socket:
    """A socket at the port, or at the first free one of `PORTS`."""
    reason = ""
    for number in PORTS if port is None else [port]:
        listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, number))
            listening.listen()  # two sockets may be bound to a port as long as none of them listens
            return listening
        except OSError as error:
            listening.close()
            reason = error.strerror or str(error)
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:  # so at any port
                raise HfclsError(f"{host} is no address of this machine ({reason}): choose another --host") from error
    if port is None:
        raise HfclsError(f"no free port from {PORTS[0]} to {PORTS[-1]} on {host} ({reason}): set --port")
    raise HfclsError(f"cannot listen on {host}, port {port} ({reason}): choose another --port")
