"""What every command works with: the parser it is added to, the console, the networks, the file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from inversion.types import Inversion
from pipeline.edit import Watch
from pipeline.models import Models, load_models
from pipeline.photo import Photo, save_photo
from pipeline.session import Json
from weights.fetch import Progress
from weights.perceptual import TRUNK_VARIABLE
from weights.store import generator_info

Step = TypeVar("Step")

EPILOG = (
    "Points are photo pixels, x to the right and y down; faces are numbered from left to right."
)


class Download(Protocol):
    """Drains a download, and may draw how many bytes have come."""

    def __call__(self, progress: Iterable[Progress], /, *, stage: str) -> None:
        """Drain `progress` of what `stage` names."""
        ...


@dataclass(frozen=True, kw_only=True)
class Console:
    """How a command shows that it is alive: progress of its stages, downloads, and remarks."""

    watch: Watch
    download: Download
    say: Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command prints: text for people, or a JSON object."""

    text: str
    record: Json


Command = Callable[[argparse.Namespace, Console], Outcome]


class Adding:
    """A parser that commands and groups of commands are added to."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(self, name: str, command: Command, what: str) -> argparse.ArgumentParser:
        """Add a command; the caller adds its flags to what is returned."""
        sub = self._commands.add_parser(name, help=what, description=what, epilog=EPILOG)
        sub.set_defaults(command=command)
        sub.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        return sub

    def group(self, name: str, what: str) -> Adding:
        """Add a command that has commands of its own."""
        return Adding(self._commands.add_parser(name, help=what, description=what))


def load(args: argparse.Namespace) -> Models:
    """Load the networks that the arguments name."""
    return load_models(args.generator, device=args.device, finder=args.finder)


def announcing(console: Console, models: Models) -> Watch:
    """The console's watch, which says before the first inversion that a substitute is used.

    What the user should know of the generator is said at once.
    """
    for note in generator_info(models.generator_name).notes:
        console.say(note)
    pending = models.perceptual.name == "builtin"

    def watch(steps: Iterable[Step], /, *, stage: str, total: int) -> Iterable[Step]:
        nonlocal pending
        if pending and stage == "invert":
            pending = False
            console.say(
                "LPIPS has no trunk on this machine, so the built-in perceptual distance is used "
                f"(photodrag weights fetch lpips-alex, or {TRUNK_VARIABLE} names the trunk's file)"
            )
        return console.watch(steps, stage=stage, total=total)

    return watch


def save(
    photo: Photo, args: argparse.Namespace, console: Console, *, changed: int
) -> tuple[str, ...]:
    """Save the result, and say and return what had to be converted on the way."""
    lost = save_photo(photo, args.output, edited=changed > 0, overwrite=args.overwrite)
    notes = (*photo.notes, *lost)
    for note in notes:
        console.say(note)
    return notes


def say_warnings(inversion: Inversion, name: str, console: Console) -> None:
    """Say what an inversion may be no good for."""
    for warning in inversion.report.warnings:
        console.say(f"{name}: {warning}")
