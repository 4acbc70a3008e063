"""Back-pressure: one frame at a time, the newest."""

import asyncio
import json

from pipeline.studio.pages import Frame, Page, Pages


def sent(page: Page) -> list[str | bytes]:
    found: list[str | bytes] = []
    while not page.messages.empty():
        found.append(page.messages.get_nowait())
    return found


def frame(step: int) -> Frame:
    return Frame(header={"step": step}, picture=b"picture")


def step_of(message: str | bytes) -> int:
    assert isinstance(message, bytes)
    length = int.from_bytes(message[:4], "big")
    assert message[4 + length :] == b"picture"
    return json.loads(message[4 : 4 + length])["step"]


def seq_of(message: str | bytes) -> int:
    assert isinstance(message, bytes)
    return json.loads(message[4 : 4 + int.from_bytes(message[:4], "big")])["seq"]


def test_the_newest_frame_waits_for_the_acknowledgement() -> None:
    async def talk() -> None:
        pages = Pages()
        assert not pages.wants_frames
        page = pages.open()
        assert pages.wants_frames
        pages.show(frame(1), 7)
        assert pages.wants_frames  # one may be made ahead
        pages.show(frame(2), 7)
        assert not pages.wants_frames
        pages.show(frame(3), 7)
        (first,) = sent(page)
        assert step_of(first) == 1
        pages.acknowledge(page, seq_of(first) + 1)
        assert sent(page) == []
        pages.acknowledge(page, seq_of(first))
        (newest,) = sent(page)
        assert step_of(newest) == 3
        pages.acknowledge(page, seq_of(newest))
        assert pages.wants_frames
        assert sent(page) == []

    asyncio.run(talk())


def test_frames_of_a_run_that_ended_are_dropped() -> None:
    async def talk() -> None:
        pages = Pages()
        page = pages.open()
        pages.show(frame(1), 7)
        pages.show(frame(2), 7)
        (first,) = sent(page)
        pages.drop_frames()
        pages.acknowledge(page, seq_of(first))
        assert sent(page) == []

    asyncio.run(talk())


def test_a_slow_page_does_not_hold_up_another() -> None:
    async def talk() -> None:
        pages = Pages()
        slow, quick = pages.open(), pages.open()
        for step in range(3):
            pages.show(frame(step), 7)
            (latest,) = sent(quick)
            pages.acknowledge(quick, seq_of(latest))
        assert [step_of(message) for message in sent(slow)] == [0]
        pages.close(quick)
        assert not pages.wants_frames

    asyncio.run(talk())
