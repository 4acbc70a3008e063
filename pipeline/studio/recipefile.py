"""Recipes back from files: those that the page saved, and all that `--spec` reads."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.edit import check_request
from pipeline.errors import RequestError
from pipeline.models import Models
from pipeline.photo import Photo
from pipeline.request import EditRequest
from pipeline.requestfile import parse_json, read_mask, request_of
from pipeline.session import Json
from pipeline.studio.draft import (
    Draft,
    DraftPoint,
    ExpressionSource,
    Record,
    read_draft,
    read_list,
    read_object,
    read_whole,
)
from pipeline.studio.materials import adopt_mask, find_mask, keep_landmarks
from pipeline.studio.parts import faces_of, read_part, select_part
from pipeline.studio.records import Part, PhotoRecord, part_json
from pipeline.studio.settings import StudioSettings, read_settings
from pipeline.studio.sliders import on_sliders
from pipeline.subject import choose_face


class RecipeReader:
    """Reads recipes for one photo.

    Args:
        record: The photo, as the studio keeps it; what is too large for a draft is kept there, too.
        photo: Its pixels.
        models: Of this run.
        part: What is chosen on the page.
        settings: Those of the page, for what a recipe leaves open.
    """

    def __init__(
        self,
        record: PhotoRecord,
        photo: Photo,
        models: Models,
        part: Part | None,
        settings: StudioSettings,
    ) -> None:
        self._record, self._photo, self._models = record, photo, models
        self._part, self._settings = part, settings

    def read(self, content: bytes, name: str) -> list[Json]:
        """The recipe's edits in their order, each as what a page sets up.

        Args:
            content: Of the file.
            name: Of the file, for messages.

        Raises:
            RequestError: It is no recipe, or one of another photo.
            PhotodragError: The command line would refuse it, too.
        """
        whole = parse_json(content, Path(name))
        self._check_photo(whole, name)
        return [self._edit(entry, name, follows) for entry, follows in _entries(whole)]

    def _check_photo(self, whole: Record, name: str) -> None:
        """Refuse a recipe that says that it belongs to another photo."""
        of, here = read_object(whole.get("photo", {}), "photo"), self._record
        size = of.get("width", here.width), of.get("height", here.height)
        same_file = str(of.get("sha256", here.photo)).startswith(here.photo)
        if same_file and size == (here.width, here.height):
            return
        raise RequestError(
            f"{name} belongs to another photo, {str(of.get('name'))[:80]} of {size[0]} x {size[1]} "
            "pixels: open that one first"
        )

    def _edit(self, entry: Record, name: str, follows: bool) -> Json:
        continued = bool(entry.get("continued"))
        request = EditRequest() if continued else request_of(entry, Path(name))
        part, notes = self._choose(entry, request), self._remarks(entry)
        if request.mask_file is not None:
            found = self._find(request.mask_file, "mask", notes)
            mask = None if found is None else read_mask(found)
            request = replace(request, mask=mask, mask_file=found)
        if not follows:
            # What goes on from another edit is checked on the face as that one leaves it.
            self._check(request, part)
        settings = {key: entry[key] for key in ("quality", "seed") if key in entry}
        engine: Json = {"name": request.engine, "options": dict(request.options)}
        draft = self._draft(request, part, name)
        told: Json = {
            "face": part_json(part),
            "settings": read_settings({**settings, "engine": engine}, self._settings).to_json(),
            "draft": draft.to_json(),
            "label": "continued" if continued else draft.label,
            "follows": follows,
            "continued": continued,
            "notes": notes,
        }
        return told | self._hidden(entry, part, notes)

    def _choose(self, entry: Record, request: EditRequest) -> Part:
        """The part that a recipe names, else as the command line does, after what is chosen."""
        faces = faces_of(self._record, self._models) or ()
        if entry.get("crop") is not None:
            return read_part(",".join(map(str, read_list(entry["crop"], "crop"))))
        if entry.get("face") is not None:
            return choose_face(faces, read_whole(entry["face"], "face")).index
        if self._part is not None and (isinstance(self._part, tuple) or not request.drags):
            return self._part
        return choose_face(faces, None, request).index

    def _remarks(self, entry: Record) -> list[str]:
        made = read_object(entry.get("generator", {}), "generator")
        if made.get("sha256", self._models.sha256) == self._models.sha256:
            return []
        return [f"it was made with the generator {str(made.get('name'))[:80]}: expect differences"]

    def _find(self, file: Path, what: str, notes: list[str]) -> Path | None:
        """A mask that a recipe names, among those that are kept; no other file is read."""
        found = find_mask(self._record, file.stem)
        if found is None:
            notes.append(f"its {what}, {file.name[:80]}, is not kept here: load it from its file")
        return found

    def _check(self, request: EditRequest, part: Part) -> None:
        check_request(self._photo, request, self._models.generator.config)
        selection = select_part(self._record, part, self._models)
        request.to_spec(selection.face, selection.alignment)

    def _draft(self, request: EditRequest, part: Part, name: str) -> Draft:
        folder, file, expression = self._record.folder_of(part), request.mask_file, None
        if request.expression is not None:
            kept = keep_landmarks(folder / "expressions", request.expression)
            expression = ExpressionSource(expression=kept, name=name)
        draft = Draft(
            points=tuple(
                DraftPoint(id=f"p{k}", at=handle, to=target, lock=handle == target)
                for k, (handle, target) in enumerate(request.drags, start=1)
            ),
            presets=on_sliders(request.presets),
            expression=expression,
            region=request.region,
            mask=None if file is None else adopt_mask(folder / "masks", file),
        )
        return read_draft(draft.to_json())  # within the page's limits

    def _hidden(self, entry: Record, part: Part, notes: list[str]) -> Json:
        """What hides the part; nothing is said of it by what is no recipe of the studio."""
        if entry.get("hidden") is None:
            return {"hidden": None} if "photo" in entry else {}
        file = self._find(Path(str(entry["hidden"])), "mask of what hides the face", notes)
        masks = self._record.folder_of(part) / "masks"
        return {"hidden": None if file is None else adopt_mask(masks, file)}


def _entries(whole: Record) -> Iterator[tuple[Record, bool]]:
    """Its edits one by one, and whether each goes on from the one before."""
    if "request" in whole or not {"faces", "requests"} & whole.keys():
        yield whole, False  # as the command line reads it
        return
    for face in read_list(whole.get("faces", [whole]), "faces"):
        of = {**whole, **read_object(face, "a face of the recipe")}
        for k, each in enumerate(read_list(of.get("requests", [{}]), "requests")):
            yield {**of, **read_object(each, "an edit of the recipe")}, k > 0
