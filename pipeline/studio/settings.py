"""How a face is inverted and dragged, and a description of every option for the page's form."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from editing.engine import ENGINES
from inversion.invert import QUALITIES
from pipeline.engines import DEFAULT_ENGINE, OPTIONS, Option, OptionValue, read_options
from pipeline.session import Json
from pipeline.studio.draft import read_object, read_text, read_whole
from pipeline.studio.errors import MessageError

TITLES = {"default": "Default", "reference": "As the authors' code", "paper": "As the paper"}


@dataclass(frozen=True, kw_only=True)
class StudioSettings:
    """What is kept beside the draft; options are those that differ from the engine's own."""

    quality: str = "fast"
    seed: int = 0
    engine: str = DEFAULT_ENGINE
    options: Mapping[str, OptionValue] = field(default_factory=dict[str, OptionValue])

    def to_json(self) -> Json:
        """The settings as the page knows them."""
        return {
            "quality": self.quality,
            "seed": self.seed,
            "engine": {"name": self.engine, "options": dict(self.options)},
        }


def read_settings(value: object, before: StudioSettings) -> StudioSettings:
    """Read settings; what is left out stays as before.

    Raises:
        MessageError: They are no settings.
        RequestError: An option is unknown, or its value is none.
    """
    record = read_object(value, "settings")
    quality = read_text(record.get("quality", before.quality), "quality", 20)
    if quality not in QUALITIES:
        raise MessageError(f"unknown quality {quality!r}")
    engine, options = before.engine, before.options
    if "engine" in record:
        chosen = read_object(record["engine"], "engine")
        engine = read_text(chosen.get("name", engine), "an engine's name", 40)
        if engine not in ENGINES:
            raise MessageError(f"unknown engine {engine!r}")
        given = read_object(chosen.get("options", {}), "options")
        read = read_options({name: each for name, each in given.items() if each is not None})
        options = {k: each for k, each in read.items() if each != getattr(ENGINES[engine], k)}
    return StudioSettings(
        quality=quality,
        seed=read_whole(record.get("seed", before.seed), "seed"),
        engine=engine,
        options=options,
    )


def describe_engines() -> list[Json]:
    """Every engine with its options, for a form."""
    return [
        {
            "name": name,
            "title": TITLES.get(name, name.capitalize()),
            "fields": [_describe(option, getattr(engine, option.name)) for option in OPTIONS],
        }
        for name, engine in ENGINES.items()
    ]


def _describe(option: Option, default: OptionValue | None) -> Json:
    return {
        "name": option.name,
        "title": option.name.replace("_", " ").capitalize(),
        "kind": _kind(option),
        "default": default,
        "optional": default is None,
        "choices": option.choices or None,
        "help": option.help,
        "unit": option.unit,
    }


def _kind(option: Option) -> str:
    if option.choices:
        return "choice"
    if option.many:
        return "integers"
    return "integer" if option.kind is int else "number" if option.kind is float else "text"
