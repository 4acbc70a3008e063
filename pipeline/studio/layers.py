"""Edits of several parts of one photo: each shows one of its own, and all of them add up."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.session import Json
from pipeline.studio.document import UNTOUCHED, Document
from pipeline.studio.records import PhotoRecord, Slot, part_json
from pipeline.studio.shelf import Shelf


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The edit that one part shows, 0 for none, with its history."""

    slot: Slot
    document: Document
    edit: int


def find_layers(shelf: Shelf, record: PhotoRecord, current: Layer | None) -> list[Layer]:
    """What every part shows, faces in the order of their numbers; the current as it is given.

    One that has several inversions shows what was last worked on.
    """
    layers: list[Layer] = []
    for part in shelf.begun(record):
        if current is not None and current.slot.part == part:
            layers.append(current)
            continue
        begun = [slot for slot in shelf.slots(record, part) if slot.document_file.is_file()]
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
            "face": part_json(layer.slot.part),
            "edit": layer.edit,
            "inversion": layer.slot.id,
            "rect": layer.document.note(layer.edit).rect,
        }
        for layer in layers
    ]
