"""A stand-in for the Hub's HTTP API on loopback: repositories, uploads by content, commits, and files."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

TOKEN = "hf_" + "stand1n" * 5


@dataclass
class Hub:
    """What the stand-in holds.

    Args:
        repos: by name, whether it is private.
        trees: by (repository, branch), the files.
        stored: uploaded contents by sha256, committed or not.
        uploads: the sha256 of every content that was sent, in order.
        fail_uploads: so many uploads go well before all others get status 500; None lets all.
        page: so many entries of a listing are in one answer, with the address of the next.
    """

    repos: dict[str, bool] = field(default_factory=dict)
    trees: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    uploads: list[str] = field(default_factory=list)
    commits: list[dict[str, Any]] = field(default_factory=list)
    fail_uploads: int | None = None
    page: int = 1000
    address: str = ""


def serve(hub: Hub) -> ThreadingHTTPServer:
    """Start the stand-in in a thread; its address is in ``hub.address``."""

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    state: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Nothing is printed."""

    def _answer(self, body: Any = None, status: int = 200, data: bytes | None = None, **headers: str) -> None:
        data = json.dumps(body).encode() if data is None else data
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self._answer({"error": "Invalid username or password."}, 401, x_error_message="Invalid username or password.")
        return False

    def do_POST(self):
        body = self._body()
        path = unquote(urlsplit(self.path).path)
        if not self._allowed():
            return
        if path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif match := re.fullmatch(r"/api/datasets/(.+?)/branch/(.+)", path):
            self._branch(match[1], match[2])
        elif match := re.fullmatch(r"/api/datasets/(.+?)/preupload/(.+)", path):
            files = json.loads(body)["files"]
            modes = [
                {"path": one["path"], "uploadMode": "lfs" if _is_large(one["path"]) else "regular"} for one in files
            ]
            self._answer({"files": [{**mode, "shouldIgnore": False} for mode in modes]})
        elif match := re.fullmatch(r"/datasets/(.+?)\.git/info/lfs/objects/batch", path):
            self._batch(json.loads(body))
        elif match := re.fullmatch(r"/api/datasets/(.+?)/commit/(.+)", path):
            self._commit(match[1], match[2], body)
        else:
            self._answer({"error": f"unknown {path}"}, 404)

    def _create(self, wanted: dict[str, Any]) -> None:
        owner = wanted.get("organization") or "me"
        name = f"{owner}/{wanted['name']}"
        if name in self.state.repos:
            url = f"{self.state.address}/datasets/{name}"
            self._answer({"error": "You already created this dataset repo", "url": url}, 409)
            return
        private = wanted.get("private") or wanted.get("visibility") == "private"
        self.state.repos[name] = bool(private)
        self.state.trees[name, "main"] = {".gitattributes": b""}
        self._answer({"url": f"{self.state.address}/datasets/{name}", "name": name})

    def _branch(self, repo: str, branch: str) -> None:
        if (repo, branch) in self.state.trees:
            self._answer({"error": "Reference already exists"}, 409)
            return
        self.state.trees[repo, branch] = dict(self.state.trees[repo, "main"])
        self._answer({})

    def _batch(self, wanted: dict[str, Any]) -> None:
        objects = []
        for one in wanted["objects"]:
            action = {"upload": {"href": f"{self.state.address}/upload/{one['oid']}"}}
            there = one["oid"] in self.state.stored
            objects.append(one if there else {**one, "actions": action})
        self._answer({"transfer": "basic", "objects": objects}, Content_Type="application/vnd.git-lfs+json")

    def _commit(self, repo: str, branch: str, body: bytes) -> None:
        tree = dict(self.state.trees[repo, branch])
        operations = [json.loads(line) for line in body.splitlines() if line]
        for one in operations:
            value = one["value"]
            if one["key"] == "file":
                tree[value["path"]] = base64.b64decode(value["content"])
            elif one["key"] == "lfsFile":
                tree[value["path"]] = self.state.stored[value["oid"]]
            elif one["key"] == "deletedFile":
                del tree[value["path"]]
        self.state.trees[repo, branch] = tree
        self.state.commits.append({"repo": repo, "branch": branch, "operations": operations})
        oid = hashlib.sha1(body).hexdigest()
        url = f"{self.state.address}/datasets/{repo}/commit/{oid}"
        self._answer({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})

    def do_PUT(self):
        data = self._body()
        oid = urlsplit(self.path).path.rsplit("/", 1)[-1]
        if self.state.fail_uploads is not None and len(self.state.uploads) >= self.state.fail_uploads:
            self._answer({"error": "the stand-in is out of order"}, 403)
            return
        assert hashlib.sha256(data).hexdigest() == oid
        self.state.uploads.append(oid)
        self.state.stored[oid] = data
        self._answer({})

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if match := re.fullmatch(r"/large/([0-9a-f]{64})", path):
            self._large(match[1])
            return
        asked = re.match(r"/(?:api/)?datasets/([^/]+/[^/]+)", path)
        if asked and self.state.repos.get(asked[1]) and not self._allowed():
            return
        if match := re.fullmatch(r"/datasets/(.+?)/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], match[2], match[3])
        elif match := re.fullmatch(r"/api/datasets/(.+?)/tree/([^/]+)/?(.*)", path):
            self._tree(match[1], match[2], match[3], recursive="recursive=true" in self.path.lower())
        elif match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._info(match[1], match[2])
        else:
            self._answer({"error": f"unknown {path}"}, 404)

    def _tree(self, repo: str, revision: str, folder: str, *, recursive: bool) -> None:
        tree = self.state.trees[repo, _branch(revision)]
        start = f"{folder}/" if folder else ""
        inside = {name: data for name, data in sorted(tree.items()) if name.startswith(start)}
        if not inside and folder:
            self._answer({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
            return
        found: dict[str, dict[str, Any]] = {}
        for name, data in inside.items():
            first, _, rest = name.removeprefix(start).partition("/")
            if rest:
                path = f"{start}{first}"
                found[path] = {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}
            if recursive or not rest:
                found[name] = {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                if _is_large(name):
                    sha256 = hashlib.sha256(data).hexdigest()
                    found[name]["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": 134}
        asked = urlsplit(self.path)
        query = {name: value for name, (value, *_) in parse_qs(asked.query).items()}
        begin = int(query.get("cursor", 0))
        end = begin + self.state.page
        headers = {}
        if end < len(found):
            address = f"{self.state.address}{asked.path}?{urlencode(query | {'cursor': end})}"
            headers["Link"] = f'<{address}>; rel="next"'
        self._answer([*found.values()][begin:end], **headers)

    def _info(self, repo: str, revision: str | None) -> None:
        branch = _branch(revision)
        if repo not in self.state.repos:
            self._answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
            return
        tree = self.state.trees[repo, branch]
        self._answer(
            {
                "id": repo,
                "_id": "1",
                "sha": branch.encode().hex().ljust(40, "0")[:40],
                "private": self.state.repos[repo],
                "siblings": [{"rfilename": name} for name in sorted(tree)],
                "tags": [],
                "downloads": 0,
                "likes": 0,
            }
        )

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        tree = self.state.trees.get((repo, _branch(revision)), {})
        if name not in tree:
            self._answer({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
            return
        data = tree[name]
        sha256 = hashlib.sha256(data).hexdigest()
        headers = {"ETag": f'"{sha256}"', "X_Repo_Commit": _sha(_branch(revision))}
        if _is_large(name):
            linked = {"X_Linked_Size": str(len(data)), "X_Linked_ETag": f'"{sha256}"'}
            elsewhere = self.state.address.replace("127.0.0.1", "localhost")
            self._answer(status=302, data=b"", Location=f"{elsewhere}/large/{sha256}", **headers, **linked)
            return
        self._bytes(data, **headers)

    def _large(self, sha256: str) -> None:
        """A large file, which is on another server: the address alone gives the right to it."""
        if self.headers.get("Authorization"):
            self._answer({"error": "only one way to sign in is allowed"}, 400)
            return
        every = (data for tree in self.state.trees.values() for data in tree.values())
        self._bytes(next(data for data in every if hashlib.sha256(data).hexdigest() == sha256), ETag=f'"{sha256}"')

    def _bytes(self, data: bytes, **headers: str) -> None:
        """A file, or the part of it that is asked for."""
        headers["Accept_Ranges"] = "bytes"
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if span:
            begin, end = int(span[1]), min(int(span[2] or len(data) - 1), len(data) - 1)
            headers["Content_Range"] = f"bytes {begin}-{end}/{len(data)}"
            self._answer(status=206, data=data[begin : end + 1], **headers)
            return
        self._answer(data=data, **headers)


def _is_large(name: str) -> bool:
    """Whether a file is kept outside of git."""
    return name.endswith(".parquet")


def _sha(branch: str) -> str:
    return branch.encode().hex().ljust(40, "0")[:40]


def _branch(revision: str | None) -> str:
    """The branch of a revision, which may be given as its commit."""
    if revision is None:
        return "main"
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return bytes.fromhex(revision).rstrip(b"\0").decode()
    return revision
