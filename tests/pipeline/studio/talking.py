"""A page's side of the protocol, for tests: real sockets, no browser."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

PATIENCE = 60.0

Json = dict[str, Any]


def knock(address: str, origin: str | None) -> AbstractContextManager[ClientConnection]:
    """Open a socket as a page of some origin."""
    given = None if origin is None else Origin(origin)
    return connect(address.replace("http", "ws") + "socket", origin=given, max_size=None)


@dataclass
class Answer:
    """What came back for a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        """The body, which is JSON."""
        return json.loads(self.body)


@dataclass
class Talk:
    """Requests to a studio, and the socket of one page."""

    address: str
    socket: ClientConnection | None = None
    hello: Json = field(default_factory=dict[str, Any])
    state: Json = field(default_factory=dict[str, Any])
    frames: list[tuple[Json, bytes]] = field(default_factory=list[tuple[Json, bytes]])
    others: list[Json] = field(default_factory=list[Json])
    acknowledging: bool = True
    _number: int = 0
    _opened: ExitStack = field(default_factory=ExitStack)

    @property
    def host(self) -> str:
        """What a browser sends as Host."""
        return urlsplit(self.address).netloc

    @property
    def origin(self) -> str:
        """What a browser sends as Origin."""
        return f"http://{self.host}"

    @property
    def token(self) -> str:
        """The beginning of every path."""
        return urlsplit(self.address).path

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        whole_path: bool = False,
    ) -> Answer:
        """GET, or POST where there is a body; the headers given replace the usual ones."""
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        usual = {"Host": self.host, "Origin": self.origin} if body is not None else {}
        sent = {**usual, **(headers or {})}
        try:
            connection.request(
                "GET" if body is None else "POST",
                path if whole_path else self.token + path,
                body,
                {name: value for name, value in sent.items() if value},
            )
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def upload(self, path: str, content: bytes, name: str) -> Answer:
        """POST a file as the page does."""
        return self.ask(path, content, {"X-Name": quote(name)})

    def open(self) -> Talk:
        """Open the page's socket and wait for its greeting."""
        self.socket = self._opened.enter_context(knock(self.address, self.origin))
        self.hello = self.wait(lambda message: message["type"] == "hello")
        self.wait(lambda message: message["type"] == "state")
        return self

    def close(self) -> None:
        """Close the page."""
        self._opened.close()
        self.socket = None

    def do(self, deed: str, /, **more: object) -> Json:
        """Send one message and return its answer."""
        assert self.socket is not None
        self._number += 1
        number = self._number
        self.socket.send(json.dumps({"id": number, "do": deed, **more}))
        return self.wait(lambda message: message.get("re") == number)

    def finish(self, job: int) -> Json:
        """Wait for the end of a job."""
        ended = {"type": "job-end", "job": job}
        return self.wait(lambda m: all(m.get(key) == value for key, value in ended.items()))

    def work(self, deed: str, /, **more: object) -> Json:
        """Send a message that begins a job, and wait for its end."""
        answer = self.do(deed, **more)
        return self.finish(answer["job"]) if answer["type"] == "done" else answer

    def until(self, wanted: Callable[[Json], bool]) -> Json:
        """Wait for a state."""
        while not wanted(self.state):
            self.wait(lambda message: message["type"] == "state")
        return self.state

    def idle(self) -> Json:
        """Wait until nothing runs and nothing is queued."""
        return self.until(lambda state: state["job"] is None and not state["queued"])

    def catch_up(self) -> Talk:
        """Read everything that was told until now."""
        assert self.do("nothing")["code"] == "bad-request"
        return self

    def wait(self, wanted: Callable[[Json], bool]) -> Json:
        """Take what comes until a message is the one; frames are kept and acknowledged."""
        for index, message in enumerate(self.others):
            if wanted(message):
                return self.others.pop(index)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            message = self._take()
            if message is not None and wanted(message):
                return message
            if message is not None and message["type"] in ("job-end", "done", "error"):
                self.others.append(message)
        raise TimeoutError("the studio did not answer")

    def _take(self) -> Json | None:
        assert self.socket is not None
        received = self.socket.recv(timeout=PATIENCE)
        if isinstance(received, bytes):
            length = int.from_bytes(received[:4], "big")
            header: Json = json.loads(received[4 : 4 + length])
            self.frames.append((header, received[4 + length :]))
            if self.acknowledging:
                self.socket.send(json.dumps({"do": "ack", "seq": header["seq"]}))
            return None
        message: Json = json.loads(received)
        if message["type"] == "state":
            self.state = message["state"]
        return message
