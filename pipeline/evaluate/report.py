"""What an evaluation leaves: a JSON file and a Markdown page of tables, and what machine it was."""

import platform
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.evaluate.records import write_text
from pipeline.session import Json, write_atomically, write_json
from pipeline.version import VERSION

Cell: TypeAlias = str | int | float | None
Row: TypeAlias = Mapping[str, Cell]

_INSTRUCTIONS = {
    "amx_bf16": "AMX",
    "avx512_bf16": "AVX-512 with bfloat16",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
    "asimd": "NEON",
}


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows with the same columns.

    Attributes:
        caption: what the rows are, one line.
        rows: cells by column; None stands for what was not measured.
    """

    caption: str
    rows: Sequence[Row]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The outcome of one evaluation.

    Attributes:
        name: of its files.
        title: heading of its page.
        about: Markdown: the protocol, and where it departs from the published one.
        command: the command line that repeats it.
        tables: in the order of the page.
        facts: JSON values for the file: settings, networks, counts.
    """

    name: str
    title: str
    about: str
    command: str
    tables: Sequence[Table]
    facts: Json


def write_evaluation(folder: Path, evaluation: Evaluation, device: torch.device) -> Json:
    """Write `NAME.json` and `NAME.md`, and give the JSON object.

    Raises:
        SessionError: a file cannot be written.
    """
    record: Json = {
        "evaluation": evaluation.name,
        "photodrag": VERSION,
        "command": evaluation.command,
        "machine": describe_machine(device),
        **evaluation.facts,
        "tables": [{"caption": t.caption, "rows": [*map(dict, t.rows)]} for t in evaluation.tables],
    }
    page = to_page(evaluation, describe_machine(device))
    write_atomically(folder / f"{evaluation.name}.json", lambda half: write_json(half, record))
    write_text(folder / f"{evaluation.name}.md", page)
    return record


def to_page(evaluation: Evaluation, machine: str) -> str:
    """The Markdown page."""
    parts = [
        f"# {evaluation.title}",
        *map(_wrapped, evaluation.about.strip().split("\n\n")),
        f"    {evaluation.command}",
        f"photodrag {VERSION}, {machine}.",
        *(f"{_wrapped(table.caption)}\n\n{to_markdown(table.rows)}" for table in evaluation.tables),
    ]
    return "\n\n".join(parts) + "\n"


def to_markdown(rows: Sequence[Row]) -> str:
    """Lay rows out as a Markdown table with the first row's columns."""
    if not rows:
        return "No rows."
    names = list(rows[0])
    lines = [_line(names), _line("---:" if _is_number(rows[0][name]) else "---" for name in names)]
    lines += [_line(_cell(row.get(name)) for name in names) for row in rows]
    return "\n".join(lines)


def numbers(rows: Sequence[Mapping[str, object]], name: str) -> NDArray[np.float64]:
    """A column of records, without what could not be measured."""
    found = [row[name] for row in rows if row.get(name) is not None]
    return np.asarray(found, np.float64)


def mean(rows: Sequence[Mapping[str, object]], name: str) -> float | None:
    """Mean of a column of records, None where nothing was measured."""
    column = numbers(rows, name)
    return float(column.mean()) if len(column) else None


def not_skipped(rows: Sequence[Json]) -> list[Json]:
    """The records of pictures that could be measured."""
    return [row for row in rows if "skipped" not in row]


def tell_skipped(count: int) -> str:
    """What pages say of pictures that could not be measured; nothing of none."""
    return f"Skipped: {count} files without a face that can be edited." if count else ""


def describe_machine(device: torch.device) -> str:
    """Name the processor or GPU, its number format and the number of threads, in one line."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, PyTorch {torch.__version__}"
    threads = torch.get_num_threads()
    noun = "thread" if threads == 1 else "threads"
    return f"{threads} {noun} of {_processor()}, PyTorch {torch.__version__.split('+')[0]}"


def _processor() -> str:
    """What Linux says of the processor; the architecture alone elsewhere."""
    architecture = platform.machine() or "an unknown processor"
    try:
        said = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return architecture
    name = re.search(r"^model name\s*: (.*)$", said, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.*)$", said, re.MULTILINE)
    known = set(flags[1].split()) if flags else set[str]()
    best = next((words for flag, words in _INSTRUCTIONS.items() if flag in known), None)
    described = f"{architecture} with {best}" if best else architecture
    return f"{name[1]} ({described})" if name else described


def _wrapped(paragraph: str) -> str:
    return textwrap.fill(paragraph, 100, break_long_words=False, break_on_hyphens=False)


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, (int, float))


def _cell(cell: Cell) -> str:
    if cell is None:
        return "not measured"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
