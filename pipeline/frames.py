"""The drag as moving pictures: some of its steps, each composed into the photo."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from editing.closing import closed_over
from editing.render import Renderer
from pipeline.composite import apply_patch, begin_composition
from pipeline.edit import EditedPhoto
from pipeline.errors import OutputError
from pipeline.metadata import Metadata
from pipeline.photo import Photo, save_photo, software
from pipeline.session import write_atomically

MOST_FRAMES = 24
A_SECOND = 10
FILM_SIDE = 512
"""Longest side of the pictures in a GIF or MP4, pixels."""

XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""Names the box of an MP4 that holds an XMP packet (XMP specification, part 3)."""


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
            covered=closed_over(done.spec),
        )
        yield apply_patch(photo, patch).photo
    yield done.photo


def save_frames(path: Path, frames: Iterable[Photo], done: EditedPhoto) -> int:
    """Write the face's surroundings as a GIF or MP4, or whole photos as PNG into a folder.

    Returns:
        The number of frames.
    """
    save_film = FILMS.get(path.suffix.lower())
    if save_film is None:
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
    save_film(path, shots)
    return len(shots)


def save_gif(path: Path, shots: Sequence[Image.Image]) -> None:
    """Write pictures of one size as a GIF that says that it was edited."""

    def write(half: Path) -> None:
        shots[0].save(
            half, format="GIF", save_all=True, append_images=shots[1:],
            duration=1000 // A_SECOND, loop=0,
            comment=f"{software()}: a photo edited with a trained generator",
        )  # fmt: skip

    write_atomically(path, write)


def save_mp4(path: Path, shots: Sequence[Image.Image]) -> None:
    """Write pictures of one size as an MP4 (VP9) that says that it was edited.

    An odd last row or column is left out.

    Raises:
        OutputError: OpenCV was built without the encoder.
    """

    def write(half: Path) -> None:
        codec = cv2.VideoWriter.fourcc(*"vp09")
        film = cv2.VideoWriter(str(half), codec, A_SECOND, shots[0].size)
        if not film.isOpened():
            raise OutputError(f"this OpenCV cannot write {path}: choose a .gif")
        for shot in shots:
            film.write(cv2.cvtColor(np.asarray(shot.convert("RGB")), cv2.COLOR_RGB2BGR))
        film.release()
        packet = Metadata().edited(software()).xmp or b""
        with half.open("ab") as file:
            file.write(struct.pack(">I4s", 24 + len(packet), b"uuid") + XMP_BOX + packet)

    write_atomically(path, write)


FILMS = {".gif": save_gif, ".mp4": save_mp4}


def _picture(photo: Photo) -> Image.Image:
    return Image.fromarray((photo.rgb() * 255).round().astype(np.uint8))


def _thumbnail(picture: Image.Image) -> Image.Image:
    picture.thumbnail((FILM_SIDE, FILM_SIDE), Image.Resampling.LANCZOS)
    return picture
