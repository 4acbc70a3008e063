"""One inverted picture, dragged by each of the standard edits, before and after tuning.

What `edits` repeats for every picture and engine. Lengths are pixels of a crop of 512 where not
shares of the way asked for.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from torch import Tensor

from editing.engine import ENGINES, EditResult, run_edit
from editing.reference import ReferenceEngine
from editing.regions import FaceFrame
from inversion.invert import QUALITIES
from inversion.types import Inversion
from pipeline.errors import FaceError, PhotoError
from pipeline.evaluate.arrows import Bytes, before_and_after, lay_out
from pipeline.evaluate.dragged import (
    change_of_shape,
    gradient_energy,
    mean_movement,
    region_of_way,
    share_of_way,
)
from pipeline.evaluate.ideal import warped
from pipeline.evaluate.identity import (
    IdentityNetwork,
    Person,
    cosine,
    load_identity_network,
    person_on,
)
from pipeline.evaluate.matched import match_landmarks
from pipeline.evaluate.pairs import REFERENCE_SIDE
from pipeline.evaluate.pictures import Picture, read_picture
from pipeline.evaluate.samples import Points, find_landmarks, in_float32, to_rgb
from pipeline.evaluate.setting import Setting
from pipeline.evaluate.stages import STAGES, EngineTask, invert_picture, untuned
from pipeline.evaluate.standard import EDITS, StandardEdit
from pipeline.models import Models
from pipeline.session import Json, write_atomically

LOOKS: Final = "looks"
AROUND: Final = 0.2
"""How far around a handle's way the sharpness is measured, eyes apart."""
_COLUMNS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class _Inverted:
    """A picture's inversion, and who the picture shows."""

    inversion: Inversion
    person: Person | None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rendered:
    """A face that is to be edited: the subject, its rendering, and what is measured on that."""

    subject: Inversion
    image: Tensor
    landmarks: Points
    person: Person | None


@dataclass(frozen=True, kw_only=True, eq=False)
class EditsMeasure:
    """Measures the edits of pictures with networks that are loaded.

    Attributes:
        models: the networks.
        identity: tells persons apart, or None.
        looks: folder of the sheets for the eye.
        invert: inverts a picture, with the quality and the seed of the evaluation.
    """

    models: Models
    identity: IdentityNetwork | None
    looks: Path
    invert: Callable[[Picture], _Inverted]

    @classmethod
    def begin(cls, setting: Setting, quality: str) -> "EditsMeasure":
        """Load the networks."""
        models = setting.load()
        identity = load_identity_network(setting.identity, models.device)
        return cls(
            models=models,
            identity=identity,
            looks=setting.folder / LOOKS,
            # The engines of a picture follow each other.
            invert=lru_cache(maxsize=1)(partial(_invert, models, identity, quality, setting.seed)),
        )

    def __call__(self, task: EngineTask) -> Json:
        """Measure one task; a record of plain JSON values, "skipped" where there is no face."""
        try:
            inverted = self.invert(task.picture)
        except (FaceError, PhotoError) as error:
            return {"skipped": str(error)}
        tuned = inverted.inversion
        record: Json = {}
        cells: dict[str, list[Bytes]] = {}
        for stage, subject in zip(
            STAGES, (untuned(tuned, self.models.generator), tuned), strict=True
        ):
            if isinstance(ENGINES[task.engine], ReferenceEngine):
                subject = replace(subject, generator=in_float32(subject.generator))
            image = subject.render()
            landmarks = find_landmarks(image, self.models)
            if landmarks is None:
                return {"skipped": f"no face is found on the rendering {stage}"}
            face = _Rendered(
                subject=subject, image=image, landmarks=landmarks, person=inverted.person
            )
            done = {name: self.edit(face, edit, task.engine) for name, edit in EDITS.items()}
            record[stage] = {
                "unedited": cosine(face.person, person_on(image, landmarks, self.identity)),
                "edits": {name: row for name, (row, _) in done.items()},
            }
            cells[stage] = [cell for _, cell in done.values()]
        self._show(cells, f"{task.picture.name}-{task.engine}.png")
        return record

    def edit(self, face: _Rendered, edit: StandardEdit, engine: str) -> tuple[Json, Bytes]:
        """Drag one edit, and measure it; also its picture for the sheet."""
        side = face.image.shape[-1]
        spec = edit.to_spec(face.landmarks, side)
        began = time.process_time()
        result = run_edit(ENGINES[engine], face.subject, spec)
        spent = time.process_time() - began
        moving = slice(len(edit.moves))
        start, end = spec.handles[moving].numpy(), spec.targets[moving].numpy()
        way = (end - start).astype(np.float64)
        row: Json = {
            "asked": float(np.linalg.norm(way, axis=1).mean()) * REFERENCE_SIDE / side,
            "tracked": share_of_way(start, result.points[moving].cpu().numpy(), way),
            "sharpness": _sharpness(face, start, end, result),
            "steps": result.steps,
            "stopped": result.stopped,
            "cpu_seconds": spent,
        }
        found = find_landmarks(result.image, self.models)
        if found is not None:
            row["identity"] = cosine(face.person, person_on(result.image, found, self.identity))
        row |= _rulers(face, edit, way, result.image, found)
        exact = warped(face.image, face.landmarks, edit, way)
        read = _rulers(face, edit, way, exact, find_landmarks(exact, self.models))
        row |= {f"warp_{name}": share for name, share in read.items()}
        return row, before_and_after(face.image, result.image, spec)

    def _show(self, cells: Mapping[str, Sequence[Bytes]], name: str) -> None:
        """Write a sheet of rows of edits, each above the same after tuning."""
        rows = [
            cell
            for k in range(0, len(EDITS), _COLUMNS)
            for stage in STAGES
            for cell in cells[stage][k : k + _COLUMNS]
        ]
        picture = Image.fromarray(lay_out(rows, _COLUMNS))
        write_atomically(self.looks / name, lambda half: picture.save(half, "PNG"))


def _invert(
    models: Models, identity: IdentityNetwork | None, quality: str, seed: int, picture: Picture
) -> _Inverted:
    crop, valid = read_picture(picture, models)
    inversion = invert_picture(crop, valid, models, QUALITIES[quality], seed)
    person = person_on(crop, find_landmarks(crop, models), identity)
    return _Inverted(inversion=inversion, person=person)


def _sharpness(face: _Rendered, start: Points, end: Points, result: EditResult) -> float:
    """Gradient energy along the ways, after over before."""
    radius = AROUND * FaceFrame.of(face.landmarks).scale
    region = region_of_way(start, end, radius, face.image.shape[-1])
    before, after = (gradient_energy(to_rgb(i), region) for i in (face.image, result.image))
    return after / max(before, 1e-9)


def _rulers(
    face: _Rendered, edit: StandardEdit, way: Points, after: Tensor, found: Points | None
) -> Json:
    """What the landmarks did until the picture after: as found there, and by matching."""
    places = {"found": found, "matched": match_landmarks(face.image, after, face.landmarks)}
    return {
        f"{ruler}_{name}": share
        for ruler, at in places.items()
        if at is not None
        for name, share in _movements(edit, face.landmarks, at, way).items()
    }


def _movements(edit: StandardEdit, before: Points, after: Points, way: Points) -> Json:
    """What the landmarks did, as shares of the way asked for."""
    dragged, others = edit.dragged, edit.not_dragged
    asked = float(np.linalg.norm(way, axis=1).mean())
    row: Json = {"reach": share_of_way(before[dragged], after[dragged], way)}
    if edit.whole:
        return {**row, "other_parts": change_of_shape(before[others], after[others]) / asked}
    apart = edit.other_parts
    return {
        **row,
        "leak": mean_movement(before[others], after[others]) / asked,
        "other_parts": mean_movement(before[apart], after[apart]) / asked,
    }
