"""A small Hugging Face Hub on 127.0.0.1 for tests: model repositories in memory, tokens with roles, planned failures.

It answers what `huggingface_hub` asks when it creates a repository, uploads to it (through LFS or Xet) and loads from
it. Left out: branches, pull requests, multipart uploads, redirects, rate limits, gated repositories, Xet downloads.
"""

import base64
import hashlib
import json
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub.repocard_data import model_index_to_eval_results

LICENSES = {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "openrail", "other", "unknown"}
LARGE_FILES = (".safetensors", ".bin", ".png")  # the Hub keeps these outside git


@dataclass
class User:
    name: str
    role: str = "write"
    orgs: tuple[str, ...] = ()


@dataclass
class Repo:
    """A repository; each commit is kept as the whole content of the files."""

    private: bool = False
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)

    def commit(self, files: dict[str, bytes]) -> str:
        oid = hashlib.sha1(repr((len(self.commits), sorted(files.items()))).encode()).hexdigest()
        self.commits.append((oid, files))
        return oid

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1][1]


class HubServer:
    """Start with `with HubServer() as hub`; `hub.url` is the HF_ENDPOINT of its clients.

    Attributes:
        users: who owns each token.
        repos: by id, such as `tester/nsmc`.
        fail: what to answer instead, by the start of "METHOD action": a status code, "die" to close every connection
            after half of the request's body, or a function to call before the answer. For the actions, see ROUTES.
        requests: every "METHOD action" that was asked for.
        xet: folder for the chunks of Xet uploads; None: this hub has no Xet.
    """

    def __init__(self, xet: Path | None = None) -> None:
        self.users = {"hf_write": User("tester", orgs=("team",)), "hf_read": User("tester", role="read")}
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}  # LFS, by sha256
        self.fail: dict[str, int | str | Callable[[], object]] = {}
        self.requests: list[str] = []
        self.xet = xet
        self.lock = threading.Lock()
        hub = self

        class Bound(Handler):
            pass

        Bound.hub = hub
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.dead = False

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add_repo(self, repo_id: str, files: dict[str, str], *, private: bool = False) -> Repo:
        repo = self.repos[repo_id] = Repo(private)
        repo.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        if files:
            repo.commit({**repo.files, **{path: text.encode() for path, text in files.items()}})
        return repo


class HubError(Exception):
    def __init__(self, status: int, message: str, code: str | None = None, **body: Any) -> None:
        self.status, self.message, self.code, self.body = status, message, code, body


ID = r"(?P<id>[\w.-]+(?:/[\w.-]+)?)"
ROUTES = [
    ("whoami", "GET", r"/api/whoami-v2"),
    ("create", "POST", r"/api/repos/create"),
    ("validate-yaml", "POST", r"/api/validate-yaml"),
    ("preupload", "POST", rf"/api/models/{ID}/preupload/(?P<revision>[^/]+)"),
    ("batch", "POST", rf"/{ID}\.git/info/lfs/objects/batch"),
    ("lfs", "PUT", r"/lfs/(?P<oid>\w{64})"),
    ("verify", "POST", r"/lfs/verify"),
    ("xet-write-token", "GET", rf"/api/models/{ID}/xet-write-token/(?P<revision>[^/]+)"),
    ("commit", "POST", rf"/api/models/{ID}/commit/(?P<revision>[^/]+)"),
    ("auth-check", "GET", rf"/api/models/{ID}/auth-check(?P<write>/write)?"),
    ("tree", "GET", rf"/api/models/{ID}/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?"),
    ("resolve", "GET", rf"/{ID}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
    ("info", "GET", rf"/api/models/{ID}(?:/revision/(?P<revision>[^/]+))?"),
]


class Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def _answer(self) -> None:
        if self.hub.dead:
            return self._hang_up()
        method = "GET" if self.command == "HEAD" else self.command
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        found = ((re.fullmatch(pattern, path), action) for action, wanted, pattern in ROUTES if wanted == method)
        match, action = next((pair for pair in found if pair[0]), (None, ""))
        if match is None:
            self._body()
            return self._send(404, {"error": f"no such page: {path}"})
        failure = next(
            (what for key, what in self.hub.fail.items() if f"{self.command} {action}".startswith(key)), None
        )
        self.hub.requests.append(f"{self.command} {action}")
        if failure == "die":
            self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
            self.hub.dead = True
            return self._hang_up()
        body = self._body()
        if callable(failure):
            failure()
        try:
            if isinstance(failure, int):
                raise HubError(failure, "this answer was planned by the test")
            with self.hub.lock:
                getattr(self, f"_{action.replace('-', '_')}")(match.groupdict(), body)
        except HubError as error:
            headers = {"X-Error-Message": error.message}
            if error.code:
                headers["X-Error-Code"] = error.code
            self._send(error.status, {"error": error.message, **error.body}, headers)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    # who asks, and for what

    def _user(self, *, needed: bool = True) -> User | None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not token:
            if needed:
                raise HubError(401, "Invalid username or password.")
            return None
        if token not in self.hub.users:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.hub.users[token]

    def _repo(self, repo_id: str, *, write: bool = False) -> Repo:
        user = self._user(needed=write)
        repo = self.hub.repos.get(repo_id)
        namespace = repo_id.split("/")[0]
        member = user is not None and namespace in (user.name, *user.orgs)
        if repo is None or (repo.private and not member):
            raise HubError(404 if user else 401, "Repository not found", "RepoNotFound")
        if write and not (user and member and user.role == "write"):
            raise HubError(403, f'You don\'t have the rights to write to "{repo_id}".')
        return repo

    def _files(self, found: dict[str, str]) -> tuple[str, dict[str, bytes]]:
        repo = self._repo(found["id"])
        revision = found["revision"] or "main"
        for oid, files in reversed(repo.commits):
            if revision in ("main", oid):
                return oid, files
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    # the endpoints

    def _whoami(self, found: dict[str, str], body: bytes) -> None:
        user = self._user()
        assert user is not None
        token = {"displayName": "test", "role": user.role}
        orgs = [{"type": "org", "name": name} for name in user.orgs]
        self._send(200, {"type": "user", "name": user.name, "fullname": user.name, "orgs": orgs,
                         "auth": {"type": "access_token", "accessToken": token}})  # fmt: skip

    def _create(self, found: dict[str, str], body: bytes) -> None:
        asked = json.loads(body)
        user = self._user()
        assert user is not None
        namespace = asked.get("organization") or user.name
        if user.role != "write" or namespace not in (user.name, *user.orgs):
            raise HubError(403, f'You don\'t have the rights to create a model under the namespace "{namespace}".')
        repo_id = f"{namespace}/{asked['name']}"
        if repo_id in self.hub.repos:
            raise HubError(409, "You already created this model repo", url=f"{self.hub.url}/{repo_id}")
        self.hub.add_repo(repo_id, {}, private=asked.get("visibility") == "private")
        self._send(200, {"url": f"{self.hub.url}/{repo_id}"})

    def _validate_yaml(self, found: dict[str, str], body: bytes) -> None:
        errors = card_errors(json.loads(body)["content"])
        self._send(400 if errors else 200, {"errors": [{"message": text} for text in errors], "warnings": []})

    def _preupload(self, found: dict[str, str], body: bytes) -> None:
        present = self._repo(found["id"], write=True).files
        answer = []
        for file in json.loads(body)["files"]:
            large = file["path"].endswith(LARGE_FILES)
            entry = {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            if file["path"] in present:
                content = present[file["path"]]
                entry["oid"] = hashlib.sha256(content).hexdigest() if large else git_oid(content)
            answer.append(entry)
        self._send(200, {"files": answer})

    def _batch(self, found: dict[str, str], body: bytes) -> None:
        self._repo(found["id"], write=True)
        objects = []
        for wanted in json.loads(body)["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.hub.objects:
                upload = {"href": f"{self.hub.url}/lfs/{wanted['oid']}?X-Signature=signed", "header": {}}
                entry["actions"] = {"upload": upload, "verify": {"href": f"{self.hub.url}/lfs/verify"}}
            objects.append(entry)
        self._send(200, {"transfer": "basic", "objects": objects})

    def _lfs(self, found: dict[str, str], body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != found["oid"]:
            raise HubError(400, "the content does not have this sha256")
        self.hub.objects[found["oid"]] = body
        self._send(200, b"")

    def _verify(self, found: dict[str, str], body: bytes) -> None:
        asked = json.loads(body)
        if len(self.hub.objects.get(asked["oid"], b"")) != asked["size"]:
            raise HubError(404, "no such object")
        self._send(200, {})

    def _xet_write_token(self, found: dict[str, str], body: bytes) -> None:
        self._repo(found["id"], write=True)
        if self.hub.xet is None:
            raise HubError(404, "this hub has no Xet")
        # An address that xet-core understands instead of a server: it stores the chunks in that folder, which may be
        # opened once only.
        folder = self.hub.xet / str(len(list(self.hub.xet.iterdir())))
        folder.mkdir()
        self._send(200, {"casUrl": f"local://{folder}", "accessToken": "xet", "exp": 4_000_000_000})

    def _commit(self, found: dict[str, str], body: bytes) -> None:
        repo = self._repo(found["id"], write=True)
        files = dict(repo.files)
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header" and value.get("parentCommit", repo.commits[-1][0]) != repo.commits[-1][0]:
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            if entry["key"] == "lfsFile":
                content = self.hub.objects.get(value["oid"])
                if content is None and self.hub.xet is None:
                    raise HubError(400, f"{value['path']} was not uploaded")
                # Xet's chunks stay where they are: what the commit says of the file stands for it.
                files[value["path"]] = content if content is not None else json.dumps(value).encode()
            if entry["key"] == "deletedFile":
                files.pop(value["path"])
        oid = repo.commit(files)
        self._send(200, {"success": True, "commitOid": oid, "hookOutput": "",
                         "commitUrl": f"{self.hub.url}/{found['id']}/commit/{oid}"})  # fmt: skip

    def _auth_check(self, found: dict[str, str], body: bytes) -> None:
        self._repo(found["id"], write=bool(found["write"]))
        self._send(200, {})

    def _info(self, found: dict[str, str], body: bytes) -> None:
        oid, files = self._files(found)
        card = front_matter(files.get("README.md", b"").decode()) or {}
        self._send(200, {
            "_id": oid[:24], "id": found["id"], "modelId": found["id"], "author": found["id"].split("/")[0], "sha": oid,
            "lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z",
            "private": self.hub.repos[found["id"]].private, "gated": False, "disabled": False, "downloads": 0,
            "likes": 0, "tags": card.get("tags", []), "cardData": card,
            "siblings": [{"rfilename": path} for path in sorted(files)],
        })  # fmt: skip

    def _tree(self, found: dict[str, str], body: bytes) -> None:
        _, files = self._files(found)
        folder = f"{found['path']}/" if found["path"] else ""
        entries = [
            {"type": "file", "oid": git_oid(content), "size": len(content), "path": path}
            for path, content in sorted(files.items())
            if path.startswith(folder)
        ]
        if folder and not entries:
            raise HubError(404, f"{found['path']} does not exist", "EntryNotFound")
        self._send(200, entries)

    def _resolve(self, found: dict[str, str], body: bytes) -> None:
        oid, files = self._files(found)
        headers = {"X-Repo-Commit": oid, "Accept-Ranges": "bytes"}
        if found["path"] not in files:
            raise HubError(404, "Entry not found", "EntryNotFound")
        content = files[found["path"]]
        headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        status = 200
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end = int(match[1]), int(match[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content, status = content[start : end + 1], 206
        self._send(status, content, headers)


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def front_matter(readme: str) -> dict[str, Any] | None:
    match = re.match(r"---\n(.*?)\n---\n", readme, re.DOTALL)
    return yaml.safe_load(match[1]) if match else None


def card_errors(readme: str) -> list[str]:
    """What the Hub would find wrong with the metadata of a model card: its public rules, as far as our cards go."""
    try:
        card = front_matter(readme)
    except yaml.YAMLError as error:
        return [f"the metadata is not YAML: {error}"]
    if not isinstance(card, dict):
        return ["the metadata is empty"]
    errors = []

    def check(key: str, good: bool, wanted: str) -> None:
        if key in card and not good:
            errors.append(f'"{key}" must be {wanted}')

    def is_list_of(value: Any, pattern: str) -> bool:
        values = value if isinstance(value, list) else [value]
        return bool(values) and all(isinstance(item, str) and re.fullmatch(pattern, item) for item in values)

    repo_id = r"[\w.-]+(/[\w.-]+)?"
    check("language", is_list_of(card.get("language"), r"[a-z]{2,3}|multilingual|code"), "ISO 639 codes")
    check("license", card.get("license") in LICENSES, f"one of {', '.join(sorted(LICENSES))}")
    check("tags", isinstance(card.get("tags"), list) and is_list_of(card["tags"], r".{1,96}"), "a list of texts")
    check("base_model", is_list_of(card.get("base_model"), repo_id), "model ids")
    check("datasets", is_list_of(card.get("datasets"), repo_id), "dataset ids")
    check("metrics", is_list_of(card.get("metrics"), r"\w+"), "a list of metric ids")
    check("pipeline_tag", card.get("pipeline_tag") == "text-classification", "a task")
    if "model-index" in card:
        try:
            name, results = model_index_to_eval_results(card["model-index"])
            if not name or not results:
                errors.append('"model-index" names no model or no results')
            for result in results:
                if not isinstance(result.metric_value, (int, float)) or not re.fullmatch(repo_id, result.dataset_type):
                    errors.append('"model-index": a metric needs a number and a dataset id as its type')
        except (KeyError, TypeError, IndexError) as error:
            errors.append(f'"model-index" is malformed: {error!r}')
    return errors
