"""A session: the stages of editing one face or square of one photo, kept in a folder.

session.json says what the other files are and carries the SHA-256 of each, and it is always the
last to be written. A file that is missing, cut short or not yet listed therefore counts as not
there, and its stage is done again.

    session.json  alignment.json  crop.png  inversion.safetensors
    edits/0001.json  edits/0001.png  edits/0001.safetensors  edits/0002.json ...
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from pipeline.errors import SessionError
from pipeline.version import VERSION
from weights.files import replacing

SCHEMA = 2
RECORD = "session.json"

Json = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an inversion depends on besides the crop; a change of any of them redoes it.

    Attributes:
        generator: Name or path of the base generator, to load it again.
        generator_sha256: Its identity.
        quality: A name in `inversion.invert.QUALITIES`.
        seed: Of the run's random generator.
        hidden: SHA-256 of the mask of what hides the face; empty for none.
    """

    generator: str
    generator_sha256: str
    quality: str
    seed: int
    hidden: str = ""


@dataclass(frozen=True, kw_only=True)
class Session:
    """A folder and what its session.json says; a stage that is kept gives a new value.

    Attributes:
        folder: Where the files are.
        photo: Path of the photo when the session began.
        photo_sha256: SHA-256 of the photo's file.
        selected: What of the photo is edited, as `pipeline.subject.Selection` names it.
        settings: What the inversion depends on.
        reports: Name of a stage -> what was measured.
        files: Path below `folder` -> SHA-256, for every file but session.json.
    """

    folder: Path
    photo: str
    photo_sha256: str
    selected: str
    settings: Settings
    reports: dict[str, Json]
    files: dict[str, str]

    def has(self, name: str) -> bool:
        """Whether this file was completed and is still as it was written."""
        path = self.folder / name
        return name in self.files and path.is_file() and file_sha256(path) == self.files[name]

    def keep(
        self, writers: dict[str, Callable[[Path], None]], stage: str, report: Json
    ) -> "Session":
        """Write the files of one stage and list them.

        Args:
            writers: Path below the folder -> function that writes the file at the path it gets.
            stage: Key of `report` among the reports.
            report: What was measured, ready for JSON.

        Raises:
            SessionError: The folder cannot be written.
        """
        hashes = dict(self.files)
        for name, write in writers.items():
            path = self.folder / name
            write_atomically(path, write)
            hashes[name] = file_sha256(path)
        kept = replace(self, files=hashes, reports={**self.reports, stage: report})
        write_atomically(self.folder / RECORD, kept._write_record)
        return kept

    def with_settings(self, settings: Settings) -> "Session":
        """Go on with these settings; others than before drop the inversion."""
        if self.settings == settings:
            return self
        same_crop = self.settings.generator_sha256 == settings.generator_sha256
        base = self if same_crop else self.forget("alignment.json", "crop.png")
        kept = replace(base.forget("inversion.safetensors"), settings=settings)
        return kept.keep({}, "begin", {})

    def forget(self, *names: str) -> "Session":
        """Take files off the list, so that their stage is done again."""
        return replace(self, files={n: h for n, h in self.files.items() if n not in names})

    def read_json(self, name: str) -> Json:
        """Read one of the session's JSON files.

        Raises:
            SessionError: It is missing or changed.
        """
        if not self.has(name):
            raise SessionError(
                f"{self.folder}: {name} is missing or incomplete; run the stage that makes it again"
            )
        return cast(Json, json.loads((self.folder / name).read_text("utf-8")))

    @property
    def edits(self) -> list[int]:
        """Numbers of the complete edits, in order."""
        numbers = (int(Path(n).stem[:4]) for n in self.files if n.startswith("edits/"))
        return sorted({k for k in numbers if all(self.has(n) for n in edit_files(k))})

    def _write_record(self, path: Path) -> None:
        record = {
            "schema": SCHEMA,
            "photodrag": VERSION,
            "photo": {"path": self.photo, "sha256": self.photo_sha256},
            "selected": self.selected,
            "settings": asdict(self.settings),
            "reports": self.reports,
            "files": self.files,
        }
        write_json(path, record)


def edit_files(number: int) -> tuple[str, str, str]:
    """Paths of one edit's files below the session's folder: specification, picture, latents."""
    stem = f"edits/{number:04d}"
    return f"{stem}.json", f"{stem}.png", f"{stem}.safetensors"


def begin_session(
    folder: Path, *, photo: Path, photo_sha256: str, selected: str, settings: Settings
) -> Session:
    """Start a session, or go on with the one in the folder if it is of the same.

    Other settings keep the alignment and drop the inversion.

    Raises:
        SessionError: The folder holds a session of another photo, face or square, one of an unknown
            schema, or other people's files.
    """
    fresh = Session(
        folder=folder,
        photo=str(photo.resolve()),
        photo_sha256=photo_sha256,
        selected=selected,
        settings=settings,
        reports={},
        files={},
    )
    if not (folder / RECORD).exists():
        _claim(folder)
        return fresh.keep({}, "begin", {})
    found = open_session(folder)
    if found.photo_sha256 != photo_sha256:
        raise SessionError(
            f"{folder} is a session of another photo ({found.photo}): choose another --session"
        )
    if found.selected != selected:
        raise SessionError(
            f"{folder} is a session of {found.selected}, not of {selected}: "
            "choose another --session"
        )
    return replace(found, photo=fresh.photo).with_settings(settings)


def open_session(folder: Path) -> Session:
    """Read a session from its folder.

    Raises:
        SessionError: There is none, its session.json is broken, or its schema is unknown.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text("utf-8"))
        schema = record["schema"]
        if schema != SCHEMA:
            raise SessionError(
                f"{folder} has session schema {schema} (written by photodrag "
                f"{record.get('photodrag', '?')}), this is photodrag {VERSION}, which reads schema "
                f"{SCHEMA}: choose another --session"
            )
        return Session(
            folder=folder,
            photo=str(record["photo"]["path"]),
            photo_sha256=str(record["photo"]["sha256"]),
            selected=str(record["selected"]),
            settings=Settings(**record["settings"]),
            reports=dict(record["reports"]),
            files={str(name): str(digest) for name, digest in record["files"].items()},
        )
    except FileNotFoundError:
        raise SessionError(
            f"{folder} holds no session: start one with photodrag align PHOTO --session {folder}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SessionError(f"{path} is damaged ({error}): delete the folder and start again") from (
            error
        )


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary neighbour of `path`, then put it in place.

    Raises:
        SessionError: The folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as half:
            write(half)
    except OSError as error:
        raise SessionError(f"cannot write {path}: {error.strerror or error}") from error


def write_json(path: Path, value: object) -> None:
    """Write indented UTF-8 JSON; NaN is refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    # Bytes of a file's name that are no UTF-8 become JSON's own escapes, and are read back alike.
    path.write_text(text + "\n", "utf-8", errors="backslashreplace")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _claim(folder: Path) -> None:
    """Refuse a folder with somebody's files in it; an interrupted beginning is fine."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = sorted(p.name for p in folder.iterdir() if not p.name.startswith(f".{RECORD}."))
    except OSError as error:
        raise SessionError(f"cannot use {folder} as a session: {error.strerror}") from error
    if strangers:
        raise SessionError(
            f"{folder} is no session and not empty ({strangers[0]}): choose another --session"
        )
