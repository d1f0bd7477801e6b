"""The HTTP application: `POST /predict`, probes, metrics and their description; errors are one line in `detail`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, Field

from hfcls.errors import HfclsError
from hfcls.inference.texts import Text, as_fitted, check_parts, check_texts, rounded
from hfcls.scoring.tasks import Regression, Task
from hfcls.serving.batcher import Batcher, Busy
from hfcls.serving.metrics import Metrics
from hfcls.serving.middleware import BearerToken, BodyLimit, Observed, max_body
from hfcls.version import __version__

Pair = Annotated[list[str], Field(min_length=2)]  # or as many texts as the model has columns


class Asked(BaseModel):
    """The body of `POST /predict`: `text`, for a pair with `text_pair`; or `texts`, a list of texts or of pairs."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"text": "정말 재미있게 봤어요"},
                {"texts": ["최고", "돈 아까움"], "all_scores": True},
                {"texts": [["비가 온다", "날씨가 궂다"]], "top_k": 2},
            ]
        },
    )

    text: str | None = Field(None, description="one text")
    text_pair: str | None = Field(None, description="the second text of a pair")
    texts: list[str | Pair] | None = Field(None, description="several texts, or several pairs", min_length=1)
    top_k: int | None = Field(None, ge=1, description="also give the k most probable labels, in `top`")
    all_scores: bool = Field(False, description="also give the probability of every label, in `scores`")

    def batch(self) -> list[Text]:
        """What is to be classified, of one kind.

        Raises:
            HTTPException: 422, the fields do not go together.
        """
        if (self.text is None) == (self.texts is None):
            raise HTTPException(422, "give either text (one) or texts (a list)")
        if self.texts is None:
            assert self.text is not None
            return [self.text if self.text_pair is None else (self.text, self.text_pair)]
        if self.text_pair is not None:
            raise HTTPException(422, "text_pair goes with text; in texts, a pair is a list of two texts")
        batch: list[Any] = [text if isinstance(text, str) else tuple(text) for text in self.texts]
        if len({type(text) for text in batch}) > 1:
            raise HTTPException(422, "texts holds texts and pairs: give all of one kind")
        return batch


class LabelScore(BaseModel):
    """A label with its probability."""

    label: str
    score: float


class Answer(BaseModel):
    """The most probable label of a text, or its labels, or its number; what else is there depends on what was asked."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [{"label": "긍정", "score": 0.916}]})

    label: str | None = Field(None, description="the most probable label; of a regression the name of its number")
    score: float | None = Field(None, description="the probability of the label, or the number")
    labels: list[str] | None = Field(None, description="of a model that gives a text any number of labels")
    abstain: bool | None = Field(None, description="of a model that knows when a person should decide: whether now")
    scores: dict[str, float] | None = Field(None, description="the probability of every label")
    top: list[LabelScore] | None = Field(None, description="the most probable labels, best first")


class Refusal(BaseModel):
    """Why a request is refused."""

    detail: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Refusal, "description": "the server wants a token"},
    413: {"model": Refusal, "description": "too many or too long texts"},
    422: {"model": Refusal, "description": "a wrong body"},
    503: {"model": Refusal, "description": "too many texts wait, or the server is stopping: see Retry-After"},
}


def build_api(
    batcher: Batcher,
    metrics: Metrics,
    *,
    name: str,
    task: Task,
    columns: Mapping[str, Any],
    max_chars: int,
    max_texts: int,
    token: str | None = None,
    cors_origin: str | None = None,
) -> FastAPI:
    """The application around a batcher, which it closes when it ends.

    Args:
        name: of the model, for the description.
        task: of the model.
        columns: of the training data, as the model remembers them.
        max_chars: characters a text may have.
        max_texts: texts that a request may have.
        token: that every request but those of probes must bring.
        cors_origin: the one other origin whose pages may call it from a browser.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        batcher.close()

    app = FastAPI(
        title=f"hfcls: {name}",
        description=f"Classifies texts as {', '.join(task.names[:12])}{', ...' if len(task.names) > 12 else ''}.",
        version=__version__,
        docs_url=None,  # they would fetch scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    # The last one added is the first that a request meets.
    app.add_middleware(BodyLimit, max_bytes=max_body(max_chars, max_texts))
    if token:
        app.add_middleware(BearerToken, token=token)
    if cors_origin:
        app.add_middleware(
            CORSMiddleware, allow_origins=[cors_origin], allow_methods=["POST"], allow_headers=["*"],
        )  # fmt: skip
    app.add_middleware(Observed, metrics=metrics)

    unit = isinstance(task, Regression)

    @app.post("/predict", response_model=Answer | list[Answer], responses=REFUSALS)
    async def predict(asked: Asked, request: Request) -> JSONResponse:
        """Label a text, a pair, or a list of these: an answer, or a list of answers in the same order."""
        texts = asked.batch()
        check_texts(texts)
        check_parts(texts, columns)  # of the whole request: batches of it would count from 0 again
        as_fitted(texts, columns)
        _check_size(texts, max_chars, max_texts)
        request.state.texts = len(texts)
        try:
            given = await batcher.classify(texts)
        except HfclsError as error:  # the texts are checked: it is the model that fails, as one does that answers NaN
            raise RuntimeError(str(error)) from error
        answers = [_wanted(answer, asked, unit=unit) for answer in given]
        return JSONResponse(answers if asked.texts is not None else answers[0])

    @app.api_route("/predict", methods=["GET", "HEAD", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def not_posted() -> None:
        """Else the page at / would answer that there is no such place."""
        raise HTTPException(405, "send the texts with POST", {"Allow": "POST"})

    @app.head("/health", include_in_schema=False)  # as some balancers ask
    @app.get("/health")
    async def health() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @app.head("/ready", include_in_schema=False)
    @app.get("/ready", responses={503: {"model": Refusal}})
    async def ready() -> dict[str, str]:
        """The model is loaded and takes requests; 503 from the moment the server is told to stop."""
        if batcher.stopping:
            raise HTTPException(503, "the server is stopping")
        return {"status": "ready"}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def show_metrics() -> PlainTextResponse:
        """Figures for Prometheus."""
        return PlainTextResponse(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.exception_handler(RequestValidationError)
    async def wrong_body(request: Request, error: RequestValidationError) -> JSONResponse:
        if isinstance(error.body, bytes):  # unread, as `curl -d` alone sends it, or a client that names no type
            return JSONResponse(
                {"detail": "the body must be JSON: send the header Content-Type: application/json"}, 422
            )
        return JSONResponse({"detail": _what_is_wrong(error)}, 422)

    @app.exception_handler(400)  # FastAPI's for what the JSON parser fails on: bytes that are not UTF-8, deep nesting
    async def no_json(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": "the body cannot be read as JSON in UTF-8"}, 422)

    @app.exception_handler(HfclsError)
    async def no_text(request: Request, error: HfclsError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422)

    @app.exception_handler(Busy)
    async def busy(request: Request, error: Busy) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503, {"Retry-After": str(error.retry_after)})

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": "something failed in the server; its log says what"}, 500)

    return app


def _check_size(texts: list[Text], max_chars: int, max_texts: int) -> None:
    if len(texts) > max_texts:
        raise HTTPException(413, f"{len(texts):,} texts; at most {max_texts:,} are taken at once")
    for index, text in enumerate(texts):
        for part in (text,) if isinstance(text, str) else text:
            if len(part) > max_chars:
                raise HTTPException(413, f"text {index} has {len(part):,} characters; at most {max_chars:,} are taken")


def _wanted(answer: dict[str, Any], asked: Asked, *, unit: bool) -> dict[str, Any]:
    """The answer as it was asked for, with the digits that float32 holds; see `rounded`."""
    scores = answer.get("scores", {})
    given = {name: value for name, value in answer.items() if name != "scores" or asked.all_scores}
    if asked.top_k:
        best = sorted(scores.items(), key=lambda item: -item[1])[: asked.top_k]
        given["top"] = [{"label": label, "score": score} for label, score in best]
    return dict(rounded(given, unit=unit))


def _what_is_wrong(error: RequestValidationError) -> str:
    """The first thing that is wrong, with its place but without what was sent, which may be long or no valid text."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return f"the body is not valid JSON, at character {first['loc'][-1]}: {first['ctx']['error']}"
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    place = place.encode("utf-8", "replace").decode()[:80]
    return f"{place}: {first['msg']}" if place else f"the body must be a JSON object: {first['msg']}"
