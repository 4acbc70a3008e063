"""From the command line's arguments to a request, and what they may write."""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from editing.presets import parse_preset
from pipeline.engines import OPTIONS, Option, OptionValue
from pipeline.errors import FaceError, OutputError, RequestError
from pipeline.faces import find_faces
from pipeline.frames import FILMS
from pipeline.models import choose_device
from pipeline.photo import check_folder, check_output, read_photo
from pipeline.request import EditRequest, Mask, Point
from pipeline.requestfile import read_mask, read_request
from pipeline.subject import Square, choose_face


def parse_drag(text: str) -> tuple[Point, Point]:
    """Read `X,Y:X,Y`; anything else is wrong usage."""
    try:
        handle, target = text.split(":")
        (hx, hy), (tx, ty) = handle.split(","), target.split(",")
        return (float(hx), float(hy)), (float(tx), float(ty))
    except ValueError:
        message = f"{text!r} is not X,Y:X,Y, such as 310,402:318,396"
        raise argparse.ArgumentTypeError(message) from None


def parse_square(text: str) -> Square:
    """Read `X,Y,SIZE`; anything else is wrong usage."""
    try:
        x, y, size = map(float, text.split(","))
    except ValueError:
        message = f"{text!r} is not X,Y,SIZE, such as 120,80,512"
        raise argparse.ArgumentTypeError(message) from None
    return x, y, size


def parse_option(option: Option, text: str) -> OptionValue:
    """Read an engine's option; anything else is wrong usage."""
    try:
        return option.read(text)
    except RequestError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_request(args: argparse.Namespace) -> EditRequest:
    """Collect the edit from its flags and its file."""
    start = read_request(args.spec) if args.spec is not None else EditRequest()
    if args.mask is not None:
        start = replace(start, mask=read_mask(args.mask), mask_file=args.mask)
    return replace(
        start,
        drags=(*start.drags, *args.drag),
        presets=(*start.presets, *(parse_preset(text) for text in args.preset)),
        expression=_read_expression(args) if args.expression_from else start.expression,
        region=args.region or start.region,
        engine=args.engine or start.engine,
        options={**start.options, **_given_options(args)},
    )


def read_hidden(args: argparse.Namespace) -> Mask | None:
    """Read the mask of what hides the face, where one is given."""
    return None if args.hidden is None else read_mask(args.hidden)


def check_outputs(args: argparse.Namespace) -> None:
    """Check what `edit` is to write before the work that makes it.

    Raises:
        OutputError: A file cannot be written, is one that is read, or exists without --overwrite.
    """
    check_output(args.output, source=args.photo, overwrite=args.overwrite)
    extras = [path for path in (args.report, args.frames) if path is not None]
    given = (args.photo, args.mask, args.spec, args.hidden)
    read = [path for path in given if path is not None]
    for k, path in enumerate(extras):
        _check_extra(path, [args.output, *extras[:k]], read, overwrite=args.overwrite)
    if args.frames is not None and args.frames.suffix.lower() not in FILMS:
        _check_frames_folder(args.frames, overwrite=args.overwrite)
    elif args.frames is not None and args.frames.is_dir():
        raise OutputError(f"{args.frames} is a folder: name a file in it")
    if args.report is not None and args.report.is_dir():
        raise OutputError(f"{args.report} is a folder: name a file in it")


def _check_extra(
    path: Path, written: Iterable[Path], read: Iterable[Path], *, overwrite: bool
) -> None:
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}")
    check_folder(path.parent)
    if any(path.resolve() == other.resolve() for other in written):
        raise OutputError(f"{path} is to hold two results: give each its own name")
    if any(path.exists() and other.exists() and path.samefile(other) for other in read):
        raise OutputError(f"{path} is a file that the edit reads: choose another name")
    if path.is_file() and not overwrite:
        raise OutputError(f"{path} exists already: choose another, or allow it with --overwrite")


def _check_frames_folder(path: Path, *, overwrite: bool) -> None:
    if path.is_file():
        raise OutputError(f"{path} is a file: end the name in .gif or .mp4, or name a folder")
    if path.is_dir() and any(path.iterdir()) and not overwrite:
        raise OutputError(
            f"the folder {path} is not empty: choose another, or allow it with --overwrite"
        )


def _given_options(args: argparse.Namespace) -> dict[str, OptionValue]:
    given = {option.name: getattr(args, option.name) for option in OPTIONS}
    return {name: value for name, value in given.items() if value is not None}


def _read_expression(args: argparse.Namespace) -> np.ndarray:
    text: str = args.expression_from
    path, colon, number = text.rpartition(":")
    numbered = bool(colon) and number.isdigit() and not Path(text).exists()
    source = Path(path if numbered else text)
    found = find_faces(
        read_photo(source).rgb(), finder=args.finder, device=choose_device(args.device)
    )
    try:
        return choose_face(found, int(number) if numbered else None).landmarks
    except FaceError as error:
        raise FaceError(f"--expression-from {source}: {error}") from error
