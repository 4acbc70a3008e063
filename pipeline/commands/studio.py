"""The command that opens the studio in the browser."""

import argparse
import importlib
from pathlib import Path

import platformdirs

from pipeline.commands import flags
from pipeline.commands.console import Adding, Console, Outcome, load
from pipeline.errors import PipelineError


def add_commands(adding: Adding) -> None:
    """Describe the command and its flags."""
    sub = adding.command("studio", studio, "edit photos by hand, in the browser")
    sub.add_argument("photo", type=Path, nargs="?", metavar="PHOTO", help="photo to begin with")
    sub.add_argument("--port", type=int, metavar="N", help="where to listen; default a free one")
    sub.add_argument("--no-browser", action="store_true", help="only print the address")
    sub.add_argument(
        "--folder", type=Path, metavar="DIR",
        default=platformdirs.user_data_path("photodrag", False) / "studio",
        help="where photos and edits are kept; default %(default)s",
    )  # fmt: skip
    flags.add_networks(sub)


def studio(args: argparse.Namespace, console: Console) -> Outcome:
    """Serve the studio until it is interrupted.

    Raises:
        PipelineError: What it needs is not installed.
    """
    try:
        serving = importlib.import_module("pipeline.studio.serve")
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "websockets"):
            raise
        raise PipelineError(
            f"the studio needs {error.name}: run pip install 'photodrag[studio]'"
        ) from error
    models = load(args)
    address = serving.serve(
        models,
        args.folder,
        args.photo,
        port=args.port,
        browse=not args.no_browser,
        say=console.say,
    )
    return Outcome(text="the studio is closed", record={"address": address})
