"""The studio as the pages see it: JSON of what never changes, and of the desk."""

import os
from typing import Any, cast

import numpy as np

from editing.regions import REGIONS
from inversion.invert import QUALITIES
from inversion.types import InversionReport
from pipeline.decode import MAX_PIXELS
from pipeline.errors import SessionError
from pipeline.faces import Face
from pipeline.models import Models
from pipeline.session import Json, open_session
from pipeline.studio.document import Document, EditNote
from pipeline.studio.draft import MOST_POINTS
from pipeline.studio.parts import faces_of, select_part
from pipeline.studio.pictures import MASK_SIDE, display_size
from pipeline.studio.records import Part, PhotoRecord, Slot, part_json
from pipeline.studio.settings import describe_engines
from pipeline.studio.shelf import Shelf
from pipeline.studio.sliders import describe_sliders, title_of
from pipeline.version import VERSION
from weights.errors import PhotodragError

REGION_TITLES = {"face": "whole face"}

PROTOCOL = 1
MOST_UPLOAD = 200_000_000
"""Bytes of the largest file that is taken."""


def describe_studio(models: Models) -> Json:
    """What never changes while the studio runs."""
    slow = models.device.type == "cpu"
    return {
        "type": "hello",
        "version": VERSION,
        "protocol": PROTOCOL,
        "device": str(models.device),
        "cores": os.cpu_count() or 1,
        "slow": slow,
        "generator": {
            "name": models.generator_name,
            "resolution": models.generator.config.resolution,
            "domain": models.domain,
            "drawn": 1 / models.generator.config.height_to_width,
        },
        "limits": {
            "upload_bytes": MOST_UPLOAD,
            "pixels": MAX_PIXELS,
            "points": MOST_POINTS,
            "mask_side": MASK_SIDE,
        },
        "presets": describe_sliders(),
        "regions": [
            {"name": name, "title": title_of(REGION_TITLES.get(name, name))} for name in REGIONS
        ],
        "qualities": [{"name": name, "title": title_of(name)} for name in QUALITIES],
        "engines": describe_engines(),
        "problems": _problems(models),
    }


def describe_photos(shelf: Shelf, record: PhotoRecord | None, models: Models) -> Json:
    """All photos, and the current one with its faces and squares."""
    told: Json = {
        "photos": [
            {"photo": r.photo, "name": r.name, "width": r.width, "height": r.height}
            for r in shelf.photos()
        ],
        "photo": None,
    }
    if record is not None:
        faces, squares = faces_of(record, models), shelf.squares(record)
        told["photo"] = {
            "photo": record.photo,
            "name": record.name,
            "width": record.width,
            "height": record.height,
            "kind": record.kind,
            "display": display_size(record.width, record.height),
            "notes": record.notes,
            "faces": None
            if faces is None
            else [
                *(_describe_face(shelf, record, face, models) for face in faces),
                *(_describe_square(shelf, record, square, models) for square in squares),
            ],
        }
    return told


def describe_inversion(slot: Slot) -> Json | None:
    """What was measured of a slot's inversion; None where there is none."""
    if not slot.inverted:
        return None
    try:
        report = cast("dict[str, Any]", open_session(slot.session).reports.get("invert"))
    except SessionError:
        return None
    if not report:
        return None
    try:
        warnings = InversionReport.from_json(report).warnings
    except (KeyError, TypeError):
        return None
    return {
        "id": slot.id,
        "quality": slot.quality,
        "seed": slot.seed,
        "seconds": report["seconds"],
        "psnr": report["psnr"],
        "perceptual": report["perceptual"],
        "perceptual_name": report["perceptual_name"],
        "poor": bool(warnings),
        "message": "; ".join(warnings),
    }


def describe_document(document: Document) -> Json:
    """Draft, history and what can be undone."""
    return {
        "draft": document.moment.draft.to_json(),
        "shown": document.moment.shown,
        "undo": document.can_undo,
        "redo": document.can_redo,
        "edits": [_describe_edit(note) for note in document.edits.values()],
    }


def _describe_edit(note: EditNote) -> Json:
    return {
        "edit": note.edit,
        "parent": note.parent,
        "continued": note.continued,
        "label": note.label,
        "stopped": note.stopped,
        "steps": note.steps,
        "seconds": note.seconds,
        "distance": note.distance,
        "goes_on": note.stopped in ("stopped", "stalled", "step cap"),
        "rect": note.rect,
        "landmarks": note.landmarks or None,
        "message": note.message,
    }


def _describe_face(shelf: Shelf, record: PhotoRecord, face: Face, models: Models) -> Json:
    seen: Json = {
        "box": [round(x, 2) for x in face.box],
        "landmarks": round_points(face.landmarks),
        "score": round(face.score, 3),
    }
    return seen | _describe_part(shelf, record, face.index, models)


def _describe_square(
    shelf: Shelf, record: PhotoRecord, square: tuple[int, int, int], models: Models
) -> Json:
    x, y, side = square
    box = [x, y, x + side / models.generator.config.height_to_width, y + side]
    seen: Json = {"box": box, "landmarks": None, "score": None}
    return seen | _describe_part(shelf, record, square, models)


def _describe_part(shelf: Shelf, record: PhotoRecord, part: Part, models: Models) -> Json:
    slots = shelf.slots(record, part)
    told: Json = {
        "face": part_json(part),
        "window": None,
        "square": None,
        "inverted": any(slot.inverted for slot in slots),
        "edits": sum(len(list(slot.pictures.glob("????.jpg"))) for slot in slots),
        "problem": None,
    }
    try:
        square = select_part(record, part, models).alignment
    except PhotodragError as error:
        return told | {"problem": str(error)}
    window = square.window(record.width, record.height)
    shape = {key: getattr(square, key) for key in ("centre", "size", "angle", "drawn")}
    return told | {"window": window, "square": shape}


def round_points(points: "np.ndarray[Any, Any]") -> list[list[float]]:
    """Points [N, 2] for the page, to a hundredth of a pixel."""
    return np.round(points, 2).tolist()


def _problems(models: Models) -> list[str]:
    problems: list[str] = []
    if models.device.type == "cpu":
        problems.append(
            "No graphics card is used: preparing a face takes seconds to minutes, an edit seconds."
        )
    return problems
