"""Flags that several commands share."""

import argparse
from pathlib import Path

from editing.presets import PRESETS
from editing.regions import REGIONS
from inversion.invert import QUALITIES
from pipeline.commands.arguments import parse_drag
from pipeline.faces import FINDERS
from pipeline.models import DEVICES
from weights.store import DEFAULT_GENERATOR


def add_photo(sub: argparse.ArgumentParser) -> None:
    """Add the photo to work on."""
    sub.add_argument("photo", type=Path, metavar="PHOTO", help="JPEG, PNG, WebP, TIFF, ...")


def add_output(sub: argparse.ArgumentParser) -> None:
    """Add the file to write the edited photo to."""
    sub.add_argument(
        "-o", "--output", type=Path, metavar="OUT", required=True, help="the edited photo"
    )
    add_overwrite(sub)


def add_overwrite(sub: argparse.ArgumentParser) -> None:
    """Add the leave to replace files."""
    sub.add_argument("--overwrite", action="store_true", help="results may replace files")


def add_session(sub: argparse.ArgumentParser) -> None:
    """Add the session's folder."""
    sub.add_argument("--session", type=Path, metavar="DIR", required=True, help="its folder")


def add_face(sub: argparse.ArgumentParser) -> None:
    """Add the choice of a face."""
    sub.add_argument(
        "--face", type=int, metavar="N",
        help="its number; default the one the drags lie on, or the largest",
    )  # fmt: skip


def add_request(sub: argparse.ArgumentParser) -> None:
    """Add everything that describes an edit."""
    asked = sub.add_argument_group("the edit, in photo pixels; parts add up")
    asked.add_argument(
        "--drag", action="append", default=[], metavar="X,Y:X,Y", type=parse_drag,
        help="move a point to another place; may be repeated",
    )  # fmt: skip
    asked.add_argument(
        "--preset", action="append", default=[], metavar="NAME[=STRENGTH]",
        help=f"{', '.join(PRESETS)}; strength 1 is a clear expression; may be repeated",
    )  # fmt: skip
    asked.add_argument(
        "--expression-from", metavar="PHOTO[:N]", help="take the expression of another face"
    )
    asked.add_argument(
        "--spec", type=Path, metavar="JSON", help="read the edit from a file; a report is one"
    )
    asked.add_argument(
        "--mask", type=Path, metavar="FILE", help="white where the photo may change, at its size"
    )
    asked.add_argument(
        "--region",
        help=f"what may change: {', '.join(REGIONS)}, all; default what the presets "
        "need, face for points",
    )


def add_networks(sub: argparse.ArgumentParser) -> None:
    """Add the generator, and where the networks work."""
    sub.add_argument(
        "--generator", default=DEFAULT_GENERATOR, metavar="NAME|FILE", help="default %(default)s"
    )
    add_place(sub)


def add_place(sub: argparse.ArgumentParser) -> None:
    """Add the device and the face finder."""
    sub.add_argument("--device", choices=DEVICES, default="auto", help="default %(default)s")
    sub.add_argument("--finder", choices=FINDERS, default="auto", help="default %(default)s")


def add_effort(sub: argparse.ArgumentParser, *, of_session: bool = False) -> None:
    """Add the inversion's quality and seed; `of_session`: unless given, they stay as they are."""
    shown = "default the session's" if of_session else "default %(default)s"
    quality = None if of_session else "balanced"
    sub.add_argument("--quality", choices=tuple(QUALITIES), default=quality, help=shown)
    sub.add_argument("--seed", type=int, default=None if of_session else 0, metavar="N", help=shown)
