"""The state of an unfinished inversion on disk, so that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from weights.files import write_safetensors

FORMAT = "photodrag-unfinished-inversion-1"
INTERVAL = 20.0
"""Seconds between two writings."""


def identity(tensors: Iterable[Tensor], *words: str) -> str:
    """Hash of all that a run depends on."""
    digest = hashlib.sha256("\n".join(words).encode())
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class Keeper:
    """Keeps the state of a run's loops: the tensors that Adam moves, its moments, and randomness.

    A run that starts again with the same identity asks for each loop's state and goes on there;
    finished loops are passed over. A file that cannot be read, or of another run, counts as none.
    """

    def __init__(self, path: Path | None, run: str) -> None:
        """Read the file of an earlier start, if there is one.

        Args:
            path: the file; None keeps nothing.
            run: `identity` of the run.
        """
        self._path = path
        self._run = run
        self._kept: dict[str, Tensor] = {}
        self._before = 0.0
        self._began = self._written = time.monotonic()
        if path is not None and path.is_file():
            self._read(path)

    @property
    def seconds(self) -> float:
        """Wall-clock time of the run, with that of earlier starts up to their last writing."""
        return self._before + time.monotonic() - self._began

    def resume(
        self,
        loop: str,
        tensors: Sequence[Tensor],
        optimizer: torch.optim.Optimizer,
        rng: torch.Generator,
    ) -> int:
        """Put a loop's state back, in place, and give the number of its steps that are done."""
        kept = {
            name.removeprefix(f"{loop}/"): value
            for name, value in self._kept.items()
            if name.startswith(f"{loop}/")
        }
        if not kept:
            return 0
        with torch.no_grad():
            for k, tensor in enumerate(tensors):
                tensor.copy_(kept[f"tensor.{k}"])
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in kept.items():
            if name.startswith("adam."):
                _, k, key = name.split(".")
                states.setdefault(int(k), {})[key] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
        rng.set_state(kept["random"])
        return int(kept["steps"])

    def keep(
        self,
        loop: str,
        steps: int,
        tensors: Sequence[Tensor],
        optimizer: torch.optim.Optimizer,
        rng: torch.Generator,
        *,
        finished: bool = False,
    ) -> None:
        """Note a loop's state after so many steps, if it is time to, or if it is finished."""
        due = time.monotonic() - self._written >= INTERVAL
        if self._path is None or not (due or finished):
            return
        state = {f"tensor.{k}": tensor.detach() for k, tensor in enumerate(tensors)}
        state |= {"steps": torch.tensor(steps), "random": rng.get_state()}
        if not finished:
            state |= {
                f"adam.{k}.{key}": value
                for k, moments in optimizer.state_dict()["state"].items()
                for key, value in moments.items()
            }
        others = {n: v for n, v in self._kept.items() if not n.startswith(f"{loop}/")}
        self._kept = others | {f"{loop}/{n}": v.cpu().clone() for n, v in state.items()}
        if due:
            header = {"format": FORMAT, "run": self._run, "seconds": str(self.seconds)}
            write_safetensors(self._path, self._kept, header)
            self._written = time.monotonic()

    def remove(self) -> None:
        """Delete the file: the run is at its end."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _read(self, path: Path) -> None:
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                if (header.get("format"), header.get("run")) == (FORMAT, self._run):
                    self._kept = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
                    self._before = float(header["seconds"])
        except (SafetensorError, OSError, KeyError, ValueError):
            self._kept = {}
