"""The command line: parses, draws progress bars, prints. The work is done in `pipeline.commands`.

Exit codes: 0 done, 1 an error of the user's world in one line, 2 wrong usage, 130 interrupted.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from tqdm import tqdm

from pipeline import commands
from pipeline.arguments import parse_drag
from pipeline.bench import BENCHES
from pipeline.commands import Console, Outcome
from pipeline.faces import FINDERS
from pipeline.models import DEVICES
from pipeline.version import VERSION
from weights.errors import PhotodragError
from weights.store import DEFAULT_GENERATOR

Step = TypeVar("Step")
Command = Callable[[argparse.Namespace, Console], Outcome]

EPILOG = (
    "Points are photo pixels, x to the right and y down; faces are numbered from left to right."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    args = build_parser().parse_args(arguments)
    command: Command = args.command
    try:
        outcome = command(args, Console(watch=draw_bar, say=_say))
        print(json.dumps(outcome.record, allow_nan=False) if args.json else outcome.text)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command with --session goes on where it can", 130)
    except PhotodragError as error:
        return _fail(str(error))
    except MemoryError:
        return _fail(OUT_OF_MEMORY)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return _fail(OUT_OF_MEMORY)
    except OSError as error:
        return _fail(f"{error.filename or 'input or output'}: {error.strerror or error}")
    return 0


OUT_OF_MEMORY = (
    "out of memory: close other programs, or choose --quality fast, --device cpu, "
    "or a smaller photo"
)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether PyTorch failed for want of memory; on the CPU it has no class of its own for that."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def draw_bar(steps: Iterable[Step], /, *, stage: str, total: int) -> Iterable[Step]:
    """Pass steps through under a progress bar with the time left, on stderr."""
    with tqdm(steps, desc=stage, total=total, file=sys.stderr, dynamic_ncols=True) as bar:
        yield from bar


def _say(note: str) -> None:
    print(f"photodrag: {note}", file=sys.stderr)


def _fail(message: str, code: int = 1) -> int:
    print("photodrag: error:", " ".join(message.split()), file=sys.stderr)
    return code


def build_parser() -> argparse.ArgumentParser:
    """Describe every command and flag."""
    parser = argparse.ArgumentParser(
        prog="photodrag",
        description="Edit a face in an ordinary photo and leave everything else untouched.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"photodrag {VERSION}")
    adding = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: Command, what: str) -> argparse.ArgumentParser:
        sub = adding.add_parser(name, help=what, description=what, epilog=EPILOG)
        sub.set_defaults(command=command)
        sub.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        return sub

    sub = add("faces", commands.faces, "list the faces of a photo")
    _add_photo(sub)
    sub.add_argument("-o", "--output", type=Path, metavar="PNG", help="draw them into a copy")
    _add_overwrite(sub)
    _add_place(sub)

    sub = add("edit", commands.edit, "edit one face of a photo")
    _add_photo(sub)
    _add_output(sub)
    _add_face(sub)
    _add_request(sub)
    _add_networks(sub)
    _add_effort(sub)
    sub.add_argument(
        "--session", type=Path, metavar="DIR",
        help="keep the stages here and use them again; nothing is kept without",
    )  # fmt: skip
    sub.add_argument("--frames", type=Path, metavar="GIF|DIR", help="save the drag as pictures")
    sub.add_argument("--report", type=Path, metavar="JSON", help="write everything measured")

    sub = add("align", commands.align, "stage 1: find and cut out a face, in a session")
    _add_photo(sub)
    _add_session(sub)
    _add_face(sub)
    _add_networks(sub)
    _add_effort(sub)

    sub = add("invert", commands.invert, "stage 2: invert the session's face")
    _add_session(sub)
    _add_effort(sub, of_session=True)
    _add_place(sub)

    sub = add("drag", commands.drag, "stage 3: edit the session's inversion")
    _add_session(sub)
    _add_request(sub)
    _add_place(sub)

    sub = add("composite", commands.composite, "stage 4: carry an edit of the session to the photo")
    _add_session(sub)
    _add_output(sub)
    sub.add_argument("--edit", type=int, metavar="N", help="number of the edit; default the latest")
    _add_place(sub)

    weights = adding.add_parser("weights", help="the networks on this machine")
    listing = weights.add_subparsers(title="commands", required=True, metavar="COMMAND")
    sub = listing.add_parser("list", help="list the networks that come with photodrag")
    sub.set_defaults(command=commands.weights_list)
    sub.add_argument("--json", action="store_true", help="print one JSON object on stdout")

    sub = add("demo", commands.demo, "edit a photograph that is already here, offline")
    sub.add_argument(
        "-o", "--output", type=Path, metavar="DIR", default=Path("photodrag-demo"),
        help="folder for the pictures; default %(default)s",
    )  # fmt: skip
    _add_networks(sub)
    sub = add("bench", commands.bench, "measure the time and memory of the stages")
    sub.add_argument("what", nargs="?", choices=BENCHES, default="edit", help="default %(default)s")
    _add_networks(sub)
    return parser


def _add_photo(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("photo", type=Path, metavar="PHOTO", help="JPEG, PNG, WebP, TIFF, ...")


def _add_output(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "-o", "--output", type=Path, metavar="OUT", required=True, help="the edited photo"
    )
    _add_overwrite(sub)


def _add_overwrite(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--overwrite", action="store_true", help="results may replace files")


def _add_session(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--session", type=Path, metavar="DIR", required=True, help="its folder")


def _add_face(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--face", type=int, metavar="N",
        help="its number; default the one the drags lie on, or the largest",
    )  # fmt: skip


def _add_request(sub: argparse.ArgumentParser) -> None:
    asked = sub.add_argument_group("the edit, in photo pixels; parts add up")
    asked.add_argument(
        "--drag", action="append", default=[], metavar="X,Y:X,Y", type=parse_drag,
        help="move a point to another place; may be repeated",
    )  # fmt: skip
    asked.add_argument(
        "--preset", action="append", default=[], metavar="NAME[=STRENGTH]",
        help=f"{', '.join(commands.PRESETS)}; strength 1 is a clear expression; may be repeated",
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
        help=f"what may change: {', '.join(commands.REGIONS)}, all; default what the presets "
        "need, face for points",
    )


def _add_networks(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--generator", default=DEFAULT_GENERATOR, metavar="NAME|FILE", help="default %(default)s"
    )
    _add_place(sub)


def _add_place(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--device", choices=DEVICES, default="auto", help="default %(default)s")
    sub.add_argument("--finder", choices=FINDERS, default="auto", help="default %(default)s")


def _add_effort(sub: argparse.ArgumentParser, *, of_session: bool = False) -> None:
    shown = "default the session's" if of_session else "default %(default)s"
    sub.add_argument(
        "--quality", choices=commands.QUALITIES, default=None if of_session else "balanced",
        help=shown,
    )  # fmt: skip
    sub.add_argument("--seed", type=int, default=None if of_session else 0, metavar="N", help=shown)


if __name__ == "__main__":
    sys.exit(main())
