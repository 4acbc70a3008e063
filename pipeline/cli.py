"""The command line: parses, draws progress bars, prints. The work is done in `pipeline.commands`.

Exit codes: 0 done, 1 an error of the user's world in one line, 2 wrong usage, 130 interrupted,
141 where nobody reads the output to its end.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from tqdm import tqdm

from pipeline.commands import evaluate, measure, photos, stages, studio, weights
from pipeline.commands.console import EPILOG, Adding, Command, Console
from pipeline.version import VERSION
from weights.cache import CACHE_VARIABLE
from weights.errors import PhotodragError
from weights.fetch import Progress

Step = TypeVar("Step")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # What is still to be written, at the exit too, goes nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        return 141


def _run(arguments: Sequence[str] | None) -> int:
    args = build_parser().parse_args(arguments)
    command: Command = args.command
    if cache := vars(args).get("cache"):
        os.environ[CACHE_VARIABLE] = str(cache)
    try:
        outcome = command(args, Console(watch=draw_bar, download=draw_bytes, say=_say))
        _show(json.dumps(outcome.record, allow_nan=False) if args.json else outcome.text)
    except KeyboardInterrupt:
        return _fail(
            "interrupted; the same command goes on where it can, an edit with --session", 130
        )
    except PhotodragError as error:
        return _fail(str(error))
    except MemoryError:
        return _fail(OUT_OF_MEMORY)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return _fail(OUT_OF_MEMORY)
    except BrokenPipeError:
        raise
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


def draw_bytes(progress: Iterable[Progress], /, *, stage: str) -> None:
    """Drain a download under a bar of bytes with the time left, on stderr."""
    with tqdm(desc=stage, unit="B", unit_scale=True, file=sys.stderr, dynamic_ncols=True) as bar:
        for done, total in progress:
            if bar.n == 0:
                # What an earlier attempt left does not count for the speed.
                bar.initial = done
            bar.total = total
            bar.update(done - bar.n)


def _show(text: str) -> None:
    # The name of a file may hold what the terminal has no letters for.
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


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
    adding = Adding(parser)
    for group in (photos, stages, weights, measure, evaluate, studio):
        group.add_commands(adding)
    return parser


if __name__ == "__main__":
    sys.exit(main())
