"""A real web server on this machine whose pages misbehave as they are told to."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(kw_only=True)
class Page:
    """One file on the server.

    Attributes:
        body: its bytes.
        send: for each request in turn, how many bytes come before the connection is cut; requests
            beyond the list get everything.
        stalls: whether it stops without cutting, until the server closes.
        ranges: whether a part can be asked for.
        shift: by how many bytes the answer to such a request begins elsewhere than asked.
        length: what it says its length is; default the truth.
        status: answer in place of the file; a redirect goes to `location`.
        location: see `status`.
        kind: its content type.
        etag: its version.
    """

    body: bytes = b""
    send: list[int] = field(default_factory=list[int])
    stalls: bool = False
    ranges: bool = True
    shift: int = 0
    length: int | None = None
    status: int = 200
    location: str = ""
    kind: str = "application/octet-stream"
    etag: str = ""


@dataclass(kw_only=True)
class Site:
    """A running server.

    Attributes:
        url: its address, without a path.
        pages: what it has; may be changed while it runs.
        asked: path and Range of every request.
        closing: set when it goes down.
    """

    url: str
    pages: dict[str, Page]
    asked: list[tuple[str, str]]
    closing: threading.Event


@contextmanager
def serving(pages: dict[str, Page]) -> Generator[Site, None, None]:
    """Serve pages by their paths, such as "/file", while the context lasts."""
    site = Site(url="", pages=pages, asked=[], closing=threading.Event())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.asked.append((self.path, self.headers.get("Range", "")))
            _answer(self, site)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield site
        finally:
            site.closing.set()
            server.shutdown()
            thread.join()


def _answer(handler: BaseHTTPRequestHandler, site: Site) -> None:
    # A proxy is asked for whole addresses.
    path = "/" + handler.path.split("/", 3)[3] if "://" in handler.path else handler.path
    page = site.pages.get(path, Page(status=404))
    asked = handler.headers.get("Range", "")
    condition = handler.headers.get("If-Range", page.etag)
    partial = page.ranges and page.status == 200 and bool(asked) and condition == page.etag
    start = int(asked.removeprefix("bytes=").removesuffix("-")) + page.shift if partial else 0
    if start >= len(page.body) and partial:
        handler.send_response(416)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    rest = page.body[start:]
    handler.send_response(206 if partial else page.status)
    if page.location:
        handler.send_header("Location", page.location)
    if partial:
        end = len(page.body)
        handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
    if page.etag:
        handler.send_header("ETag", page.etag)
    length = len(rest) if page.length is None else page.length - start
    handler.send_header("Content-Type", page.kind)
    handler.send_header("Content-Length", str(length))
    handler.end_headers()
    sent = page.send.pop(0) if page.send else len(rest)
    with suppress(ConnectionError):
        handler.wfile.write(rest[:sent])
        handler.wfile.flush()
    if sent < length:
        if page.stalls:
            site.closing.wait(60)
        handler.close_connection = True
