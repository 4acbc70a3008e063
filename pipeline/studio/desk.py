"""What lies on the desk: a photo, a face or square of it, the settings, and its history."""

from pipeline.models import Models
from pipeline.session import Json
from pipeline.studio.document import Document, EditNote
from pipeline.studio.draft import Draft
from pipeline.studio.errors import UnknownError
from pipeline.studio.layers import Layer, find_layers
from pipeline.studio.materials import mask_file
from pipeline.studio.parts import faces_of, read_part, select_part, whole_of
from pipeline.studio.records import Part, PhotoRecord, Slot, part_json
from pipeline.studio.settings import StudioSettings, read_settings
from pipeline.studio.shelf import Shelf


class Desk:
    """The current photo, part, settings and document; all of it is on disk after every change.

    Attributes:
        shelf: Where everything is kept.
        record: The photo, or None.
        part: Its face or square that is edited, or None.
        settings: How it is inverted and dragged.
        document: History of the part's inversion; an empty one without a part.
    """

    def __init__(self, shelf: Shelf, models: Models) -> None:
        self.shelf, self._models = shelf, models
        self.record: PhotoRecord | None = None
        self.part: Part | None = None
        self.settings = StudioSettings()
        self.document = Document.begin(Draft())

    def recall(self) -> tuple[PhotoRecord, Part | None] | None:
        """Take up the settings of the last life; returns the photo and the part of then.

        Raises:
            PhotodragError: They are damaged, or not here any more.
        """
        kept = self.shelf.read_desk()
        self.settings = read_settings(kept.get("settings", {}), self.settings)
        if kept.get("photo") is None:
            return None
        part = None if kept.get("face") is None else read_part(kept["face"])
        return self.shelf.record(str(kept["photo"])), part

    def keep(self) -> None:
        """Remember what lies here."""
        record: Json = {
            "photo": self.record and self.record.photo,
            "face": None if self.part is None else part_json(self.part),
            "settings": self.settings.to_json(),
        }
        self.shelf.keep_desk(record)

    @property
    def slot(self) -> Slot | None:
        """The inversion that is worked on, done or not; None without a part."""
        if self.record is None or self.part is None:
            return None
        return self.shelf.slot(self.record, self.part, self.settings)

    @property
    def needed_photo(self) -> PhotoRecord:
        """The photo.

        Raises:
            UnknownError: There is none.
        """
        if self.record is None:
            raise UnknownError("no photo is open")
        return self.record

    @property
    def needed_slot(self) -> Slot:
        """The inversion that is worked on.

        Raises:
            UnknownError: Neither a face nor a square is chosen.
        """
        slot = self.slot
        if slot is None:
            raise UnknownError("neither a face nor a square is chosen")
        return slot

    @property
    def remark(self) -> str:
        """What is to be said of the history; mostly nothing."""
        if self.slot is None or not self.document.skipped:
            return ""
        return (
            "part of this history is damaged and left out; the damaged file is kept in "
            f"{self.slot.folder}"
        )

    def lay(self, record: PhotoRecord | None, part: Part | None = None) -> None:
        """Take a photo, and a part of it; an only one is taken without being asked for."""
        self.record = record and self.shelf.touch(record)
        known = [] if record is None else self._parts(record)
        few = [each for each in known if isinstance(each, int)] or known
        self.part = part if part in known else (few[0] if len(few) == 1 else None)
        self.recall_document()

    def _parts(self, record: PhotoRecord) -> list[Part]:
        """All that can be chosen of a photo; with a generator of no faces at least its middle."""
        if self._models.domain == "whole" and not self.shelf.squares(record):
            self.shelf.begin(record, whole_of(record, self._models))
        faces = faces_of(record, self._models) or ()
        return [*(face.index for face in faces), *self.shelf.squares(record)]

    def choose(self, part: Part | None) -> None:
        """Turn to another face, or to a square, which need not have been drawn before.

        Raises:
            UnknownError: The photo has no face of that number.
            RequestError: The square reaches out of the photo, or is too small.
        """
        if isinstance(part, tuple):
            select_part(self.needed_photo, part, self._models)
            self.shelf.begin(self.needed_photo, part)
        elif part is not None and part not in self._parts(self.needed_photo):
            raise UnknownError(f"there is no face {part}")
        self.part = part
        self.recall_document()

    def set(self, settings: StudioSettings) -> bool:
        """Change settings; says whether another inversion is worked on now."""
        before = self.slot
        self.settings = settings
        return self._turn_from(before)

    def hide(self, mask: str | None) -> bool:
        """Say which mask shows what hides the face, None for nothing; returns as `set` does.

        Raises:
            UnknownError: Nothing is chosen, or the mask is not here.
        """
        before = self.needed_slot
        if mask is not None:
            mask_file(before.folder.parent, mask)
        self.shelf.keep_hidden(before.record, before.part, mask)
        return self._turn_from(before)

    def _turn_from(self, before: Slot | None) -> bool:
        """Take up the history of another inversion, where it is another now, with this draft."""
        after, draft = self.slot, self.document.moment.draft
        if before is None or after is None or before.folder == after.folder:
            return False
        self.recall_document(draft)
        return True

    def commit(self, document: Document) -> None:
        """Go on with this document.

        Raises:
            UnknownError: Neither a face nor a square is chosen.
        """
        self.needed_slot.keep_document(document)
        self.document = document

    def add_edit(self, slot: Slot, note: EditNote, draft: Draft) -> None:
        """Add an edit to the history of its inversion, which may have left the desk."""
        here = self.slot is not None and self.slot.folder == slot.folder
        document = self.document if here else slot.read_document() or Document.begin(draft)
        grown = document.with_edit(note, draft)
        slot.keep_document(grown)
        if here:
            self.document = grown

    def layers(self, edit: int) -> list[Layer]:
        """What every part of the photo shows, the current one this edit."""
        if self.record is None:
            return []
        slot = self.slot
        current = slot and Layer(slot=slot, document=self.document, edit=edit)
        return find_layers(self.shelf, self.record, current)

    def recall_document(self, draft: Draft | None = None) -> None:
        """Read the history of what is worked on now; a new one begins with `draft`."""
        slot = self.slot
        found = None if slot is None else slot.read_document()
        self.document = found or Document.begin(draft or Draft())
