"""Commands that show and measure the whole: `demo` and `bench`."""

import argparse
from dataclasses import asdict
from pathlib import Path

from pipeline import bench as benches
from pipeline import demo as demonstration
from pipeline.commands import flags
from pipeline.commands.console import Adding, Console, Outcome, announcing, load


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
    flags.add_networks(sub)


def demo(args: argparse.Namespace, console: Console) -> Outcome:
    """Edit a photograph that is already on this machine."""
    models = load(args)
    report = demonstration.run_demo(args.output, models, announcing(console, models))
    text = f"look at {args.output / demonstration.BEFORE_AFTER}"
    return Outcome(text=text, record=report)


def bench(args: argparse.Namespace, console: Console) -> Outcome:
    """Measure the stages."""
    models = load(args)
    rows = benches.run_bench(args.what, models, announcing(console, models))
    return Outcome(text=benches.to_table(rows), record={"bench": [asdict(row) for row in rows]})
