"""A request in a JSON file, and a mask in a picture."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from editing.presets import PresetStrength
from editing.regions import LANDMARKS
from editing.spec import points_tensor
from pipeline.decode import MAX_PIXELS, open_image, too_large
from pipeline.engines import DEFAULT_ENGINE, read_options
from pipeline.errors import BrokenPhotoError, NotAPhotoError, RequestError
from pipeline.request import EditRequest, Mask

KEYS = ("handles", "targets", "presets", "expression", "region", "mask", "engine", "options")

BLACK = 8
"""Darker levels of a mask are black: what a JPEG makes of black is not quite."""

Record = Mapping[str, object]


def read_request(path: Path) -> EditRequest:
    """Read a request from a JSON file; a report or an edit of a session holds one, too.

    Keys, all optional: "handles" and "targets" (lists of [x, y], photo pixels), "presets" (name ->
    strength), "expression" (68 landmarks of another face), "region", "mask" (path of a picture,
    relative to the file), "engine" and "options" (its name, and name -> value).

    Raises:
        RequestError: The file is not such JSON.
        EditingError: The points are not pairs of numbers.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RequestError(f"{path} is no readable JSON file: {error.strerror}") from error
    request = request_of(parse_json(content, path), path)
    file = request.mask_file
    return request if file is None else replace(request, mask=read_mask(file))


def parse_json(content: bytes, path: Path) -> Record:
    """Parse the JSON object that a file of that name holds.

    Raises:
        RequestError: It holds none.
    """
    try:
        return _object(json.loads(content, parse_int=_whole), path)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{path} is no readable JSON file: {error}") from error


def request_of(record: Record, path: Path) -> EditRequest:
    """The request that such an object is or holds; its mask is named but not read.

    Raises:
        RequestError: It is none.
        EditingError: The points are not pairs of numbers.
    """
    record = _object(record["request"], path) if "request" in record else record
    for key in record:
        if key not in KEYS:
            raise RequestError(f"{path} has an unknown key {key!r}: known are {', '.join(KEYS)}")
    handles = _pairs("handles", record)
    targets = _pairs("targets", record)
    if len(handles) != len(targets):
        raise RequestError(
            f"{path}: a drag needs one target per handle: "
            f"got {len(handles)} handles and {len(targets)} targets"
        )
    named = _named("presets", '{"smile": 1.0}', record, path)
    options = _named("options", '{"radius": 4}', record, path)
    mask = _text("mask", record, path)
    return EditRequest(
        drags=tuple(zip(handles, targets, strict=True)),
        presets=tuple(_preset(name, value) for name, value in named.items()),
        expression=_expression(record, path),
        region=_text("region", record, path),
        mask_file=None if mask is None else path.parent / mask,
        engine=_text("engine", record, path) or DEFAULT_ENGINE,
        options=read_options(options),
    )


def read_mask(path: Path) -> Mask:
    """Read a picture as a mask: white may change, black may not, grey only so far.

    Raises:
        RequestError: It is no picture.
        PhotoTooLargeError: It has more pixels than a photo may have.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RequestError(f"cannot read the mask {path}: give a black and white PNG") from error
    return mask_of(content, path)


def mask_of(content: bytes, path: Path) -> Mask:
    """The mask that a file of that name holds; errors are those of `read_mask`."""
    try:
        with open_image(path, content) as picture:
            pixels = picture.width * picture.height
        if pixels > MAX_PIXELS:
            raise too_large(path, f"{pixels} pixels", MAX_PIXELS)
        levels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    except (NotAPhotoError, BrokenPhotoError, cv2.error):
        levels = None
    if levels is None:
        raise RequestError(f"the mask {path} is no picture: give a black and white PNG")
    return np.where(levels < BLACK, 0, levels).astype(np.uint8)


def _whole(digits: str) -> int | float:
    """A whole number, or where it is beyond all floats, as JSON's other numbers are: infinity."""
    return int(digits) if len(digits) < 300 else float(digits)


def _object(value: object, path: Path) -> Record:
    if not isinstance(value, Mapping):
        raise RequestError(f"{path} must hold one JSON object, not {type(value).__name__}")
    return cast("Record", value)


def _text(key: str, record: Record, path: Path) -> str | None:
    value = record.get(key)
    if value is not None and not isinstance(value, str):
        raise RequestError(f"{path}: {key!r} must be text, not {value!r}")
    return value


def _named(key: str, example: str, record: Record, path: Path) -> Record:
    value = record.get(key, {})
    if not isinstance(value, Mapping):
        raise RequestError(f'{path}: "{key}" must be an object such as {example}')
    return cast("Record", value)


def _pairs(key: str, record: Record) -> list[tuple[float, float]]:
    value = record.get(key, [])
    points_tensor(key, value)  # checks; its float32 would round the numbers
    return [(float(x), float(y)) for x, y in cast("list[tuple[float, float]]", value)]


def _expression(record: Record, path: Path) -> NDArray[np.float64] | None:
    if record.get("expression") is None:
        return None
    points = np.array(_pairs("expression", record), np.float64)
    if len(points) != LANDMARKS:
        raise RequestError(f'{path}: "expression" must hold {LANDMARKS} points, not {len(points)}')
    return points


def _preset(name: str, strength: object) -> PresetStrength:
    if isinstance(strength, bool) or not isinstance(strength, (int, float)):
        raise RequestError(f"strength of preset {name} must be a number, not {strength!r}")
    return PresetStrength(name=name, strength=float(strength))
