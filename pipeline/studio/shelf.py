"""Everything that the studio keeps on disk; the folder is the state, and outlives every crash.

    token  desk.json  lock                 the address's secret; what lies on the desk; who writes
    photos/ID/photo.jpg  about.json        the file as it came, ID from its SHA-256; its name
    photos/ID/faces.json                   the faces, once looked for
    photos/ID/face-2/  square-X,Y,SIZE/    what was begun of a face or a drawn square:
      masks/ID.png                         painted masks, as large as the photo
      expressions/ID.json                  landmarks of other faces
      hidden.json                          which of these masks shows what hides it
      SLOT/session/                        a session of the library (`pipeline.session`)
      SLOT/document.json                   history and draft
      SLOT/pictures/                       what edits look like, made again where missing

A slot is one inversion: quality, seed, generator, and what hides the face.
"""

import hashlib
import re
import secrets
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import filelock

from pipeline.decode import KINDS
from pipeline.errors import SessionError
from pipeline.photo import Photo, read_photo
from pipeline.session import Json, write_atomically
from pipeline.studio.errors import MessageError, UnknownError
from pipeline.studio.pictures import write_bytes
from pipeline.studio.records import (
    Part,
    PhotoRecord,
    Slot,
    keep_record,
    read_named,
    read_record,
)
from pipeline.studio.settings import StudioSettings

ID_LENGTH = 16
_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")
_FACE = re.compile(r"face-(\d{1,6})")
_SQUARE = re.compile(r"square-(\d{1,6}),(\d{1,6}),(\d{1,6})")
_SLOT = re.compile(
    r"(?P<quality>[a-z]+)-(?P<seed>\d+)-(?P<generator>[0-9a-f]{8})"
    rf"(-(?P<hidden>[0-9a-f]{{{ID_LENGTH}}}))?"
)


class Shelf:
    """The folder of all photos, which nobody else writes into until it is closed.

    Raises:
        SessionError: The folder cannot be used, or another studio is open in it.
    """

    def __init__(self, folder: Path, generator_sha256: str) -> None:
        self.folder = folder
        self._generator = generator_sha256[:8]
        try:
            (folder / "photos").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SessionError(f"cannot use the folder {folder}: {error.strerror}") from error
        self._lock = _lock(folder)
        for left in folder.glob("photos/*/exports"):  # nobody has their addresses any more
            shutil.rmtree(left, ignore_errors=True)

    def close(self) -> None:
        """Let others write."""
        self._lock.release()

    def token(self) -> str:
        """The address's secret: made once, kept readable for the owner only."""
        path = self.folder / "token"
        if not path.is_file() or len(path.read_text("ascii")) < 32:
            path.unlink(missing_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32), "ascii")
        return path.read_text("ascii")

    def read_desk(self) -> Json:
        """What lay on the desk; nothing where nothing is kept."""
        return read_record(self.folder / "desk.json") or {}

    def keep_desk(self, record: Json) -> None:
        """Remember what lies on the desk."""
        keep_record(self.folder / "desk.json", record)

    def add_photo(self, content: bytes, name: str, origin: Path | None = None) -> PhotoRecord:
        """Keep a file, once it is known to be a photo.

        Raises:
            PhotoError: It cannot be read as one.
            SessionError: The disk does not take it.
        """
        identity = hashlib.sha256(content).hexdigest()[:ID_LENGTH]
        folder = self.folder / "photos" / identity
        known = self._read(folder)
        if known is not None:
            named = replace(known, name=name, origin=str(origin) if origin else known.origin)
            return self.touch(named)
        incoming = self.folder / "photos" / f".{identity}"
        write_atomically(incoming, lambda path: write_bytes(path, content))
        try:
            photo = read_named(incoming, name)
            file = folder / f"photo{_suffix(photo)}"
            folder.mkdir(exist_ok=True)
            incoming.replace(file)
        finally:
            incoming.unlink(missing_ok=True)
        record = PhotoRecord(
            photo=identity,
            name=name,
            file=file,
            origin=None if origin is None else str(origin.resolve()),
            width=photo.width,
            height=photo.height,
            kind=photo.kind,
            notes=photo.notes,
            opened=0.0,
        )
        return self.touch(record)

    def import_photo(self, path: Path) -> None:
        """Keep a copy of a file of this machine, and put it on the desk.

        Raises:
            PhotoError: It cannot be read.
        """
        read_photo(path)  # says what is wrong with the path itself
        record = self.add_photo(path.read_bytes(), path.name, path)
        self.keep_desk({**self.read_desk(), "photo": record.photo, "face": None})

    def photos(self) -> list[PhotoRecord]:
        """All photos, the latest first."""
        found = (self._read(path) for path in (self.folder / "photos").iterdir())
        return sorted((r for r in found if r is not None), key=lambda r: r.opened, reverse=True)

    def record(self, photo: str) -> PhotoRecord:
        """Look a photo up.

        Raises:
            UnknownError: There is none of that id.
        """
        found = self._read(self.folder / "photos" / photo) if _ID.fullmatch(photo) else None
        if found is None:
            raise UnknownError("this photo is not here any more: open it again")
        return found

    def touch(self, record: PhotoRecord) -> PhotoRecord:
        """Note that the photo is the current one now."""
        touched = replace(record, opened=time.time())
        about: Json = {**asdict(touched), "file": touched.file.name}
        keep_record(touched.folder / "about.json", about)
        return touched

    def forget(self, photo: str) -> None:
        """Delete everything about a photo.

        Raises:
            UnknownError: There is none of that id.
        """
        shutil.rmtree(self.record(photo).folder, ignore_errors=True)

    def slot(self, record: PhotoRecord, part: Part, settings: StudioSettings) -> Slot:
        """The place of one inversion; it need not exist yet."""
        hidden = self._hidden(record, part)
        name = f"{settings.quality}-{settings.seed}-{self._generator}"
        return Slot(
            record=record,
            part=part,
            quality=settings.quality,
            seed=settings.seed,
            folder=record.folder_of(part) / (f"{name}-{hidden}" if hidden else name),
            hidden=hidden,
        )

    def keep_hidden(self, record: PhotoRecord, part: Part, mask: str | None) -> None:
        """Note which mask shows what hides a part; None for nothing."""
        keep_record(record.folder_of(part) / "hidden.json", {"mask": mask})

    def _hidden(self, record: PhotoRecord, part: Part) -> str | None:
        try:
            kept = read_record(record.folder_of(part) / "hidden.json") or {}
        except MessageError:
            return None
        mask = kept.get("mask")
        return mask if isinstance(mask, str) and _ID.fullmatch(mask) else None

    def begun(self, record: PhotoRecord) -> list[Part]:
        """Faces about which anything is kept, in the order of their numbers, then squares."""
        names = [path.name for path in record.folder.iterdir()]
        faces = sorted(int(found[1]) for found in map(_FACE.fullmatch, names) if found)
        return [*faces, *self.squares(record)]

    def squares(self, record: PhotoRecord) -> list[tuple[int, int, int]]:
        """All squares that were drawn, from left to right."""
        found = (_SQUARE.fullmatch(path.name) for path in record.folder.iterdir())
        return sorted((int(name[1]), int(name[2]), int(name[3])) for name in found if name)

    def begin(self, record: PhotoRecord, part: Part) -> None:
        """Keep a square, also while nothing is done in it."""
        record.folder_of(part).mkdir(exist_ok=True)

    def unused(self, record: PhotoRecord, part: Part) -> bool:
        """Whether nothing was asked for in a part yet."""
        return not any(slot.document_file.is_file() for slot in self.slots(record, part))

    def drop(self, record: PhotoRecord, part: Part) -> None:
        """Delete everything about a part."""
        record.folder_of(part).with_suffix(".jpg").unlink(missing_ok=True)
        shutil.rmtree(record.folder_of(part), ignore_errors=True)

    def slots(self, record: PhotoRecord, part: Part) -> list[Slot]:
        """All inversions of a part that were begun."""
        folders = sorted(record.folder_of(part).glob("*-*-*/"))
        named = ((folder, _SLOT.fullmatch(folder.name)) for folder in folders)
        return [
            Slot(
                record=record,
                part=part,
                quality=name["quality"],
                seed=int(name["seed"]),
                folder=folder,
                hidden=name["hidden"],
            )
            for folder, name in named
            if name and name["generator"] == self._generator
        ]

    def _read(self, folder: Path) -> PhotoRecord | None:
        try:
            about = cast("dict[str, Any] | None", read_record(folder / "about.json"))
            if about is None:
                return None
            file = folder / str(about.pop("file"))
            about["width"], about["height"] = int(about["width"]), int(about["height"])
            about["opened"], about["notes"] = float(about["opened"]), tuple(about["notes"])
            return PhotoRecord(**about, file=file) if file.is_file() else None
        except (KeyError, TypeError, ValueError, MessageError):
            return None


def _lock(folder: Path) -> filelock.BaseFileLock:
    """Lock a folder; a process that dies lets go of it."""
    lock = filelock.FileLock(folder / "lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise SessionError(
            f"another studio is open in {folder}: use that one, close it, or choose another "
            "--folder"
        ) from error
    return lock


def _suffix(photo: Photo) -> str:
    return next(iter(KINDS.get(photo.kind, ())), f".{photo.kind.lower()}")
