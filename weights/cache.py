"""The user's folder of networks, and the record that each network there has.

    NAME.safetensors   a generator in our format
    NAME.json          its record; a file without one does not count
    NAME.sha256        hash of the first file fetched under a name whose hash nobody published
    *.part             a download that is not whole yet

A record may also name a file in PyTorch's own folder of downloads, where other programs look.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock
import platformdirs
import torch

from weights.catalogue import Entry
from weights.errors import BrokenWeightsError, MissingWeightsError
from weights.fetch import hash_file, tag_of
from weights.files import replacing

CACHE_VARIABLE = "PHOTODRAG_CACHE"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of a network in the cache.

    Attributes:
        name: what it is called here.
        kind: what it does, such as "generator".
        what: one line about it.
        file: its path, relative to the cache where it lies there.
        bytes: length of the file.
        sha256: hash of the file.
        source: name or address of the file that it came from.
        source_sha256: hash of that file; equal to `sha256` where it was not converted.
        licence: terms of its use, "" where none are known.
    """

    name: str
    kind: str
    what: str
    file: str
    bytes: int
    sha256: str
    source: str
    source_sha256: str
    licence: str

    @property
    def path(self) -> Path:
        """Where its file lies."""
        return cache_folder() / self.file


def is_name(text: str) -> bool:
    """Whether a text can name a network: small letters, digits, dots and dashes."""
    return re.fullmatch(r"[a-z0-9][a-z0-9._-]*", text) is not None


def cache_folder() -> Path:
    """Folder of fetched and imported networks: `PHOTODRAG_CACHE`, or where the platform has it."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("photodrag", False))


def place_of(entry: Entry) -> Path:
    """Where a network of the catalogue is kept once it is fetched."""
    if entry.kind == "generator":
        return cache_folder() / f"{entry.name}.safetensors"
    if entry.folder == "pytorch":
        return Path(torch.hub.get_dir()) / "checkpoints" / entry.file
    return cache_folder() / entry.file


def part_of(name: str) -> Path:
    """Where a download grows until it is whole."""
    return cache_folder() / f"{name}.part"


def write_record(record: Record) -> None:
    """Make a file count as a network of that name."""
    with replacing(_record_file(record.name)) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=2), "utf-8")


def find_record(name: str) -> Record | None:
    """The record of a name, or None where the name has no file.

    Raises:
        BrokenWeightsError: the record is damaged.
    """
    path = _record_file(name)
    if not is_name(name) or not path.is_file():
        return None
    try:
        record = Record(**json.loads(path.read_text("utf-8")))
        return record if record.path.is_file() else None
    except (ValueError, TypeError, RecursionError) as error:
        raise BrokenWeightsError(
            f"the record {path} is damaged: photodrag weights remove {name}, then fetch it again"
        ) from error


def list_records() -> list[Record]:
    """The records of all networks in the cache, by name."""
    names = sorted(path.stem for path in cache_folder().glob("*.json"))
    return [record for name in names if (record := find_record(name)) is not None]


def verify_record(record: Record) -> None:
    """Hash a network's file again.

    Raises:
        BrokenWeightsError: it has changed since it was recorded.
    """
    path = record.path
    if path.stat().st_size != record.bytes or hash_file(path) != record.sha256:
        raise BrokenWeightsError(
            f"{path} has changed since it was recorded: photodrag weights remove {record.name}, "
            "then fetch or import it again"
        )


def remove_record(name: str) -> list[Path]:
    """Delete a network's file, its record and unfinished downloads, and return what is gone.

    A file that another program had fetched before stays.

    Raises:
        MissingWeightsError: there is nothing of this name.
    """
    folder = cache_folder()
    try:
        record = find_record(name)
    except BrokenWeightsError:
        record = None
    part = part_of(name)
    # The record goes first: a file without one does not count.
    doomed = [_record_file(name), folder / f"{name}.safetensors", part, tag_of(part)]
    if record is not None and record.source != str(record.path) and record.path not in doomed:
        doomed.append(record.path)
    gone = [path for path in doomed if is_name(name) and path.is_file()]
    if not gone:
        raise MissingWeightsError(f"there are no weights called {name} in {folder}")
    for path in gone:
        path.unlink()
    return gone


def memory_of(entry: Entry) -> Path:
    """Where the hash of the first fetched file of an entry is kept."""
    return cache_folder() / f"{entry.name}.sha256"


def remembered_hash(entry: Entry) -> str:
    """What is known of the hash of an entry: the catalogue's, or that of the first fetched file."""
    path = memory_of(entry)
    if entry.hash == "full" or not path.is_file():
        return entry.sha256
    return path.read_text("utf-8").strip()


def remember_hash(entry: Entry, sha256: str) -> None:
    """Keep the whole hash of an entry whose hash is not in the catalogue."""
    if entry.hash != "full":
        with replacing(memory_of(entry)) as temporary:
            temporary.write_text(f"{sha256}\n", "utf-8")


@contextmanager
def try_lock(name: str) -> Generator[bool, None, None]:
    """Try to be the only process that writes under a name; say whether that succeeded."""
    folder = cache_folder() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _record_file(name: str) -> Path:
    return cache_folder() / f"{name}.json"
