"""The studio's door: who is let in, how large and slow requests may be, and what errors tell."""

import asyncio
import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from serving import serving

pytest.importorskip("uvicorn", reason="pip install styleganv[studio]")
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from styleganv.errors import StyleganvError
from styleganv.media import writing
from styleganv.studio import access, server, upload
from styleganv.studio.access import AccessGuard, BodyLimit, hide_paths, public_name
from styleganv.studio.studio_options import StudioOptions

COOKIE = "styleganv-token"
LOCAL = [("host", "localhost:8000")]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the number of bytes of the body, as an application behind the guard."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    try:
        response = PlainTextResponse(str(len(await Request(scope, receive).body())))
    except access.HTTPException as error:
        response = PlainTextResponse(str(error.detail), error.status_code)
    await response(scope, receive, send)


def ask(
    token: str | None, headers: list[tuple[str, str]], *, query: str = "", kind: str = "http", chunks: Any = (b"",)
) -> tuple[Any, str, dict[str, str]]:
    """Return the status (of a socket, the type of the answer), body and headers of the guard's answer."""
    sent: list[dict[str, Any]] = []
    body = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]

    async def receive() -> Any:
        if not body:
            await asyncio.Event().wait()  # A client that stalls.
        if len(body) == 1 and chunks[-1] == b"":
            body[0]["more_body"] = False
        return body.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": kind, "method": "POST", "path": "/", "query_string": query.encode(), "scheme": "http"}
    scope |= {"headers": [(name.encode(), value.encode("latin-1")) for name, value in headers]}
    asyncio.run(AccessGuard(echo, token)(scope, receive, send))
    told = {name.decode(): value.decode() for name, value in sent[0].get("headers", [])}
    text = b"".join(message.get("body", b"") for message in sent).decode()
    return sent[0].get("status", sent[0]["type"]), text, told


@pytest.mark.parametrize(
    "host, origin, is_allowed",
    [
        ("localhost:8000", None, True),
        ("[::1]:8000", "http://[::1]:8000", True),
        ("127.0.0.1", "http://127.0.0.1", True),
        ("localhost:8000", "http://localhost:8001", False),
        ("localhost:8000", "null", False),
        ("localhost:8000", "http://[::1", False),
        ("evil.example", None, False),
        ("evil.example", "http://evil.example", False),
        ("localhost.evil.example", None, False),
        ("[::1", None, False),
        ("", None, False),
        (None, None, False),
    ],
)
def test_only_loopback_names_and_own_pages_are_let_in(host: str | None, origin: str | None, is_allowed: bool) -> None:
    headers = [(name, value) for name, value in (("host", host), ("origin", origin)) if value is not None]
    assert ask(None, headers)[0] == (200 if is_allowed else 403)
    opened = ask(None, headers, kind="websocket")[0]
    assert opened == ("websocket.accept" if is_allowed and origin is not None else "websocket.close")


@pytest.mark.parametrize(
    "cookies, query, is_allowed",
    [
        ([f"{COOKIE}=secret"], "", True),
        ([f"other=1; {COOKIE}=secret; more=2"], "", True),
        ([f"{COOKIE}=old"], "token=secret", True),
        ([], "", False),
        ([f"{COOKIE}="], "", False),
        ([COOKIE], "", False),
        ([f"{COOKIE}=secre"], "", False),
        ([f"{COOKIE}=" + "x" * 50_000], "", False),
        ([f"{COOKIE}=secret; {COOKIE}=secret"], "", False),
        ([f"{COOKIE}=wrong", f"{COOKIE}=secret"], "", False),
        ([f"{COOKIE}=s\u00e9cret"], "", False),
        ([f"{COOKIE}=secret"], "token=wrong", False),
        ([], "token=", False),
    ],
)
def test_token_is_required(cookies: list[str], query: str, is_allowed: bool) -> None:
    headers = [*LOCAL, *(("cookie", cookie) for cookie in cookies)]
    status, text, told = ask("secret", headers, query=query)
    assert status == (200 if is_allowed else 403) and "secret" not in text
    assert ("set-cookie" in told) == (is_allowed and bool(query))


@pytest.mark.parametrize("token", ["", " ", "a b", "a;b", "a\nb", "é"])
def test_tokens_that_let_nobody_or_everybody_in_are_errors(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "open_sources", lambda *_, **__: pytest.fail("A model was loaded."))
    with pytest.raises(StyleganvError, match="access token"):
        server.run_studio(["model"], StudioOptions(token=token), open_page=False)


def test_bodies_are_limited_in_bytes_and_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "BODY", BodyLimit(2**20, 0.05))
    chunk = b"x" * 2**19
    assert ask(None, LOCAL, chunks=[chunk, chunk, b""])[:2] == (200, str(2**20))
    status, text, _ = ask(None, LOCAL, chunks=[chunk, chunk, b"y", b""])
    assert status == 413 and "at most 1 MiB" in text
    status, text, _ = ask(None, [*LOCAL, ("content-length", str(2**20 + 1))], chunks=[chunk])
    assert status == 413 and "at most 1 MiB" in text
    status, text, _ = ask(None, LOCAL, chunks=[b"x"])
    assert status == 408 and "within 0.05 s" in text


def test_paths_are_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert public_name(tmp_path / "runs" / "mine") == public_name("runs/mine") == "runs/mine"
    assert public_name(tmp_path.parent / "elsewhere") == "elsewhere"
    names = {"/data/my secret/run": "run"}
    for text, hidden in (
        ("Cannot read /data/my secret/run/model: repair it.", "Cannot read run/model: repair it."),
        ("[Errno 2] No such file: '/tmp/x/y.pt'", "[Errno 2] No such file: 'y.pt'"),
        ("~/.cache/styleganv/z (C:\\Users\\me\\z.zip)", "z (z.zip)"),
        ("See https://example.org/a/b, runs/mine, 1/2 or and/or.",) * 2,
    ):
        assert hide_paths(text, names) == hidden


def test_port_host_and_certificate_are_checked_before_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "open_sources", lambda *_, **__: pytest.fail("A model was loaded."))
    (tmp_path / "text.pem").write_text("no certificate")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for options, message in (
            ({"port": port}, f"Cannot listen on 127.0.0.1:{port} "),
            ({"port": 99999}, "port must be .*99999"),
            ({"host": "192.0.2.1"}, "Cannot listen on 192.0.2.1:8000 "),
            ({"host": "no.such.host.invalid"}, "Cannot listen on no.such"),
            ({"host": "x" * 70 + ".example"}, "Cannot listen on xxx"),
            ({"host": ""}, "--host is empty"),
            ({"certificate": tmp_path / "none.pem"}, "Cannot read --certificate .*none.pem"),
            ({"certificate": tmp_path / "text.pem"}, "Cannot read --certificate .*text.pem"),
            ({"certificate": tmp_path}, "Cannot read --certificate"),
            ({"key": tmp_path / "key.pem"}, "requires a certificate"),
        ):
            with pytest.raises(StyleganvError, match=message) as error:
                server.run_studio(["model"], StudioOptions(**options), open_page=False)  # type: ignore[arg-type]
            assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_connections_that_send_no_request_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(echo, http=server._Protocol, log_level="warning", lifespan="off")
        studio = uvicorn.Server(config)
        thread = threading.Thread(target=studio.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            address = listener.getsockname()
            silent, slow = socket.create_connection(address), socket.create_connection(address)
            slow.sendall(b"GET / HTTP/1.1\r\nHost: local")
            for client in (silent, slow):
                client.settimeout(10)
                assert client.recv(1) == b""
            client = http.client.HTTPConnection(*address)  # A whole request is served.
            client.request("GET", "/")
            assert client.getresponse().read() == b"0"
        finally:
            studio.should_exit = True
            thread.join()


def test_uploads_are_limited_in_pixels_and_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix in (".mp4", ".webp"):
        writing.write_video(tmp_path / f"clip{suffix}", iter(np.zeros((20, 16, 32, 3), np.uint8)), 10)
        upload.check_upload(tmp_path / f"clip{suffix}")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    upload.check_upload(tmp_path / "broken.mp4")  # The command has a better message.
    monkeypatch.setattr(upload, "MAX_PIXELS", 500)
    for suffix in (".mp4", ".webp"):
        with pytest.raises(SystemExit, match="frames of 32x16, but uploads are limited to 500 pixels"):
            upload.check_upload(tmp_path / f"clip{suffix}")
    monkeypatch.setattr(upload, "MAX_PIXELS", 512)
    monkeypatch.setattr(upload, "MAX_SECONDS", 1.5)
    with pytest.raises(SystemExit, match="2 s long, but uploads are limited to 2 s"):
        upload.check_upload(tmp_path / "clip.mp4")


@pytest.mark.slow
def test_errors_tell_no_paths(url: str, models: list[Path]) -> None:
    """Wrong requests of every kind, to the real server."""
    host = urlsplit(url).netloc
    secret = re.compile(rf"Traceback|File \"|site-packages|{re.escape(str(models[0].parent))}|/tmp|/home|/root|\.py\b")
    json_type = {"Content-Type": "application/json"}
    for method, path, body, headers, expected in (
        ("GET", "/none", None, {}, {404}),
        ("GET", "/page/0/..%2f..%2fserver.py", None, {}, {404}),
        ("GET", "/page/0/%2e%2e/server.py", None, {}, {404}),
        ("GET", "/../../../etc/passwd", None, {}, {404}),
        ("GET", "/api/runs/one/log", None, {}, {400}),
        ("GET", "/api/directions?source=" + "9" * 5000, None, {}, {400}),
        ("GET", "/api/jobs/1/..%2f..%2fclip.mp4", None, {}, {404}),
        ("PUT", "/api/command", b"{}", json_type, {405}),
        ("BREW", "/", None, {}, {405}),
        ("POST", "/api/command", b"{", json_type, {422}),
        ("POST", "/api/command", b"[" * 60_000, json_type, {400, 422}),
        ("POST", "/api/command", b"\xff\xfe", json_type, {400, 422}),
        ("POST", "/api/command", b"[]", json_type, {422}),
        ("POST", "/api/command", b"{}", {"Content-Type": "text/plain"}, {400, 422}),
        ("POST", "/api/command", json.dumps({"source": "one", "params": 7}).encode(), json_type, {400}),
        ("POST", "/api/jobs/text", b'{"source": "one", "text": "x", "params": {"content": -1}}', json_type, {400}),
        ("POST", "/api/jobs/clip?source=one&name=../../x.mp4&seconds=nan", b"x", {}, {400, 422}),
        ("POST", "/api/jobs/clip?source=one&name=x.py", b"x", {}, {400}),
        ("GET", "/", None, {"Host": "evil.example"}, {403}),
        ("GET", "/", None, {"Host": "[::1"}, {403}),
    ):
        client = http.client.HTTPConnection(host, timeout=30)
        client.request(method, path, body, headers)
        response = client.getresponse()
        text = response.read().decode() + str(response.headers)
        assert response.status in expected, (method, path[:60], response.status, text)
        assert not secret.search(text.replace("x.py", "")), text
        assert expected == {403} or method == "BREW" or '"error":' in text, text  # The page shows it.
        client.close()
    client = http.client.HTTPConnection(host, timeout=30)
    client.request("GET", "/api/sources")
    shown = client.getresponse().read().decode()
    assert [model["name"] for model in json.loads(shown)] == ["one", "wide"] and not secret.search(shown)


@pytest.mark.slow
def test_https_with_a_certificate(models: list[Path], tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout {key} -out {certificate}"
    try:
        subprocess.run(command.split(), check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    options = ["--certificate", str(certificate), "--key", str(key), "--token", "secret"]
    with serving(models[:1], *options) as (_, url):
        assert url.startswith("https://")
        trusted = ssl.create_default_context(cafile=str(certificate))
        trusted.check_hostname = False
        client = http.client.HTTPSConnection(urlsplit(url).netloc, context=trusted, timeout=30)
        client.request("GET", "/?token=secret")
        response = client.getresponse()
        assert response.status == 200 and "; Secure" in response.headers["Set-Cookie"]
