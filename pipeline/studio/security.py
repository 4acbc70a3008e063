"""Who may talk to the studio: only a page that it served itself, to a person on this machine.

Every request is checked before anything else sees it: its path must begin with the secret token,
its Host must be the address that the server listens at (another name that resolves to 127.0.0.1, as
in DNS rebinding, is refused), and its Origin, which browsers send with every request that could
change something and with every WebSocket, must be the studio's own.
"""

import secrets
from collections.abc import Iterable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_SOCKETS = 8
"""Pages open at once."""


def host_names(port: int) -> tuple[str, ...]:
    """Values of Host that name the studio."""
    return f"127.0.0.1:{port}", f"localhost:{port}"


def content_policy(host: str) -> str:
    """A Content-Security-Policy under which a page can load nothing from anywhere else."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        f"connect-src 'self' ws://{host}; worker-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class Guard:
    """Lets requests with the token, the host and the origin through to `app`, below the token.

    Args:
        app: Sees paths without the token.
        token: The secret.
        hosts: Values of Host that name the studio.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str]) -> None:
        self._app = app
        self._prefix = f"/{token}/"
        self._hosts = frozenset(hosts)
        self._origins = frozenset(f"http://{host}" for host in self._hosts)
        self._sockets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request; lifespan messages pass."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        problem = self._problem(scope, headers)
        if problem is not None:
            await _refuse(scope, receive, send, problem)
            return
        inner = {**scope, "path": "/" + scope["path"][len(self._prefix) :], "root_path": ""}
        inner.pop("raw_path", None)
        if scope["type"] == "websocket":
            await self._socket(inner, receive, send)
        else:
            await self._app(inner, receive, _with_headers(send, headers.get("host", [""])[0]))

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._sockets >= MOST_SOCKETS:
            await _refuse(scope, receive, send, "too many pages are open: close one of them")
            return
        self._sockets += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._sockets -= 1

    def _problem(self, scope: Scope, headers: dict[str, list[str]]) -> str | None:
        hosts, origins = headers.get("host", []), headers.get("origin", [])
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return "this is not the address of the studio"
        must_name_origin = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if len(origins) > 1 or (must_name_origin and not origins):
            return "only the studio's own page may do this"
        if origins and origins[0] not in self._origins:
            return "another page may not talk to the studio"
        given = str(scope["path"])[: len(self._prefix)].encode("utf-8", "surrogateescape")
        if not secrets.compare_digest(given, self._prefix.encode("ascii")):
            return "the address lacks the studio's token: take it from the terminal"
        return None


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


async def _refuse(scope: Scope, receive: Receive, send: Send, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": why[:120]})
        return
    response = JSONResponse({"code": "refused", "message": why}, status_code=403)
    await response(scope, receive, _with_headers(send, ""))


def _with_headers(send: Send, host: str) -> Send:
    extra = [
        (b"content-security-policy", content_policy(host).encode("latin-1")),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return sending
