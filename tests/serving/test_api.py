"""`POST /predict`, probes and metrics: in this process, and the real command over sockets."""

import asyncio
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from fastapi import HTTPException
from fastapi.testclient import TestClient
from uvicorn.protocols.http.auto import AutoHTTPProtocol

import hfcls
from hfcls import cli
from hfcls.errors import HfclsError
from hfcls.scoring.tasks import Regression, SingleLabel
from hfcls.serving.api import build_api
from hfcls.serving.batcher import Batcher, Busy
from hfcls.serving.metrics import Metrics
from hfcls.serving.middleware import BodyLimit
from hfcls.serving.server import _listening, _token


@pytest.fixture(scope="module")
def classifier(classifier_folder):
    return hfcls.Classifier.from_pretrained(classifier_folder)


@contextmanager
def client_of(classify, task, **options) -> Iterator[TestClient]:
    metrics = Metrics()
    batcher = Batcher(classify, batch_size=16, wait_ms=2, max_waiting=50, on_batch=metrics.batch)
    metrics.waiting(lambda: batcher.waiting)
    given = {"columns": {}, "max_chars": 100, "max_texts": 10, **options}
    app = build_api(batcher, metrics, name="a/model", task=task, **given)
    with TestClient(app, raise_server_exceptions=False) as client:
        client.batcher = batcher
        yield client


@pytest.fixture
def client(classifier):
    with client_of(lambda texts: classifier(texts, all_scores=True), classifier.task) as client:
        yield client


def close(answer, expected):
    return answer["label"] == expected["label"] and answer["score"] == pytest.approx(expected["score"], abs=2e-6)


def test_a_text_a_list_and_pairs_are_answered_as_the_classifier_does(client, classifier):
    assert close(client.post("/predict", json={"text": "최고 추천"}).json(), classifier("최고 추천"))
    texts = ["최고 추천", "별로 실망", ""]
    answers = client.post("/predict", json={"texts": texts}).json()
    assert all(map(close, answers, classifier(texts)))
    pair = ("최고", "별로 실망")
    assert close(client.post("/predict", json={"text": pair[0], "text_pair": pair[1]}).json(), classifier(pair))
    (answer,) = client.post("/predict", json={"texts": [list(pair)]}).json()
    assert close(answer, classifier(pair))
    assert set(answer) == {"label", "score"}


def test_a_model_that_knows_when_to_abstain_says_so_beside_each_answer(classifier):
    task = SingleLabel(classifier.labels, abstain_below=0.6)
    rows = [[0.3, 0.7], [0.55, 0.45]]

    def classify(texts):
        return [task.answer(row, all_scores=True) for row in rows[: len(texts)]]

    with client_of(classify, task) as client:
        answers = client.post("/predict", json={"texts": ["최고", "글쎄"]}).json()
        assert answers == [
            {"label": "긍정", "score": 0.7, "abstain": False},
            {"label": "부정", "score": 0.55, "abstain": True},
        ]
        answer = client.post("/predict", json={"text": "최고", "top_k": 1}).json()
        assert answer == {"label": "긍정", "score": 0.7, "abstain": False, "top": [{"label": "긍정", "score": 0.7}]}


def test_the_numbers_of_a_regression_keep_the_digits_of_float32():
    with client_of(lambda texts: [{"label": "g", "score": 1.17057986e-07}] * len(texts), Regression(["g"])) as client:
        assert client.post("/predict", json={"text": "최고"}).json() == {"label": "g", "score": 1.17057986e-07}


def test_a_text_is_named_by_its_place_in_the_request(classifier):
    """Which is answered in batches of 16."""
    columns = {"text_columns": ["title", "body"], "joint": " [SEP] "}
    texts = ["제목 [SEP] 글"] * 20 + ["글"]
    with client_of(
        lambda texts: classifier(texts, all_scores=True), classifier.task, columns=columns, max_texts=50
    ) as client:
        assert "text 20 is a single text" in client.post("/predict", json={"texts": texts}).json()["detail"]


def test_scores_and_the_best_labels_come_where_they_are_asked_for(client, classifier):
    expected = classifier("최고", all_scores=True)["scores"]
    answer = client.post("/predict", json={"text": "최고", "all_scores": True, "top_k": 5}).json()
    assert answer["scores"] == pytest.approx(expected, abs=1e-6)
    assert [entry["label"] for entry in answer["top"]] == sorted(expected, key=expected.get, reverse=True)
    assert answer["top"][0] == {"label": answer["label"], "score": answer["score"]}
    assert len(str(answer["score"])) <= 8
    assert len(client.post("/predict", json={"texts": ["최고"], "top_k": 1}).json()[0]["top"]) == 1


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (422, b"{}", "give either text (one) or texts (a list)"),
        (422, b'{"text": "a", "texts": ["a"]}', "give either text (one) or texts (a list)"),
        (422, b'{"texts": ["a"], "text_pair": "b"}', "in texts, a pair is a list of two texts"),
        (422, b'{"texts": ["a", ["b", "c"]]}', "texts holds texts and pairs: give all of one kind"),
        (422, b'{"texts": []}', "texts: List should have at least 1 item"),
        (422, b'{"texts": [["a"]]}', "texts.0"),
        (422, b'{"texts": "a"}', "texts: Input should be a valid list"),
        (422, b'{"text": 3}', "text: Input should be a valid string"),
        (422, b'{"text": null}', "give either text"),
        (422, b'{"text": "a", "top_k": 0}', "top_k: Input should be greater than or equal to 1"),
        (422, b'{"text": "a", "topk": 2}', "topk: Extra inputs are not permitted"),
        (422, rb'{"text": "\ud800"}', "text 0 has half a character (U+D800)"),
        (422, rb'{"\ud800": "a", "text": "a"}', "the body must be a JSON object"),
        (422, b'{"text": ', "the body is not valid JSON, at character 9: Expecting value"),
        (422, b"", "Field required"),
        (422, b"[" * 60_000, "JSON"),
        (422, b'{"text": "\xff\xfe"}', "cannot be read as JSON in UTF-8"),
        (422, b'"a"', "the body must be a JSON object"),
        (413, json.dumps({"text": "가" * 101}).encode(), "text 0 has 101 characters; at most 100 are taken"),
        (413, json.dumps({"text": "가", "text_pair": "나" * 101}).encode(), "at most 100 are taken"),
        (413, json.dumps({"texts": ["가"] * 11}).encode(), "11 texts; at most 10 are taken at once"),
        (413, b'{"text": "' + b"a" * 200_000 + b'"}', "the request is larger than"),
        (200, rb'{"text": "\u0000\ufeff\ud83d\ude00\u202e"}', ""),
        (200, b'{"text": ""}', ""),
    ],
)
def test_a_clients_mistake_is_told_in_a_line_and_is_never_a_failure_of_the_server(client, status, body, message):
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    if message:
        assert message in answer.json()["detail"]
        assert "\n" not in answer.json()["detail"]
        assert len(answer.content) < 300


@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {}], ids=["text", "none"])
def test_a_body_of_another_type_is_told_how_to_come(client, headers):
    answer = client.post("/predict", content=b'{"text": "a"}', headers=headers)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "the body must be JSON: send the header Content-Type: application/json"


@pytest.mark.parametrize(("size", "read"), [(500, 500), (10_000, 600)])
def test_a_body_beyond_the_limit_is_read_away_for_the_client_to_hear_why(size, read):
    """Whose connection ends while it sends sees no answer; but nobody can send on and on."""
    given = 0

    async def receive():
        nonlocal given
        given += 100
        return {"type": "http.request", "body": b"a" * 100, "more_body": given < size}

    async def app(scope, receive, send):
        while (await receive())["more_body"]:
            pass

    answer = BodyLimit(app, max_bytes=150)({"type": "http", "path": "/predict"}, receive, None)
    with (
        ThreadPoolExecutor(1) as pool,  # asyncio.run would drop the main thread's event loop
        pytest.raises(HTTPException, match="the request is larger than 150 bytes") as raised,
    ):
        pool.submit(asyncio.run, answer).result()
    assert raised.value.status_code == 413
    assert given == read


def test_probes_metrics_and_description(client):
    client.post("/predict", json={"texts": ["a", "b"]})
    client.post("/predict", json={})
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}
    assert [client.head(path).status_code for path in ("/health", "/ready")] == [200, 200]
    figures = client.get("/metrics")
    assert figures.headers["content-type"].startswith("text/plain; version=")
    for line in (
        'hfcls_requests_total{path="/predict",status="200"} 1.0',
        'hfcls_requests_total{path="/predict",status="422"} 1.0',
        "hfcls_texts_total 2.0",
        "hfcls_batch_texts_sum 2.0",
        "hfcls_waiting_texts 0.0",
    ):
        assert line in figures.text.splitlines()
    described = client.get("/openapi.json").json()
    assert described["info"]["title"] == "hfcls: a/model"
    assert "부정, 긍정" in described["info"]["description"]
    assert described["components"]["schemas"]["Asked"]["examples"][0] == {"text": "정말 재미있게 봤어요"}
    assert set(described["paths"]["/predict"]["post"]["responses"]) == {"200", "401", "413", "422", "503"}
    for example in described["components"]["schemas"]["Asked"]["examples"]:
        assert client.post("/predict", json=example).status_code == 200
    assert client.get("/docs").status_code == 404  # its page would fetch scripts from elsewhere
    client.app.mount("/", lambda scope, receive, send: None)  # as the page is, which would answer instead
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        refused = client.request(method, "/predict")
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


def test_a_server_that_stops_is_not_ready_and_refuses(client):
    client.batcher._stopping = True
    assert client.get("/health").status_code == 200
    assert client.get("/ready").status_code == 503
    answer = client.post("/predict", json={"text": "a"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_full_queue_is_503_with_the_time_to_come_again(client, monkeypatch):
    async def full(texts):
        raise Busy("1,000 texts wait for their answer", 7)

    monkeypatch.setattr(client.batcher, "classify", full)
    answer = client.post("/predict", json={"text": "a"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert answer.json() == {"detail": "1,000 texts wait for their answer"}


@pytest.mark.parametrize(
    "failure",
    [OSError(2, "No such file", "/srv/secret/place"), HfclsError("secret answers text 0 with NaN")],
    ids=["a file", "a broken model"],
)
def test_what_fails_inside_is_not_told(failure):
    """Nor is it the fault of a text: a broken model is an HfclsError, and so is a wrong text."""

    def fails(texts):
        raise failure

    with client_of(fails, SingleLabel(["a", "b"])) as client:
        answer = client.post("/predict", json={"text": "a"})
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_each_request_has_an_id_and_one_line_of_log_without_its_text(client, caplog):
    with caplog.at_level(logging.INFO, "hfcls"):
        given = client.post("/predict", json={"texts": ["비밀", "비밀"]}, headers={"X-Request-ID": "abc-1"})
        made = client.post("/predict?text=비밀", json={}, headers={"X-Request-ID": "a\tb" * 40})
        client.get("/health")
    assert given.headers["x-request-id"] == "abc-1"
    assert re.fullmatch("[0-9a-f]{16}", made.headers["x-request-id"])
    lines = [json.loads(r.message) for r in caplog.records if r.name == "hfcls.serving.middleware"]
    assert [(line["request_id"], line["status"], line.get("texts")) for line in lines] == [
        ("abc-1", 200, 2),
        (made.headers["x-request-id"], 422, None),
    ]
    assert "비밀" not in caplog.text
    assert set(lines[0]) == {"time", "request_id", "method", "path", "status", "ms", "texts"}


def test_with_a_token_only_probes_are_open(classifier, caplog):
    with (
        caplog.at_level(logging.INFO, "hfcls"),
        client_of(lambda texts: classifier(texts, all_scores=True), classifier.task, token="s3cret-1") as client,
    ):
        for header in ({}, {"Authorization": "Bearer s3cret-2"}, {"Authorization": "s3cret-1"}):
            refused = client.post("/predict", json={"text": "a"}, headers=header)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert client.get("/metrics").status_code == client.get("/openapi.json").status_code == 401
        assert client.get("/health").status_code == client.get("/ready").status_code == 200
        header = {"Authorization": "Bearer s3cret-1"}
        assert client.post("/predict", json={"text": "a"}, headers=header).status_code == 200
        assert client.get("/metrics", headers=header).status_code == 200
    assert "s3cret" not in caplog.text


def test_pages_of_other_origins_are_shut_out_unless_one_is_named(client, classifier):
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    assert not any(name.startswith("access-control") for name in client.options("/predict", headers=asked).headers)
    named = {"cors_origin": "https://example.org", "token": "t"}
    with client_of(lambda texts: classifier(texts, all_scores=True), classifier.task, **named) as opened:
        answer = opened.options("/predict", headers=asked)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://example.org")
        asked["Origin"] = "https://example.com"
        assert "access-control-allow-origin" not in opened.options("/predict", headers=asked).headers


def test_a_token_comes_from_a_file_or_a_variable(tmp_path, monkeypatch):
    assert _token(None) is None
    monkeypatch.setenv("HFCLS_TOKEN", " from-variable\n")
    assert _token(None) == "from-variable"
    (tmp_path / "token").write_text("from-file\n")
    assert _token(str(tmp_path / "token")) == "from-file"
    for content in ("", "two words", "비밀"):
        (tmp_path / "token").write_text(content)
        with pytest.raises(HfclsError, match="token holds no token: one line") as caught:
            _token(str(tmp_path / "token"))
        assert not content or content not in str(caught.value)
    with pytest.raises(HfclsError, match=r"cannot read token_file .*none \(No such file or directory\)"):
        _token(str(tmp_path / "none"))


def test_without_a_port_the_first_free_one_is_taken():
    with _listening("127.0.0.1", None) as first, _listening("127.0.0.1", None) as second:
        assert 7860 <= first.getsockname()[1] < second.getsockname()[1] < 7960


def test_requests_are_read_by_httptools():
    """The parser in Python that uvicorn takes without it cost more of a core than a small model."""
    assert AutoHTTPProtocol.__name__ == "HttpToolsProtocol"


def test_without_fastapi_it_tells_what_to_install(capsys, classifier_folder, monkeypatch):
    for name in ("hfcls.serving.api", "hfcls.serving.middleware"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert cli.main(["serve", classifier_folder]) == 1
    assert capsys.readouterr().err.strip() == (
        "hfcls: error: serving needs fastapi: pip install -e '.[serve]' in the checkout of hfcls"
    )


# The real command


@contextmanager
def served(folder: str, log: Path, *flags: str, **environment: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """`hfcls serve` without the page, in a process of its own: its address, and the process."""
    command = [sys.executable, "-m", "hfcls.cli", "serve", folder, "--no-page", *flags]
    with (
        log.open("w") as err,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=err, text=True, env={**os.environ, **environment}
        ) as process,
    ):
        try:
            found = re.search(r" is at (http://127\.0\.0\.1:\d+)/ \(Ctrl-C ends it\)", process.stdout.readline())
            assert found, log.read_text()
            yield found.group(1), process
        finally:
            process.kill()


def post(url: str, body: object, **headers: str) -> tuple[int, object]:
    request = urllib.request.Request(
        f"{url}/predict", json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_parallel_clients_get_their_own_answers_in_common_batches(classifier_folder, classifier, tmp_path):
    texts = [f"최고 추천 {i} 별로 {'실망 ' * (i % 5)}" for i in range(100)]
    with served(classifier_folder, tmp_path / "log") as (url, process):
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda text: post(url, {"text": text}), texts))
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
            figures = response.read().decode()
        idle = socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])))
        process.terminate()
        began = time.monotonic()
        assert process.wait(10) == 0
        assert time.monotonic() - began < 4  # 2 s on a machine that is not busy
        idle.close()
    assert all(close(answer, expected) for (_, answer), expected in zip(answers, classifier(texts), strict=True))
    assert "hfcls_texts_total 100.0" in figures
    assert float(re.search(r"hfcls_batch_texts_count (\S+)", figures)[1]) < 80
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    assert sum(line["path"] == "/predict" for line in lines) == 100
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_an_exported_model_is_served_without_torch_and_a_signal_lets_requests_end(
    classifier_folder, classifier, tmp_path
):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    hfcls.export(model=classifier_folder, output=str(tmp_path / "onnx"))
    (tmp_path / "token").write_text("s3cret\n")
    site = tmp_path / "site"
    site.mkdir()
    # a torch and a transformers that cannot be imported, as in an environment without them
    for name in ("torch", "transformers"):
        (site / f"{name}.py").write_text(f"raise ModuleNotFoundError('no {name}', name='{name}')")
    path = f"{site}:{Path(hfcls.__file__).parents[1]}"
    flags, header = ("--token_file", str(tmp_path / "token")), {"Authorization": "Bearer s3cret"}
    with served(str(tmp_path / "onnx"), tmp_path / "log", *flags, PYTHONPATH=path) as (url, process):
        assert post(url, {"text": "최고 추천"})[0] == 401
        status, answer = post(url, {"text": "최고 추천"}, **header)
        answers: list[tuple[int, object]] = []
        texts = ["최고 추천 별로 실망 " * 20] * 1_000
        asking = threading.Thread(target=lambda: answers.append(post(url, {"texts": texts}, **header)))
        asking.start()
        time.sleep(0.3)
        began = time.monotonic()
        process.terminate()  # while it works: what was asked before is answered
        assert process.wait(20) == 0
        assert time.monotonic() - began < 12
        asking.join()
    assert status == 200
    assert close(answer, classifier("최고 추천"))
    assert (answers[0][0], len(answers[0][1])) == (200, 1_000)
    assert "s3cret" not in (tmp_path / "log").read_text()
