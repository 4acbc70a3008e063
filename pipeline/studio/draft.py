"""What is being asked for on the page, before it is run, and its translation into a request."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from editing.presets import PRESETS, PresetStrength
from editing.regions import REGIONS
from pipeline.request import EVERYTHING, EditRequest, Mask, Point
from pipeline.session import Json
from pipeline.studio.errors import MessageError

MOST_POINTS = 68
LONGEST_ID = 16

Record = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class DraftPoint:
    """A handle and its target, photo pixels; a locked one is to stay, whatever its target."""

    id: str
    at: Point
    to: Point
    lock: bool = False


@dataclass(frozen=True, kw_only=True)
class ExpressionSource:
    """Another photo's face whose expression is taken.

    Attributes:
        expression: Name of what is kept of the face.
        name: Of the photo.
        faces: Names of what is kept of all of the photo's faces, left to right.
    """

    expression: str
    name: str
    faces: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """As the command line names it: the photo, and the face where there are several."""
        several = len(self.faces) > 1 and self.expression in self.faces
        return f"{self.name}:{self.faces.index(self.expression) + 1}" if several else self.name


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Everything that a run would do, photo pixels.

    Attributes:
        points: Handles, targets and places to hold.
        presets: Name -> strength.
        expression: Whose expression to take.
        region: Part of the face that may change, or "all"; None leaves that to the rest.
        mask: Name of the painted mask, which wins over the region.
    """

    points: tuple[DraftPoint, ...] = ()
    presets: Mapping[str, float] = field(default_factory=dict[str, float])
    expression: ExpressionSource | None = None
    region: str | None = None
    mask: str | None = None

    def to_json(self) -> Json:
        """The draft as the page knows it."""
        source = self.expression
        return {
            "points": [
                {"id": p.id, "at": list(p.at), "to": list(p.to), "lock": p.lock}
                for p in self.points
            ],
            "presets": dict(self.presets),
            "expression": source and {**asdict(source), "faces": list(source.faces)},
            "region": self.region,
            "mask": self.mask,
        }

    def to_request(self, expression: NDArray[np.float64] | None, mask: Mask | None) -> EditRequest:
        """The request that a run fulfils; the two that lie in files come along, read."""
        return EditRequest(
            drags=tuple((p.at, p.at if p.lock else p.to) for p in self.points),
            presets=tuple(
                PresetStrength(name=name, strength=strength)
                for name, strength in self.presets.items()
                if strength
            ),
            expression=expression,
            mask=mask,
            region=self.region,
        )

    @property
    def label(self) -> str:
        """Half a line on what is asked for."""
        moved = sum(not p.lock and p.at != p.to for p in self.points)
        parts = [f"{moved} point{'s' if moved != 1 else ''}"] if moved else []
        parts += [f"{name} {strength:g}" for name, strength in self.presets.items() if strength]
        parts += [f"expression of {self.expression.label}"] if self.expression else []
        return ", ".join(parts) or "nothing"


def read_draft(value: object) -> Draft:
    """Read a draft that the page sent or a file holds.

    Raises:
        MessageError: It is no such draft.
    """
    record = read_object(value, "a draft")
    points = tuple(_point(item) for item in read_list(record.get("points", []), "points"))
    if len(points) > MOST_POINTS:
        raise MessageError(f"{len(points)} points are too many: use at most {MOST_POINTS}")
    if len({point.id for point in points}) < len(points):
        raise MessageError("two points have one id")
    presets = read_object(record.get("presets", {}), "presets")
    for name in presets:
        if name not in PRESETS:
            raise MessageError(f"unknown preset {name[:40]!r}")
    region = _optional_text(record.get("region"), "region")
    if region is not None and region not in (*REGIONS, EVERYTHING):
        raise MessageError(f"unknown region {region[:40]!r}")
    source = record.get("expression")
    return Draft(
        points=points,
        presets={name: read_number(strength, name) for name, strength in presets.items()},
        expression=None if source is None else _source(read_object(source, "expression")),
        region=region,
        mask=_optional_text(record.get("mask"), "mask"),
    )


def read_object(value: object, what: str) -> Record:
    """Insist on a JSON object.

    Raises:
        MessageError: It is something else.
    """
    if not isinstance(value, Mapping):
        raise MessageError(f"{what} must be an object")
    return cast("Record", value)


def read_list(value: object, what: str) -> Sequence[object]:
    """Insist on a JSON list.

    Raises:
        MessageError: It is something else.
    """
    if not isinstance(value, (list, tuple)):
        raise MessageError(f"{what} must be a list")
    return cast("Sequence[object]", value)


def read_number(value: object, what: str) -> float:
    """Insist on a finite number.

    Raises:
        MessageError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise MessageError(f"{what} must be a finite number")
    return float(value)


def read_text(value: object, what: str, longest: int) -> str:
    """Insist on text of at least one character.

    Raises:
        MessageError: It is something else, or longer.
    """
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise MessageError(f"{what} must be text of at most {longest} characters")
    return value


def read_whole(value: object, what: str) -> int:
    """Insist on a whole number from 0.

    Raises:
        MessageError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise MessageError(f"{what} must be a whole number")
    return value


def _optional_text(value: object, what: str) -> str | None:
    return None if value is None else read_text(value, what, 40)


def _point(value: object) -> DraftPoint:
    record = read_object(value, "a point")
    lock = record.get("lock", False)
    if not isinstance(lock, bool):
        raise MessageError("lock must be true or false")
    return DraftPoint(
        id=read_text(record.get("id"), "a point's id", LONGEST_ID),
        at=_place(record.get("at")),
        to=_place(record.get("to")),
        lock=lock,
    )


def _place(value: object) -> Point:
    pair = read_list(value, "a place")
    if len(pair) != 2:
        raise MessageError("a place must be [x, y]")
    x, y = (read_number(number, "a coordinate") for number in pair)
    return x, y


def _source(record: Record) -> ExpressionSource:
    return ExpressionSource(
        expression=read_text(record.get("expression"), "expression", LONGEST_ID),
        name=read_text(record.get("name"), "a photo's name", 200),
        faces=tuple(
            read_text(each, "expression", LONGEST_ID)
            for each in read_list(record.get("faces", []), "faces")
        ),
    )
