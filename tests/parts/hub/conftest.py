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

REPOSITORY = r"(?P<name>[^/]+/[^/]+)"
FILE = re.compile(rf"/{REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
API = re.compile(rf"/api/models/{REPOSITORY}(/(revision|(?P<tree>tree))/(?P<revision>[^/]+)/?)?")


class StandIn(ThreadingHTTPServer):
    """The server; `repositories` is `{name: {id of a commit: {path: bytes}}}`."""

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
        commits = self.repositories.setdefault(name, {})
        commit = sha1(f"{name} {len(commits)}".encode())
        commits[commit] = dict(files)
        return commit

    def answer(self, path):
        """(status, content, headers): of a file, of a list of files, or of a repository."""
        asked = FILE.fullmatch(path) or API.fullmatch(path)
        commits = self.repositories.get(asked["name"])
        if commits is None:
            return 404, b"", {"X-Error-Code": "RepoNotFound"}
        commit = asked["revision"] if asked["revision"] in commits else [*commits][-1]
        files = commits[commit]
        if asked.re is FILE:
            content, headers = files.get(asked["path"]), {"X-Repo-Commit": commit}
            if content is None:
                return 404, b"", {**headers, "X-Error-Code": "EntryNotFound"}
            return 200, content, {**headers, "ETag": f'"{sha1(content)}"'}
        listed = [
            {"type": "file", "path": path, "size": len(content), "oid": sha1(content)}
            for path, content in files.items()
        ]
        siblings = [{"rfilename": path} for path in files]
        repository = {"id": asked["name"], "sha": commit, "siblings": siblings, "tags": []}
        return 200, json.dumps(listed if asked["tree"] else repository).encode(), {}


def sha1(content):
    return hashlib.sha1(content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.server.requests.append(path)
        status, content, headers = self.server.answer(path)
        self.send_response(status)
        for key, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """The server, which huggingface_hub takes for the Hub."""
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        # What it read of the environment when it was imported.
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield server
        server.stop()
        thread.join()
