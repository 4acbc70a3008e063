"""The drag as moving pictures: some of its steps, each composed into the photo."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.composite import composite
from pipeline.edit import EditedPhoto
from pipeline.photo import Photo
from pipeline.session import write_atomically

MOST_FRAMES = 24
GIF_SIDE = 512


def compose_frames(photo: Photo, done: EditedPhoto) -> Iterator[Photo]:
    """Yield the untouched photo, then evenly spaced steps of the edit up to its end."""
    yield photo
    if done.edited is None:
        return
    subject, steps = done.edited.inversion, done.edited.steps
    before = subject.render()
    picked = np.unique(np.linspace(1, len(steps) - 1, min(MOST_FRAMES, len(steps) - 1)).astype(int))
    for k in picked[:-1]:
        yield composite(
            photo,
            done.crop.alignment,
            before,
            subject.render(steps[k].latents),
            done.spec.mask,
            handles=done.spec.handles,
            finals=steps[k].points,
        ).photo
    yield done.photo


def save_frames(path: Path, frames: Iterable[Photo], done: EditedPhoto) -> int:
    """Write the face's surroundings as a GIF, or whole photos as PNG into a folder.

    Returns:
        The number of frames.
    """
    pictures = (_picture(frame) for frame in frames)
    if path.suffix.lower() != ".gif":
        count = 0
        for count, picture in enumerate(pictures, start=1):
            write_atomically(path / f"{count:04d}.png", picture.save)
        return count
    window = done.crop.alignment.window(done.photo.width, done.photo.height)
    shots = [_thumbnail(picture.crop(window)) for picture in pictures]

    def write(half: Path) -> None:
        shots[0].save(
            half, format="GIF", save_all=True, append_images=shots[1:], duration=100, loop=0
        )

    write_atomically(path, write)
    return len(shots)


def _picture(photo: Photo) -> Image.Image:
    return Image.fromarray((photo.rgb() * 255).round().astype(np.uint8))


def _thumbnail(picture: Image.Image) -> Image.Image:
    picture.thumbnail((GIF_SIDE, GIF_SIDE), Image.Resampling.LANCZOS)
    return picture
