"""The networks that ship with photodrag, each with its model card."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class BuiltinModel:
    """A network that comes with this package.

    Attributes:
        name: what `--generator` and `weights list` call it.
        kind: what it does, such as "generator".
        what: one line about it.
        bytes: length of its file.
    """

    name: str
    kind: str
    what: str
    bytes: int


def builtin_models() -> list[BuiltinModel]:
    """The networks that come with this package, by name."""
    models: list[BuiltinModel] = []
    for path in sorted(FOLDER.glob("*.safetensors"), key=lambda file: file.stem):
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
        kind = header.get("kind", path.stem)
        what, length = header.get("what", ""), path.stat().st_size
        models.append(BuiltinModel(name=path.stem, kind=kind, what=what, bytes=length))
    return models
