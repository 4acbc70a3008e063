"""How an edit is made again without the studio: its recipe, and the command line for it."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from pipeline.decode import KINDS
from pipeline.encode import ENCODERS
from pipeline.engines import OPTIONS
from pipeline.models import Models
from pipeline.session import Json, file_sha256
from pipeline.studio.document import UNTOUCHED, Document, EditNote
from pipeline.studio.layers import Layer
from pipeline.studio.materials import mask_file
from pipeline.studio.records import Part, PhotoRecord, Slot, part_name
from pipeline.version import VERSION
from weights.store import DEFAULT_GENERATOR

DEFAULT_QUALITY = "balanced"


def output_name(record: PhotoRecord, suffix: str | None = None) -> str:
    """Name of a result: the photo's own with "-edited", in its own kind where that is written."""
    if suffix is None:
        own = KINDS.get(record.kind, ())
        given = Path(record.name).suffix.lower()
        suffix = given if given in own else next(iter(own), ".png")
        suffix = suffix if suffix in ENCODERS else ".png"
    return f"{Path(record.name).stem or 'photo'}-edited{suffix}"


def recipe(record: PhotoRecord, layers: Sequence[Layer], models: Models) -> Json:
    """What leads from the photo to the edits that its faces show.

    One edit of one face or square is a file for `photodrag edit --spec`. A chain has a list of
    requests instead, each on top of the one before, with points on the photo as it was then;
    several faces have a list of such recipes, each for the photo with the faces before it edited.
    """
    told: Json = {
        "photodrag": VERSION,
        "photo": {
            "name": record.name,
            "sha256": file_sha256(record.file),
            "width": record.width,
            "height": record.height,
        },
        "generator": {"name": models.generator_name, "sha256": models.sha256},
    }
    faces = [_recipe_of_face(layer) for layer in layers]
    return told | (faces[0] if len(faces) == 1 else {"faces": faces})


def _recipe_of_face(layer: Layer) -> Json:
    slot, path = layer.slot, layer.document.path(layer.edit)
    told: Json = _part(slot.part) | {"quality": slot.quality, "seed": slot.seed}
    told |= {"hidden": str(_hidden_file(slot))} if slot.hidden else {}
    if len(path) == 1 and not path[0].continued:
        return told | {"request": path[0].request, "end": _end(path[0])}
    requests = [
        {"request": note.request, "continued": note.continued, "end": _end(note)} for note in path
    ]
    return told | {"requests": requests}


def _part(part: Part) -> Json:
    return {"face": part} if isinstance(part, int) else {"crop": list(part)}


def command_line(slot: Slot, document: Document, models: Models) -> str:
    """The command that gives the shown edit's photo; "" for the untouched one.

    A single edit is made again from the photo; a chain, or an edit that was stopped by hand, is
    taken from the studio's session.
    """
    edit = document.moment.shown
    if edit == UNTOUCHED:
        return ""
    path = document.path(edit)
    output = ["-o", output_name(slot.record)]
    if len(path) > 1 or path[0].continued or path[0].stopped == "stopped":
        words = ["composite", "--session", str(slot.session), "--edit", str(edit)]
        return shlex.join(["photodrag", *words, *output])
    flag = "--face" if isinstance(slot.part, int) else "--crop"
    words = ["edit", slot.record.origin or str(slot.record.file), flag, part_name(slot.part)]
    words += _networks(slot, models)
    words += _request_words(cast("dict[str, Any]", path[0].request), slot, edit)
    return shlex.join(["photodrag", *words, *output])


def _networks(slot: Slot, models: Models) -> list[str]:
    words = [] if slot.quality == DEFAULT_QUALITY else ["--quality", slot.quality]
    words += ["--seed", str(slot.seed)] if slot.seed else []
    words += ["--hidden", str(_hidden_file(slot))] if slot.hidden else []
    if models.generator_name != DEFAULT_GENERATOR:
        words += ["--generator", models.generator_name]
    return words + (["--finder", models.finder] if models.finder != "auto" else [])


def _request_words(request: dict[str, Any], slot: Slot, edit: int) -> list[str]:
    if "expression" in request:
        # Landmarks fit in no flag: the session's own record of the edit is a file for --spec.
        return ["--spec", str(slot.session / "edits" / f"{edit:04d}.json")]
    words: list[str] = []
    for (hx, hy), (tx, ty) in zip(
        request.get("handles", ()), request.get("targets", ()), strict=True
    ):
        # A number with a minus sign in front would be taken for a flag.
        words.append(f"--drag={hx!r},{hy!r}:{tx!r},{ty!r}")
    words += [
        f"--preset={name}={strength!r}" for name, strength in request.get("presets", {}).items()
    ]
    words += ["--region", request["region"]] if "region" in request else []
    words += ["--mask", request["mask"]] if "mask" in request else []
    return words + _engine_words(request)


def _engine_words(request: dict[str, Any]) -> list[str]:
    words = ["--engine", request["engine"]] if "engine" in request else []
    flags = {option.name: option.flag for option in OPTIONS}
    for name, value in request.get("options", {}).items():
        several = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        words.append(f"{flags[name]}={several}")
    return words


def _hidden_file(slot: Slot) -> Path:
    return mask_file(slot.folder.parent, slot.hidden or "")


def _end(note: EditNote) -> Json:
    return {"stopped": note.stopped, "steps": note.steps}
