"""Access to the studio: who may connect, and how large a request may be."""

import secrets
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request, WebSocket
from fastapi.responses import JSONResponse, Response

MAX_BODY_BYTES, MAX_UPLOAD_BYTES = 2**16, 2**28
COOKIE = "styleganv-token"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class AccessGuard:
    """Middleware that refuses clients without access, pages of other sites, and large requests.

    Args:
        token: that clients must supply; None allows all clients that address the server by a loopback name.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token

    def allows(self, host: str | None, origin: str | None, token: str | None) -> bool:
        """Return whether to serve a request with these headers and this token.

        Pages of other sites can reach this port, too, even under a host name of their own that resolves to it.
        """
        if origin is not None and urlsplit(origin).netloc != host:
            return False
        if self._token is not None:
            return token is not None and secrets.compare_digest(token.encode(), self._token.encode())
        return is_loopback(urlsplit(f"//{host}").hostname or "")

    def allows_socket(self, socket: WebSocket) -> bool:
        """Return whether to accept a WebSocket, which browsers always open with an origin."""
        origin = socket.headers.get("origin")
        return origin is not None and self.allows(socket.headers.get("host"), origin, socket.cookies.get(COOKIE))

    async def __call__(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        # The token of the URL comes first: the cookie may be that of an earlier studio.
        token = request.query_params.get("token") or request.cookies.get(COOKIE)
        if not self.allows(request.headers.get("host"), request.headers.get("origin"), token):
            return Response("Access denied: open the URL that `styleganv studio` printed.", 403)
        max_bytes = MAX_UPLOAD_BYTES if request.url.path.endswith("/clip") else MAX_BODY_BYTES
        if _content_length(request, default=max_bytes + 1) > max_bytes:
            message = f"A request must be at most {max_bytes / 2**20:g} MiB: send a smaller file."
            return JSONResponse({"error": message}, 413)
        response = await call_next(request)
        response.headers.update(HEADERS)
        if self._token is not None and "token" in request.query_params:
            response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
        return response


def _content_length(request: Request, default: int) -> int:
    """Return the declared size of the body; a POST request without one has the `default`."""
    return int(request.headers.get("content-length", default if request.method == "POST" else 0))


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is one of this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
