"""A stand-in for the Hugging Face Hub on the loopback: the calls of huggingface_hub that we cause.

It was made after the requests that huggingface_hub 2.4 sends, not after the Hub's own code. It
keeps commits in memory. Xet, the Hub's newer way to upload, has no stand-in: git's LFS does it.
"""

import base64
import hashlib
import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

TOKEN = "hf_stand_in"
MOST_BYTES = 2**28  # of a request
FILE = r"((?P<kind>spaces)/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)"
REPOSITORY = r"(?P<kind>models|spaces)/(?P<name>[^/]+/[^/]+)"


class StandIn(ThreadingHTTPServer):
    """The server; `repositories` is `{(kind, name): [{path: bytes}, …]}`, a list of commits."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories, self.facts, self.large, self.requests = {}, {}, {}, []

    def stop(self):
        """No answer from here on: the connections that are open are closed, too."""
        self.shutdown()
        self.server_close()
        close_session()

    def files(self, name, kind="models"):
        return self.repositories[kind, name][-1]

    def put(self, name, files, kind="models"):
        """One more commit, of these files alone; returns its id."""
        self.repositories.setdefault((kind, name), []).append(dict(files))
        return commit_id(name, len(self.repositories[kind, name]) - 1)


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
        length = int(self.headers.get("Content-Length", 0))
        assert length < MOST_BYTES
        self.body = self.rfile.read(length)
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            self.body = self._chunks()
        for pattern, method in ROUTES:
            match = re.fullmatch(pattern, f"{self.command} {path}")
            if match:
                method(self, **match.groupdict())
                return
        self._answer(404, {"error": f"the stand-in knows no {self.command} {path}"})

    do_GET = do_HEAD = do_POST = do_PUT = _any

    def _chunks(self):
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            assert len(body) < MOST_BYTES
            self.rfile.readline()
        self.rfile.readline()
        return body

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

    def whoami(self):
        self._answer(200, {"type": "user", "name": "someone", "orgs": [], "auth": {}})

    def create(self):
        asked = json.loads(self.body)
        kind = asked.get("type", "model") + "s"
        name = f"{asked['organization']}/{asked['name']}"
        prefix = "" if kind == "models" else f"{kind}/"
        answer = {"url": f"{self.server.url}/{prefix}{name}"}
        if (kind, name) in self.server.repositories:
            self._answer(409, {**answer, "error": "You already created this repo"})
        else:
            self.server.facts[kind, name] = asked
            self.server.put(name, {".gitattributes": b"*.onnx filter=lfs\n"}, kind)
            self._answer(200, answer)

    def validate(self):
        content = json.loads(self.body)["content"]
        huggingface_hub.ModelCard(content)
        self._answer(200, {"errors": [], "warnings": []})

    def preupload(self, kind, name, revision):
        files = []
        for file in json.loads(self.body)["files"]:
            large = re.search(r"\.(onnx|keras|wasm|png)$", file["path"])
            mode = {"uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            files.append({"path": file["path"], **mode})
        self._answer(200, {"files": files})

    def batch(self, name):
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.server.url}/large/{each['oid']}"}}}
            for each in json.loads(self.body)["objects"]
        ]
        self._answer(200, {"objects": objects, "transfer": "basic"})

    def put_large(self, oid):
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.server.large[oid] = self.body
        self._answer(200, {})

    def commit(self, kind, name, revision):
        files = dict(self.server.files(name, kind))
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        oid = self.server.put(name, files, kind)
        prefix = "" if kind == "models" else f"{kind}/"
        url = f"{self.server.url}/{prefix}{name}/commit/{oid}"
        self._answer(200, {"commitUrl": url, "commitOid": oid})

    def _at(self, kind, name, revision):
        """(id of the commit, its files); None where there is none, which is answered."""
        commits = self.server.repositories.get((kind, name))
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

    def info(self, kind, name, revision=None):
        found = self._at(kind, name, revision)
        if found:
            siblings = [{"rfilename": path} for path in found[1]]
            self._answer(200, {"id": name, "sha": found[0], "siblings": siblings, "tags": []})

    def tree(self, kind, name, revision):
        found = self._at(kind, name, revision)
        if found:
            rows = [
                {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
                for path, content in found[1].items()
            ]
            self._answer(200, rows)

    def resolve(self, name, revision, path, kind=None):
        found = self._at(kind or "models", name, revision)
        if found is None:
            return
        oid, files = found
        if path not in files:
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": oid}
            self._answer(404, {"error": "Entry not found"}, headers)
            return
        self._answer(200, files[path], {"X-Repo-Commit": oid, "ETag": f'"{blob_id(files[path])}"'})


ROUTES = [
    (r"GET /api/whoami-v2", Handler.whoami),
    (r"POST /api/repos/create", Handler.create),
    (r"POST /api/validate-yaml", Handler.validate),
    (rf"POST /api/{REPOSITORY}/preupload/(?P<revision>[^/]+)", Handler.preupload),
    (r"POST /(spaces/)?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch", Handler.batch),
    (r"PUT /large/(?P<oid>\w+)", Handler.put_large),
    (rf"POST /api/{REPOSITORY}/commit/(?P<revision>[^/]+)", Handler.commit),
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
        for name, value in {**values, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}.items():
            monkeypatch.setenv(name, value)
        # What it read of the environment when it was imported.
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
        yield server
        server.stop()
        thread.join()
