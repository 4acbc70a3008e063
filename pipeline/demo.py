"""The demonstration: a photograph that scikit-image installs, smiling more, with raised brows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from editing.presets import parse_preset
from pipeline.edit import Watch, edit_photo, unwatched
from pipeline.errors import OutputError
from pipeline.models import Models
from pipeline.photo import Photo, read_photo, save_photo
from pipeline.report import describe_edit
from pipeline.request import EditRequest
from pipeline.session import Json, write_atomically, write_json

PHOTO, EDITED, BEFORE_AFTER, REPORT = "photo.png", "edited.png", "before-after.png", "report.json"
REQUEST = EditRequest(presets=(parse_preset("smile"), parse_preset("raise-brows=0.4")))


def run_demo(
    folder: Path, models: Models, watch: Watch = unwatched, *, quality: str = "balanced"
) -> Json:
    """Write the photo, its edit, both side by side and the report into a folder.

    Raises:
        OutputError: The folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
    photo = astronaut(folder / PHOTO)
    done = edit_photo(photo, REQUEST, models=models, quality=quality, watch=watch)
    save_photo(done.photo, folder / EDITED, edited=True, overwrite=True)
    pair = side_by_side(photo, done.photo, done.crop.alignment.window(photo.width, photo.height))
    save_photo(pair, folder / BEFORE_AFTER, edited=True, overwrite=True)
    report = describe_edit(done, models, quality=quality, seed=0, notes=done.photo.notes)
    write_atomically(folder / REPORT, lambda path: write_json(path, report))
    return report


def astronaut(path: Path) -> Photo:
    """Write NASA's portrait of Eileen Collins (public domain) to a file and read it as a photo."""
    picture = Image.fromarray(skimage.data.astronaut())
    write_atomically(path, lambda half: picture.save(half, format="PNG"))
    return read_photo(path)


def side_by_side(before: Photo, after: Photo, window: tuple[int, int, int, int]) -> Photo:
    """The window of both photos, which are RGB, twice as large."""
    x0, y0, x1, y1 = window
    halves = [photo.pixels[y0:y1, x0:x1] for photo in (before, after)]
    pair = Image.fromarray(np.concatenate(halves, axis=1))
    larger = pair.resize((2 * pair.width, 2 * pair.height), Image.Resampling.LANCZOS)
    return replace(after, pixels=np.asarray(larger), encoded=None)
