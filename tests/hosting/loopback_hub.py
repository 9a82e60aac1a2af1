"""A small hub on loopback: the part of the Hugging Face hub's language that pull and push need."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_loopback"
"""The token that may do everything."""

LFS_SUFFIXES = (".npz", ".npy", ".parquet")
"""Files that are kept apart, and are fetched from another host by a redirect."""

PAGE = 2
"""Entries of a page of a listing."""

Tree = dict[str, bytes]


@dataclass
class Repository:
    """A dataset repository: commits, and names for some of them."""

    private: bool = False
    commits: dict[str, Tree] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def commit(self, tree: Tree, branch: str = "main") -> str:
        """Add a commit; return its name."""
        text = repr((len(self.commits), sorted(tree))).encode() + b"".join(tree.values())
        oid = hashlib.sha1(text).hexdigest()
        self.commits[oid] = dict(tree)
        self.names[branch] = oid
        return oid

    def find(self, revision: str) -> str | None:
        oid = self.names.get(revision, revision)
        return oid if oid in self.commits else None

    @property
    def head(self) -> Tree:
        return self.commits[self.names["main"]] if self.names else {}


class Hub:
    """The host; ``repositories`` by ``owner/name`` is what it holds."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def repository(self, name: str, **options: Any) -> Repository:
        return self.repositories.setdefault(name, Repository(**options))


class _Refused(Exception):  # noqa: N818
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None: ...

    def _serve(self) -> None:
        self.hub.seen.append((f"{self.command} {self.path}", dict(self.headers)))
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        self.query = parse_qs(parts.query)
        method = "GET" if self.command == "HEAD" else self.command
        try:
            for verb, pattern, action in _ROUTES:
                match = re.fullmatch(pattern, parts.path)
                if verb == method and match:
                    action(self, *map(unquote, match.groups(default="")))
                    return
            raise _Refused(404, "NotFound")
        except _Refused as error:
            self._send(error.status, b"{}", {"X-Error-Code": error.code})

    do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, answer: Any, headers: dict[str, str] | None = None) -> None:
        self._send(200, json.dumps(answer).encode(), headers)

    @property
    def _here(self) -> str:
        """This host, as the client calls it."""
        return f"http://{self.headers['Host']}"

    # -- who asks, and for what ----------------------------------------------------------------

    @property
    def _trusted(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repository(self, name: str, *, write: bool = False) -> Repository:
        repository = self.hub.repositories.get(name)
        if repository is None:
            raise _Refused(404 if self._trusted else 401, "RepoNotFound")
        if (repository.private or write) and not self._trusted:
            raise _Refused(403 if self.headers.get("Authorization") else 401, "Forbidden")
        return repository

    def _commit(self, name: str, revision: str) -> tuple[str, Tree]:
        repository = self._repository(name)
        oid = repository.find(revision)
        if oid is None:
            raise _Refused(404, "RevisionNotFound")
        return oid, repository.commits[oid]

    # -- reading -------------------------------------------------------------------------------

    def info(self, name: str, revision: str) -> None:
        oid, tree = self._commit(name, revision)
        self._json({"id": name, "sha": oid, "siblings": [{"rfilename": path} for path in tree]})

    def tree(self, name: str, revision: str, path: str) -> None:
        _, tree = self._commit(name, revision)
        prefix = f"{path}/" if path else ""
        recursive = self.query.get("recursive", [""])[0].lower() == "true"
        rows: dict[str, dict[str, Any]] = {}
        for file, content in sorted(tree.items()):
            if file.startswith(prefix):
                first, _, deeper = file[len(prefix) :].partition("/")
                if recursive:
                    first, deeper = file[len(prefix) :], ""
                oid = hashlib.sha1(content).hexdigest()
                kind = {"type": "directory"} if deeper else {"type": "file", "size": len(content)}
                rows[first] = {"path": prefix + first, "oid": oid, **kind}
        if not rows and path:
            raise _Refused(404, "EntryNotFound")
        start = int(self.query.get("cursor", ["0"])[0])
        headers = {}
        if start + PAGE < len(rows):
            here = f"{self._here}{urlsplit(self.path).path}"
            headers["Link"] = f'<{here}?recursive={recursive}&cursor={start + PAGE}>; rel="next"'
        self._json(list(rows.values())[start : start + PAGE], headers)

    def resolve(self, name: str, revision: str, path: str) -> None:
        oid, tree = self._commit(name, revision)
        if path not in tree:
            raise _Refused(404, "EntryNotFound")
        content = tree[path]
        digest = hashlib.sha256(content).hexdigest()
        headers = {"X-Repo-Commit": oid, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        if path.endswith(LFS_SUFFIXES):
            self.hub.blobs[digest] = content
            # Another name of this host: to clients another host.
            port = self.headers["Host"].rpartition(":")[2]
            headers |= {
                "Location": f"http://localhost:{port}/cdn/{digest}",
                "X-Linked-Size": str(len(content)),
                "X-Linked-ETag": f'"{digest}"',
            }
            self._send(302, b"", headers)
            return
        self._content(content, headers)

    def cdn(self, digest: str) -> None:
        if self.headers.get("Authorization"):
            raise _Refused(400, "TokenLeaked")
        self._content(self.hub.blobs[digest], {"Accept-Ranges": "bytes"})

    def _content(self, content: bytes, headers: dict[str, str]) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match:
            self._send(200, content, headers)
            return
        start, size = int(match[1]), len(content)
        stop = min(int(match[2]) + 1 if match[2] else size, size)
        if start >= size:
            self._send(416, b"", {"Content-Range": f"bytes */{size}"})
            return
        said = {"Content-Range": f"bytes {start}-{stop - 1}/{size}"}
        self._send(206, content[start:stop], headers | said)

    # -- writing -------------------------------------------------------------------------------

    def create(self) -> None:
        if not self._trusted:
            raise _Refused(401, "Unauthorized")
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        exists = name in self.hub.repositories
        repository = self.hub.repository(
            name, private="private" in (asked.get("visibility"), *asked)
        )
        if not exists:
            repository.commit({".gitattributes": b"*.npz filter=lfs\n"})
        status = 409 if exists else 200
        self._send(status, json.dumps({"url": f"{self._here}/datasets/{name}"}).encode())

    def preupload(self, name: str, revision: str) -> None:
        self._repository(name, write=True)
        rows = []
        for file in json.loads(self.body)["files"]:
            mode = "lfs" if file["path"].endswith(LFS_SUFFIXES) else "regular"
            rows.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False})
        self._json({"files": rows})

    def batch(self, name: str) -> None:
        self._repository(name, write=True)
        objects = [
            {
                "oid": row["oid"],
                "size": row["size"],
                "actions": {
                    "upload": {"href": f"{self._here}/lfs/{row['oid']}"},
                    "verify": {"href": f"{self._here}/lfs-verify/{row['oid']}"},
                },
            }
            for row in json.loads(self.body)["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise _Refused(400, "BadUpload")
        self.hub.blobs[oid] = self.body
        self._send(200, b"")

    def verify(self, oid: str) -> None:
        self._send(200 if oid in self.hub.blobs else 404, b"{}")

    def commit(self, name: str, revision: str) -> None:
        repository = self._repository(name, write=True)
        oid = repository.find(revision)
        if oid is None:
            raise _Refused(404, "RevisionNotFound")
        tree = dict(repository.commits[oid])
        for line in self.body.splitlines():
            row = json.loads(line)
            value = row["value"]
            if row["key"] == "file":
                tree[value["path"]] = base64.b64decode(value["content"])
            elif row["key"] == "lfsFile":
                tree[value["path"]] = self.hub.blobs[value["oid"]]
            elif row["key"] == "deletedFile":
                del tree[value["path"]]
            elif row["key"] == "deletedFolder":
                tree = {k: v for k, v in tree.items() if not k.startswith(value["path"])}
        new = repository.commit(tree, revision)
        self._json({"commitUrl": f"{self._here}/datasets/{name}/commit/{new}", "commitOid": new})


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES: list[tuple[str, str, Any]] = [
    ("GET", rf"/api/datasets/{_NAME}/revision/([^/]+)", _Handler.info),
    ("GET", rf"/api/datasets/{_NAME}/tree/([^/]+)(?:/(.+))?", _Handler.tree),
    ("GET", rf"/datasets/{_NAME}/resolve/([^/]+)/(.+)", _Handler.resolve),
    ("GET", r"/cdn/(\w+)", _Handler.cdn),
    ("POST", r"/api/repos/create", _Handler.create),
    ("POST", rf"/api/datasets/{_NAME}/preupload/([^/]+)", _Handler.preupload),
    ("POST", rf"/datasets/{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/lfs/(\w+)", _Handler.upload),
    ("POST", r"/lfs-verify/(\w+)", _Handler.verify),
    ("POST", rf"/api/datasets/{_NAME}/commit/([^/]+)", _Handler.commit),
]
