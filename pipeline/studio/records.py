"""A photo and an inversion as the studio keeps them: where their files lie, and what is in them."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from pipeline.faces import Face
from pipeline.photo import Photo, read_photo
from pipeline.session import Json, file_sha256, write_atomically, write_json
from pipeline.stored import face_json
from pipeline.studio.document import Document, read_document
from pipeline.studio.errors import MessageError
from weights.errors import PhotodragError

Part = int | tuple[int, int, int]
"""What of a photo is edited: number of a face, or corner x, y and side of a square, in pixels."""


@dataclass(frozen=True, kw_only=True)
class PhotoRecord:
    """What is known of a photo without reading it again.

    Attributes:
        photo: Its id.
        name: The file's name on the page.
        file: Where its bytes lie here.
        origin: Where it came from, if it was named on the command line.
        width: Pixels across, upright.
        height: Pixels down, upright.
        kind: Pillow's name of the file's kind.
        notes: What reading it had to convert.
        opened: When it was last made current, seconds since 1970.
    """

    photo: str
    name: str
    file: Path
    origin: str | None
    width: int
    height: int
    kind: str
    notes: tuple[str, ...]
    opened: float

    @property
    def folder(self) -> Path:
        """Where everything about the photo lies."""
        return self.file.parent

    def folder_of(self, part: Part) -> Path:
        """Where everything about a part lies; its thumbnail has the same name and ".jpg"."""
        kind = "face" if isinstance(part, int) else "square"
        return self.folder / f"{kind}-{part_name(part)}"


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One inversion of one part of a photo, and its history.

    Attributes:
        record: The photo.
        part: What is inverted.
        quality: Of the inversion.
        seed: Of the inversion.
        folder: Where all of it lies.
        hidden: Name of the mask of what hides it; None where nothing does.
    """

    record: PhotoRecord
    part: Part
    quality: str
    seed: int
    folder: Path
    hidden: str | None = None

    @property
    def session(self) -> Path:
        """Folder of the library's session."""
        return self.folder / "session"

    @property
    def pictures(self) -> Path:
        """Folder of what edits look like."""
        return self.folder / "pictures"

    @property
    def id(self) -> str:
        """Its name for the page."""
        return self.folder.name

    @property
    def document_file(self) -> Path:
        """Where the history lies."""
        return self.folder / "document.json"

    @property
    def inverted(self) -> bool:
        """Whether the session holds an inversion; whole or not is seen when it is read."""
        return (self.session / "inversion.safetensors").is_file()

    def read_document(self) -> Document | None:
        """The history, or None where none was kept yet.

        A damaged one is copied, since the next change replaces it.

        Raises:
            SessionError: The disk does not take the copy.
        """
        try:
            record = read_record(self.document_file)
            document = None if record is None else read_document(record)
        except MessageError:
            document = read_document({})
        if document is not None and document.skipped:
            name = f"document-damaged-{file_sha256(self.document_file)[:8]}.json"
            if not (self.folder / name).exists():
                write_atomically(self.folder / name, self._copy_document)
        return document

    def _copy_document(self, path: Path) -> None:
        shutil.copyfile(self.document_file, path)

    def keep_document(self, document: Document) -> None:
        """Write the history.

        Raises:
            SessionError: The disk does not take it.
        """
        keep_record(self.document_file, document.to_json())


def part_name(part: Part) -> str:
    """A part in addresses, and as `--face` or `--crop` takes it: "2", "120,80,300"."""
    return str(part) if isinstance(part, int) else ",".join(map(str, part))


def part_json(part: Part) -> int | str:
    """A part as pages and files name it: a number, or a square's text."""
    return part if isinstance(part, int) else part_name(part)


def keep_faces(record: PhotoRecord, faces: Sequence[Face]) -> None:
    """Write what was found in a photo."""
    keep_record(record.folder / "faces.json", {"faces": [face_json(face) for face in faces]})


def read_faces(record: PhotoRecord) -> tuple[Face, ...] | None:
    """What was found in a photo, or None where nobody has looked yet."""
    try:
        found = cast("dict[str, Any] | None", read_record(record.folder / "faces.json"))
        if found is None:
            return None
        return tuple(
            Face(
                box=tuple(face["box"]),
                landmarks=np.array(face["landmarks"], np.float64),
                score=face["score"],
                index=face["index"],
            )
            for face in found["faces"]
        )
    except (KeyError, TypeError, ValueError, MessageError):
        return None


def read_named(file: Path, name: str) -> Photo:
    """Read a photo; what is wrong with it is told under the name that people know.

    Raises:
        PhotoError: It cannot be read.
    """
    try:
        return read_photo(file)
    except PhotodragError as error:
        raise type(error)(str(error).replace(str(file), name)) from error


def read_record(path: Path) -> Json | None:
    """Read a JSON object, or None where there is no such file.

    Raises:
        MessageError: It is damaged.
    """
    try:
        found: object = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise MessageError(f"{path.name} cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise MessageError(f"{path.name} holds no object")
    return cast(Json, found)


def keep_record(path: Path, record: Json) -> None:
    """Write a JSON object, whole or not at all.

    Raises:
        SessionError: The disk does not take it.
    """
    write_atomically(path, lambda half: write_json(half, record))
