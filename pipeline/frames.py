"""The drag as moving pictures: some of its steps, each composed into the photo."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from editing.render import Renderer
from pipeline.composite import apply_patch, begin_composition
from pipeline.edit import EditedPhoto
from pipeline.photo import Photo, save_photo, software
from pipeline.session import write_atomically

MOST_FRAMES = 24
GIF_SIDE = 512


def compose_frames(photo: Photo, done: EditedPhoto) -> Iterator[Photo]:
    """Yield the untouched photo, then evenly spaced steps of the edit up to its end."""
    yield photo
    if done.edited is None:
        return
    subject, steps = done.edited.inversion, done.edited.steps
    composer = begin_composition(photo, done.crop.alignment, subject.render())
    draw = Renderer(subject)
    last = len(steps) - 1
    picked = np.unique(np.linspace(1, last, min(MOST_FRAMES, last)).astype(int))
    for k in picked[:-1]:
        patch = composer.compose(
            draw(steps[k].latents, steps[k].movable),
            done.spec.mask,
            painted=done.request.mask,
            handles=done.spec.handles,
            finals=steps[k].points,
        )
        yield apply_patch(photo, patch).photo
    yield done.photo


def save_frames(path: Path, frames: Iterable[Photo], done: EditedPhoto) -> int:
    """Write the face's surroundings as a GIF, or whole photos as PNG into a folder.

    Returns:
        The number of frames.
    """
    if path.suffix.lower() != ".gif":
        path.mkdir(parents=True, exist_ok=True)
        count = 0
        for count, frame in enumerate(frames, start=1):
            # The first frame is the photo as it was.
            save_photo(frame, path / f"{count:04d}.png", edited=count > 1, overwrite=True)
        return count
    x0, y0, x1, y1 = done.crop.alignment.window(done.photo.width, done.photo.height)
    shots = [
        _thumbnail(_picture(replace(frame, pixels=frame.pixels[y0:y1, x0:x1]))) for frame in frames
    ]

    save_gif(path, shots)
    return len(shots)


def save_gif(path: Path, shots: Sequence[Image.Image]) -> None:
    """Write pictures of one size as a GIF that says that it was edited."""

    def write(half: Path) -> None:
        shots[0].save(
            half, format="GIF", save_all=True, append_images=shots[1:], duration=100, loop=0,
            comment=f"{software()}: a photo edited with a trained generator",
        )  # fmt: skip

    write_atomically(path, write)


def _picture(photo: Photo) -> Image.Image:
    return Image.fromarray((photo.rgb() * 255).round().astype(np.uint8))


def _thumbnail(picture: Image.Image) -> Image.Image:
    picture.thumbnail((GIF_SIDE, GIF_SIDE), Image.Resampling.LANCZOS)
    return picture
