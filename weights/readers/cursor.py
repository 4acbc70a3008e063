"""Reading bytes from front to back without copying them, and how much one file may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from weights.errors import BrokenWeightsError

MAX_INSTRUCTIONS = 500_000
"""A training snapshot of the 1024 px network takes 80,000."""
MAX_TEXT = 1 << 26
"""Characters that one file may decode: text takes up to four times its bytes."""
MAX_READ = 1 << 27
"""Bytes of one argument; the largest tensor of a StyleGAN2 has a tenth of it."""


@dataclass
class Budget:
    """What one file may still spend; pickles inside pickles share it."""

    instructions: int = MAX_INSTRUCTIONS
    text: int = MAX_TEXT

    def spend(self, *, instructions: int = 0, text: int = 0) -> None:
        """Count.

        Raises:
            BrokenWeightsError: more was spent than any real file needs.
        """
        self.instructions -= instructions
        self.text -= text
        if self.instructions < 0 or self.text < 0:
            raise BrokenWeightsError(
                "its pickle is far larger than that of any StyleGAN2: get the file anew"
            )


class Cursor:
    """A place in bytes that are read from front to back without copying them."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.position = 0

    def read(self, count: int) -> memoryview:
        """The next bytes; fewer at the end.

        Raises:
            ValueError: more are asked for than any real file needs.
        """
        if count > MAX_READ:
            raise ValueError(f"{count} bytes at once")
        start = self.position
        self.position = min(start + count, len(self._data))
        return self._data[start : self.position]

    def readline(self) -> bytes:
        """The bytes up to and with the next newline, or up to the end."""
        pieces: list[bytes] = []
        start = self.position
        while self.position - start < MAX_READ and (piece := bytes(self.read(256))):
            line, newline, rest = piece.partition(b"\n")
            pieces.append(line + newline)
            if newline:
                self.position -= len(rest)
                break
        return b"".join(pieces)
