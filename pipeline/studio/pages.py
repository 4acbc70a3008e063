"""The pages that are open: what goes out to them, and how fast they take frames."""

import asyncio
import itertools
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

Message = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """A moment of a run: its header without the number, and the encoded picture."""

    header: Message
    picture: bytes

    def encode(self, seq: int, job: int) -> bytes:
        """Length of the header (4 bytes, big-endian), header, picture."""
        header = json.dumps({"seq": seq, "job": job, **self.header}).encode("utf-8")
        return len(header).to_bytes(4, "big") + header + self.picture


@dataclass(eq=False)
class Page:
    """One open page. Messages queue for it; of frames only the newest waits for the last's ack."""

    messages: asyncio.Queue[str | bytes] = field(default_factory=asyncio.Queue[str | bytes])
    waiting: tuple[Frame, int] | None = None
    unseen: int | None = None


class Pages:
    """All open pages. Its methods belong to the event loop's thread, but for `wants_frames`."""

    def __init__(self) -> None:
        self._pages: list[Page] = []
        self._numbers = itertools.count(1)
        self._free = threading.Event()

    @property
    def any_open(self) -> bool:
        """Whether somebody looks."""
        return bool(self._pages)

    @property
    def wants_frames(self) -> bool:
        """Whether no frame waits for some page yet; from any thread."""
        return self._free.is_set()

    def open(self) -> Page:
        """A page has come."""
        page = Page()
        self._pages.append(page)
        self._update()
        return page

    def close(self, page: Page) -> None:
        """A page has gone."""
        self._pages.remove(page)
        self._update()

    def tell(self, page: Page, message: Message) -> None:
        """Send a message to one page."""
        page.messages.put_nowait(json.dumps(message, ensure_ascii=False, allow_nan=False))

    def tell_all(self, message: Message) -> None:
        """Send a message to every page."""
        text = json.dumps(message, ensure_ascii=False, allow_nan=False)
        for page in self._pages:
            page.messages.put_nowait(text)

    def show(self, frame: Frame, job: int) -> None:
        """Send a frame to every page that has drawn its last one; keep it for the others."""
        for page in self._pages:
            page.waiting = frame, job
            self._send(page)

    def drop_frames(self) -> None:
        """The run has ended: frames that still wait are old."""
        for page in self._pages:
            page.waiting = None
        self._update()

    def acknowledge(self, page: Page, seq: int) -> None:
        """A page has drawn a frame."""
        if page.unseen == seq:
            page.unseen = None
            self._send(page)

    def _send(self, page: Page) -> None:
        if page.waiting is not None and page.unseen is None:
            page.unseen = next(self._numbers)
            frame, job = page.waiting
            page.messages.put_nowait(frame.encode(page.unseen, job))
            page.waiting = None
        self._update()

    def _update(self) -> None:
        if any(page.waiting is None for page in self._pages):
            self._free.set()
        else:
            self._free.clear()
