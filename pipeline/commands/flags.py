"""Flags that several commands share."""

import argparse
from functools import partial
from pathlib import Path

from editing.engine import ENGINES
from editing.presets import PRESETS
from editing.regions import REGIONS
from inversion.invert import QUALITIES
from pipeline.commands.arguments import parse_drag, parse_option, parse_square
from pipeline.commands.lists import parse_seed
from pipeline.engines import DEFAULT_ENGINE, OPTIONS
from pipeline.faces import FINDERS
from pipeline.models import DEVICES
from weights.cache import CACHE_VARIABLE
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


def add_face(sub: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add the choice of a face; `several`: a list, for the flag may be repeated."""
    action, more = ("append", "; may be repeated with presets") if several else ("store", "")
    sub.add_argument(
        "--face", type=int, metavar="N", action=action,
        help=f"its number; default the one the drags lie on, or the largest{more}",
    )  # fmt: skip


def add_crop(sub: argparse.ArgumentParser) -> None:
    """Add the choice of a square."""
    sub.add_argument(
        "--crop", metavar="X,Y,SIZE", type=parse_square,
        help="corner and side of a square to edit instead of a face",
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
        "--mask",
        type=Path,
        metavar="FILE",
        help="white where the photo may change, grey for part of the way, at its size",
    )
    asked.add_argument(
        "--region",
        help=f"what may change: {', '.join(REGIONS)}, all; default what the presets "
        "need, face for points",
    )


def add_engine(sub: argparse.ArgumentParser) -> None:
    """Add the engine and the options that all of them have."""
    how = sub.add_argument_group("how to drag; defaults are the engine's own")
    how.add_argument(
        "--engine", choices=tuple(ENGINES),
        help=f"default {DEFAULT_ENGINE}; reference is DragGAN's code, paper what its paper writes",
    )  # fmt: skip
    for option in OPTIONS:
        unit = f", in {option.unit}" if option.unit else ""
        how.add_argument(
            option.flag, dest=option.name, type=partial(parse_option, option),
            metavar="|".join(option.choices) or ("N,N" if option.many else "N"),
            help=f"{option.help}{unit}",
        )  # fmt: skip


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
    add_cache(sub)


def add_cache(sub: argparse.ArgumentParser) -> None:
    """Add the folder of fetched and imported networks."""
    sub.add_argument(
        "--cache", type=Path, metavar="DIR",
        help=f"folder of fetched and imported networks; default ${CACHE_VARIABLE}, or the "
        "platform's folder for caches",
    )  # fmt: skip


def add_hidden(sub: argparse.ArgumentParser) -> None:
    """Add the mask of what is not to be inverted."""
    sub.add_argument(
        "--hidden", type=Path, metavar="MASK",
        help="white where something hides the face, at the photo's size: it is not inverted",
    )  # fmt: skip


def add_effort(sub: argparse.ArgumentParser, *, of_session: bool = False) -> None:
    """Add the inversion's quality and seed; `of_session`: unless given, they stay as they are."""
    shown = "default the session's" if of_session else "default %(default)s"
    quality = None if of_session else "balanced"
    sub.add_argument("--quality", choices=tuple(QUALITIES), default=quality, help=shown)
    seed = None if of_session else 0
    sub.add_argument("--seed", type=parse_seed, default=seed, metavar="N", help=shown)
