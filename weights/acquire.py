"""How a network gets into the cache: fetched from its publisher, or imported from a file.

Generators of other formats are converted once to ours in float32, and the published file is not
kept: it is three times as large, since discriminators and training copies lie in it too, and it can
run code in programs that trust it. Its hash goes into the header of what was converted.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from weights.builtin import builtin_models
from weights.cache import (
    Record,
    cache_folder,
    find_record,
    is_name,
    memory_of,
    part_of,
    place_of,
    remember_hash,
    remembered_hash,
    try_lock,
    write_record,
)
from weights.catalogue import Domain, Entry, find_entry, read_catalogue
from weights.errors import (
    BrokenWeightsError,
    FetchError,
    MissingWeightsError,
    WeightsError,
)
from weights.fetch import Patience, Progress, download, hash_file
from weights.files import replacing
from weights.store import (
    GENERATOR,
    SUFFIX,
    GeneratorInfo,
    generator_info,
    load_generator,
    save_generator,
)

WAIT = 0.5
"""Seconds between two looks at another process's download."""


def fetchable(name: str) -> Entry:
    """Find what the catalogue has under a name.

    Raises:
        MissingWeightsError: the catalogue has no such name.
    """
    entry = read_catalogue().get(name)
    if entry is None:
        raise MissingWeightsError(
            f"nothing called {name} can be fetched: photodrag weights list shows what can"
        )
    return entry


def fetch_weights(entry: Entry, *, patience: Patience | None = None) -> Iterator[Progress]:
    """Fetch a network of the catalogue, check it, and put it into its place.

    Gives progress after each block; while another process fetches the same network, gives the
    other's. Closing the iterator keeps what has come so far for another attempt.

    Raises:
        FetchError: no address gave the file, the network is forbidden, or the disk is full.
        WeightsError: the file is what was published, but cannot be converted.
    """
    cache_folder().mkdir(parents=True, exist_ok=True)
    while True:
        with try_lock(entry.name) as mine:
            if mine:
                if find_record(entry.name) is None:
                    yield from _fetch(entry, patience)
                return
        part = part_of(entry.name)
        yield Progress(part.stat().st_size if part.is_file() else 0, entry.bytes)
        time.sleep(WAIT)


def import_weights(
    path: Path, *, name: str, domain: Domain | None = None, licence: str | None = None
) -> Record:
    """Put a file of the user's into the cache under a name, generators converted to our format.

    A file whose hash the catalogue knows takes domain and licence from there, and a network of the
    catalogue that is no generator may be imported under its own name.

    Args:
        path: a generator in any format that is read.
        name: what to call it.
        domain: what it draws; default what the file or the catalogue says, else faces.
        licence: terms of its use; default what the file or the catalogue says.

    Raises:
        MissingWeightsError: there is no such file.
        WeightsError: the name cannot be had, or the file cannot be read.
    """
    _check_name(name)
    if not path.is_file():
        raise MissingWeightsError(f"{path} is no file: give the file of a generator")
    sha256 = hash_file(path)
    cache_folder().mkdir(parents=True, exist_ok=True)
    with try_lock(name) as mine, _naming_the_disk(name):
        if not mine:
            raise WeightsError(f"another process is writing {name}: wait until it is done")
        there = find_record(name)
        if there is not None:
            if there.source_sha256 == sha256 and domain is None and licence is None:
                return there
            raise WeightsError(
                f"{name} is taken, by {there.source}: choose another name, or "
                f"photodrag weights remove {name}"
            )
        entry = _entry_of(name, sha256, path)
        if entry is not None and entry.kind != GENERATOR:
            return _place(entry, path, sha256, source=path.name, move=False)
        own = generator_info(path)
        known = own if entry is None else _describe(entry, sha256)
        info = GeneratorInfo(
            domain=domain or known.domain,
            # Only a published hash proves what a file is; its terms are taken on trust.
            what=known.what if find_entry(sha256) else own.what,
            licence=known.licence if licence is None else licence,
            source_sha256=sha256,
        )
        return _convert(path, name, info, source=path.name)


def _fetch(entry: Entry, patience: Patience | None) -> Generator[Progress, None, None]:
    part, place = part_of(entry.name), place_of(entry)
    if entry.sha256 and place.is_file() and hash_file(place).startswith(remembered_hash(entry)):
        # PyTorch fetched it for another program.
        _record_file(entry, place, hash_file(place), source=str(place.absolute()))
        return
    with _naming_the_disk(entry.name):
        try:
            sha256 = yield from download(
                entry.urls,
                part,
                size=entry.bytes,
                sha256=remembered_hash(entry),
                patience=patience,
            )
        except FetchError as error:
            first = memory_of(entry)
            note = f"; {first} holds the SHA-256 of the first fetch" if first.is_file() else ""
            raise FetchError(f"{entry.name} was not fetched: {error}{note}") from error
        if entry.kind == GENERATOR:
            _convert(part, entry.name, _describe(entry, sha256), source=entry.urls[0])
            part.unlink()
        else:
            _place(entry, part, sha256, source=entry.urls[0], move=True)
        remember_hash(entry, sha256)


def _convert(file: Path, name: str, info: GeneratorInfo, *, source: str) -> Record:
    generator = load_generator(file)
    if any(not value.isfinite().all() for value in generator.state_dict().values()):
        raise BrokenWeightsError(f"{file} holds numbers that are not finite: fetch it again")
    target = cache_folder() / f"{name}{SUFFIX}"
    save_generator(target, generator, what=info.what, dtype=torch.float32, info=info)
    record = Record(
        name=name,
        kind=GENERATOR,
        what=info.what,
        file=target.name,
        bytes=target.stat().st_size,
        sha256=hash_file(target),
        source=source,
        source_sha256=info.source_sha256,
        licence=info.licence,
    )
    write_record(record)
    return record


def _place(entry: Entry, file: Path, sha256: str, *, source: str, move: bool) -> Record:
    target = place_of(entry)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        (shutil.move if move else shutil.copyfile)(file, temporary)
    return _record_file(entry, target, sha256, source=source)


def _record_file(entry: Entry, file: Path, sha256: str, *, source: str) -> Record:
    inside = file.parent == cache_folder()
    record = Record(
        name=entry.name,
        kind=entry.kind,
        what=entry.what,
        file=file.name if inside else str(file.absolute()),
        bytes=file.stat().st_size,
        sha256=sha256,
        source=source,
        source_sha256=sha256,
        licence=entry.terms,
    )
    write_record(record)
    return record


def _describe(entry: Entry, sha256: str) -> GeneratorInfo:
    return GeneratorInfo(
        domain=entry.domain or "face",
        what=entry.what,
        licence=entry.terms,
        source_sha256=sha256,
    )


def _entry_of(name: str, sha256: str, path: Path) -> Entry | None:
    """Find what the catalogue knows of a file; its names are kept for its files."""
    named = read_catalogue().get(name)
    if named is not None and not sha256.startswith(remembered_hash(named)):
        raise BrokenWeightsError(
            f"{path} is not the published {name}, its SHA-256 is {sha256}: choose another name"
        )
    return named or find_entry(sha256)


def _check_name(name: str) -> None:
    if not is_name(name) or name.endswith(("-encoder", "-directions")):
        raise WeightsError(
            f"{name!r} cannot be a name: take small letters, digits, dots and dashes, not ending "
            "in -encoder or -directions"
        )
    if name in {model.name for model in builtin_models()}:
        raise WeightsError(f"{name} comes with photodrag: choose another name")


@contextmanager
def _naming_the_disk(name: str) -> Generator[None, None, None]:
    """Turn a disk that is full into an error that says what to do."""
    try:
        yield
    except SafetensorError as error:
        raise WeightsError(f"{name} could not be written to {cache_folder()}: {error}") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise FetchError(
            f"no room for {name} in {error.filename or cache_folder()}: {error.strerror}; free some"
            " and repeat the command, what has come so far is kept"
        ) from error
