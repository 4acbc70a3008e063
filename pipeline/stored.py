"""The stages' values as files of a session, and back."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from editing.engine import EditResult
from editing.spec import DragSpec
from inversion.errors import BrokenInversionError
from inversion.types import Inversion
from pipeline.align import Alignment, Crop
from pipeline.errors import SessionError
from pipeline.faces import Face
from pipeline.models import Models
from pipeline.request import EditRequest, Mask
from pipeline.session import Json, Session, edit_files, write_json
from pipeline.subject import Selection

ALIGNMENT, CROP, INVERSION = "alignment.json", "crop.png", "inversion.safetensors"
UNFINISHED = "inversion.part.safetensors"
"""State of an inversion that runs or was killed; not among the session's complete files."""

SHOWN = "shown"
"""Name of the session's report that says which edit is shown."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredEdit:
    """One edit of a session, with all that led to it: everything is against the untouched photo.

    Attributes:
        number: From 1.
        parent: The edit that it began from, or 0 for the inversion itself.
        request: What was asked for on top of the parent, as `pipeline.requestfile` reads it.
        spec: Handles on the untouched crop, and all that may have changed.
        latents: `[1, L, C]`, edited.
        points: `[N, 2]` where the handles ended, crop pixels.
        stopped: Why the drag ended.
        mask: What was painted of the photo, in all the edits that led here; None for no mask.
        movable: `[1, 1, R, R]`, where the latents draw the crop, see `EditStep`; None: everywhere.
    """

    number: int
    parent: int
    request: Json
    spec: DragSpec
    latents: Tensor
    points: Tensor
    stopped: str
    mask: Mask | None
    movable: Tensor | None = None


def keep_crop(session: Session, selection: Selection, crop: Crop) -> Session:
    """Keep what is edited and its picture; a stage once kept stays."""
    if session.has(ALIGNMENT) and session.has(CROP):
        return session
    record = {
        "face": None if selection.face is None else face_json(selection.face),
        "alignment": asdict(crop.alignment),
        "photo_faces": len(selection.faces),
    }
    picture = to_picture(crop.image)
    return session.keep(
        {ALIGNMENT: lambda path: write_json(path, record), CROP: picture.save},
        "align",
        {"square": crop.alignment.size, "resolution": crop.alignment.resolution},
    )


def recall_selection(session: Session) -> Selection:
    """Give back what is edited; of the photo's faces only the chosen one.

    Raises:
        SessionError: The stage was not completed.
    """
    record: dict[str, Any] = session.read_json(ALIGNMENT)
    square, face = record["alignment"], record["face"]
    alignment = Alignment(
        centre=tuple(square["centre"]),
        size=square["size"],
        angle=square["angle"],
        resolution=square["resolution"],
        drawn=square["drawn"],
    )
    if face is None:
        return Selection(faces=(), face=None, alignment=alignment)
    chosen = Face(
        box=tuple(face["box"]),
        landmarks=np.array(face["landmarks"], np.float64),
        score=face["score"],
        index=face["index"],
    )
    return Selection(faces=(chosen,), face=chosen, alignment=alignment)


def keep_inversion(session: Session, inversion: Inversion) -> Session:
    """Keep a finished inversion; edits of an earlier one are forgotten with it."""
    old = [name for name in session.files if name.startswith("edits/")]
    return session.forget(*old).keep(
        {INVERSION: inversion.save}, "invert", inversion.report.to_json()
    )


def recall_inversion(session: Session, models: Models) -> Inversion | None:
    """Give the inversion back, or None where it has to be made (again).

    Raises:
        WrongBaseError: It was made with another generator.
    """
    if not session.has(INVERSION):
        return None
    try:
        path = session.folder / INVERSION
        return Inversion.load(path, models.generator, sha256=models.sha256)
    except BrokenInversionError:  # of an older version's format: the file itself is whole
        return None


def keep_edit(
    session: Session, edit: EditRequest, spec: DragSpec, result: EditResult, *, parent: int = 0
) -> Session:
    """Keep an edit under the next free number and show it; its JSON is a request again.

    Args:
        session: Where to.
        edit: What was asked for; its mask is that of all the edits that led here.
        spec: All of them, on the untouched crop.
        result: Of the last one.
        parent: The edit that it began from, or 0 for the inversion itself.
    """
    number = max(session.edits, default=0) + 1
    specification, picture, latents = edit_files(number)
    report = edit_json(spec, result)
    tensors = {"latents": result.latents, "points": result.points}
    if result.movable is not None:
        tensors["movable"] = (result.movable * 255).round().byte()
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    request = edit.to_json()
    if edit.mask is not None:
        request["mask"] = Path(_mask_file(number)).name
    record = {"parent": parent, "request": request, "spec": spec.to_json(), "report": report}
    writers: dict[str, Callable[[Path], None]] = {
        specification: lambda path: write_json(path, record),
        picture: to_picture(result.image).save,
        latents: lambda path: save_file(stored, path),
    }
    if edit.mask is not None:
        writers[_mask_file(number)] = Image.fromarray(edit.mask).save
    kept = session.keep(writers, f"edit {number}", report)
    return kept.keep({}, SHOWN, {"edit": number})


def recall_edit(session: Session, number: int | None) -> StoredEdit:
    """Give an edit back, the latest for None.

    Raises:
        SessionError: There is no such complete edit.
    """
    known = session.edits
    if not known:
        raise SessionError(
            f"{session.folder} has no edit yet: run photodrag drag --session {session.folder} first"
        )
    number = known[-1] if number is None else number
    if number not in known:
        listed = ", ".join(map(str, known))
        raise SessionError(f"{session.folder} has no edit {number}: complete ones are {listed}")
    specification, _, latents = edit_files(number)
    record: dict[str, Any] = session.read_json(specification)
    tensors = load_file(session.folder / latents)
    mask = session.folder / _mask_file(number)
    return StoredEdit(
        number=number,
        parent=int(record["parent"]),
        request=record["request"],
        spec=DragSpec.from_json(record["spec"]),
        latents=tensors["latents"],
        points=tensors["points"],
        stopped=str(record["report"]["stopped"]),
        mask=_read_levels(mask) if session.has(_mask_file(number)) else None,
        movable=tensors["movable"].float() / 255 if "movable" in tensors else None,
    )


def face_json(face: Face) -> Json:
    """A face as JSON's types, photo pixels."""
    return {
        "index": face.index,
        "box": [float(x) for x in face.box],
        "score": float(face.score),
        "landmarks": face.landmarks.tolist(),
    }


def edit_json(spec: DragSpec, result: EditResult) -> Json:
    """What was measured of an edit, crop pixels."""
    return {
        "steps": result.steps,
        "seconds": result.seconds,
        "handles": spec.handles.tolist(),
        "targets": spec.targets.tolist(),
        "points": result.points.tolist(),
        "reached": list(result.reached),
        "mean_distance": result.mean_distance,
        "stopped": result.stopped,
    }


def to_picture(image: Tensor) -> Image.Image:
    """`[1, 3, R, R]` in [-1, 1] as an 8-bit picture."""
    levels = ((image[0].detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    return Image.fromarray(levels.permute(1, 2, 0).numpy())


def _mask_file(number: int) -> str:
    return f"edits/{number:04d}-mask.png"


def _read_levels(path: Path) -> Mask:
    with Image.open(path) as picture:
        return np.array(picture.convert("L"))
