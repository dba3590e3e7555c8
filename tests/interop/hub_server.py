"""A local server with the parts of the Hub's API that huggingface_hub needs for small files."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Files = dict[str, bytes]


class HubServer:
    """State of the server: repositories by name, private ones, and a status to reject requests with."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.repositories: dict[str, Files] = {}
        self.private: set[str] = set()
        self.rejection: int | None = None  # a status for every request

    def commit(self, name: str) -> str:
        return hashlib.sha1(repr(sorted(self.repositories[name].items())).encode()).hexdigest()


@contextmanager
def hub_server() -> Iterator[HubServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.hub = HubServer(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.hub  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    @property
    def hub(self) -> HubServer:
        return self.server.hub  # type: ignore[attr-defined, no-any-return]

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal of the tests."""

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def json(self, value: Any) -> None:
        self.answer(json.dumps(value).encode(), Content_Type="application/json")

    def missing(self, code: str) -> None:
        self.answer(b"{}", 404, X_Error_Code=code)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if self.hub.rejection:
            return self.answer(b"{}", self.hub.rejection)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(\w+))?", path):
            files = self.hub.repositories.get(match[1])
            if files is None:
                return self.missing("RepoNotFound")
            if match[2] not in (None, "main", self.hub.commit(match[1])):
                return self.missing("RevisionNotFound")
            return self.json(
                {"id": match[1], "sha": self.hub.commit(match[1]), "siblings": [{"rfilename": name} for name in files]}
            )
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/(\w+)", path):
            files = self.hub.repositories[match[1]]
            oid = self.hub.commit(match[1])
            return self.json(
                [{"type": "file", "path": name, "size": len(body), "oid": oid} for name, body in files.items()]
            )
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/(\w+)/(.+)", path)
        files = self.hub.repositories.get(match[1]) if match else None
        if match is None or files is None:
            return self.missing("RepoNotFound")
        if match[3] not in files:
            return self.missing("EntryNotFound")
        body = files[match[3]]
        etag = f'"{hashlib.sha1(body).hexdigest()}"'
        return self.answer(body, ETag=etag, X_Repo_Commit=self.hub.commit(match[1]))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.hub.rejection:
            return self.answer(b"{}", self.hub.rejection)
        if self.path == "/api/validate-yaml":
            return self.json({"errors": [], "warnings": []})
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if name not in self.hub.repositories:
                self.hub.repositories[name] = {}
                if asked.get("visibility") == "private" or asked.get("private"):
                    self.hub.private.add(name)
            return self.json({"url": f"{self.hub.address}/{name}"})
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", self.path)
        assert match and match[1] in self.hub.repositories, self.path
        if match[2] == "preupload":
            paths = [file["path"] for file in json.loads(body)["files"]]
            return self.json(
                {"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]}
            )
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "deletedFile":
                del self.hub.repositories[match[1]][line["value"]["path"]]
            if line["key"] == "file":
                self.hub.repositories[match[1]][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        commit = self.hub.commit(match[1])
        return self.json({"commitUrl": f"{self.hub.address}/{match[1]}/commit/{commit}", "commitOid": commit})
