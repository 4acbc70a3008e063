"""The studio's page in a real Chromium, seen and used as a person does."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

pytest.importorskip("playwright", reason="the page's tests need playwright: pip install '.[test]'")

from playwright.sync_api import Browser, Page, WebSocket, expect, sync_playwright

PATIENCE_MS = 120_000
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FIT_MARGIN = 24

Json = dict[str, Any]
Point = tuple[float, float]


@contextmanager
def chromium() -> Generator[Browser]:
    """Debian's Chromium; skips without it."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium: apt-get install chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(SWITCHES))
        yield browser
        browser.close()


@dataclass
class Visit:
    """One visit of a studio's page: the page, and what its server told it."""

    page: Page
    state: Json = field(default_factory=dict[str, Any])
    frames: int = 0
    wrong: list[str] = field(default_factory=list[str])

    @classmethod
    def to(cls, browser: Browser, address: str, **context: Any) -> Visit:
        """Open the page, and wait until it has its state."""
        options: Json = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}
        visit = cls(page=browser.new_context(**options, **context).new_page())
        visit.page.on("pageerror", lambda error: visit.wrong.append(str(error)))
        visit.page.on("websocket", visit._listen)
        visit.page.goto(address, timeout=PATIENCE_MS)
        visit.until(lambda state: bool(state))
        return visit

    def close(self) -> None:
        """Leave; no script of the page may have failed."""
        self.page.context.close()
        assert self.wrong == []

    def until(self, wanted: Callable[[Json], object]) -> Json:
        """Wait for a state of the server."""
        self.wait(lambda: wanted(self.state))
        return self.state

    def wait(self, ready: Callable[[], object]) -> None:
        """Let the page go on until something is so."""
        end = time.monotonic() + PATIENCE_MS / 1000
        while not ready():
            assert time.monotonic() < end, f"waited in vain; the page says: {self.said()}"
            self.page.wait_for_timeout(20)

    def idle(self) -> Json:
        """Wait until the server has nothing to do."""
        return self.until(lambda state: not state["job"] and not state["queued"])

    def said(self) -> str:
        """Messages and remarks that are on the page."""
        return self.page.locator("#toasts").inner_text() + self.page.locator("#card").inner_text()

    @property
    def face(self) -> Json:
        """The chosen face."""
        faces: list[Json] = self.state["photo"]["faces"]
        return next(face for face in faces if face["face"] == self.state["face"])

    def open(self, path: str) -> None:
        """Pick a photo, and wait until its faces are known."""
        name = path.rpartition("/")[2]
        self.page.set_input_files("#file-input", path)
        self.until(
            lambda state: (
                state["photo"]
                and state["photo"]["name"] == name
                and state["photo"]["faces"] is not None
                and state["face"] is None
            )
        )

    def canvas(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of the canvas on the page."""
        box = self.page.locator("#overlay").bounding_box()
        assert box is not None
        return box["x"], box["y"], box["width"], box["height"]

    def shown_at(self, rect: Sequence[float], point: Point) -> Point:
        """Where on the page a photo point is while `rect` of the photo fills the canvas."""
        left, top, width, height = self.canvas()
        x0, y0, x1, y1 = rect
        room = (width - 2 * FIT_MARGIN, height - 2 * FIT_MARGIN)
        scale = min(room[0] / (x1 - x0), room[1] / (y1 - y0))
        return (
            left + width / 2 + (point[0] - (x0 + x1) / 2) * scale,
            top + height / 2 + (point[1] - (y0 + y1) / 2) * scale,
        )

    def look(self, key: str) -> None:
        """Press a key that changes the view, and wait until it is drawn."""
        self.page.keyboard.press(key)
        for _ in range(3):
            self.page.evaluate("() => new Promise((drawn) => requestAnimationFrame(drawn))")

    def on_face(self, point: Point) -> Point:
        """Where on the page a photo point is; looks at the face for that."""
        self.look("f")
        return self.shown_at(self.face["window"], point)

    def pull(self, start: Point, way: Point) -> None:
        """Press at a place of the page, move by a way, and let go."""
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move(start[0] + way[0], start[1] + way[1], steps=6)
        mouse.up()

    def run(self) -> Json:
        """Run the draft to its end."""
        edits = len(self.state["edits"])
        self.page.click("#run")
        self.until(lambda state: len(state["edits"]) > edits and not state["job"])
        return self.state["edits"][-1]

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._take)

    def _take(self, received: str | bytes) -> None:
        if isinstance(received, bytes):
            self.frames += 1
            return
        message: Json = json.loads(received)
        if message["type"] == "state":
            self.state = message["state"]
