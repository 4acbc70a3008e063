"""An edit's engine by name and its options, described once for flags, forms and files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import NoneType, UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from editing.drag import DragEngine
from editing.engine import ENGINES, Engine
from editing.guide import GuidedEngine
from editing.options import DragOptions
from editing.presets import PresetStrength, guide_of
from editing.reference import ReferenceEngine
from pipeline.errors import RequestError
from weights.directions import Directions

OptionValue: TypeAlias = str | int | float | tuple[int, ...]

DEFAULT_ENGINE = "default"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option that every engine has and every engine has a default of its own for.

    Attributes:
        name: Field of the engine, and key in files.
        flag: On the command line.
        help: Half a line about it.
        unit: Of its number, or None.
        choices: All that it may be; empty where that is no list.
        kind: `str`, `int` or `float`.
        many: Whether it is several of them, with commas between.
    """

    name: str
    flag: str
    help: str
    unit: str | None
    choices: tuple[str, ...]
    kind: type[str | int | float]
    many: bool

    def read(self, value: object) -> OptionValue:
        """Read a value from text, or from what JSON holds.

        Raises:
            RequestError: It is none.
        """
        text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        try:
            parsed = tuple(int(part) for part in text.split(",")) if self.many else self.kind(text)
        except ValueError:
            number = {str: "text", int: "a whole number", float: "a number"}[self.kind]
            wanted = "whole numbers with commas between" if self.many else number
            raise RequestError(f"{self.flag} must be {wanted}, not {text!r}") from None
        if self.choices and parsed not in self.choices:
            raise RequestError(f"{self.flag} is one of {', '.join(self.choices)}, not {text!r}")
        return parsed


def _describe_options() -> tuple[Option, ...]:
    hints = get_type_hints(DragOptions)
    options: list[Option] = []
    for field in fields(DragOptions):
        if "flag" not in field.metadata:
            continue
        kind, many = _kind(hints[field.name])
        options.append(
            Option(
                name=field.name,
                flag=field.metadata["flag"],
                help=field.metadata["help"],
                unit=field.metadata.get("unit"),
                choices=tuple(field.metadata.get("choices", ())),
                kind=kind,
                many=many,
            )
        )
    return tuple(options)


def _kind(hint: Any) -> tuple[type[str | int | float], bool]:
    """What a field's annotation holds, and whether it holds several; None aside."""
    origin, inner = get_origin(hint), [part for part in get_args(hint) if part is not NoneType]
    if origin is Literal:
        return str, False
    if origin in (Union, UnionType):
        return _kind(inner[0])
    return (inner[0], True) if origin is tuple else (hint, False)


OPTIONS = _describe_options()


def choose_engine(
    name: str = DEFAULT_ENGINE, options: Mapping[str, OptionValue] | None = None
) -> DragEngine | ReferenceEngine:
    """Take an engine by its name, with some options of its own.

    Args:
        name: A key of `editing.engine.ENGINES`.
        options: Name of an option in `OPTIONS` -> value.

    Raises:
        RequestError: There is no engine of this name.
    """
    if name not in ENGINES:
        raise RequestError(f"unknown engine {name!r}: choose one of {', '.join(ENGINES)}")
    values: dict[str, Any] = dict(options or {})
    return replace(ENGINES[name], **values)


def engine_for(
    name: str,
    options: Mapping[str, OptionValue],
    presets: Sequence[PresetStrength],
    directions: Directions | None,
) -> Engine:
    """Take an engine for an edit: the default one lets the generator's directions lead presets.

    Args:
        name: A key of `editing.engine.ENGINES`.
        options: Name of an option in `OPTIONS` -> value.
        presets: What the edit asks for beside drags.
        directions: The generator's, or None where it has none.

    Raises:
        RequestError: There is no engine of this name.
    """
    engine = choose_engine(name, options)
    guide = guide_of(presets)
    if not guide or directions is None or not isinstance(engine, DragEngine):
        return engine
    return GuidedEngine(direction=directions.along(guide), drag=engine)


def read_options(record: Mapping[str, object]) -> dict[str, OptionValue]:
    """Read options by their names.

    Raises:
        RequestError: One is unknown, or its value is none.
    """
    known = {option.name: option for option in OPTIONS}
    for name in record:
        if name not in known:
            raise RequestError(
                f"unknown option {name!r} of an engine: known are {', '.join(known)}"
            )
    return {name: known[name].read(value) for name, value in record.items()}
