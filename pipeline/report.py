"""Everything that was measured on the way from photo to photo, as one JSON object."""

from collections.abc import Sequence
from dataclasses import asdict

from editing.engine import EditResult
from editing.spec import DragSpec
from pipeline.edit import EditedPhoto
from pipeline.engines import choose_engine
from pipeline.faces import Face
from pipeline.models import Models
from pipeline.session import Json
from pipeline.stored import edit_json, face_json
from pipeline.version import VERSION


def describe_edit(
    done: EditedPhoto, models: Models, *, quality: str, seed: int, notes: Sequence[str]
) -> Json:
    """Report on one edited photo; stages that were not needed are null."""
    edited = done.edited
    report: Json = {
        "photodrag": VERSION,
        "faces": [face_json(face) for face in done.selection.faces],
        "face": None if done.selection.face is None else done.selection.face.index,
        "request": done.request.to_json(),
        "engine": asdict(choose_engine(done.request.engine, done.request.options)),
        "alignment": asdict(done.crop.alignment),
        "generator": {"name": models.generator_name, "sha256": models.sha256},
        "device": str(models.device),
        "dtype": str(models.dtype).removeprefix("torch."),
        "quality": quality,
        "seed": seed,
        "inversion": None,
        "edit": None,
        "composite": None,
        "notes": list(notes),
        "seconds": done.seconds,
    }
    if edited is not None:
        measured = edited.inversion.report
        report["inversion"] = {
            **measured.to_json(),
            "steps": measured.steps,
            measured.perceptual_name: measured.perceptual,
            "reused": not edited.inverted,
        }
        report["edit"] = edit_json(done.spec, edited.result)
        report["composite"] = asdict(edited.composite.report)
    return report


def tell_drag(spec: DragSpec, result: EditResult) -> str:
    """How far a drag came, in half a line."""
    if result.stopped == "reached":
        return f"the drag reached its targets in {result.steps} steps"
    if result.stopped == "nothing to do":
        return "the drag had nothing to do"
    asked = (spec.targets - spec.handles)[~spec.anchors].norm(dim=1).mean().item()
    share = max(0.0, 1 - result.mean_distance / asked)
    return f"the drag came {share:.0%} of the way in {result.steps} steps"


def list_faces(faces: Sequence[Face]) -> list[Json]:
    """Faces as JSON's types."""
    return [face_json(face) for face in faces]
