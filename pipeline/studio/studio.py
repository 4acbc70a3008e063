"""What a page can ask for, and what it is told.

All of it happens on the event loop's thread; long work goes to the one worker (`jobs`, `workshop`)
and comes back here. After every change the whole state goes to the pages, and what it is made of
lies on disk already.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from editing.options import check_values
from pipeline.engines import choose_engine
from pipeline.session import Json
from pipeline.studio import exports, views
from pipeline.studio.desk import Desk
from pipeline.studio.document import UNTOUCHED, Document
from pipeline.studio.draft import Record, read_draft, read_text, read_whole
from pipeline.studio.errors import (
    BusyError,
    MessageError,
    NoInversionError,
    UnknownError,
    describe,
)
from pipeline.studio.jobs import Control, End, Job, Jobs, Kind, Work
from pipeline.studio.layers import describe_layers
from pipeline.studio.pages import Frame, Page, Pages
from pipeline.studio.painter import Painter
from pipeline.studio.parts import faces_of, read_part
from pipeline.studio.recipes import command_line, output_name
from pipeline.studio.records import Part, PhotoRecord, Slot, keep_faces, part_json
from pipeline.studio.runs import (
    Asked,
    Finished,
    forget_asked,
    recall_asked,
    recover_asked,
    run_asked,
)
from pipeline.studio.settings import read_settings
from pipeline.studio.shelf import Shelf
from pipeline.studio.workshop import Workshop
from weights.errors import PhotodragError

log = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds that work goes on without any page, so that a page can be loaded again."""


class Studio:
    """The desk, the queue of long work, and the open pages."""

    def __init__(self, shelf: Shelf, workshop: Workshop) -> None:
        self.shelf, self.workshop, self.pages = shelf, workshop, Pages()
        self.desk = Desk(shelf, workshop.models)
        self.jobs = Jobs(progressed=self._progressed, ended=self._ended)
        self.downloads: dict[str, tuple[Path, str]] = {}
        self._results: dict[int, Json] = {}
        self._leaving: asyncio.TimerHandle | None = None

    def recall(self) -> None:
        """Take up what lay on the desk when the studio last ran."""
        try:
            kept = self.desk.recall()
            if kept is not None:
                self.open_photo(*kept)
        except PhotodragError as error:
            log.warning("the desk is not as it was: %s", error)

    def state(self) -> Json:
        """Everything that a page shows, but for what never changes."""
        desk, running, models = self.desk, self.jobs.running, self.workshop.models
        slot, document = desk.slot, desk.document
        return {
            **views.describe_photos(self.shelf, desk.record, models),
            "face": None if desk.part is None else part_json(desk.part),
            "settings": desk.settings.to_json(),
            "hidden": slot and slot.hidden,
            "inversion": slot and views.describe_inversion(slot),
            "remark": desk.remark,
            "layers": describe_layers(desk.layers(document.moment.shown)),
            **views.describe_document(document),
            "command": command_line(slot, document, models) if slot else "",
            "job": running and {"job": running.number, "kind": running.kind, **running.told()},
            "queued": [{"job": job.number, "kind": job.kind} for job in self.jobs.queued],
        }

    # Pages

    def enter(self) -> Page:
        """A page has come: tell it everything."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        page = self.pages.open()
        self.pages.tell(page, views.describe_studio(self.workshop.models))
        self.pages.tell(page, {"type": "state", "state": self.state()})
        return page

    def leave(self, page: Page) -> None:
        """A page has gone; after the last one, and a moment, nobody waits for the work."""
        self.pages.close(page)
        if not self.pages.any_open:
            self._leaving = asyncio.get_running_loop().call_later(GRACE, self._drop_work)

    def receive(self, page: Page, message: Record) -> None:
        """Do what a page asks for, and answer it."""
        number = message.get("id")
        try:
            if message.get("do") == "ack":
                self.pages.acknowledge(page, read_whole(message.get("seq"), "seq"))
                return
            answer = self._do(message)
        except Exception as error:  # noqa: BLE001
            told = explain(error)
            self.pages.tell(page, {"type": "error", "re": _number(number), **told})
        else:
            self.pages.tell(page, {"type": "done", "re": _number(number), **answer})

    def _do(self, message: Record) -> Json:
        what = read_text(message.get("do"), "do", 20)
        deeds: dict[str, Callable[[Record], Json]] = {
            "open": lambda m: self.open_photo(self.shelf.record(_text(m, "photo"))),
            "close": lambda _: self._close(),
            "forget": self._forget,
            "face": self._choose,
            "drop": self._drop,
            "settings": self._set,
            "hide": self._hide,
            "invert": lambda _: self._invert(),
            "draft": lambda m: self._commit(lambda d: d.commit(read_draft(m.get("draft")))),
            "undo": lambda _: self._commit(Document.undo),
            "redo": lambda _: self._commit(Document.redo),
            "show": lambda m: self._commit(lambda d: d.show(_whole(m, "edit"))),
            "run": lambda _: self._run(continued=False),
            "continue": lambda _: self._run(continued=True),
            "stop": lambda _: self._stop(),
            "cancel": self._cancel,
            "export": self._export,
        }
        if what not in deeds:
            raise MessageError(f"the studio knows no {what!r}")
        return deeds[what](message)

    # Desk

    def open_photo(self, record: PhotoRecord, part: Part | None = None) -> Json:
        """Make a photo current; look for faces if nobody has."""
        self._drop_work()
        self.desk.lay(record, part)
        answer: Json = {"photo": record.photo}
        if faces_of(record, self.workshop.models) is None:
            answer["job"] = self.submit("faces", self._faces_work(record)).number
        self._warm_up()
        self._changed()
        return answer

    def _close(self) -> Json:
        self._drop_work()
        self.desk.lay(None)
        return self._changed()

    def _forget(self, message: Record) -> Json:
        record = self.shelf.record(_text(message, "photo"))
        if self.desk.record is not None and self.desk.record.photo == record.photo:
            self._close()

        def work(_: Control) -> Callable[[], None]:
            # Behind whatever still works on the photo, which would write it anew.
            self.shelf.forget(record.photo)
            self.workshop.forget(record)
            return lambda: None

        return {"job": self.submit("forget", work).number}

    def _choose(self, message: Record) -> Json:
        self._refuse_while_running()
        given, record, before = message.get("face"), self.desk.needed_photo, self.desk.part
        part = None if given is None else read_part(given)
        drawn = isinstance(part, tuple) and part not in self.shelf.squares(record)
        self.desk.choose(part)
        if drawn and isinstance(before, tuple) and self.shelf.unused(record, before):
            self._drop_square(record, before)  # it was drawn again
        self._warm_up()
        return self._changed()

    def _drop(self, message: Record) -> Json:
        """Forget a square and all that was done in it."""
        self._refuse_while_running()
        part, record = read_part(message.get("face")), self.desk.needed_photo
        if isinstance(part, int):
            raise MessageError("a face is not forgotten without its photo")
        if self.desk.part == part:
            self.desk.choose(None)
        return {"job": self._drop_square(record, part).number}

    def _drop_square(self, record: PhotoRecord, square: Part) -> Job:
        """Delete a square, behind whatever still works on it, which would write it anew."""
        self._drop_work()

        def work(_: Control) -> Callable[[], None]:
            self.shelf.drop(record, square)
            self.workshop.forget(record)
            return lambda: None

        return self.submit("forget", work)

    def _set(self, message: Record) -> Json:
        self._refuse_while_running()
        settings = read_settings(message.get("settings"), self.desk.settings)
        config = self.workshop.models.generator.config
        check_values(choose_engine(settings.engine, settings.options), config)
        if self.desk.set(settings):
            self._warm_up()
        return self._changed()

    def _hide(self, message: Record) -> Json:
        self._refuse_while_running()
        if self.desk.hide(None if message.get("mask") is None else _text(message, "mask")):
            self._warm_up()
        return self._changed()

    def _commit(self, change: Callable[[Document], Document]) -> Json:
        self._refuse_while_running()
        self.desk.commit(change(self.desk.document))
        return self._changed()

    def _warm_up(self) -> None:
        """Load the inversion before somebody waits for it, and finish a run that was cut off."""
        slot = self.desk.slot
        if slot is not None and slot.inverted:
            self.submit("invert", self._invert_work(slot))
            asked = recall_asked(slot)
            if asked is not None:
                self.submit("run", self._recover_work(asked))

    # Long work

    def _invert(self) -> Json:
        self._refuse_while_running()
        return {"job": self.submit("invert", self._invert_work(self.desk.needed_slot)).number}

    def _run(self, *, continued: bool) -> Json:
        self._refuse_while_running()
        slot, moment = self.desk.needed_slot, self.desk.document.moment
        if not slot.inverted:
            raise NoInversionError("this is not inverted yet: invert it first")
        if continued and moment.shown == UNTOUCHED:
            raise MessageError("there is nothing to go on with: the untouched photo is shown")
        asked = Asked(
            slot=slot,
            parent=moment.shown,
            continued=continued,
            draft=moment.draft,
            settings=self.desk.settings,
        )
        return {"job": self.submit("run", self._run_work(asked)).number}

    def _stop(self) -> Json:
        running = self.jobs.running
        if running is None or running.kind != "run":
            raise UnknownError("nothing runs")
        running.control.stop()
        return {}

    def _cancel(self, message: Record) -> Json:
        job = self.jobs.find(_whole(message, "job"))
        if job is None:
            raise UnknownError("this job has ended")
        self.jobs.cancel(job)
        return {}

    def _export(self, message: Record) -> Json:
        what = read_text(message.get("what"), "what", 20)
        record, document = self.desk.needed_photo, self.desk.document
        edit = _whole(message, "edit") if "edit" in message else document.moment.shown
        if edit != UNTOUCHED:
            document.note(edit)
        if what not in exports.WHATS:
            raise MessageError(f"the studio exports no {what!r}")
        layers, name = self.desk.layers(edit), output_name(record, exports.WHATS[what])

        def work(control: Control) -> Callable[[], None]:
            path = exports.export(what, record, layers, self.workshop, control, name)
            return lambda: self._offer(job, path, name)

        job = self.submit("export", work)
        return {"job": job.number}

    def _faces_work(self, record: PhotoRecord) -> Work:
        def work(control: Control) -> Callable[[], None]:
            found = self.workshop.find_faces(record, control)
            keep_faces(record, found)

            def finish() -> None:
                if self.desk.record is not None and self.desk.record.photo == record.photo:
                    self.desk.lay(record, self.desk.part)

            return finish

        return work

    def _invert_work(self, slot: Slot) -> Work:
        def work(control: Control) -> Callable[[], None]:
            self.workshop.invert(slot, control)
            return lambda: None

        return work

    def _run_work(self, asked: Asked) -> Work:
        loop = asyncio.get_running_loop()

        def work(control: Control) -> Callable[[], None]:
            def show(frame: Frame) -> None:
                loop.call_soon_threadsafe(self._show, control, frame)

            painter = Painter(asked.draft.points, lambda: self.pages.wants_frames, show)
            finished = run_asked(asked, self.workshop, control, painter)
            return lambda: self._add_edit(asked, finished)

        return work

    def _recover_work(self, asked: Asked) -> Work:
        def work(control: Control) -> Callable[[], None]:
            finished = recover_asked(asked, self.workshop, control)
            return lambda: self._add_edit(asked, finished) if finished else None

        return work

    def _add_edit(self, asked: Asked, finished: Finished) -> None:
        self.desk.add_edit(asked.slot, finished.note, finished.draft)
        forget_asked(asked.slot)
        if self.jobs.running is not None:
            self._results[self.jobs.running.number] = {"edit": finished.note.edit}

    def _offer(self, job: Job, path: Path, name: str) -> None:
        token = path.stem
        self.downloads[token] = path, name
        self._results[job.number] = {"url": f"downloads/{token}", "name": name}

    def _show(self, control: Control, frame: Frame) -> None:
        running = self.jobs.running
        if running is not None and running.control is control:
            self.pages.show(frame, running.number)

    # The queue

    def submit(self, kind: Kind, work: Work) -> Job:
        """Queue long work, and say so."""
        job = self.jobs.submit(kind, work)
        self._changed()
        return job

    def _progressed(self, job: Job) -> None:
        if job.progress is None:
            self._changed()
        else:
            told = {"type": "progress", "job": job.number, "kind": job.kind, **job.told()}
            self.pages.tell_all(told)

    def _ended(self, job: Job, end: End, error: BaseException | None) -> None:
        if job.kind == "run":
            self.pages.drop_frames()
        told: Json = {"type": "job-end", "job": job.number, "kind": job.kind, "end": end}
        told |= self._results.pop(job.number, {})
        if error is not None:
            told |= explain(error)
        self._changed()
        self.pages.tell_all(told)

    def _drop_work(self) -> None:
        """Stop the run, keeping what it reached, and cancel everything else."""
        for job in list(self.jobs.queued):
            self.jobs.cancel(job)
        running = self.jobs.running
        if running is not None:
            running.control.stop() if running.kind == "run" else running.control.cancel()

    def _refuse_while_running(self) -> None:
        jobs = [*([self.jobs.running] if self.jobs.running else []), *self.jobs.queued]
        if any(job.kind == "run" for job in jobs):
            raise BusyError("a run goes on: stop it first")

    def _changed(self) -> Json:
        """Keep the desk, and tell every page."""
        self.desk.keep()
        self.pages.tell_all({"type": "state", "state": self.state()})
        return {}


def explain(error: BaseException) -> Json:
    """Code and line of an error for the page; a bug is shown in the terminal instead."""
    code, _, line = describe(error)
    if code == "internal":
        log.error("a bug in the studio", exc_info=error)
    return {"code": code, "message": line}


def _text(message: Record, key: str) -> str:
    return read_text(message.get(key), key, 40)


def _whole(message: Record, key: str) -> int:
    return read_whole(message.get(key), key)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
