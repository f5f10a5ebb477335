"""A Hub on this machine, as much of it as the real client speaks to: repositories with commits, branches, uploads.

A test makes it misbehave through `Trouble`: what a server that is down, damaged or hostile would do.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

NOBODY = "http://127.0.0.1:9"
TOKEN = "hf_a_secret_that_nobody_must_see"
LFS_SUFFIX = ".safetensors"


def speak_to(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Send the client of this process to another Hub; it read HF_ENDPOINT when it was imported."""
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_name(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repository:
    """Commits by name, each the files of that moment, and what the branches point at."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    private: bool = False

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        before = self.commits.get(self.branches.get(branch, ""), {})
        after = {**before, **files}
        described = json.dumps([len(self.commits), branch, sorted((name, sha256(one)) for name, one in after.items())])
        name = hashlib.sha1(described.encode()).hexdigest()
        self.commits[name] = after
        self.branches[branch] = name
        return name

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        name = self.branches.get(revision, revision)
        return (name, self.commits[name]) if name in self.commits else None


@dataclass
class Trouble:
    """What the server does wrong.

    Attributes
    ----------
    status : int
        Answers everything with this status.
    error_code : str
        X-Error-Code of those answers.
    swap : dict
        Sends these bytes for a file (by the end of its path), under the checksum of the right ones.
    cut : int
        Breaks off a download after so many bytes.
    says_size : int
        The size that listings and headers give for the weights.
    send_on : str
        Redirects downloads of weights to this address.
    send_gets_on, send_questions_on : str
        Redirects downloads, but not the questions before them, or all questions about repositories, to this server.
    page : bool
        Answers everything with a web page, as a hotel's network does.
    slow_s : float
        Waits as long before each block of 64 KiB of a download.
    silent_s : float
        Waits as long before it answers a question about a repository.
    refuse_upload : bool
        The store of large files is out of order.
    xet_status : int
        Weights are said to lie in Xet, whose key is answered with this status.
    """

    status: int = 0
    error_code: str = ""
    swap: dict[str, bytes] = field(default_factory=dict)
    cut: int = -1
    says_size: int = 0
    send_on: str = ""
    send_gets_on: str = ""
    send_questions_on: str = ""
    page: bool = False
    slow_s: float = 0.0
    silent_s: float = 0.0
    refuse_upload: bool = False
    xet_status: int = 0


class LocalHub:
    """The server; `repositories` and `trouble` are a test's to change while it runs."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.trouble = Trouble()
        self.asked: list[str] = []
        self.tokens: set[str] = set()
        hub = self

        class Handler(_Handler):
            of = hub

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def publish(self, repo: str, folder: Path, into: str = "", branch: str = "main") -> str:
        """Put a folder's files into a repository as a commit; returns its name."""
        prefix = f"{into}/" if into else ""
        files = {prefix + path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        return self.repositories.setdefault(repo, Repository()).commit(files, branch)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    of: LocalHub

    def log_message(self, *args: Any) -> None:
        pass

    def answer(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def handle_any(self) -> None:
        path = urllib.parse.unquote(self.path.split("?")[0])
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.of.asked.append(f"{self.command} {path}")
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.of.tokens |= {token} if token else set()
        self.allowed = token == TOKEN
        trouble = self.of.trouble
        if path == "/api/agent-harnesses":
            return self.answer({}, 404)
        if trouble.page:
            return self.answer(b"<html>Please accept our terms", headers={"Content-Type": "text/html"})
        if trouble.status:
            return self.answer({}, trouble.status, {"X-Error-Code": trouble.error_code} if trouble.error_code else {})
        if trouble.send_questions_on and path.startswith("/api/models/"):
            return self.answer(b"", 307, {"Location": trouble.send_questions_on + self.path})
        for pattern, method in _ROUTES:
            parts = re.fullmatch(pattern, path)
            if parts:
                return method(self, *parts.groups())
        return self.answer({}, 404)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def repository(self, name: str) -> Repository | None:
        found = self.of.repositories.get(name)
        if found is None or (found.private and not self.allowed):
            self.answer({}, 404 if self.allowed else 401, {"X-Error-Code": "RepoNotFound"})
            return None
        return found

    def info(self, name: str, revision: str | None = None) -> None:
        found = self.repository(name)
        if found is None:
            return
        moment = found.at(revision or "main")
        if moment is None and revision:
            return self.answer({}, 404, {"X-Error-Code": "RevisionNotFound"})
        commit, files = moment or ("", {})
        listed = [self.sibling(path, content) for path, content in files.items()]
        time.sleep(self.of.trouble.silent_s)
        self.answer({"id": name, "sha": commit or None, "private": found.private, "siblings": listed})

    def sibling(self, path: str, content: bytes) -> dict[str, Any]:
        size = self.of.trouble.says_size if path.endswith(LFS_SUFFIX) and self.of.trouble.says_size else len(content)
        entry = {"rfilename": path, "size": size, "blobId": git_name(content)}
        if path.endswith(LFS_SUFFIX):
            entry["lfs"] = {"sha256": sha256(content), "size": size, "pointerSize": 130}
        return entry

    def tree(self, name: str, revision: str) -> None:
        found = self.repository(name)
        moment = found.at(revision) if found else None
        if found is None or moment is None:
            return None if found is None else self.answer({}, 404, {"X-Error-Code": "RevisionNotFound"})
        listed = [self.sibling(path, content) for path, content in moment[1].items()]
        return self.answer(
            [
                {"type": "file", "path": one["rfilename"], "size": one["size"], "oid": one["blobId"]}
                | ({"lfs": {**one["lfs"], "oid": one["lfs"]["sha256"]}} if "lfs" in one else {})
                for one in listed
            ]
        )

    def download(self, name: str, revision: str, path: str) -> None:
        found = self.repository(name)
        moment = found.at(revision) if found else None
        if found is None or moment is None:
            return None if found is None else self.answer({}, 404, {"X-Error-Code": "RevisionNotFound"})
        commit, files = moment
        if path not in files:
            return self.answer({}, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        content, trouble = files[path], self.of.trouble
        large = path.endswith(LFS_SUFFIX)
        etag = sha256(content) if large else git_name(content)
        content = next((other for end, other in trouble.swap.items() if path.endswith(end)), content)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag}"'}
        if large and trouble.says_size:
            headers["X-Linked-Size"] = str(trouble.says_size)
        if large and trouble.xet_status:
            headers |= {"X-Xet-Hash": etag, "X-Xet-Refresh-Route": f"{self.of.url}/xet-key"}
        if large and trouble.send_on:
            facts = {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{etag}"', "Location": trouble.send_on}
            return self.answer(b"", 302, {**headers, **facts})
        if large and trouble.send_gets_on and self.command == "GET":
            return self.answer(b"", 302, {"Location": trouble.send_gets_on + self.path})
        begin = int((re.match(r"bytes=(\d+)-", self.headers.get("Range") or "") or ["", "0"])[1])
        self.send_response(206 if begin else 200)
        for key, value in {**headers, "Content-Length": str(len(content) - begin)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return None
        end = len(content) if trouble.cut < 0 or not large else trouble.cut
        for at in range(begin, end, 65536):
            time.sleep(trouble.slow_s)
            self.wfile.write(content[at : min(at + 65536, end)])
        self.close_connection = end < len(content)
        return None

    def xet_key(self) -> None:
        return self.answer({"error": "no key"}, self.of.trouble.xet_status or 404)

    def create(self) -> None:
        if not self.allowed:
            return self.answer({"error": "Invalid username or password."}, 401)
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        facts = {"url": f"{self.of.url}/{name}", "id": name}
        if name.startswith("stranger/"):
            return self.answer({"error": "You don't have the rights to create a model under this namespace"}, 403)
        if name in self.of.repositories:
            return self.answer({**facts, "error": "You already created this model repo"}, 409)
        self.of.repositories[name] = Repository(
            private=asked.get("visibility") == "private" or bool(asked.get("private"))
        )
        self.of.repositories[name].commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        return self.answer(facts)

    def branch(self, name: str, branch: str) -> None:
        found = self.repository(name)
        if found is None:
            return None
        if branch in found.branches:
            return self.answer({"error": "Reference already exists"}, 409)
        found.branches[branch] = found.branches["main"]
        return self.answer({})

    def validate(self) -> None:
        self.answer({"errors": [], "warnings": []})

    def preupload(self, name: str, _: str) -> None:
        asked = json.loads(self.body)["files"]
        self.answer(
            {"files": [
                {"path": one["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if one["path"].endswith(LFS_SUFFIX) else "regular"}
                for one in asked
            ]}
        )  # fmt: skip

    def batch(self, name: str) -> None:
        objects = [
            {**one, "actions": {
                "upload": {"href": f"{self.of.url}/store/{one['oid']}"},
                "verify": {"href": f"{self.of.url}/check"},
            }}
            for one in json.loads(self.body)["objects"]
        ]  # fmt: skip
        self.answer({"transfer": "basic", "objects": objects})

    def store(self, oid: str) -> None:
        if self.of.trouble.refuse_upload or sha256(self.body) != oid:
            return self.answer({}, 400)
        self.of.stored[oid] = self.body
        return self.answer({})

    def check(self) -> None:
        asked = json.loads(self.body)
        self.answer({}, 200 if len(self.of.stored.get(asked["oid"], b"")) == asked["size"] else 404)

    def take_commit(self, name: str, branch: str) -> None:
        found = self.repository(name)
        if found is None:
            return None
        files = {}
        for line in map(json.loads, self.body.splitlines()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                files[line["value"]["path"]] = self.of.stored[line["value"]["oid"]]
        commit = found.commit(files, branch)
        return self.answer({"commitUrl": f"{self.of.url}/{name}/commit/{commit}", "commitOid": commit})


_NAME, _KIND = r"([\w.-]+/[\w.-]+)", "(?:models|spaces)"
_ROUTES = (
    (r"/api/repos/create", _Handler.create),
    (r"/api/validate-yaml", _Handler.validate),
    (rf"/api/{_KIND}/{_NAME}", _Handler.info),
    (rf"/api/{_KIND}/{_NAME}/revision/([\w.-]+)", _Handler.info),
    (rf"/api/{_KIND}/{_NAME}/tree/([\w.-]+)", _Handler.tree),
    (rf"/api/{_KIND}/{_NAME}/branch/([\w.-]+)", _Handler.branch),
    (rf"/api/{_KIND}/{_NAME}/preupload/([\w.-]+)", _Handler.preupload),
    (rf"/api/{_KIND}/{_NAME}/commit/([\w.-]+)", _Handler.take_commit),
    (rf"/(?:spaces/)?{_NAME}.git/info/lfs/objects/batch", _Handler.batch),
    (r"/store/(\w+)", _Handler.store),
    (r"/check", _Handler.check),
    (r"/xet-key", _Handler.xet_key),
    (rf"/(?:spaces/)?{_NAME}/resolve/([\w.-]+)/(.+)", _Handler.download),
)
