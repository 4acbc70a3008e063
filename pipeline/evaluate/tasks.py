"""Measure what has not been measured yet, in this process or in several."""

import multiprocessing
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
    context = multiprocessing.get_context("spawn")
    results: Queue[tuple[str, Json]] = context.Queue()
    threads = max(1, torch.get_num_threads() // jobs)
    workers = [
        context.Process(target=_work, args=(left[k::jobs], begin, results, threads), daemon=True)
        for k in range(min(jobs, len(left)))
    ]
    try:
        for worker in workers:
            worker.start()
        for _ in left:
            key, row = _next(results, workers)
            records.add(key, row)
            yield key
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _work(
    tasks: list[tuple[str, Task]],
    begin: Callable[[], Measure[Task]],
    results: "Queue[tuple[str, Json]]",
    threads: int,
) -> None:
    torch.set_num_threads(threads)
    measure = begin()
    for key, task in tasks:
        results.put((key, measure(task)))


def _next(results: "Queue[tuple[str, Json]]", workers: Sequence[SpawnProcess]) -> tuple[str, Json]:
    """Wait for a result as long as somebody works."""
    while True:
        try:
            return results.get(timeout=_PATIENCE)
        except Empty:
            failed = next((worker.exitcode for worker in workers if worker.exitcode), None)
            if failed is not None:
                raise EvaluationError(
                    f"a process of the evaluation ended with code {failed}: see what it said "
                    "above, and run the same command again to go on"
                ) from None
