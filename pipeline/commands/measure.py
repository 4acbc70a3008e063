"""Commands that show and measure the whole: `demo` and `bench`."""

import argparse
from dataclasses import asdict
from pathlib import Path

from pipeline import bench as benches
from pipeline import demo as demonstration
from pipeline.bench_drag import SIZES, DragCase, bench_drag, to_drag_table
from pipeline.commands import flags
from pipeline.commands.console import Adding, Console, Outcome, announcing, load
from pipeline.commands.lists import parse_count
from pipeline.commands.weights import offer_better_faces
from pipeline.errors import RequestError
from weights.store import DEFAULT_GENERATOR


def add_commands(adding: Adding) -> None:
    """Describe the commands and their flags."""
    sub = adding.command("demo", demo, "edit a photograph that is already here, offline")
    sub.add_argument(
        "-o", "--output", type=Path, metavar="DIR", default=Path("photodrag-demo"),
        help="folder for the pictures; default %(default)s",
    )  # fmt: skip
    flags.add_networks(sub)
    sub = adding.command("bench", bench, "measure the time and memory of the stages")
    sub.add_argument(
        "what", nargs="?", choices=benches.BENCHES, default="edit", help="default %(default)s"
    )
    of_drag = sub.add_argument_group("drag: engines side by side on a random generator")
    of_drag.add_argument(
        "--size", type=int, choices=SIZES,
        help="side of its pictures; the public FFHQ shape, at 128 that of portrait-128",
    )  # fmt: skip
    of_drag.add_argument("--points", type=parse_count, metavar="N", help="handles; default 1")
    of_drag.add_argument("--mask", action="store_true", help="fix half of the picture")
    flags.add_networks(sub)


def demo(args: argparse.Namespace, console: Console) -> Outcome:
    """Edit a photograph that is already on this machine."""
    models = load(args)
    report = demonstration.run_demo(args.output, models, announcing(console, models))
    if args.generator == DEFAULT_GENERATOR and (offer := offer_better_faces()) is not None:
        console.say(offer)
    text = f"look at {args.output / demonstration.BEFORE_AFTER}"
    return Outcome(text=text, record=report)


def bench(args: argparse.Namespace, console: Console) -> Outcome:
    """Measure the stages, or the engines on a random generator."""
    if args.size is not None:
        if args.what != "drag":
            raise RequestError(f"--size goes with bench drag, not with bench {args.what}")
        case = DragCase(size=args.size, points=args.points or 1, mask=args.mask, device=args.device)
        measured = bench_drag(case, console.watch)
        return Outcome(
            text=to_drag_table(measured), record={"bench": [asdict(row) for row in measured]}
        )
    if args.points is not None or args.mask:
        raise RequestError("--points and --mask belong to a random generator: give its --size too")
    models = load(args)
    rows = benches.run_bench(args.what, models, announcing(console, models))
    return Outcome(text=benches.to_table(rows), record={"bench": [asdict(row) for row in rows]})
