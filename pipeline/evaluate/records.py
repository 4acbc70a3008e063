"""A file of measurements that an interrupted evaluation goes on from: one line per measurement."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from pipeline.errors import EvaluationError
from pipeline.session import Json, write_atomically

SCHEMA = 1


class Records:
    """Measurements by key, each written to disk when it is added.

    The file is JSON lines: first what every measurement depends on, then one object per key. A line
    that was cut by an interruption is dropped, and its key counts as not measured.
    """

    def __init__(self, path: Path, settings: Json) -> None:
        """Open a file of measurements, or begin one.

        Args:
            path: a .jsonl file; its folder is made.
            settings: JSON values that every measurement depends on, such as the generator's hash.

        Raises:
            EvaluationError: the file holds something else, or was made with other settings.
            SessionError: it cannot be written.
        """
        self.path = path
        self.settings = settings
        self._rows: dict[str, Json] = {}
        header: Json = {"schema": SCHEMA, "settings": settings}
        if path.exists():
            self._rows = _read(path, json.loads(json.dumps(header)))
        # Written anew so that a cut line is gone before anything is appended to it.
        lines = [_line({"key": key, "row": row}) for key, row in self._rows.items()]
        write_text(path, "".join([_line(header), *lines]))

    def __contains__(self, key: str) -> bool:
        """Whether the key has been measured."""
        return key in self._rows

    def __getitem__(self, key: str) -> Json:
        """What was measured; KeyError where nothing was."""
        return self._rows[key]

    def __iter__(self) -> Iterator[str]:
        """The keys, in the order in which they were added."""
        return iter(self._rows)

    def __len__(self) -> int:
        """Number of measurements."""
        return len(self._rows)

    def add(self, key: str, row: Json) -> None:
        """Keep a measurement, in memory and on disk."""
        with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_line({"key": key, "row": row}))
        self._rows[key] = row


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file, whole or not at all; bytes of a file's name that are none are escaped.

    Raises:
        SessionError: it cannot be written.
    """

    def write(half: Path) -> None:
        half.write_text(text, "utf-8", errors="backslashreplace")

    write_atomically(path, write)


def _line(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


def _read(path: Path, header: Json) -> dict[str, Json]:
    # Not `splitlines`, which also breaks at letters that JSON leaves as they are.
    first, *lines = path.read_text("utf-8").split("\n")
    try:
        found = json.loads(first)
        known = found["schema"], found["settings"]
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{path} holds no measurements: choose another folder") from error
    if known != (header["schema"], header["settings"]):
        raise EvaluationError(
            f"{path} was measured with other settings ({_difference(found, header)}): "
            "choose another folder, or delete the file"
        )
    rows: dict[str, Json] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            rows[str(entry["key"])] = dict(entry["row"])
        except (ValueError, KeyError, TypeError):
            continue
    return rows


def _difference(found: Json, wanted: Json) -> str:
    """Name the settings that differ."""
    if found["schema"] != wanted["schema"]:
        return f"schema {found['schema']}"
    before, now = cast("Json", found["settings"]), cast("Json", wanted["settings"])
    names = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
    return ", ".join(f"{name} {before.get(name)!r}, now {now.get(name)!r}" for name in names)
