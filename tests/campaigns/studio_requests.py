"""Seeded HTTP and WebSocket requests to one studio: each gets an answer below 500, and the studio stays alive."""

import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import sandbox
from .inputs import Inputs
from .mutations import ODD_VALUES, ODD_WORDS, damage, damage_tree

TOKEN = "secret-token-of-the-campaign"
TIMEOUT_SECONDS = 20.0
PARAMS = {
    "content": "1@0.5,4@0.5",
    "motion": 2,
    "psi": 0.7,
    "label": None,
    "mix": "3:0-1@0.5",
    "grid": [1, 1],
    "directions": {},
}
EXPORT = {"source": "model", "params": PARAMS, "start": 0, "seconds": 0.2, "fps": 10, "speed": 1, "format": "mp4"}
FRAMES = {"id": 1, "source": "model", "params": PARAMS, "start": 0.0, "fps": 10.0, "num_frames": 2}
FOLDERS = (os.getcwd(), f"{tempfile.gettempdir()}/", f"{Path.home()}/")
#: What no answer may show.
SECRETS = re.compile(rf"Traceback|File \"|{'|'.join(map(re.escape, FOLDERS))}|site-packages|styleganv-fuzz|{TOKEN}")


@contextmanager
def studio(inputs: Inputs, work: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Serve a model, one with classes, and a run; yield the process and its port."""
    models = [str(inputs.folder / name) for name in ("model", "classes-model", "run")]
    argv = [sys.executable, "-m", "styleganv", "studio", *models, "--port", "0", "--no-open", "--token", TOKEN]
    env = sandbox.environment(work / "home", work / "tmp")
    with (
        open(work / "studio-log", "w") as log,
        subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=log, text=True, cwd=work, env=env, start_new_session=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r":(\d+)/", line)
            assert found, f"the studio did not start: {line}{(work / 'studio-log').read_text()}"
            yield process, int(found[1])
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
            sandbox.kill_survivors(process.pid, 2)


def run(
    chosen: list[tuple[int, str]], seed: int, inputs: Inputs, work: Path, summary: Any
) -> Iterator[tuple[int, str, str, str, list[str]]]:
    """Send the requests one after the other; yield number, kind, how each ended, what it was, and what is wrong."""
    with studio(inputs, work) as (process, port):
        idle = _memory(process.pid)
        for number, kind in chosen:
            rng = random.Random(f"{seed}/{number}")
            start = time.monotonic()
            what, problems = _request(rng, inputs, port)
            seconds = time.monotonic() - start
            if process.poll() is not None:
                yield number, kind, "success", what, [*problems, f"ended: the studio ended with {process.returncode}"]
                return
            if seconds > TIMEOUT_SECONDS:
                problems.append(f"hang: an answer after {seconds:.0f} s")
            if rng.random() < 0.2:
                _cancel_jobs(port)
            alive = _exchange(port, "GET", "/api/sources", None, {})
            if alive[0] != 200:
                problems.append(f"alive: the next request got {alive[0]}")
            peak = _memory(process.pid) - idle
            if peak > sandbox.MAX_BYTES:
                problems.append(f"memory: {peak / 2**30:.1f} GiB above idle")
            summary.slowest[kind] = max(summary.slowest[kind], seconds)
            summary.largest[kind] = max(summary.largest[kind], peak)
            yield number, kind, "success", what, problems


def _memory(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def _request(rng: random.Random, inputs: Inputs, port: int) -> tuple[str, list[str]]:
    kind = rng.choice(
        ("path", "json", "json", "json", "json", "headers", "raw", "upload", "upload", "socket", "socket", "socket")
    )
    if kind == "socket":
        return _socket(rng, port)
    if kind == "raw":
        return _raw(rng, port)
    method, path, body, headers = "GET", "/", None, {}
    if kind == "path":
        word = rng.choice((*ODD_WORDS, "-1", "99", "1e9", "%2e%2e%2f" * 3, "..%5c", "%00", "a" * 9000))
        word = "".join(c if 32 < ord(c) < 127 else "%3f" for c in word)
        path = rng.choice(
            (
                "/page/{}",
                "/page/0/{}",
                "/{}",
                "/api/directions?source={}",
                "/api/runs/run/snapshots/{}",
                "/api/jobs/{}/stop",
            )
        )
        path, method = path.format(word), rng.choice(("GET", "GET", "POST", "DELETE", "OPTIONS", "HEAD", "BREW"))
    elif kind == "json":
        path = rng.choice(("/api/command", "/api/project"))
        tree, note = damage_tree(rng, EXPORT) if rng.random() < 0.9 else (rng.choice(ODD_VALUES), "any value")
        method, body = "POST", json.dumps(tree).encode()
        if rng.random() < 0.2:
            body, note = damage(rng, body)
        path += f"#{note}"
    elif kind == "headers":
        name = rng.choice(
            ("Host", "Origin", "Cookie", "Content-Length", "Content-Type", "Range", "Transfer-Encoding", "X")
        )
        value = rng.choice(
            ("", "-1", "abc", "99999999999999999999", "evil.example", "a=b; styleganv-token=", "x" * 20000, "chunked")
        )
        method, path, body, headers = rng.choice(("GET", "POST")), "/api/command", b"{}", {name: value}
    elif kind == "upload":
        clip = inputs.clip(rng)
        body, note = damage(rng, clip.read_bytes()) if rng.random() < 0.7 else (clip.read_bytes(), "whole")
        query = rng.choice(
            ("", "&num_steps=1&seconds=0.2", "&num_steps=nan", "&start=-1", "&seconds=1e99", "&num_steps=1e9")
        )
        name = rng.choice((clip.name, "..%2f..%2fx.mp4", "%00.mp4", "x.exe", "", "a" * 300 + ".mp4"))
        method, path = (
            "POST",
            f"/api/jobs/clip?source={rng.choice(('model', 'run', 'x', ''))}&name={name}{query}#{note}",
        )
    path, _, note = path.partition("#")
    status, text = _exchange(port, method, path, body, headers)
    problems = [] if status and status < 500 else [f"status: {status}: {text[:200]}"]
    if kind != "path" and (found := SECRETS.search(text)):
        problems.append(f"secret: {found[0]} in {text[max(0, found.start() - 60) : found.end() + 60]!r}")
    shown = f"{method} {path[:120]} {note} {str(headers)[:100] if headers else ''}"
    return f"{shown} → {status}", problems


def _exchange(port: int, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, str]:
    """Send a request with the token; return status and text, or 0 if the connection was closed without an answer."""
    cookie = {"Cookie": f"styleganv-token={TOKEN}"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS + 5)
    try:
        connection.request(method, path, body, cookie | headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("latin-1")
    except (http.client.HTTPException, TimeoutError) as error:
        return 0, f"{type(error).__name__}: {error}"
    except OSError as error:  # refused before the body was read, which is right for large ones
        return 400, str(error)
    finally:
        connection.close()


def _raw(rng: random.Random, port: int) -> tuple[str, list[str]]:
    """Send bytes that are no HTTP, or half a request, and hang up."""
    data = rng.choice(
        (
            rng.randbytes(200),
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST /api/command HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            b"\r\n" * 1000,
        )
    )
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(data)
        connection.settimeout(0.5)
        try:
            answer = connection.recv(10_000)
        except OSError:
            answer = b""
    problems = [f"status: {answer[:80]!r}"] if re.match(rb"HTTP/1.1 5", answer) else []
    if found := SECRETS.search(answer.decode("latin-1")):
        problems.append(f"secret: {found[0]}")
    return f"raw {data[:60]!r} → {answer[:20]!r}", problems


def _socket(rng: random.Random, port: int) -> tuple[str, list[str]]:
    """Send messages over a WebSocket; each is answered, or the connection is closed, but not for an internal error."""
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect

    origin = rng.choice((f"http://127.0.0.1:{port}",) * 8 + (None, "http://evil.example"))
    headers = {"Cookie": f"styleganv-token={TOKEN}" if rng.random() < 0.9 else "styleganv-token="}
    tree, note = damage_tree(rng, FRAMES)
    message: str | bytes = json.dumps(tree)
    if rng.random() < 0.3:
        message = rng.choice(
            (
                "",
                "[]",
                "null",
                "1",
                '{"source": "model"}',
                "x" * 70_000,
                "{" * 5000,
                b"\0\xff",
                '{"id": NaN}',
                "[" * 100_000,
            )
        )
        note = repr(message[:20])
    problems: list[str] = []
    try:
        with connect(
            f"ws://127.0.0.1:{port}/frames", origin=origin, additional_headers=headers, close_timeout=2
        ) as client:  # type: ignore[arg-type]
            client.send(message)
            answer = client.recv(timeout=TIMEOUT_SECONDS)
            text = answer if isinstance(answer, str) else answer[:2000].decode("latin-1")
            if found := SECRETS.search(text):
                problems.append(f"secret: {found[0]} in {text[:200]!r}")
            end = f"{len(answer)} bytes"
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else None
        reason = closed.rcvd.reason if closed.rcvd else ""
        end = f"closed {code} {reason}"
        if code in (1006, 1011, None):
            problems.append(f"status: the socket closed with {code} {reason}")
    except InvalidStatus as refused:
        end = f"refused {refused.response.status_code}"
        if refused.response.status_code >= 500:
            problems.append(f"status: {refused.response.status_code}")
    except TimeoutError:
        end = "no answer"
        problems.append("hang: no answer over the socket")
    return f"socket {note}, origin {origin} → {end}", problems


def _cancel_jobs(port: int) -> None:
    """End the searches that uploads have started."""
    status, text = _exchange(port, "GET", "/api/jobs", None, {})
    if status == 200:
        for job in json.loads(text):
            _exchange(port, "POST", f"/api/jobs/{job['number']}/cancel", None, {})
