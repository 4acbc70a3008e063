"""The networks of other people that can be fetched: what they are, where they lie, on what terms.

`catalogue.json` holds facts only. Where nobody published the SHA-256 of a file, or only its first
digits, the entry says so, and the store records the hash of the first file that it fetched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

CATALOGUE = Path(__file__).with_name("catalogue.json")

BETTER_FACES = "ffhq-1024"
"""What is offered to whoever has the built-in generator only."""

Domain = Literal["face", "whole"]
"""What a generator draws: FFHQ-aligned faces, or whole photos that need no face finder."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One network that somebody else published.

    Attributes:
        name: what `--generator` and `weights fetch` call it.
        kind: what it does.
        domain: what a generator draws; None for other networks.
        what: one line about it.
        resolution: width x height of a generator's pictures in pixels; None for other networks.
        file: the published file's name.
        format: how it is written.
        folder: where it is kept: our cache, or where PyTorch keeps downloads of that file.
        urls: its addresses; the publisher's own come first.
        bytes: its exact length, where it is known.
        bytes_about: its approximate length, where only that is known.
        sha256: SHA-256 in hex, its first digits, or "".
        hash: whether `sha256` is whole, only a prefix, or missing.
        confidence: whether two independent sources named these bytes, one, or none.
        licence: terms of the weights, as far as they are stated.
        commercial: whether those terms allow commercial use.
        source: the publisher's page.
    """

    name: str
    kind: Literal["generator", "encoder", "identity", "finder", "perceptual", "flow"]
    domain: Domain | None
    what: str
    resolution: str | None
    file: str
    format: Literal[
        "nvidia-pickle", "tensorflow-pickle", "rosinality", "torch", "torchscript", "onnx"
    ]
    folder: Literal["cache", "pytorch"]
    urls: tuple[str, ...]
    bytes: int | None
    bytes_about: int | None
    sha256: str
    hash: Literal["full", "prefix", "none"]
    confidence: Literal["confirmed", "single", "none"]
    licence: str
    commercial: Literal["yes", "no", "unclear"]
    source: str

    @property
    def size(self) -> str:
        """How long it is, for people."""
        length = self.bytes or self.bytes_about
        return "size unknown" if length is None else megabytes(length)

    @property
    def terms(self) -> str:
        """Licence and commercial use, for people."""
        use = {"yes": "allowed", "no": "not allowed", "unclear": "unclear"}[self.commercial]
        return f"{self.licence}; commercial use {use}"


def read_catalogue() -> dict[str, Entry]:
    """Read the catalogue: entries by name, in the file's order."""
    rows: list[dict[str, Any]] = json.loads(CATALOGUE.read_text("utf-8"))
    for row in rows:
        row["urls"] = tuple(row["urls"])
    return {row["name"]: Entry(**row) for row in rows}


def find_entry(sha256: str) -> Entry | None:
    """Find the network of which a file has the hash."""
    entries = read_catalogue().values()
    return next((e for e in entries if e.hash == "full" and e.sha256 == sha256), None)


def megabytes(length: int) -> str:
    """Write a number of bytes for people."""
    return f"{length / 1e6:.0f} MB" if length >= 10e6 else f"{length / 1e6:.1f} MB"
