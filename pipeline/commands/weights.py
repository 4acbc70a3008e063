"""Commands about the networks on this machine."""

import argparse
from dataclasses import asdict

from pipeline.commands.console import Adding, Console, Outcome
from weights.store import builtin_models


def add_commands(adding: Adding) -> None:
    """Describe the commands and their flags."""
    group = adding.group("weights", "the networks on this machine")
    group.command("list", weights_list, "list the networks that come with photodrag")


def weights_list(args: argparse.Namespace, console: Console) -> Outcome:  # noqa: ARG001
    """List the networks that come with this package."""
    models = builtin_models()
    lines = [f"{model.name:28} {model.size / 1e6:6.1f} MB  {model.what}" for model in models]
    return Outcome(text="\n".join(lines), record={"weights": [asdict(model) for model in models]})
