"""Moving pictures as files: what they hold, and that they say they were edited."""

import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.frames import FILMS

COLOURS = ((200, 40, 30), (30, 200, 60), (40, 30, 220))


def boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of an MP4's boxes, to its very end."""
    while content:
        length, kind = struct.unpack_from(">I4s", content)
        assert 8 <= length <= len(content)
        yield kind, content[8:length]
        content = content[length:]


def pictures_of(path: Path) -> list[NDArray[np.uint8]]:
    """The pictures of a film, RGB."""
    film, found = cv2.VideoCapture(str(path)), list[NDArray[np.uint8]]()
    while (read := film.read())[0]:
        found.append(np.asarray(read[1][..., ::-1], np.uint8))
    return found


@pytest.mark.parametrize("suffix", FILMS)
def test_a_film_holds_its_pictures(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    FILMS[suffix](path, [Image.new("RGB", (91, 64), colour) for colour in COLOURS])
    shots = pictures_of(path)
    assert len(shots) == len(COLOURS)
    for shot, colour in zip(shots, COLOURS, strict=True):
        assert np.abs(shot.mean(axis=(0, 1)) - colour).max() < 12
    assert [path] == list(tmp_path.iterdir())


def test_an_mp4_says_that_it_was_edited(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    FILMS[".mp4"](path, [Image.new("RGB", (32, 32), colour) for colour in COLOURS])
    *_, (kind, content) = boxes(path.read_bytes())
    assert kind == b"uuid"
    assert b"compositeWithTrainedAlgorithmicMedia" in content
    assert b"photodrag" in content
