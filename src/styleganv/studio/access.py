"""Access to the studio: who may connect, how large and how slow a request may be, and what an error may tell."""

import asyncio
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from styleganv.errors import StyleganvError

COOKIE = "styleganv-token"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
#: Of what never changes at its URL.
IMMUTABLE = "private, max-age=31536000, immutable"
#: An absolute path of at least two parts, but no part of a URL or of a relative path.
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/\\~-])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\:'\"(),;]+[/\\])+([^\s/\\:'\"(),;]*)")


@dataclass(frozen=True)
class BodyLimit:
    """How large the body of a request may be, and how many seconds it may take to arrive."""

    num_bytes: int
    seconds: float

    def check(self, num_bytes: int) -> None:
        """Raise HTTPException if a body is too large."""
        if num_bytes > self.num_bytes:
            size = f"{self.num_bytes / 2**20:g} MiB"
            raise HTTPException(413, f"A request must be at most {size}: send a smaller file.")


BODY, UPLOAD = BodyLimit(2**16, 20), BodyLimit(2**28, 900)


class AccessGuard:
    """Middleware that refuses clients without access, pages of other sites, and large or slow requests.

    Clients must supply the `token`; None allows all that address the server by a loopback name.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app, self._token = app, token

    def allows(self, host: str | None, origin: str | None, token: str | None) -> bool:
        """Return whether to serve a request with these headers and this token.

        Pages of other sites can reach this port, too, even under a host name of their own that resolves to it.
        """
        try:
            if origin is not None and urlsplit(origin).netloc != host:
                return False
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:  # e.g. an unclosed bracket
            return False
        if self._token is not None:
            return token is not None and secrets.compare_digest(token.encode(), self._token.encode())
        return is_loopback(name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        client = HTTPConnection(scope)
        host, origin = client.headers.get("host"), client.headers.get("origin")
        if scope["type"] == "websocket":  # Browsers open it with an origin always, and send no query of ours.
            if origin is None or not self.allows(host, origin, _cookie(client)):
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self._app(scope, receive, send)
            return
        # The token of the URL comes first: the cookie may be that of an earlier studio.
        token = client.query_params.get("token") or _cookie(client)
        response: Response
        if not self.allows(host, origin, token):
            response = PlainTextResponse("Access denied: open the URL that `styleganv studio` printed.", 403)
            await response(scope, receive, send)
            return
        limit = UPLOAD if scope["path"].endswith("/clip") else BODY
        try:
            limit.check(int(client.headers.get("content-length", 0)))
        except HTTPException as error:
            response = JSONResponse({"error": error.detail}, error.status_code)
            await response(scope, receive, send)
            return
        gives_cookie = self._token is not None and "token" in client.query_params
        await self._app(
            scope, _limited(receive, limit), self._with_headers(send, scope.get("scheme", "http"), gives_cookie)
        )

    def _with_headers(self, send: Send, scheme: str, gives_cookie: bool) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
                if gives_cookie:
                    secure = "; Secure" if scheme == "https" else ""
                    headers.append("Set-Cookie", f"{COOKIE}={self._token}; HttpOnly; Path=/; SameSite=strict{secure}")
            await send(message)

        return send_with_headers


def _limited(receive: Receive, limit: BodyLimit) -> Receive:
    """Return `receive` that raises HTTPException once the body is too large or too slow."""
    num_bytes, is_complete = 0, False
    deadline = asyncio.get_running_loop().time() + limit.seconds

    async def receive_limited() -> Message:
        nonlocal num_bytes, is_complete
        if is_complete:  # Only the client's disconnect follows.
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(
                408, f"A request must arrive within {limit.seconds:g} s: send a smaller file."
            ) from None
        num_bytes += len(message.get("body", b""))
        is_complete = not message.get("more_body", False)
        limit.check(num_bytes)
        return message

    return receive_limited


def _cookie(client: HTTPConnection) -> str | None:
    """Return the token in the cookies, if there is exactly one."""
    pairs = [pair.strip().partition("=") for line in client.headers.getlist("cookie") for pair in line.split(";")]
    values = [value for name, _, value in pairs if name == COOKIE]
    return values[0] if len(values) == 1 else None


def check_token(token: str) -> None:
    """Raise StyleganvError unless a token can stand in a URL and in a cookie."""
    if not re.fullmatch(r"[\w.~-]+", token, re.ASCII):
        problem = "is empty" if not token else "has other characters than letters, digits, '-', '.', '_' and '~'"
        raise StyleganvError(f"The access token {problem}: pass another --token, or omit it for a random one.")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is one of this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def public_name(path: Path | str) -> str:
    """Return how clients see a path: relative to the working directory, or its last part if it is elsewhere."""
    path = Path(path).resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name


def hide_paths(text: str, names: Mapping[str, str]) -> str:
    """Return a message for clients: with `names` instead of known paths, and the last parts of other absolute ones."""
    for path in sorted(names, key=len, reverse=True):
        text = text.replace(path, names[path])
    return ABSOLUTE_PATH.sub(r"\1", text)
