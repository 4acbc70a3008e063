"""Records go on where they were cut, refuse others' settings, and are filled by processes."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pipeline.errors import EvaluationError
from pipeline.evaluate.records import Records
from pipeline.evaluate.tasks import measure_apart, measure_missing
from pipeline.session import Json


def squaring(offset: int) -> Callable[[int], Json]:
    return lambda number: {"square": number**2 + offset}


def failing() -> Callable[[int], Json]:
    raise SystemExit(3)


def asking_for_interrupts() -> Callable[[int], object]:
    return lambda _: signal.getsignal(signal.SIGINT)


def test_records_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "records.jsonl"
    records = Records(path, {"seed": 1, "sets": ["a"]})
    records.add("one", {"x": 1.5, "none": None})
    again = Records(path, {"seed": 1, "sets": ["a"]})
    assert list(again) == ["one"]
    assert again["one"] == {"x": 1.5, "none": None}


@pytest.mark.parametrize("key", ["line\u2028line.jpg", "caf\udce9.jpg"])
def test_a_key_may_be_any_name_of_a_file(tmp_path: Path, key: str) -> None:
    path = tmp_path / "records.jsonl"
    Records(path, {}).add(key, {"x": 1})
    assert Records(path, {})[key] == {"x": 1}
    assert list(Records(path, {})) == [key]


def test_a_cut_line_counts_as_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    records = Records(path, {})
    records.add("one", {"x": 1})
    records.add("two", {"x": 2})
    path.write_bytes(path.read_bytes()[:-5])
    again = Records(path, {})
    assert "one" in again
    assert "two" not in again
    again.add("two", {"x": 3})
    assert Records(path, {})["two"] == {"x": 3}


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    Records(path, {"seed": 1})
    with pytest.raises(EvaluationError, match="seed 1, now 2"):
        Records(path, {"seed": 2})


@pytest.mark.parametrize("text", ["", "[1, 2]\n", "not JSON\n"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(text)
    with pytest.raises(EvaluationError, match="holds no measurements"):
        Records(path, {})


def test_only_what_is_missing_is_measured(tmp_path: Path) -> None:
    records = Records(tmp_path / "records.jsonl", {})
    records.add("2", {"square": -1})
    tasks = {str(n): n for n in range(4)}
    done = list(measure_missing(tasks, partial(squaring, 0), records))
    assert done == ["0", "1", "3"]
    assert [records[str(n)]["square"] for n in range(4)] == [0, 1, -1, 9]


def test_several_processes_measure_the_same(tmp_path: Path) -> None:
    records = Records(tmp_path / "records.jsonl", {})
    tasks = {str(n): n for n in range(5)}
    done = list(measure_missing(tasks, partial(squaring, 7), records, jobs=2))
    assert sorted(done) == sorted(tasks)
    assert all(records[str(n)] == {"square": n**2 + 7} for n in range(5))


def test_a_process_that_dies_is_reported(tmp_path: Path) -> None:
    records = Records(tmp_path / "records.jsonl", {})
    with pytest.raises(EvaluationError, match="ended with code 3"):
        list(measure_missing({"a": 1, "b": 2}, failing, records, jobs=2))


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_an_interrupt_is_told_by_the_first_process_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    assert list(measure_apart([("a", 0)], asking_for_interrupts, jobs=1)) == [("a", signal.SIG_IGN)]
    assert signal.getsignal(signal.SIGINT) is before
