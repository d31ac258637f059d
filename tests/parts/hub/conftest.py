"""A stand-in for the Hugging Face Hub on the loopback: the calls of huggingface_hub that we cause.

It was made after the requests that huggingface_hub 2.4 sends, not after the Hub's own code. It
keeps commits in memory.
"""

import hashlib
import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

FILE = r"(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)"
REPOSITORY = r"models/(?P<name>[^/]+/[^/]+)"


class StandIn(ThreadingHTTPServer):
    """The server; `repositories` is `{name: [{path: bytes}, …]}`, a list of commits."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories, self.requests = {}, []

    def stop(self):
        """No answer from here on: the connections that are open are closed, too."""
        self.shutdown()
        self.server_close()
        close_session()

    def put(self, name, files):
        """One more commit, of these files alone; returns its id."""
        self.repositories.setdefault(name, []).append(dict(files))
        return commit_id(name, len(self.repositories[name]) - 1)


def commit_id(name, number):
    return hashlib.sha1(f"{name} {number}".encode()).hexdigest()


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def _any(self):
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        self.server.requests.append((self.command, path))
        for pattern, method in ROUTES:
            match = re.fullmatch(pattern, f"{self.command} {path}")
            if match:
                method(self, **match.groupdict())
                return
        self._answer(404, {"error": f"the stand-in knows no {self.command} {path}"})

    do_GET = do_HEAD = _any

    def _answer(self, status, content, headers=()):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in {"Content-Length": len(body), **dict(headers)}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _fail(self, status, code):
        self._answer(status, {"error": code}, {"X-Error-Code": code, "X-Error-Message": code})

    def _at(self, name, revision):
        """(id of the commit, its files); None where there is none, which is answered."""
        commits = self.server.repositories.get(name)
        if commits is None:
            self._fail(404, "RepoNotFound")
            return None
        ids = [commit_id(name, number) for number in range(len(commits))]
        if revision in (None, "main"):
            return ids[-1], commits[-1]
        if revision in ids:
            return revision, commits[ids.index(revision)]
        self._fail(404, "RevisionNotFound")
        return None

    def info(self, name, revision=None):
        found = self._at(name, revision)
        if found:
            siblings = [{"rfilename": path} for path in found[1]]
            self._answer(200, {"id": name, "sha": found[0], "siblings": siblings, "tags": []})

    def tree(self, name, revision):
        found = self._at(name, revision)
        if found:
            rows = [
                {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
                for path, content in found[1].items()
            ]
            self._answer(200, rows)

    def resolve(self, name, revision, path):
        found = self._at(name, revision)
        if found is None:
            return
        oid, files = found
        if path not in files:
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": oid}
            self._answer(404, {"error": "Entry not found"}, headers)
            return
        self._answer(200, files[path], {"X-Repo-Commit": oid, "ETag": f'"{blob_id(files[path])}"'})


ROUTES = [
    (rf"GET /api/{REPOSITORY}", Handler.info),
    (rf"GET /api/{REPOSITORY}/revision/(?P<revision>.+)", Handler.info),
    (rf"GET /api/{REPOSITORY}/tree/(?P<revision>[^/]+)/?", Handler.tree),
    (rf"(?:GET|HEAD) /{FILE}", Handler.resolve),
]


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """The server, which huggingface_hub takes for the Hub: here and in processes begun here."""
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        cache = tmp_path / "cache"
        values = {"HF_ENDPOINT": server.url, "HF_HOME": str(cache), "HF_HUB_CACHE": str(cache)}
        for name, value in {**values, "HF_HUB_DISABLE_XET": "1"}.items():
            monkeypatch.setenv(name, value)
        # What it read of the environment when it was imported.
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield server
        server.stop()
        thread.join()
