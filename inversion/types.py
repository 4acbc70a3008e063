"""What inversion gives: steps, and the `Inversion` that engines edit.

Images are `[1, 3, R, R]` float32 in [-1, 1], latents `[1, L, w_dim]` float32, with R and L those of
the generator.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from inversion.deltas import Delta, apply_deltas
from inversion.errors import BrokenInversionError, InversionError, WrongBaseError
from inversion.options import InversionOptions
from inversion.report import InversionReport
from inversion.stored import Stored, read_stored, write_stored
from weights.store import parameters_sha256
from weights.stylegan2 import Generator

__all__ = [
    "Inversion",
    "InversionOptions",
    "InversionReport",
    "InversionStep",
    "Pivot",
    "load_together",
    "save_together",
]

Phase = Literal["encode", "project", "tune"]


@dataclass(frozen=True)
class Pivot:
    """End of PTI's first phase.

    Attributes:
        latents: `[1, L, w_dim]`.
        noise: the maps that the inversion renders with, by name as in `Generator.noise_maps`. They
            are the tuned generator's own constants: as in PTI, the maps that projection optimised
            have served their purpose (to keep texture out of the latents) and are dropped, so
            `noise="const"` and these maps draw the same picture.
    """

    latents: Tensor
    noise: dict[str, Tensor]


@dataclass(frozen=True)
class Inversion:
    """A crop as latents and a generator tuned to it.

    Attributes:
        generator: tuned, frozen, in evaluation mode.
        pivot: the latents that give the crop.
        report: what was measured on the way.
        base_sha256: hash of the untuned generator's parameters, as
            `weights.store.parameters_sha256` gives it.
        deltas: what tuning changed, by the parameters' names.
    """

    generator: Generator
    pivot: Pivot
    report: InversionReport
    base_sha256: str
    deltas: Mapping[str, Delta]

    @property
    def changed(self) -> frozenset[str]:
        """Names of the generator's parameters that differ from the untuned ones."""
        return frozenset(self.deltas)

    @torch.no_grad()
    def render(self, latents: Tensor | None = None) -> Tensor:
        """Draw latents `[N, L, w_dim]`, or the pivot: images `[N, 3, R, R]`, not clipped."""
        return self.generator(self.pivot.latents if latents is None else latents)

    def save(self, path: Path) -> None:
        """Write the pivot and the changes as safetensors, whole or not at all.

        Raises:
            InversionError: the file cannot be written.
        """
        save_together(path, [self])

    @staticmethod
    def load(path: Path, base: Generator, *, sha256: str | None = None) -> Inversion:
        """Read a stored inversion onto the device of the generator that it was made with.

        Args:
            path: file that `save` wrote.
            base: the untuned generator; stays as it is.
            sha256: its `parameters_sha256`, where the caller knows it.

        Raises:
            BrokenInversionError: the file is missing, damaged, of another kind, or holds several.
            WrongBaseError: it was made with another generator.
        """
        loaded = load_together(path, base, sha256=sha256)
        if len(loaded) != 1:
            raise BrokenInversionError(f"{path} holds {len(loaded)} inversions: load them together")
        return loaded[0]


@dataclass(frozen=True, kw_only=True)
class InversionStep:
    """One step of an inversion.

    Attributes:
        phase: "encode" (once, before the first step), "project" or "tune".
        index: steps done in this phase, from 1; 0 when encoding.
        total: most steps of this phase.
        loss: what was minimised, before this step.
        perceptual: perceptual distance to the crop, before this step.
        inversions: the results, in the order of the crops, on the last step only.
    """

    phase: Phase
    index: int
    total: int
    loss: float
    perceptual: float
    inversions: tuple[Inversion, ...] = ()

    @property
    def inversion(self) -> Inversion | None:
        """The result of the first, or only, crop, on the last step only."""
        return self.inversions[0] if self.inversions else None


def save_together(path: Path, inversions: Sequence[Inversion]) -> None:
    """Write inversions that share one tuned generator into one file, whole or not at all.

    Raises:
        InversionError: they do not share it, there are none, or the file cannot be written.
    """
    if not inversions or any(i.generator is not inversions[0].generator for i in inversions):
        raise InversionError("only inversions of one tuned generator are saved together")
    write_stored(
        path,
        Stored(
            latents=torch.cat([i.pivot.latents.detach().cpu() for i in inversions]),
            reports=tuple(i.report.to_json() for i in inversions),
            base_sha256=inversions[0].base_sha256,
            deltas=inversions[0].deltas,
        ),
    )


def load_together(
    path: Path, base: Generator, *, sha256: str | None = None
) -> tuple[Inversion, ...]:
    """Read the inversions of a file; they share one generator.

    Args:
        path: file that `save_together` or `Inversion.save` wrote.
        base: the untuned generator; stays as it is.
        sha256: its `parameters_sha256`, where the caller knows it.

    Raises:
        BrokenInversionError: the file is missing, damaged or of another kind.
        WrongBaseError: they were made with another generator.
    """
    stored = read_stored(path)
    sha256 = parameters_sha256(base) if sha256 is None else sha256
    if stored.base_sha256 != sha256:
        raise WrongBaseError(
            f"{path} was made with another generator ({stored.base_sha256[:12]}, this one is "
            f"{sha256[:12]}): invert the photo again, or choose that generator"
        )
    generator = copy.deepcopy(base).eval().requires_grad_(False)
    try:
        apply_deltas(generator, base, stored.deltas)
        reports = [InversionReport.from_json(report) for report in stored.reports]
    except (KeyError, TypeError, RuntimeError) as error:
        raise BrokenInversionError(
            f"{path} is damaged ({error}): invert the photo again"
        ) from error
    if stored.latents.shape[1:] != (base.config.num_latents, base.config.w_dim):
        raise BrokenInversionError(
            f"{path} is damaged: latents {list(stored.latents.shape)} do not fit the generator"
        )
    latents = stored.latents.to(base.mapping.w_avg.device)
    return tuple(
        Inversion(generator, Pivot(row, generator.noise_maps()), report, sha256, stored.deltas)
        for row, report in zip(latents.split(1), reports, strict=True)
    )
