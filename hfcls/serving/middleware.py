"""What stands between a client and the application: a line of log for each request, the token, the limit of a body."""

import hmac
import json
import logging
import re
import secrets
import time
from datetime import datetime, timezone
from typing import Any

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hfcls.serving.metrics import Metrics

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
OURS = ("/predict", "/health", "/ready", "/metrics", "/openapi.json")
OPEN = ("/health", "/ready")  # a probe has no token; nor is it worth a line of log
CHARACTER_BYTES = 12  # that JSON may take for one, as in \ud83d\ude00
READ_AWAY = 4  # times the limit: a client that is still sending sees its connection reset, and no answer
UPLOAD = "/upload"  # ends the path to which Gradio lets files be sent, up to its `max_file_size`


class Observed:
    """Gives each request an id, counts it, and logs one line of JSON when it is answered; never what it holds."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        state: dict[str, Any] = scope.setdefault("state", {})
        status, began = 500, time.perf_counter()

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            await self.app(scope, receive, with_id)
        finally:
            seconds, path = time.perf_counter() - began, scope["path"]
            self.metrics.request(path if path in OURS else "other", status, seconds)
            if path not in OPEN:
                line = {
                    "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                    "request_id": request_id,
                    "method": scope["method"],
                    "path": path[:200],
                    "status": status,
                    "ms": round(1000 * seconds, 1),
                }
                if "texts" in state:
                    line["texts"] = state["texts"]
                logger.info(json.dumps(line), extra={"whole": True})


class BearerToken:
    """Lets in who brings `Authorization: Bearer TOKEN`; probes need none."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self.expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self.expected):
                answer = JSONResponse(
                    {"detail": "a token is needed: send the header `Authorization: Bearer TOKEN`"},
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)


class BodyLimit:
    """A request larger than `max_bytes` is answered with status 413; a very large one is not read to its end.

    Gradio limits uploads and nothing else: 100 MB of JSON took it 1 GB, of which half stayed.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def within_limit() -> Message:
            nonlocal read
            message: dict[str, Any] = dict(await receive())
            read += len(message.get("body", b""))
            if read > self.max_bytes:
                while message.get("more_body") and read < READ_AWAY * self.max_bytes:  # nothing of it is kept
                    message = dict(await receive())
                    read += len(message.get("body", b""))
                raise HTTPException(413, f"the request is larger than {self.max_bytes:,} bytes")
            return message

        is_limited = scope["type"] == "http" and not scope["path"].endswith(UPLOAD)
        await self.app(scope, within_limit if is_limited else receive, send)


def max_body(max_chars: int, max_texts: int) -> int:
    """Bytes that a request may have: as many as `max_texts` texts of `max_chars` characters can take in JSON."""
    return max_texts * (CHARACTER_BYTES * max_chars + 4) + (1 << 16)
