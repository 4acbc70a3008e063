"""Measure what has not been measured yet, in this process or in several."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from queue import Empty
from typing import TypeVar

import torch

from pipeline.errors import EvaluationError
from pipeline.evaluate.records import Records
from pipeline.session import Json

Task = TypeVar("Task")
Row = TypeVar("Row")
Measure = Callable[[Task], Json]
_PATIENCE = 5.0
"""Seconds between two looks at whether the processes are still alive."""


def missing(tasks: Mapping[str, Task], records: Records) -> dict[str, Task]:
    """Tasks by key that the records do not hold."""
    return {key: task for key, task in tasks.items() if key not in records}


def measure_missing(
    tasks: Mapping[str, Task],
    begin: Callable[[], Measure[Task]],
    records: Records,
    *,
    jobs: int = 1,
) -> Iterator[str]:
    """Measure every task that is missing from the records, and give each key when it is there.

    Args:
        tasks: by key; with several jobs they are sent to other processes, so they must pickle.
        begin: loads what measuring needs and gives the function that measures one task; called once
            in every process, so it must pickle too.
        records: where measurements are kept; only this process writes them.
        jobs: number of processes; 1 measures in this one.

    Raises:
        EvaluationError: a process died.
    """
    left = list(missing(tasks, records).items())
    if jobs <= 1 or len(left) <= 1:
        measure = begin() if left else None
        for key, task in left:
            if measure is not None:
                records.add(key, measure(task))
                yield key
        return
    for key, row in measure_apart(left, begin, jobs=jobs):
        records.add(key, row)
        yield key


def measure_apart(
    tasks: Sequence[tuple[str, Task]],
    begin: Callable[[], Callable[[Task], Row]],
    *,
    jobs: int,
) -> Iterator[tuple[str, Row]]:
    """Measure tasks in other processes, and give the key and the row of each when it is there.

    Args:
        tasks: see `measure_missing`, as is `begin`.
        begin: see there.
        jobs: number of processes.

    Raises:
        EvaluationError: a process died.
    """
    context = multiprocessing.get_context("spawn")
    results: Queue[tuple[str, Row]] = context.Queue()
    threads = max(1, torch.get_num_threads() // jobs)
    workers = [
        context.Process(target=_work, args=(tasks[k::jobs], begin, results, threads), daemon=True)
        for k in range(min(jobs, len(tasks)))
    ]
    try:
        # A terminal interrupts all processes at once: this one tells of it, and ends the others.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for worker in workers:
                worker.start()
        finally:
            signal.signal(signal.SIGINT, before)
        for _ in tasks:
            yield _next(results, workers)
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _work(
    tasks: Sequence[tuple[str, Task]],
    begin: Callable[[], Callable[[Task], Row]],
    results: "Queue[tuple[str, Row]]",
    threads: int,
) -> None:
    torch.set_num_threads(threads)
    measure = begin()
    for key, task in tasks:
        results.put((key, measure(task)))


def _next(results: "Queue[tuple[str, Row]]", workers: Sequence[SpawnProcess]) -> tuple[str, Row]:
    """Wait for a result as long as somebody works."""
    while True:
        try:
            return results.get(timeout=_PATIENCE)
        except Empty:
            failed = next((worker.exitcode for worker in workers if worker.exitcode), None)
            if failed is not None:
                raise EvaluationError(
                    f"a process that measured ended with code {failed}: see what it said "
                    "above, and run the same command again to go on"
                ) from None
