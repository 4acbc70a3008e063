"""Running the studio: an address on this machine only, and a browser to look at it."""

import asyncio
import socket
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from pipeline.models import Models
from pipeline.studio.app import make_app
from pipeline.studio.errors import StudioError
from pipeline.studio.security import Guard, host_names
from pipeline.studio.shelf import Shelf
from pipeline.studio.studio import Studio
from pipeline.studio.workshop import Workshop

ADDRESS = "127.0.0.1"
PORT = 8471
MOST_CONNECTIONS = 64
LONGEST_MESSAGE = 1 << 20


class PortError(StudioError):
    """The port is taken."""


def open_port(port: int | None) -> socket.socket:
    """Listen on this machine only: at the given port, or at ours, or at a free one.

    Raises:
        PortError: The given port is taken.
    """
    for wanted in (PORT, 0) if port is None else (port,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((ADDRESS, wanted))
            listener.listen()
        except OSError:
            listener.close()
        else:
            return listener
    raise PortError(f"port {port} is taken or not allowed: choose another --port")


@dataclass(frozen=True, kw_only=True, eq=False)
class Served:
    """A studio that is about to listen; `server.should_exit` ends it."""

    shelf: Shelf
    server: uvicorn.Server
    listener: socket.socket
    address: str

    async def run(self) -> None:
        """Serve until told to leave off."""
        try:
            await self.server.serve(sockets=[self.listener])
        finally:
            self.shelf.close()


def prepare(
    models: Models,
    folder: Path,
    *,
    photo: Path | None = None,
    port: int | None = None,
    ready: Callable[[str], None],
) -> Served:
    """Open the folder and the port.

    Args:
        models: Of this run.
        folder: Where everything is kept.
        photo: To open at the start; None leaves the desk as it was.
        port: Where to listen; None takes one that is free.
        ready: Gets the address once the server listens.

    Raises:
        PhotoError: The photo cannot be read.
        PortError: The port is taken.
        SessionError: The folder cannot be used.
    """
    shelf = Shelf(folder, models.sha256)
    if photo is not None:
        shelf.import_photo(photo)
    listener = open_port(port)
    number = listener.getsockname()[1]
    token = shelf.token()
    address = f"http://{ADDRESS}:{number}/{token}/"
    studio = Studio(shelf, Workshop(models))
    config = uvicorn.Config(
        Guard(make_app(studio), token, host_names(number)),
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        ws="websockets-sansio",
        ws_max_size=LONGEST_MESSAGE,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config, lambda: ready(address))
    return Served(shelf=shelf, server=server, listener=listener, address=address)


def serve(
    models: Models,
    folder: Path,
    photo: Path | None,
    *,
    port: int | None,
    browse: bool,
    say: Callable[[str], None],
) -> str:
    """Serve until interrupted; returns the address. Arguments and errors are those of `prepare`.

    Args:
        models: Of this run.
        folder: Where everything is kept.
        photo: To open at the start.
        port: Where to listen.
        browse: Whether to open the browser.
        say: Gets a line for the terminal.
    """

    def ready(address: str) -> None:
        say(f"the studio is open at {address} (Ctrl-C closes it)")
        if browse:
            webbrowser.open(address)

    served = prepare(models, folder, photo=photo, port=port, ready=ready)
    asyncio.run(served.run())
    return served.address


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            self._ready()
