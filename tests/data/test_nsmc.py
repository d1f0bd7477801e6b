"""NSMC is found, or fetched whole, or an error tells what to do."""

import contextlib
import hashlib
import http.server
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import Korpora.korpus_nsmc
import pytest

from hfcls.data.origins import nsmc
from hfcls.errors import HfclsError

FILES = {
    "ratings_train.txt": "id\tdocument\tlabel\n1\t좋다\t1\n2\t\t0\n".encode(),
    "ratings_test.txt": "id\tdocument\tlabel\n3\t별로\t0\n".encode(),
}


Handler = http.server.BaseHTTPRequestHandler


def send(handler: Handler, body: bytes, length: int | None = None, status: int = 200) -> None:
    """An answer whose Content-Length may lie."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


@contextlib.contextmanager
def server(
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[str, bytes],
    trouble: Callable[[Handler, bytes], None] = send,
    troubled: int = 0,
) -> Iterator[list[str]]:
    """Korpora's NSMC addresses, pointed at a server on this machine; yields the paths it was asked for.

    The first `troubled` requests are answered by `trouble`.
    """
    asked: list[str] = []

    class Answer(Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = answers[self.path.removeprefix("/")]
            with contextlib.suppress(ConnectionError):
                (trouble if len(asked) <= troubled else send)(self, body)

        def log_message(self, *args: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    for entry in Korpora.korpus_nsmc.NSMC_FETCH_INFORMATION:
        url = f"http://127.0.0.1:{httpd.server_port}/{Path(entry['destination']).name}"
        monkeypatch.setitem(entry, "url", url)
    try:
        yield asked
    finally:
        httpd.shutdown()
        httpd.server_close()


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files stand for the official ones."""
    for name, content in FILES.items():
        blob_id = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        monkeypatch.setitem(nsmc.OFFICIAL, name, (len(content), blob_id))


@pytest.mark.usefixtures("official")
def test_a_download_is_checked_and_put_in_place_and_not_repeated(tmp_path, monkeypatch, capsys):
    with server(monkeypatch, FILES) as asked:
        paths = nsmc.nsmc_files(str(tmp_path))
        nsmc.nsmc_files(str(tmp_path))
    assert {split: path.read_bytes() for split, path in paths.items()} == {
        "train": FILES["ratings_train.txt"],
        "test": FILES["ratings_test.txt"],
    }
    assert sorted(path.name for path in (tmp_path / "nsmc").iterdir()) == sorted(FILES)
    assert sorted(set(asked)) == sorted(f"/{name}" for name in FILES)
    assert capsys.readouterr().out == ""
    with server(monkeypatch, {}) as asked:
        nsmc.nsmc_files(str(tmp_path))
    assert asked == []


def html(handler: Handler, body: bytes) -> None:
    send(handler, b"<html>please log in</html>")


def nothing(handler: Handler, body: bytes) -> None:
    send(handler, b"")


def internal_error(handler: Handler, body: bytes) -> None:
    send(handler, b"", status=500)


def closes_early(handler: Handler, body: bytes) -> None:
    send(handler, body[:5], length=len(body))


def hangs_up(handler: Handler, body: bytes) -> None:
    handler.connection.close()


def no_length(handler: Handler, body: bytes) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(body)


def stalls(handler: Handler, body: bytes) -> None:
    send(handler, body[:5], length=len(body))
    time.sleep(2)


TROUBLE = [html, nothing, internal_error, closes_early, hangs_up, no_length, stalls]


@pytest.mark.usefixtures("official")
@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda trouble: trouble.__name__)
def test_a_download_that_fails_is_tried_again(tmp_path, monkeypatch, caplog, trouble):
    monkeypatch.setattr(nsmc, "STALLED_AFTER", 0.3)
    caplog.set_level(logging.INFO, logger="hfcls")
    with server(monkeypatch, FILES, trouble, troubled=2):  # Korpora asks first for the length
        paths = nsmc.nsmc_files(str(tmp_path))
    assert {path.name: path.read_bytes() for path in paths.values()} == FILES
    assert sorted(path.name for path in (tmp_path / "nsmc").iterdir()) == sorted(FILES)
    assert any("the download failed (" in message for message in caplog.messages)
    assert socket.getdefaulttimeout() is None


@pytest.mark.usefixtures("official")
@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda trouble: trouble.__name__)
def test_a_download_that_keeps_failing_leaves_nothing_behind_and_tells_the_way_by_hand(tmp_path, monkeypatch, trouble):
    monkeypatch.setattr(nsmc, "STALLED_AFTER", 0.3)
    with (
        server(monkeypatch, FILES, trouble, troubled=1000) as asked,
        pytest.raises(HfclsError, match="could not fetch NSMC in 3 tries: .*; put ratings_train.txt and .*--data_dir"),
    ):
        nsmc.nsmc_files(str(tmp_path))
    assert len(asked) >= 3
    assert list((tmp_path / "nsmc").iterdir()) == []


@pytest.mark.usefixtures("official")
def test_a_slow_server_is_waited_for(tmp_path, monkeypatch):
    def drips(handler: Handler, body: bytes) -> None:
        send(handler, b"", length=len(body))
        for byte in body:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.01)

    monkeypatch.setattr(nsmc, "STALLED_AFTER", 0.3)
    with server(monkeypatch, FILES, drips, troubled=1000) as asked:
        nsmc.nsmc_files(str(tmp_path))
    assert len(asked) == 4  # at the first try


@pytest.mark.usefixtures("official")
def test_a_wrong_file_is_named_with_its_size(tmp_path, monkeypatch):
    with (
        server(monkeypatch, {**FILES, "ratings_test.txt": b"<html>not found</html>"}),
        pytest.raises(HfclsError, match=r"the download of ratings_test.txt is not the official file \(22 bytes\)"),
    ):
        nsmc.nsmc_files(str(tmp_path))


def test_without_a_server_the_message_tells_how_to_put_the_files_by_hand(tmp_path, monkeypatch):
    for entry in Korpora.korpus_nsmc.NSMC_FETCH_INFORMATION:
        monkeypatch.setitem(entry, "url", "http://127.0.0.1:9/closed")
    with pytest.raises(
        HfclsError, match="could not fetch NSMC in 3 tries: .*refused.*; put ratings_train.txt and .*--data_dir"
    ):
        nsmc.nsmc_files(str(tmp_path))


@pytest.mark.usefixtures("official")
def test_a_file_of_the_user_is_used_with_one_line(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    (tmp_path / "nsmc").mkdir()
    for name, content in FILES.items():
        (tmp_path / "nsmc" / name).write_bytes(content + b"9\tmine\t1\n" * (name == "ratings_train.txt"))
    nsmc.nsmc_files(str(tmp_path))
    assert caplog.messages == [
        f"{tmp_path}/nsmc/ratings_train.txt differs from the official NSMC file; it is used as it is"
    ]
