"""Values of flags: numbers within bounds, and names and numbers with commas between."""

import argparse
import math
from collections.abc import Mapping

Counted = dict[str, int | None]
"""Names, each with how many of something at most; None for all."""


def parse_count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def parse_seed(text: str) -> int:
    """A whole number that every random generator takes."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 to 2^63 - 1")
    return int(text)


def parse_psis(text: str) -> tuple[float, ...]:
    """Truncations from 0 to 2 with commas between."""
    try:
        psis = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        psis = (math.nan,)
    if not all(0 <= psi <= 2 for psi in psis):
        raise argparse.ArgumentTypeError(f"{text!r} are no numbers from 0 to 2 with commas between")
    return psis


def parse_names(known: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Known names with commas between."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
    return names


def parse_counted(known: tuple[str, ...], text: str) -> Counted:
    """Known names with commas between, each perhaps with a colon and a number."""
    counted: Counted = {}
    for part in text.split(","):
        name, colon, count = part.strip().partition(":")
        (name,) = parse_names(known, name)
        counted[name] = parse_count(count) if colon else None
    return counted


def join_counted(counted: Counted) -> str:
    """What `parse_counted` reads as this."""
    return ",".join(name if count is None else f"{name}:{count}" for name, count in counted.items())


def at_most(counted: Mapping[str, int | None], most: int) -> dict[str, int]:
    """The same numbers, none above `most`."""
    return {name: min(count or most, most) for name, count in counted.items()}
