import contextlib
import hashlib
import http.server
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import Korpora.korpus_nsmc
import pytest

from hfcls import nsmc
from hfcls.errors import HfclsError

FILES = {
    "ratings_train.txt": "id\tdocument\tlabel\n1\t좋다\t1\n2\t\t0\n".encode(),
    "ratings_test.txt": "id\tdocument\tlabel\n3\t별로\t0\n".encode(),
}


@contextlib.contextmanager
def server(monkeypatch: pytest.MonkeyPatch, answers: dict[str, bytes]) -> Iterator[list[str]]:
    """Korpora's NSMC addresses, pointed at a server on this machine; yields the paths it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = answers[self.path.removeprefix("/")]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
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


@pytest.mark.usefixtures("official")
@pytest.mark.parametrize("answer", [b"<html>not found</html>", b""])
def test_a_wrong_download_leaves_nothing_behind(tmp_path, monkeypatch, answer):
    with (
        server(monkeypatch, {**FILES, "ratings_test.txt": answer}),
        pytest.raises(
            HfclsError,
            match="the download of ratings_test.txt is not the official file .*; put ratings_train",
        ),
    ):
        nsmc.nsmc_files(str(tmp_path))
    assert list((tmp_path / "nsmc").iterdir()) == []


def test_without_a_server_the_message_tells_how_to_put_the_files_by_hand(tmp_path, monkeypatch):
    for entry in Korpora.korpus_nsmc.NSMC_FETCH_INFORMATION:
        monkeypatch.setitem(entry, "url", "http://127.0.0.1:9/closed")
    with pytest.raises(HfclsError, match="could not fetch NSMC: .*refused.*; put ratings_train.txt and .*--data_dir"):
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
