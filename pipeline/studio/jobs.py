"""Long work, one piece at a time, off the thread that talks with the pages."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Literal, TypeVar

from editing.engine import EditStep
from inversion.types import InversionStep
from pipeline.session import Json

Step = TypeVar("Step")
T = TypeVar("T")

Kind = Literal["faces", "invert", "run", "export", "expression", "recipe", "forget"]
End = Literal["done", "stopped", "cancelled", "failed"]
Work = Callable[["Control"], Callable[[], None]]
"""Long work on the worker's thread; what it returns is called on the event loop's."""

REPORT_EVERY = 0.1
"""Seconds between two reports of progress."""


class Cancelled(Exception):  # noqa: N818
    """The job is to leave nothing behind."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a job is; `total` is the most steps there can be, `left` an estimate in seconds.

    `distance` is that of a run's handles from their targets, in photo pixels.
    """

    stage: str
    done: int
    total: int
    left: float | None
    distance: float | None = None


class Control:
    """A job's line to the outside: it reports progress, and hears of cancel and stop.

    It is a `pipeline.edit.Watch`, so that the library's stages run under it as they run under the
    command line's progress bars.
    """

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report
        self._cancelled = threading.Event()
        self._stopped = threading.Event()
        self.unit = 1.0
        """Photo pixels per pixel of the distances that steps report."""

    def cancel(self) -> None:
        """Drop the job at its next step; from any thread."""
        self._cancelled.set()

    def stop(self) -> None:
        """End a run at its next step and keep what it reached; from any thread."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether somebody asked for an end."""
        return self._stopped.is_set()

    def check(self) -> None:
        """Between two pieces of work.

        Raises:
            Cancelled: Somebody asked for it.
        """
        if self._cancelled.is_set():
            raise Cancelled

    def announce(self, stage: str) -> None:
        """Say what comes next, where there are no steps to count."""
        self.check()
        self._report(Progress(stage=stage, done=0, total=0, left=None))

    def __call__(self, steps: Iterable[Step], /, *, stage: str, total: int) -> Iterator[Step]:
        """Pass steps through, report them, and leave off when cancelled."""
        began = latest = time.monotonic()
        self._report(Progress(stage=stage, done=0, total=total, left=None))
        for done, step in enumerate(steps, start=1):
            self.check()
            now = time.monotonic()
            if now - latest >= REPORT_EVERY:
                latest = now
                left = max(total - done, 0) * (now - began) / done
                at = step.phase if isinstance(step, InversionStep) else stage
                distance = self.unit * step.mean_distance if isinstance(step, EditStep) else None
                self._report(
                    Progress(stage=at, done=done, total=total, left=left, distance=distance)
                )
            yield step


@dataclass(eq=False, kw_only=True)
class Job:
    """One piece of long work.

    Attributes:
        number: From 1.
        kind: What it is.
        work: Called on the worker's thread.
        control: The line to it.
        outcome: Done with the job: with its error if it failed, cancelled if it was.
        progress: The latest report.
    """

    number: int
    kind: Kind
    work: Work
    control: Control
    outcome: "asyncio.Future[None]"
    progress: Progress | None = None

    def told(self) -> Json:
        """The latest report, for a page."""
        progress = self.progress or Progress(stage="", done=0, total=0, left=None)
        return asdict(progress)


class Jobs:
    """A queue and its one worker. All methods belong to the event loop's thread.

    A job's `work` runs on the worker's thread and returns a function that the event loop's thread
    calls when it is done; that function changes the studio's state.
    """

    def __init__(
        self,
        *,
        progressed: Callable[[Job], None],
        ended: Callable[[Job, End, BaseException | None], None],
    ) -> None:
        self._progressed, self._ended = progressed, ended
        self._numbers = itertools.count(1)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="photodrag-worker")
        self._arrived = asyncio.Event()
        self.running: Job | None = None
        self.queued: list[Job] = []

    def submit(self, kind: Kind, work: Work) -> Job:
        """Queue a job."""
        loop = asyncio.get_running_loop()

        def report(progress: Progress) -> None:
            loop.call_soon_threadsafe(self._note, job, progress)

        job = Job(
            number=next(self._numbers),
            kind=kind,
            work=work,
            control=Control(report),
            outcome=loop.create_future(),
        )
        self.queued.append(job)
        self._arrived.set()
        return job

    def find(self, number: int) -> Job | None:
        """The job of that number, unless it has ended."""
        jobs = [*([self.running] if self.running else []), *self.queued]
        return next((job for job in jobs if job.number == number), None)

    def cancel(self, job: Job) -> None:
        """Drop a job, queued or running."""
        job.control.cancel()
        if job in self.queued:
            self.queued.remove(job)
            self._end(job, "cancelled", None)

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._arrived.wait()
                if not self.queued:
                    self._arrived.clear()
                    continue
                self.running = job = self.queued.pop(0)
                self._progressed(job)
                end, error = await self._do(loop, job)
                self.running = None
                self._end(job, end, error)
        finally:
            self._worker.shutdown(wait=True, cancel_futures=True)

    async def close(self) -> None:
        """Stop the run, keeping what it reached, cancel everything else, and wait for the end."""
        for job in list(self.queued):
            self.cancel(job)
        job = self.running
        if job is not None:
            job.control.stop() if job.kind == "run" else job.control.cancel()
            await asyncio.wait([job.outcome])

    async def _do(
        self, loop: asyncio.AbstractEventLoop, job: Job
    ) -> tuple[End, BaseException | None]:
        try:
            finish = await loop.run_in_executor(self._worker, job.work, job.control)
            finish()
        except Cancelled:
            return "cancelled", None
        except Exception as error:  # noqa: BLE001
            return "failed", error
        return ("stopped" if job.control.stopped else "done"), None

    def _end(self, job: Job, end: End, error: BaseException | None) -> None:
        if not job.outcome.done():
            if error is not None:
                job.outcome.set_exception(error)
                job.outcome.exception()  # not everybody waits for it
            elif end == "cancelled":
                job.outcome.cancel()
            else:
                job.outcome.set_result(None)
        self._ended(job, end, error)

    def _note(self, job: Job, progress: Progress) -> None:
        if self.running is job:
            job.progress = progress
            self._progressed(job)
