"""Files that hold a pickle: the bare pickle, and both formats of torch.save.

Since version 1.6 torch.save writes an uncompressed zip archive: `data.pkl`, and each storage in
`data/KEY`. Before that it wrote five pickles (magic number, version, facts about the machine, the
object, the keys of its storages) and then each storage after its length. A bare pickle of tensors
contains a file of the older format for each storage.

The file is mapped into memory and its tensors stay there until they are read one by one.
"""

from __future__ import annotations

import io
import mmap
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

from weights.errors import BrokenWeightsError, UnsupportedWeightsError
from weights.readers.cursor import Budget, Cursor
from weights.readers.records import (
    STORAGE_TABLE,
    Storage,
    archive_table,
    expect,
    plain_table,
    storage_of,
)
from weights.readers.unpickle import Constructor, unpickle

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
MAX_DIRECTORY = 1 << 22
"""Bytes of a zip archive's directory: enough for 50,000 storages."""


def read_root(path: Path) -> object:
    """The object that a foreign file holds, in containers and the values of `records`.

    Raises:
        BrokenWeightsError: the file is damaged, or not of these formats.
        UnsafeWeightsError: it asks for code to be run.
        UnsupportedWeightsError: it is of a format that is not read.
    """
    with path.open("rb") as file:
        if not file.read(1):
            raise BrokenWeightsError("the file is empty: get it anew")
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        if bytes(data[:4]) == b"PK\x03\x04":
            return _read_zip(data)
        if _has_magic(data):
            budget = Budget()
            return _read_legacy(data, archive_table(budget), budget)
        return _read_plain(data)
    except (ValueError, TypeError, LookupError, struct.error) as error:
        raise BrokenWeightsError("the file is damaged: get it anew") from error


def _has_magic(data: memoryview) -> bool:
    """Whether the file starts with torch's magic number: protocol 2, LONG1 of ten bytes."""
    return bytes(data[:14]) == b"\x80\x02\x8a\x0a" + MAGIC.to_bytes(10, "little")


def _read_plain(data: memoryview) -> object:
    budget = Budget()

    def load_from_bytes(inner: memoryview) -> Storage:
        return expect(_read_legacy(inner, STORAGE_TABLE, budget), Storage)

    return unpickle(Cursor(data), plain_table(budget, load_from_bytes), budget)


def _read_legacy(data: memoryview, table: dict[str, Constructor], budget: Budget) -> object:
    cursor = Cursor(data)
    magic, version, machine = (unpickle(cursor, {}, budget) for _ in range(3))
    if (magic, version) != (MAGIC, VERSION):
        raise BrokenWeightsError("its data are not in a format of torch.save: get the file anew")
    if cast("dict[str, object]", expect(machine, dict))["little_endian"] is not True:
        raise UnsupportedWeightsError("it was written on a big-endian machine: save it on another")
    storages: dict[str, Storage] = {}

    def persistent(identity: object) -> Storage:
        key, storage = _declared(identity)
        return storages.setdefault(key, storage)

    root = unpickle(cursor, table, budget, persistent)
    for key in cast("list[str]", expect(unpickle(cursor, {}, budget), list)):
        storage = storages[key]
        (elements,) = struct.unpack("<q", data[cursor.position : cursor.position + 8])
        if elements != storage.elements:
            raise ValueError("a storage of another length than its tensors say")
        start = cursor.position + 8
        cursor.position = start + elements * storage.dtype.itemsize
        storage.data = data[start : cursor.position]
    return root


def _declared(identity: object) -> tuple[str, Storage]:
    """Key and storage of the persistent id ("storage", type, key, device, elements[, view])."""
    fields = cast("tuple[object, ...]", expect(identity, tuple))
    tag, kind, key, _device, elements, *view = fields
    if tag != "storage" or view not in ([], [None]):
        raise ValueError("a persistent id that is no storage")
    return expect(key, str), storage_of(kind, elements)


def _read_zip(data: memoryview) -> object:
    entries = _zip_entries(data)
    pickles = [name for name in entries if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise UnsupportedWeightsError("it is a zip archive, but not one of torch.save")
    folder = pickles[0].removesuffix("data.pkl")
    order = entries.get(f"{folder}byteorder")
    if order is not None and bytes(order()[:8]) != b"little":
        raise UnsupportedWeightsError("it was written on a big-endian machine: save it on another")
    storages: dict[str, Storage] = {}

    def persistent(identity: object) -> Storage:
        key, storage = _declared(identity)
        if key not in storages:
            storage.data = entries[f"{folder}data/{key}"]()
            storages[key] = storage
        return storages[key]

    budget = Budget()
    cursor = Cursor(entries[pickles[0]]())
    return unpickle(cursor, archive_table(budget), budget, persistent)


def _zip_entries(data: memoryview) -> dict[str, Callable[[], memoryview]]:
    """Name -> its bytes inside the file."""
    try:
        with zipfile.ZipFile(_Window(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
        raise BrokenWeightsError("its zip archive is cut off or damaged: get it anew") from error
    return {member.filename: lambda m=member: _stored(data, m) for member in members}


def _stored(data: memoryview, member: zipfile.ZipInfo) -> memoryview:
    """Bytes of an uncompressed member; its local header has names of another length."""
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise BrokenWeightsError(
            "its archive is compressed, which torch.save never does: do not trust it"
        )
    header = data[member.header_offset : member.header_offset + 30]
    signature, name, extra = struct.unpack("<4s22xHH", header)
    if signature != b"PK\x03\x04":
        raise ValueError("no local header")
    start = member.header_offset + 30 + name + extra
    return data[start : start + member.file_size]


class _Window(io.RawIOBase):
    """A seekable file over bytes that refuses the long reads that a crafted directory asks for."""

    def __init__(self, data: memoryview) -> None:
        super().__init__()
        self._data = data
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._position, len(self._data))[whence]
        if base + offset < 0:
            raise OSError("a place before the file")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._position + size
        piece = self._data[self._position : end]
        if len(piece) > MAX_DIRECTORY:
            raise zipfile.BadZipFile("a directory of many entries")
        self._position += len(piece)
        return bytes(piece)
