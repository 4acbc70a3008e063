"""Edits of several faces of one photo: each face shows one of its own, and all of them add up."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.session import Json
from pipeline.studio.document import UNTOUCHED, Document
from pipeline.studio.records import PhotoRecord, Slot
from pipeline.studio.shelf import Shelf


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The edit that one face shows, 0 for none, with its history."""

    slot: Slot
    document: Document
    edit: int


def find_layers(shelf: Shelf, record: PhotoRecord, current: Layer | None) -> list[Layer]:
    """What every face shows, in the order of their numbers; the current one as it is given.

    A face that has several inversions shows what was last worked on.
    """
    layers: list[Layer] = []
    for face in shelf.faces_begun(record):
        if current is not None and current.slot.face == face:
            layers.append(current)
            continue
        begun = [slot for slot in shelf.slots(record, face) if slot.document_file.is_file()]
        if begun:
            slot = max(begun, key=lambda slot: slot.document_file.stat().st_mtime)
            document = slot.read_document()
            if document is not None:
                layers.append(Layer(slot=slot, document=document, edit=document.moment.shown))
    return [layer for layer in layers if layer.edit != UNTOUCHED]


def describe_layers(layers: Sequence[Layer]) -> list[Json]:
    """The layers as a page draws them over the photo, in this order."""
    return [
        {
            "face": layer.slot.face,
            "edit": layer.edit,
            "inversion": layer.slot.id,
            "rect": layer.document.note(layer.edit).rect,
        }
        for layer in layers
    ]
