"""The history of one inverted face: every edit with its parent, and what undo and redo go through.

Values: a change gives a new document. Edits are never taken away; undo only goes to an earlier
moment, and a run from there is a branch.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from pipeline.align import Window
from pipeline.session import Json
from pipeline.studio.draft import Draft, read_draft
from pipeline.studio.errors import MessageError, UnknownError

MOST_MOMENTS = 500
UNTOUCHED = 0


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One step of undo: which edit is shown (0 for the untouched photo), and what is asked for."""

    shown: int
    draft: Draft


@dataclass(frozen=True, kw_only=True)
class EditNote:
    """What is to be told of an edit; its latents lie in the session under the same number.

    Attributes:
        edit: Its number.
        parent: The edit that it began from, 0 for the untouched photo.
        continued: Whether it goes on with its parent's own targets.
        label: What was asked for.
        stopped: Why it ended.
        steps: Number of steps.
        seconds: Time of the steps.
        distance: Mean distance that remains, photo pixels.
        rect: The photo's rectangle that changed, or None.
        request: What was asked for on top of the parent, as `pipeline.requestfile` reads it.
        landmarks: [68, 2] of the face as it left them, photo pixels; none where there is no face.
        message: A remark for people.
    """

    edit: int
    parent: int
    continued: bool
    label: str
    stopped: str
    steps: int
    seconds: float
    distance: float
    rect: Window | None
    request: Json
    landmarks: list[list[float]] = field(default_factory=list[list[float]])
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Document:
    """Edits and moments.

    Attributes:
        edits: All edits by number.
        moments: Oldest first; the first one cannot be undone.
        now: Index of the present moment.
        skipped: Number of edits and moments that could not be read.
    """

    edits: Mapping[int, EditNote]
    moments: tuple[Moment, ...]
    now: int
    skipped: int = 0

    @classmethod
    def begin(cls, draft: Draft) -> "Document":
        """A document without edits."""
        return cls(edits={}, moments=(Moment(shown=UNTOUCHED, draft=draft),), now=0)

    @property
    def moment(self) -> Moment:
        """The present one."""
        return self.moments[self.now]

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier moment."""
        return self.now > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is a later moment."""
        return self.now + 1 < len(self.moments)

    def commit(self, draft: Draft) -> "Document":
        """Take one step that can be undone; what had been undone before is gone."""
        return self._go(Moment(shown=self.moment.shown, draft=draft))

    def show(self, edit: int) -> "Document":
        """Go to an edit.

        Raises:
            UnknownError: There is none of that number.
        """
        if edit != UNTOUCHED:
            self.note(edit)
        return self._go(Moment(shown=edit, draft=self.moment.draft))

    def with_edit(self, note: EditNote, draft: Draft) -> "Document":
        """Add an edit, show it, and go on with this draft."""
        grown = replace(self, edits={**self.edits, note.edit: note})
        return grown._go(Moment(shown=note.edit, draft=draft))

    def undo(self) -> "Document":
        """Go one moment back; the first one stays."""
        return replace(self, now=max(self.now - 1, 0))

    def redo(self) -> "Document":
        """Go one moment forward; the last one stays."""
        return replace(self, now=min(self.now + 1, len(self.moments) - 1))

    def note(self, edit: int) -> EditNote:
        """What is known of an edit.

        Raises:
            UnknownError: There is none of that number.
        """
        if edit not in self.edits:
            raise UnknownError(f"there is no edit {edit}")
        return self.edits[edit]

    def path(self, edit: int) -> list[EditNote]:
        """The edits that lead to this one, the first one first; none for the untouched photo."""
        way: list[EditNote] = []
        while edit != UNTOUCHED:
            way.append(self.note(edit))
            edit = way[-1].parent
        return way[::-1]

    def to_json(self) -> Json:
        """Everything, for a file."""
        return {
            "edits": [asdict(note) for note in self.edits.values()],
            "moments": [{"shown": m.shown, "draft": m.draft.to_json()} for m in self.moments],
            "now": self.now,
        }

    def _go(self, moment: Moment) -> "Document":
        moments = (*self.moments[: self.now + 1], moment)[-MOST_MOMENTS:]
        return replace(self, moments=moments, now=len(moments) - 1)


def read_document(record: Json) -> Document:
    """Undo `Document.to_json`; what cannot be read of it is skipped and counted."""
    edits: dict[int, EditNote] = {}
    written, moments = _list(record, "edits"), _list(record, "moments")
    for fields in written:
        note = _read_note(fields)
        # A parent comes before its edits, so that every way back has an end.
        if note is not None and (note.parent == UNTOUCHED or note.parent in edits):
            edits[note.edit] = note
    read = [_read_moment(fields, edits) for fields in moments]
    kept = tuple(moment for moment in read if moment is not None)
    at = record.get("now")
    before = read[: at + 1] if isinstance(at, int) and at >= 0 else read
    now = sum(moment is not None for moment in before) - 1
    skipped = len(written) - len(edits) + len(moments) - len(kept)
    if not kept:
        return replace(Document.begin(Draft()), edits=edits, skipped=max(skipped, 1))
    return Document(edits=edits, moments=kept, now=max(now, 0), skipped=skipped)


def _list(record: Json, name: str) -> list[object]:
    found = record.get(name)
    return cast("list[object]", found) if isinstance(found, list) else []


def _read_note(fields: object) -> EditNote | None:
    try:
        note = EditNote(**cast("dict[str, Any]", fields))
        x0, y0, x1, y1 = map(int, note.rect or (0, 0, 0, 0))
        rect = None if note.rect is None else (x0, y0, x1, y1)
        return replace(note, edit=int(note.edit), parent=int(note.parent), rect=rect)
    except (TypeError, ValueError):
        return None


def _read_moment(fields: object, edits: Mapping[int, EditNote]) -> Moment | None:
    try:
        record = cast("dict[str, Any]", fields)
        moment = Moment(shown=int(record["shown"]), draft=read_draft(record["draft"]))
    except (KeyError, TypeError, ValueError, MessageError):
        return None
    return moment if moment.shown == UNTOUCHED or moment.shown in edits else None
